/* SPDX-License-Identifier: MIT */
/*
 * A heap that is in use all the time: what giving memory back costs, and how
 * much of it stays with the process meanwhile.
 *
 * sawtooth: a program whose memory goes up and down, such as a compiler over
 * many files or a collector of rubbish: 256 MiB are piled up and taken down to
 * 16 MiB, the last block first. Who gives back too eagerly pays for the same
 * pages again each time.
 *
 * replace: a cache that is full: every new entry displaces another at random.
 * Nothing ever becomes free for long, and there is nothing to be gained; what
 * is done all the same is lost.
 *
 * aging: a server whose requests change over time: each phase has its own
 * sizes, and as many bytes live as the one before. The blocks of a phase die at
 * random during the next one, but for one in `keep`: these stay where they are,
 * one here, one there, until the end. One in 1024 is a block in 3 % of the pages
 * of the first phase; one in 32 would be in 60 % of them, and no allocator that
 * leaves blocks where they are could have less than 1.6 times what is live.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "memory.h"

#define SAW_MIB	       256u
#define SAW_BOTTOM     (16 * MIB)
#define SAW_ROOM(top)  ((size_t)(top) / 1000) /* of 1310 bytes on average */
#define WINDOW_MOST    1024u
#define REPLACE_BLOCKS 100000u
#define AGING_LIVE     (128 * MIB)
#define AGING_ROOM     ((size_t)AGING_LIVE / 100) /* of 136 bytes on average, or more */
#define AGING_SLICE    (512 * KIB)		  /* allocated, and as much freed, in a ms */

/* The live blocks. aging: the first @kept of them outlive their phase. */
static struct block *blocks;
static size_t count, kept, room;
static _Atomic uint64_t live; /* bytes, as requested */
static uint64_t randomness;
static struct mix mix;
static uint64_t saw_top; /* bytes */
static uint64_t pushed;	 /* blocks so far */

static void heap_init(size_t most)
{
	room = most;
	blocks = map_resident(room * sizeof(*blocks));
	randomness = random_seed(0);
}

/* Only this thread writes the sum, so it needs no atomic addition. */
static void live_add(uint64_t bytes)
{
	uint64_t sum = atomic_load_explicit(&live, memory_order_relaxed);

	atomic_store_explicit(&live, sum + bytes, memory_order_relaxed);
}

static void push(void)
{
	if (count == room)
		fail("memory: the sizes are smaller than they can be\n");
	blocks[count] = block_new(mix_size(&mix, &randomness));
	live_add(blocks[count++].size);
	pushed++;
}

static void pop(void)
{
	live_add(-(uint64_t)blocks[--count].size);
	block_free(&blocks[count]);
}

/*
 * The sampler looks every so often how much the process has, compared with the
 * most that was live within the last `delay` ms: what was freed longer ago is
 * to be gone.
 */
struct sampler {
	pthread_t thread;
	atomic_bool stop;
	uint64_t window[WINDOW_MOST], samples;
	double worst;
	uint64_t cpu; /* ns, its own */
};

static struct sampler sampler;

static void sample(size_t window)
{
	uint64_t before = live, gain = net(), after = live, most = 0;

	sampler.window[sampler.samples++ % window] = before > after ? before : after;
	for (size_t i = 0; i < window; i++)
		if (most < sampler.window[i])
			most = sampler.window[i];
	/* below that, what every process has would weigh most */
	if (most >= SAW_BOTTOM && (double)gain > sampler.worst * (double)most)
		sampler.worst = (double)gain / (double)most;
}

static void *sampler_main(void *unused)
{
	size_t window = options.delay / options.sample + 1;
	struct timespec cpu;

	(void)unused;
	while (!sampler.stop) {
		sample(window < WINDOW_MOST ? window : WINDOW_MOST);
		sleep_ms(options.sample);
	}
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &cpu);
	sampler.cpu = (uint64_t)cpu.tv_sec * 1000000000 + (uint64_t)cpu.tv_nsec;
	return NULL;
}

static void sampler_start(void)
{
	net_begin();
	if (options.sample && pthread_create(&sampler.thread, NULL, sampler_main, NULL))
		fail("memory: cannot start a thread\n");
}

static void sampler_end(void)
{
	sampler.stop = true;
	if (options.sample)
		pthread_join(sampler.thread, NULL);
}

/* One tooth up and down, with pauses; returns how long it took without them. */
static uint64_t saw(uint64_t last_pause)
{
	uint64_t start = now_ns(), took;

	while (live < saw_top)
		push();
	took = now_ns() - start;
	sleep_ms(options.pause);
	start = now_ns();
	while (live > SAW_BOTTOM)
		pop();
	took += now_ns() - start;
	sleep_ms(last_pause);
	return took;
}

void run_sawtooth(const char *variant)
{
	uint64_t took = 0, cpu, left;

	mix_log_uniform(&mix, 16, 8192);
	saw_top = (options.mib ? options.mib : SAW_MIB) * MIB;
	heap_init(SAW_ROOM(saw_top));
	sampler_start();
	trace_begin();
	cpu = cpu_ns();
	for (unsigned i = 1; i <= options.teeth; i++)
		took += saw(i < options.teeth ? options.pause : options.delay);
	left = net();
	sampler_end();
	cpu = cpu_ns() - cpu - sampler.cpu;
	blocks_check(blocks, count);
	print("sawtooth %s sample=%llu ns=%.3f ops=%llu peak_kib=%llu own_kib=%llu"
	      " cpu_ms=%.1f work_ms=%.1f net_mib=%.1f live_mib=%.1f ratio=%.3f",
	      variant, (unsigned long long)options.sample, (double)took / (double)pushed,
	      (unsigned long long)pushed, (unsigned long long)peak_kib(),
	      (unsigned long long)own_kib(), (double)cpu / 1e6, (double)took / 1e6,
	      (double)left / MIB, (double)live / MIB, (double)left / (double)live);
	if (options.sample)
		print(" worst_ratio=%.3f", sampler.worst);
	print("\n");
	trace_end();
}

/* Returns how long it took, in ms. */
static double replace(uint64_t ops)
{
	uint64_t start = now_ns();

	while (ops--) {
		struct block *block = &blocks[random_below(&randomness, REPLACE_BLOCKS)];

		block_free(block);
		*block = block_new(mix_size(&mix, &randomness));
	}
	return (double)(now_ns() - start) / 1e6;
}

/* The first half of the operations makes the heap what it then stays. */
void run_replace(const char *variant)
{
	static struct hak_stats before, after;
	double first, second;
	bool counts;

	mix_uniform(&mix, 16, 1024);
	heap_init(REPLACE_BLOCKS);
	while (count < REPLACE_BLOCKS)
		push();
	first = replace(options.ops / 2);
	counts = read_stats(&before);
	second = replace(options.ops - options.ops / 2);
	if (counts)
		read_stats(&after);
	blocks_check(blocks, count);
	print("replace %s ops=%llu first_ms=%.1f second_ms=%.1f total_ms=%.1f", variant,
	      (unsigned long long)options.ops, first, second, first + second);
	if (counts)
		print(" purges_before=%llu purges_after=%llu purges=%llu",
		      (unsigned long long)before.provider_purges,
		      (unsigned long long)after.provider_purges,
		      (unsigned long long)(after.provider_purges - before.provider_purges));
	print("\n");
}

/* Frees one of the blocks that are to die, and puts the last into its place. */
static void age_one(void)
{
	size_t victim = kept + random_below(&randomness, (uint32_t)(count - kept));
	struct block block = blocks[victim];

	blocks[victim] = blocks[count - 1];
	blocks[count - 1] = block;
	pop();
}

static void age_slice(void)
{
	for (uint64_t bytes = 0; bytes < AGING_SLICE; bytes += blocks[count - 1].size) {
		while (live > AGING_LIVE)
			age_one();
		push();
	}
}

/* A ms is as long as it takes, but not shorter: nobody makes up for lost time. */
static void age_phase(void)
{
	for (uint64_t slices = options.seconds * 1000; slices; slices--) {
		uint64_t ends = now_ns() + 1000000, now;

		age_slice();
		now = now_ns();
		if (slices > 1 && now < ends)
			nanosleep(&(struct timespec){ 0, (long)(ends - now) }, NULL);
	}
}

static void keep_some(void)
{
	for (size_t i = kept; i < count; i++) {
		struct block block = blocks[i];

		if (random_below(&randomness, (uint32_t)options.keep))
			continue;
		blocks[i] = blocks[kept];
		blocks[kept++] = block;
	}
}

void run_aging(const char *variant)
{
	static struct mix mixes[3];

	mix_uniform(&mixes[0], 16, 256);
	mix_log_uniform(&mixes[1], 512, 8192);
	mix_log_uniform(&mixes[2], 32, 65536);
	heap_init(AGING_ROOM);
	net_begin();
	for (unsigned i = 0; i < 3; i++) {
		uint64_t start = now_ns(), took, gain, floor;

		mix = mixes[i];
		age_phase();
		took = now_ns() - start;
		gain = net();
		floor_begin();
		floor_add(blocks, count);
		floor = floor_end();
		print("aging %s phase=%u keep=%llu took_s=%.1f net_mib=%.1f live_mib=%.1f"
		      " floor_mib=%.1f ratio=%.3f floor_ratio=%.3f floor_to_live=%.3f\n",
		      variant, i + 1, (unsigned long long)options.keep, (double)took / 1e9,
		      (double)gain / MIB, (double)live / MIB, (double)floor / MIB,
		      (double)gain / (double)live, (double)gain / (double)floor,
		      (double)floor / (double)live);
		keep_some();
	}
	blocks_check(blocks, count);
}
