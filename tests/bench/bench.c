/* SPDX-License-Identifier: MIT */
/*
 * How fast a malloc is, and how much memory it needs for that: one workload, in
 * a fresh process, with whatever malloc is preloaded.
 *
 *	bench WORKLOAD [OPTION=NUMBER ...]
 *
 * Prints one line, "ns=N ops=N peak_kib=N own_kib=N ...": nanoseconds of one operation by
 * the monotonic clock, how many there were, the most that was resident, and how much of
 * it was not that of files.
 * bench.sh makes tables of it.
 *
 * Every malloc does the same operations on the same sizes in the same order,
 * since random numbers come from one seed. Calls go through the PLT, and the
 * compiler is told to know nothing of malloc. Steady workloads run for a tenth
 * of their time before the clock starts, so that first page faults, which other
 * workloads are about, are left out.
 *
 * The peak is without this program's own tables.
 */
#include <string.h>
#include <unistd.h>

#include "speed.h"

struct parameters parameters = {
	.ms = 200,
	.size = 16,
	.least = 16,
	.most = 1024,
	.live = 10000,
	.threads = 2,
};

uint64_t deadline;
bool warm;

static const struct option options[] = {
	{ "seed", &random_run },	{ "ms", &parameters.ms },
	{ "ops", &parameters.ops },	{ "size", &parameters.size },
	{ "least", &parameters.least }, { "most", &parameters.most },
	{ "live", &parameters.live },	{ "threads", &parameters.threads },
};

static const struct workload *const lists[] = {
	steady_workloads,
	growing_workloads,
	threaded_workloads,
	filled_workloads,
};

static const struct workload *find_workload(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(lists); i++)
		for (const struct workload *workload = lists[i]; workload->name; workload++)
			if (!strcmp(name, workload->name))
				return workload;
	return NULL;
}

static _Noreturn void usage(void)
{
	print("usage: bench WORKLOAD [OPTION=NUMBER ...]\n\nworkloads:");
	for (size_t i = 0; i < ARRAY_SIZE(lists); i++)
		for (const struct workload *workload = lists[i]; workload->name; workload++)
			print(" %s", workload->name);
	print("\n\n");
	options_print(options, ARRAY_SIZE(options));
	_exit(2);
}

/* Steps until the time is up or the operations are done. */
static inline uint64_t repeat(const struct workload *workload, uint64_t most_ops)
{
	uint64_t ops = 0;

	do
		ops += workload->step();
	while (workload->kind == STEADY && (most_ops ? ops < most_ops : now_ns() < deadline));
	return ops;
}

/* A function that is found under its name in the program. clang makes no clones. */
#ifdef __clang__
#define ALONE __attribute__((noinline))
#else
#define ALONE __attribute__((noinline, noclone))
#endif

static ALONE uint64_t warm_up(const struct workload *workload)
{
	deadline = now_ns() + parameters.ms * 100000;
	return repeat(workload, parameters.ops / 10);
}

/* Callgrind counts what happens in here, and only here. */
static ALONE uint64_t measured(const struct workload *workload)
{
	return repeat(workload, parameters.ops);
}

static uint64_t run(const struct workload *workload, uint64_t *ops)
{
	uint64_t start;

	if (workload->kind == STEADY)
		warm_up(workload);
	warm = true;
	start = now_ns();
	deadline = start + parameters.ms * 1000000;
	*ops = measured(workload);
	return now_ns() - start;
}

int main(int argc, char **argv)
{
	const struct workload *workload = argc < 2 ? NULL : find_workload(argv[1]);
	uint64_t ops, ns;

	if (!workload)
		usage();
	for (int i = 2; i < argc; i++)
		if (!options_parse(options, ARRAY_SIZE(options), argv[i]))
			usage();
	if (!parameters.size || !parameters.least || parameters.most < parameters.least ||
	    !parameters.live || !parameters.threads || parameters.threads > THREADS_MOST)
		usage();
	workload->prepare();
	ns = run(workload, &ops);
	if (!ops)
		fail("bench: not one operation in %llu ms\n", (unsigned long long)parameters.ms);
	print("ns=%.3f ops=%llu peak_kib=%llu own_kib=%llu", (double)ns / (double)ops,
	      (unsigned long long)ops, (unsigned long long)peak_kib(),
	      (unsigned long long)own_kib());
	if (workload->print)
		workload->print(ops);
	print("\n");
	/* what is still allocated is of no interest: no destructors, no exit handlers */
	_exit(0);
}
