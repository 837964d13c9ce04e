/* SPDX-License-Identifier: MIT */
/*
 * Random sequences of all calls of the API against a reference model: what is
 * handed out overlaps nothing, is aligned and as long as promised; contents
 * stay what they are; zeroed memory is zero; what fails changes nothing; and
 * hak_check() agrees all along. At the end everything is freed, and everything
 * goes back.
 *
 *	model [--ops N] [--seed S] [--provider NAME] [--live MIB]
 *
 * The operations are divided among the providers: the platform's own, and fake
 * ones that are small, dirty, stubborn or unreliable. The same seed makes the
 * same calls; over the fake providers they also have the same results.
 */
#include "shadow.h"

#include <api/request.h>
#include <base/base.h>
#include <hakmem/hakmem.h>
#include <hakmem/host.h>
#include <hakmem/stats.h>

#include "../fake.h"
#include "../test.h"

#define MIB ((size_t)1 << 20)

#define OPS_PER_CHECK 10000u /* hak_check() takes as long as a thousand calls */
#define OPS_PER_PLAN  500u   /* how often an unreliable provider changes its mind */

/* The share of a config in all operations is parts of SHARES. */
#define SHARES 16u

struct config {
	const char *name;
	unsigned share;
	bool fake;
	bool scarce;	 /* NULL is to be expected */
	bool unreliable; /* calls of the provider fail at random */
	size_t live;	 /* bound of the bytes in use; 0: as given by --live */
	uint64_t phase;	 /* operations until what is mostly done changes */
	struct fake_options options;
};

static const struct config configs[] = {
	{ .name = "platform", .phase = 50000, .share = 7 },
	{ .name = "parts",
	  .phase = 20000,
	  .share = 2,
	  .fake = true,
	  .scarce = true,
	  .live = 36 * MIB,
	  .options = { 64 * MIB, 4 * MIB, FAKE_ZERO | FAKE_RESIDENT, FAKE_PURGE_ZERO, NULL } },
	{ .name = "whole",
	  .phase = 20000,
	  .share = 2,
	  .fake = true,
	  .scarce = true,
	  .live = 40 * MIB,
	  .options = { 40 * MIB, 4 * MIB, 0, FAKE_PURGE_NONE, NULL } },
	{ .name = "small",
	  .phase = 20000,
	  .share = 2,
	  .fake = true,
	  .scarce = true,
	  .live = 12 * MIB,
	  .options = { 8 * MIB, 4 * MIB, 0, FAKE_PURGE_DIRTY, NULL } },
	{ .name = "stubborn",
	  .phase = 50000,
	  .share = 1,
	  .fake = true,
	  .scarce = true,
	  .live = 16 * MIB,
	  .options = { 16 * MIB, 4 * MIB, FAKE_KEEPS | FAKE_ZERO, FAKE_PURGE_REFUSE, NULL } },
	{ .name = "unreliable",
	  .phase = 4000,
	  .share = 2,
	  .fake = true,
	  .scarce = true,
	  .unreliable = true,
	  .live = 24 * MIB,
	  .options = { 40 * MIB, 4 * MIB, 0, FAKE_PURGE_ZERO, NULL } },
};

static struct options {
	uint64_t ops, seed;
	size_t live;
	const char *provider;
} options = { .ops = 300000, .seed = 1 };

/* The run of one config. */
static const struct config *config;
static uint64_t random_state;
static uint64_t nr_null, nr_ops;
static size_t live_bound;
static struct fake fake;
static struct hak_stats stats;

/* The platform's provider, with its balance kept. */
static struct {
	const struct hak_provider *real;
	struct hak_provider provider;
	size_t outstanding;
} counted;

static int counted_map(void *ctx, size_t size, size_t align, enum hak_want want,
		       struct hak_mapping *out)
{
	int failed = counted.real->map(ctx, size, align, want, out);

	if (!failed)
		counted.outstanding += size;
	return failed;
}

static int counted_unmap(void *ctx, void *base, size_t size)
{
	int failed = counted.real->unmap(ctx, base, size);

	if (!failed)
		counted.outstanding -= size;
	return failed;
}

static const struct hak_provider *open_counted(void)
{
	counted.real = port_provider();
	counted.provider = *counted.real;
	counted.provider.map = counted_map;
	counted.provider.unmap = counted_unmap;
	counted.outstanding = 0;
	return &counted.provider;
}

static uint64_t below(uint64_t n)
{
	return test_random(&random_state) % n;
}

/* Mostly small, as in programs; every edge of classes and slabs is met. */
static size_t random_size(void)
{
	uint64_t kind = below(1000);

	if (kind < 500)
		return below(129);
	if (kind < 800)
		return below(1025);
	if (kind < 960)
		return below(32769);
	if (kind < 970) {
		size_t power = (size_t)1 << below(22);

		return power + below(3) - 1;
	}
	if (kind < 995)
		return below(262144);
	return below(4 * MIB + 1);
}

static size_t random_alignment(void)
{
	return (size_t)1 << (below(8) ? below(13) : below(23));
}

/*
 * The rest returns whether all is well, having said so if not: CHECK() of
 * tests/test.h, which returns from the caller.
 */
#define EXPECT(condition) CHECK_OR(condition, false)

static bool is_zero(const char *bytes, size_t from, size_t to)
{
	for (; from < to; from++)
		if (bytes[from])
			return false;
	return true;
}

/* The ends, and a lot of places in between; sometimes all of it. */
static bool reads_zero(const char *bytes, size_t size)
{
	if (size <= 256 || !below(64))
		return is_zero(bytes, 0, size);
	for (unsigned i = 0; i < 64; i++)
		if (bytes[below(size)])
			return false;
	return is_zero(bytes, 0, 64) && is_zero(bytes, size - 64, size);
}

static bool check_heap(void)
{
	const char *failed = hak_check();

	if (failed)
		test_print("hak_check(): %s\n", failed);
	EXPECT(!failed);
	return true;
}

/* A call returned NULL: may it, and is all as it was? */
static bool expect_null(void)
{
	nr_null++;
	EXPECT(config->scarce);
	if (shadow_count()) {
		unsigned number = shadow_live((unsigned)below(shadow_count()));

		EXPECT(shadow_is_intact(number, SIZE_MAX));
	}
	return below(1000) || check_heap();
}

/* In the hardened build, and with HAKMEM_DEBUG, a block is as long as was asked for. */
static size_t usable_for(size_t size)
{
	return IS_ENABLED(CONFIG_HAK_HARDENED) ? size : hak_good_size(size);
}

/* A block that was handed out; zeroed if it should be. */
static bool expect_block(void *block, size_t size, size_t align, bool zeroed)
{
	unsigned number;
	size_t usable;

	if (!block)
		return expect_null();
	usable = hak_usable_size(block);
	EXPECT((uintptr_t)block % align == 0);
	EXPECT(usable >= size && (usable > 0 || !usable_for(0)));
	EXPECT(!zeroed || reads_zero(block, size));
	number = shadow_add(block, usable, size);
	EXPECT(number); /* overlaps nothing */
	shadow_block(number)->align = align;
	return true;
}

static size_t natural_alignment(size_t size)
{
	return size > 8 ? 16 : HAK_MIN_ALIGN;
}

static bool do_malloc(size_t size)
{
	void *block = hak_malloc(size);

	EXPECT(!block || hak_usable_size(block) == usable_for(size) ||
	       (config->scarce && hak_usable_size(block) >= size));
	return expect_block(block, size, natural_alignment(size), false);
}

static bool do_zalloc(size_t size)
{
	size_t n = 1 + below(100);

	if (below(2))
		return expect_block(hak_zalloc(size), size, natural_alignment(size), true);
	return expect_block(hak_calloc(n, size / n), size / n * n, natural_alignment(size / n * n),
			    true);
}

static bool do_aligned_alloc(size_t size)
{
	size_t align = random_alignment();

	return expect_block(hak_aligned_alloc(align, size), size, align, false);
}

static bool do_allocate(void)
{
	size_t size = random_size();

	if (shadow_bytes() + size > live_bound || shadow_count() == SHADOW_BLOCKS)
		return true;
	switch (below(10)) {
	case 0:
		return do_zalloc(size);
	case 1:
		return do_aligned_alloc(size);
	case 2:
		return expect_block(hak_realloc(NULL, size), size, natural_alignment(size), false);
	default:
		return do_malloc(size);
	}
}

static bool do_free(unsigned number)
{
	struct shadow_block *block = shadow_block(number);

	EXPECT(shadow_is_intact(number, SIZE_MAX));
	shadow_remove(number);
	switch (below(8)) {
	case 0:
		if (block->align <= natural_alignment(block->size))
			hak_free_sized((void *)block->start, block->size);
		else
			hak_free_aligned_sized((void *)block->start, block->align, block->size);
		break;
	case 1:
		EXPECT(!hak_realloc((void *)block->start, 0));
		break;
	default:
		hak_free((void *)block->start);
	}
	return true;
}

/* What the block held, at its new place, up to the smaller of both sizes. */
static bool do_realloc(unsigned number)
{
	struct shadow_block *block = shadow_block(number), old = *block;
	size_t size = below(2) ? random_size() : below(2 * old.size + 2), usable;
	char *moved;

	if (!size || shadow_bytes() + size > live_bound)
		return true;
	EXPECT(shadow_is_intact(number, SIZE_MAX));
	moved = hak_realloc((void *)old.start, size);
	if (!moved) {
		EXPECT(shadow_is_intact(number, SIZE_MAX));
		EXPECT(hak_usable_size((void *)old.start) == old.usable);
		return expect_null();
	}
	block->start = (uintptr_t)moved; /* look there for what was here */
	EXPECT(shadow_is_intact(number, size));
	block->start = old.start;
	shadow_remove(number);
	usable = hak_usable_size(moved);
	EXPECT(usable >= size);
	EXPECT((uintptr_t)moved % natural_alignment(size) == 0 || (uintptr_t)moved == old.start);
	EXPECT(shadow_add(moved, usable, size));
	return true;
}

static bool do_ask(unsigned number)
{
	struct shadow_block *block = shadow_block(number);
	size_t size = random_size(), good = hak_good_size(size);

	EXPECT(hak_usable_size((void *)block->start) == block->usable);
	EXPECT(hak_owns((void *)(block->start + (block->usable ? below(block->usable) : 0))));
	EXPECT(good >= size && hak_good_size(good) == good);
	EXPECT(!hak_owns(NULL) && !hak_owns(&size) && !hak_owns(&stats));
	EXPECT(shadow_is_intact(number, SIZE_MAX));
	if (below(2)) /* all that is usable may be used */
		shadow_refill(number, block->usable);
	return true;
}

/* Requests that nothing can satisfy. */
static bool do_impossible(void)
{
	size_t huge = PTRDIFF_MAX + below((size_t)1 << 62) + 1, n = 2 + below(1000);
	size_t crooked = (((size_t)1 << below(20)) + 1) * 3;

	OPTIMIZER_HIDE_VAR(huge); /* the compiler would warn of it */
	EXPECT(!hak_malloc(huge) && !hak_zalloc(huge) && !hak_calloc(1, huge));
	EXPECT(!hak_calloc(SIZE_MAX / n + 1, n) && !hak_calloc(n, SIZE_MAX / n + 1));
	EXPECT(!hak_realloc(NULL, huge) && !hak_aligned_alloc(64, huge));
	EXPECT(!hak_aligned_alloc(crooked, below(1000)) && !hak_aligned_alloc(0, 16));
	EXPECT(hak_good_size(huge) == 0);
	if (shadow_count()) {
		unsigned number = shadow_live((unsigned)below(shadow_count()));

		EXPECT(!hak_realloc((void *)shadow_block(number)->start, huge));
		EXPECT(shadow_is_intact(number, SIZE_MAX));
	}
	hak_free(NULL);
	return true;
}

static bool do_with_block(void)
{
	unsigned number;
	uint64_t kind = below(100);

	if (!shadow_count())
		return true;
	number = shadow_live((unsigned)below(shadow_count()));
	if (kind < 70)
		return do_free(number);
	return kind < 94 ? do_realloc(number) : do_ask(number);
}

/* What is free goes back, a piece of it or all. */
static void give_back(uint64_t rare)
{
	if (rare < 200)
		hak_idle(1 + below(4));
	else
		hak_trim(rare < (config->unreliable ? 300u : 202u) ? HAK_TRIM_OWN : HAK_TRIM_ALL);
}

/* More allocations than frees in one phase, and the reverse in the next. */
static bool do_one(uint64_t n)
{
	static const unsigned allocations[] = { 55, 46, 60, 35, 52, 10, 58, 20 };
	uint64_t rare = below(20000);

	if (rare < 10)
		hak_flush();
	else if (rare < (config->unreliable ? 400u : 204u))
		give_back(rare);
	else if (rare < 420)
		return do_impossible();
	if (below(100) < allocations[n / config->phase % 8])
		return do_allocate();
	return do_with_block();
}

/* From now on some call fails, or none. */
static void change_plan(void)
{
	enum fake_op op = (enum fake_op)below(NR_FAKE_OPS);
	enum fake_fault fault = (enum fake_fault)below(2 * FAKE_NULL);
	unsigned long nth = 1 + below(4);
	bool forever = below(2);

	fake_heal(&fake);
	if (below(3))
		fake_fail(&fake, op, nth, forever, fault <= FAKE_NULL ? fault : FAKE_FAILS);
}

static bool run_ops(uint64_t ops)
{
	for (uint64_t n = 0; n < ops; n++) {
		nr_ops = n;
		if (config->unreliable && n % OPS_PER_PLAN == 0)
			change_plan();
		if (!do_one(n))
			return false;
		if (n % OPS_PER_CHECK == OPS_PER_CHECK - 1 && !check_heap())
			return false;
	}
	return true;
}

/* All is freed: is all back where it came from? */
static bool finish(bool unmaps)
{
	bool hungry = config->fake && config->live >= config->options.capacity;

	nr_ops = UINT64_MAX;
	if (config->fake)
		fake_heal(&fake);
	while (shadow_count())
		if (!do_free(shadow_live((unsigned)below(shadow_count()))))
			return false;
	hak_flush();
	EXPECT(check_heap());
	hak_trim(HAK_TRIM_ALL);
	EXPECT(check_heap());
	hak_stats_read(&stats, sizeof(stats));
	EXPECT(stats.total.live_blocks == 0 && stats.total.allocations == stats.total.frees);
	EXPECT(stats.slabs_used == 0 && stats.bitmap_slabs == 0);
	EXPECT(stats.superslabs_active == stats.superslabs_reserve);
	EXPECT(stats.superslabs_active == 0 || !unmaps);
	EXPECT(stats.mapped_bytes == (config->fake ? fake.outstanding : counted.outstanding));
	/* a config that is asked for more than it has must have failed */
	EXPECT(nr_null || !hungry || stats.total.allocations < 50000);
	/* and there is memory again */
	return do_malloc(1 * MIB) && do_malloc(1);
}

static void print_run(uint64_t seed, uint64_t ops)
{
	test_print("model: %s, seed %lu: %lu operations, %lu allocations, %lu failed, "
		   "%lu SuperSlabs at peak, %lu mapped\n",
		   config->name, (unsigned long)seed, (unsigned long)ops,
		   (unsigned long)stats.total.allocations, (unsigned long)nr_null,
		   (unsigned long)stats.superslabs_peak, (unsigned long)stats.superslabs_mapped);
}

static uint64_t share_of(const struct config *c)
{
	return options.provider ? options.ops : (options.ops * c->share + SHARES - 1) / SHARES;
}

static void run(void)
{
	bool unmaps = !(config->options.flags & (FAKE_KEEPS | FAKE_NO_UNMAP));
	uint64_t ops = share_of(config);

	shadow_reset(options.seed);
	random_state = options.seed * 2 + 1;
	nr_null = 0;
	live_bound = config->live ? config->live : options.live;
	if (config->fake) {
		CHECK(fake_open(&fake, &config->options) && fake_init(&fake));
	} else {
		CHECK(hak_init(open_counted()));
	}
	if (!run_ops(ops) || !finish(unmaps)) {
		test_print("model: %s, seed %lu, after %ld operations of %lu\n", config->name,
			   (unsigned long)options.seed, (long)nr_ops, (unsigned long)ops);
		return;
	}
	print_run(options.seed, ops);
	hak_fini();
	CHECK((config->fake ? fake.outstanding : counted.outstanding) == 0 || !unmaps);
	CHECK(!hak_check());
	if (config->fake)
		fake_close(&fake);
}

static bool parse_option(const char *name, const char *value)
{
	uint64_t number;

	if (test_is_same(name, "--provider")) {
		options.provider = value;
		for (unsigned i = 0; i < ARRAY_SIZE(configs); i++)
			if (test_is_same(value, configs[i].name))
				return true;
		return false;
	}
	if (test_is_same(name, "--letters"))
		return IS_ENABLED(HAK_DEBUG_LAYER) && hak_debug_choose(value, true);
	number = test_number(&value);
	if (*value)
		return false;
	if (test_is_same(name, "--ops"))
		options.ops = number;
	else if (test_is_same(name, "--seed"))
		options.seed = number;
	else if (test_is_same(name, "--live"))
		options.live = number * MIB;
	else
		return false;
	return true;
}

static int usage(void)
{
	test_print(
		"usage: model [--ops N] [--seed S] [--provider NAME] [--live MIB]\n"
		"             [--letters LETTERS], of HAKMEM_DEBUG, in debug builds\nproviders:");
	for (unsigned i = 0; i < ARRAY_SIZE(configs); i++)
		test_print(" %s", configs[i].name);
	test_print("\n");
	return 2;
}

/* A machine that has no provider before it is told its memory has little. */
int main(int argc, char **argv)
{
	options.live = platform_provider() ? 256 * MIB : 48 * MIB;
	for (int i = 1; i < argc; i += 2)
		if (i + 1 == argc || !parse_option(argv[i], argv[i + 1]))
			return usage();
	for (unsigned i = 0; i < ARRAY_SIZE(configs); i++) {
		config = &configs[i];
		if (options.provider && !test_is_same(options.provider, config->name))
			continue;
		test_run(config->name, run);
		if (test_has_failed())
			break; /* its heap is still there */
	}
	return test_finish();
}
