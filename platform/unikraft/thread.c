/* SPDX-License-Identifier: MIT */
/*
 * A thread that gives memory back: a scan of the heap, and a sleep. What was free at two scans
 * in succession goes.
 */
#include <uk/arch/time.h>
#include <uk/errptr.h>
#include <uk/init.h>
#include <uk/print.h>
#include <uk/sched.h>

#include <hakmem/hakmem.h>

static __noreturn void thread_main(void *arg __unused)
{
	for (;;) {
		hak_idle(~(size_t)0);
		uk_sched_thread_sleep(ukarch_time_msec_to_nsec(CONFIG_LIBHAKMEM_THREAD_INTERVAL));
	}
}

/* Without it the image runs all the same. */
static int thread_init(struct uk_init_ctx *ctx __unused)
{
	struct uk_thread *thread;

	thread = uk_sched_thread_create(uk_sched_current(), thread_main, NULL, "hakmem");
	if (!thread || PTRISERR(thread))
		uk_pr_warn("no thread to give memory back\n");
	return 0;
}

uk_late_initcall(thread_init, 0x0);
