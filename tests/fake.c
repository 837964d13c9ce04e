/* SPDX-License-Identifier: MIT */
/*
 * The provider of tests/fake.h. One arena, one word per page of it; every search is
 * linear, and every byte that changes hands is overwritten. So a user of memory that is
 * not its own reads rubbish, or destroys nothing but that.
 *
 * Lock: one, spinning; the provider's contract allows any thread at any time.
 */
#include "fake.h"

#include <base/lock.h>
#include <hakmem/hakmem.h>

#include "test.h"

#include <platform.h>

#define PAGE	    HAK_GRANULE
#define PAGE_HEAP   0x80000000u /* heap, not descriptors */
#define PAGE_PURGED 0x40000000u /* nothing was asked of it since the purge */
#define PAGE_ID	    0x3fffffffu

#define RUBBISH_MAPPED	 0xd1
#define RUBBISH_UNMAPPED 0xd2
#define RUBBISH_PURGED	 0xd3
#define RUBBISH_GUARD	 0xd4

#define GUARD (HAK_METADATA_APART * HAK_GUARD)

static void lock(struct fake *fake)
{
	while (atomic_flag_test_and_set_explicit(&fake->busy, memory_order_acquire))
		;
}

static void unlock(struct fake *fake)
{
	atomic_flag_clear_explicit(&fake->busy, memory_order_release);
}

/* The allocator broke a promise of provider.h. */
static int broken(struct fake *fake, int line, const char *what)
{
	fake->broken++;
	test_fail(__FILE__, line, what);
	return -1;
}

#define PROMISED(fake, condition, what)                                                            \
	do {                                                                                       \
		if (!(condition))                                                                  \
			return broken(fake, __LINE__, "a broken promise: " what);                  \
	} while (0)

static size_t page_index(const struct fake *fake, uintptr_t address)
{
	return (address - (uintptr_t)fake->arena) / PAGE;
}

static bool in_arena(const struct fake *fake, uintptr_t base, size_t size)
{
	uintptr_t arena = (uintptr_t)fake->arena;

	return base >= arena && size <= fake->nr_pages * PAGE &&
	       base - arena <= fake->nr_pages * PAGE - size;
}

/* Is this call one that was to fail? It is counted in any case. */
static bool is_to_fail(struct fake *fake, enum fake_op op, enum fake_fault *fault)
{
	struct fake_plan *plan = &fake->plan[op];

	fake->calls[op]++;
	if (!plan->countdown)
		return false;
	if (plan->countdown > 1) {
		plan->countdown--;
		return false;
	}
	if (!plan->forever)
		plan->countdown = 0;
	fake->faults++;
	*fault = plan->fault;
	return true;
}

static bool is_free(const struct fake *fake, size_t first, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (fake->page[first + i])
			return false;
	return true;
}

/* The lowest free run for heap, the highest for descriptors; nr_pages if none. */
static size_t find_run(const struct fake *fake, size_t size, size_t align, enum hak_want want)
{
	uintptr_t arena = (uintptr_t)fake->arena;
	size_t n = size / PAGE, step = align / PAGE;
	size_t first = ((arena + align - 1) / align * align - arena) / PAGE;

	if (size > fake->nr_pages * PAGE || first > fake->nr_pages - n)
		return fake->nr_pages;
	if (want == HAK_WANT_HEAP) {
		for (; first + n <= fake->nr_pages; first += step)
			if (is_free(fake, first, n))
				return first;
		return fake->nr_pages;
	}
	for (size_t i = first + (fake->nr_pages - n - first) / step * step;; i -= step) {
		if (is_free(fake, i, n))
			return i;
		if (i < first + step)
			return fake->nr_pages;
	}
}

static void mark(struct fake *fake, size_t first, size_t n, enum hak_want want)
{
	uint32_t word = ++fake->last_id | (want == HAK_WANT_HEAP ? PAGE_HEAP : 0);

	for (size_t i = 0; i < n; i++)
		fake->page[first + i] = word;
	fake->outstanding += n * PAGE;
	if (want == HAK_WANT_HEAP)
		fake->outstanding_heap += n * PAGE;
	if (fake->outstanding > fake->peak)
		fake->peak = fake->outstanding;
}

static void fill_guards(char *base, size_t size)
{
	if (size <= 2 * GUARD)
		return;
	__builtin_memset(base, RUBBISH_GUARD, GUARD);
	__builtin_memset(base + size - GUARD, RUBBISH_GUARD, GUARD);
}

static int map_run(struct fake *fake, size_t size, size_t align, enum hak_want want,
		   struct hak_mapping *out)
{
	bool zero = fake->options.flags & FAKE_ZERO;
	size_t first = find_run(fake, size, align, want);

	if (first == fake->nr_pages)
		return -1;
	mark(fake, first, size / PAGE, want);
	out->base = fake->arena + first * PAGE;
	out->flags = (zero ? HAK_PAGES_ZERO : 0) | (fake->provider.purge ? HAK_PAGES_PURGE : 0);
	__builtin_memset(out->base, zero ? 0 : RUBBISH_MAPPED, size);
	if (want != HAK_WANT_HEAP)
		fill_guards(out->base, size);
	return 0;
}

/* Is nothing written to the guards of what was mapped for records, and nothing purged? */
static bool guards_are_intact(const unsigned char *base, size_t size)
{
	size_t guard = size > 2 * GUARD ? GUARD : 0;
	bool intact = true;

	for (size_t i = 0; i < guard; i++)
		intact &= base[i] == RUBBISH_GUARD && base[size - 1 - i] == RUBBISH_GUARD;
	return intact;
}

/* Real memory, one page or a few bytes behind where it should start. */
static int map_misaligned(struct fake *fake, size_t size, size_t align, enum hak_want want,
			  struct hak_mapping *out)
{
	size_t first = find_run(fake, size + PAGE, align, want);

	if (first == fake->nr_pages)
		return -1;
	fill_guards(fake->arena + (first + (align > PAGE)) * PAGE, size);
	if (align > PAGE) {
		mark(fake, first + 1, size / PAGE, want);
		out->base = fake->arena + (first + 1) * PAGE;
	} else {
		mark(fake, first, size / PAGE, want);
		fake->odd = (uintptr_t)fake->arena + first * PAGE + 64;
		out->base = (void *)fake->odd;
	}
	return 0;
}

static int map_badly(struct fake *fake, size_t size, size_t align, enum hak_want want,
		     enum fake_fault fault, struct hak_mapping *out)
{
	switch (fault) {
	case FAKE_MISALIGNED:
		return map_misaligned(fake, size, align, want, out);
	case FAKE_UNREACHABLE:
		/* aligned to anything, and outside the arena: see fake_unmap() */
		out->base = (void *)((uintptr_t)1 << 63);
		return 0;
	case FAKE_NULL:
		out->base = NULL;
		return 0;
	default:
		return -1;
	}
}

static int check_map(struct fake *fake, size_t size, size_t align, enum hak_want want)
{
	PROMISED(fake, !lock_is_any_held(), "map() with a lock held");
	PROMISED(fake, size && size % HAK_GRANULE == 0, "map() of a size that is no multiple");
	PROMISED(fake, align >= HAK_GRANULE && !(align & (align - 1)), "map() at a bad alignment");
	if (want == HAK_WANT_HEAP) {
		PROMISED(fake, size % HAK_SUPERSLAB_SIZE == 0, "heap that is no multiple of 2 MiB");
		PROMISED(fake, align >= HAK_SUPERSLAB_SIZE, "heap that is not 2 MiB-aligned");
	}
	PROMISED(fake, want <= HAK_WANT_DESCRIPTOR, "map() for nothing known");
	return 0;
}

static int fake_map(void *ctx, size_t size, size_t align, enum hak_want want,
		    struct hak_mapping *out)
{
	enum fake_fault fault = FAKE_FAILS;
	struct fake *fake = ctx;
	bool fails;
	int result;

	if (check_map(fake, size, align, want))
		return -1;
	lock(fake);
	fails = is_to_fail(fake, FAKE_MAP, &fault);
	fails |= is_to_fail(fake, want == HAK_WANT_HEAP ? FAKE_MAP_HEAP : FAKE_MAP_META, &fault);
	result = fails ? map_badly(fake, size, align, want, fault, out)
		       : map_run(fake, size, align, want, out);
	unlock(fake);
	return result;
}

/* Is this one mapping, or a part that may be unmapped by itself? */
static int check_unmap(struct fake *fake, uintptr_t base, size_t size)
{
	size_t first, n = size / PAGE;
	uint32_t id;

	PROMISED(fake, !lock_is_any_held(), "unmap() with a lock held");
	PROMISED(fake, size && size % PAGE == 0 && base % PAGE == 0, "unmap() of half a page");
	PROMISED(fake, in_arena(fake, base, size), "unmap() of foreign memory");
	first = page_index(fake, base);
	id = fake->page[first] & PAGE_ID;
	PROMISED(fake, id, "unmap() of what is not mapped");
	for (size_t i = 0; i < n; i++)
		PROMISED(fake, (fake->page[first + i] & PAGE_ID) == id,
			 "unmap() of more than one mapping");
	PROMISED(fake, fake->page[first] & PAGE_HEAP || guards_are_intact((void *)base, size),
		 "it wrote to a guard");
	if ((!first || (fake->page[first - 1] & PAGE_ID) != id) &&
	    (first + n == fake->nr_pages || (fake->page[first + n] & PAGE_ID) != id))
		return 0; /* what is left of the mapping, or all of it */
	PROMISED(fake, (base | size) % HAK_SUPERSLAB_SIZE == 0, "unmap() of a part, not aligned");
	return 0;
}

static void unmap_run(struct fake *fake, uintptr_t base, size_t size)
{
	size_t first = page_index(fake, base);

	fake->outstanding -= size;
	if (fake->page[first] & PAGE_HEAP)
		fake->outstanding_heap -= size;
	for (size_t i = 0; i < size / PAGE; i++)
		fake->page[first + i] = 0;
	__builtin_memset((void *)base, RUBBISH_UNMAPPED, size);
}

static int fake_unmap(void *ctx, void *base, size_t size)
{
	enum fake_fault fault = FAKE_FAILS;
	struct fake *fake = ctx;
	uintptr_t address = (uintptr_t)base;
	int result = -1;

	if (address >> 63)
		return 0; /* what FAKE_UNREACHABLE invented */
	lock(fake);
	if (fake->odd && address == fake->odd) {
		address -= address % PAGE;
		fake->odd = 0;
	}
	if (!check_unmap(fake, address, size)) {
		if (is_to_fail(fake, FAKE_UNMAP, &fault) || fake->options.flags & FAKE_KEEPS) {
			/* refused, but then what was in it need not be there */
			__builtin_memset((void *)address, RUBBISH_UNMAPPED, size);
			if (!(fake->page[page_index(fake, address)] & PAGE_HEAP))
				fill_guards((char *)address, size);
		} else {
			unmap_run(fake, address, size);
			result = 0;
		}
	}
	unlock(fake);
	return result;
}

/* Pages that have any of these bits: all that are mapped have some. */
static int check_pages(struct fake *fake, uintptr_t base, size_t size, uint32_t bits)
{
	PROMISED(fake, !lock_is_any_held(), "purge() or move() with a lock held");
	PROMISED(fake, size && size % PAGE == 0 && base % PAGE == 0,
		 "purge() or move() of half a page");
	PROMISED(fake, in_arena(fake, base, size), "purge() or move() of foreign memory");
	for (size_t i = 0; i < size / PAGE; i++)
		PROMISED(fake, fake->page[page_index(fake, base) + i] & bits,
			 "purge() of what is not mapped, or move() of what is not mapped as heap");
	return 0;
}

/* Of records too: what map() returned for them may be purged as well. */
static int check_purge(struct fake *fake, uintptr_t base, size_t size)
{
	return check_pages(fake, base, size, ~0u);
}

static int fake_purge(void *ctx, void *base, size_t size)
{
	enum fake_fault fault = FAKE_FAILS;
	struct fake *fake = ctx;
	uintptr_t address = (uintptr_t)base;
	bool zero = fake->options.purge == FAKE_PURGE_ZERO;
	int result = -1;

	lock(fake);
	if (!check_purge(fake, address, size) && !is_to_fail(fake, FAKE_PURGE, &fault) &&
	    fake->options.purge != FAKE_PURGE_REFUSE) {
		for (size_t i = 0; i < size / PAGE; i++)
			fake->page[page_index(fake, address) + i] |= PAGE_PURGED;
		__builtin_memset(base, zero ? 0 : RUBBISH_PURGED, size);
		fake->purged += size;
		result = (int)(HAK_PAGES_PURGE | (zero ? HAK_PAGES_ZERO : 0));
	}
	unlock(fake);
	return result;
}

static int check_move(struct fake *fake, uintptr_t from, uintptr_t to, size_t size)
{
	PROMISED(fake, from / HAK_SUPERSLAB_SIZE == (from + size - 1) / HAK_SUPERSLAB_SIZE,
		 "move() out of two SuperSlabs");
	PROMISED(fake, from + size <= to || to + size <= from, "move() onto itself");
	return check_pages(fake, from, size, PAGE_HEAP) || check_pages(fake, to, size, PAGE_HEAP);
}

static int fake_move(void *ctx, void *from, void *to, size_t size)
{
	enum fake_fault fault = FAKE_FAILS;
	struct fake *fake = ctx;
	bool zero = fake->options.purge == FAKE_PURGE_ZERO;
	int result = -1;

	lock(fake);
	if (!check_move(fake, (uintptr_t)from, (uintptr_t)to, size) &&
	    !is_to_fail(fake, FAKE_MOVE, &fault) &&
	    (fake->seam <= (uintptr_t)from || fake->seam >= (uintptr_t)from + size)) {
		__builtin_memcpy(to, from, size);
		__builtin_memset(from, zero ? 0 : RUBBISH_PURGED, size);
		for (size_t i = 0; i < size / PAGE; i++) {
			fake->page[page_index(fake, (uintptr_t)from) + i] |= PAGE_PURGED;
			fake->page[page_index(fake, (uintptr_t)to) + i] &= ~PAGE_PURGED;
		}
		result = (int)(HAK_PAGES_PURGE | (zero ? HAK_PAGES_ZERO : 0));
	}
	unlock(fake);
	return result;
}

static void fake_populate(void *ctx, void *base, size_t size)
{
	struct fake *fake = ctx;

	lock(fake);
	if (!check_pages(fake, (uintptr_t)base, size, PAGE_HEAP))
		fake->populated += size;
	unlock(fake);
}

/* Everything but what was purged, as if all memory were written at once. */
static int fake_resident(void *ctx, const void *base, size_t size, size_t *bytes)
{
	struct fake *fake = ctx;
	uintptr_t address = (uintptr_t)base;
	int result = 0;

	PROMISED(fake, !lock_is_any_held(), "resident() with a lock held");
	PROMISED(fake, size % PAGE == 0 && address % PAGE == 0, "resident() of half a page");
	*bytes = 0;
	if (!in_arena(fake, address, size))
		return -1;
	lock(fake);
	for (size_t i = 0; i < size / PAGE; i++) {
		uint32_t word = fake->page[page_index(fake, address) + i];

		if (!word)
			result = -1;
		else if (!(word & PAGE_PURGED))
			*bytes += PAGE;
	}
	unlock(fake);
	return result;
}

/* Cut the memory there is: alignment slack, arena, the words for its pages. */
static bool cut_arena(struct fake *fake, char *base, size_t size)
{
	size_t align = fake->options.align, before = -(uintptr_t)base & (align - 1);

	if (before >= size)
		return false;
	fake->arena = base + before;
	fake->nr_pages = fake->options.capacity / PAGE;
	if (fake->options.memory)
		fake->nr_pages = (size - before) / (PAGE + sizeof(*fake->page));
	fake->page = (uint32_t *)(fake->arena + fake->nr_pages * PAGE);
	__builtin_memset(fake->page, 0, fake->nr_pages * sizeof(*fake->page));
	return fake->nr_pages > 0;
}

static size_t round_up(size_t size, size_t to)
{
	return (size + to - 1) / to * to;
}

/* Are there parts of two leaves of the page map? */
static bool crosses_leaf(const char *base, size_t size)
{
	return (uintptr_t)base >> HAK_LEAF_BITS != ((uintptr_t)base + size - 1) >> HAK_LEAF_BITS;
}

/*
 * Tests count the records that a heap needs, and a second leaf is one more. So the arena lies in
 * one leaf if there is such a place: the next one does not cross the same edge.
 */
static char *map_arena(size_t size)
{
	char *first = port_map(size), *next = NULL;

	if (first && crosses_leaf(first, size))
		next = port_map(size);
	if (next)
		port_unmap(first, size);
	return next ? next : first;
}

bool fake_open(struct fake *fake, const struct fake_options *options)
{
	hak_purge_enable();
	*fake = (struct fake){ .busy = ATOMIC_FLAG_INIT, .options = *options };
	fake->provider = (struct hak_provider){
		.small_records = true,
		.name = "fake",
		.ctx = fake,
		.map = fake_map,
		.unmap = options->flags & FAKE_NO_UNMAP ? NULL : fake_unmap,
		.purge = options->purge == FAKE_PURGE_NONE ? NULL : fake_purge,
		.move = options->flags & FAKE_MOVES ? fake_move : NULL,
		.populate = fake_populate,
		.resident = options->flags & FAKE_RESIDENT ? fake_resident : NULL,
	};
	if (!options->align)
		fake->options.align = HAK_SUPERSLAB_SIZE;
	if (options->memory)
		return cut_arena(fake, options->memory, options->capacity);
	fake->options.capacity = round_up(options->capacity, PAGE);
	fake->port_size = round_up(fake->options.capacity +
					   fake->options.capacity / PAGE * sizeof(*fake->page) +
					   fake->options.align,
				   HAK_SUPERSLAB_SIZE);
	fake->port_base = map_arena(fake->port_size);
	return fake->port_base && cut_arena(fake, fake->port_base, fake->port_size);
}

bool fake_init(struct fake *fake)
{
	uintptr_t middle = (uintptr_t)1 << (HAK_ADDRESS_BITS - 1);
	const struct hak_options options = {
		.size = sizeof(options),
		.provider = &fake->provider,
		.window_base = IS_ENABLED(CONFIG_HAK_WINDOW) ? (uintptr_t)fake->arena - middle : 0,
		.large = HAK_CACHED_MAX ? HAK_LARGE_ALWAYS : HAK_LARGE_BY_MEMORY,
	};

	return hak_init_with(&options) == HAK_INIT_DONE;
}

void fake_close(struct fake *fake)
{
	if (fake->port_base)
		port_unmap(fake->port_base, fake->port_size);
	fake->port_base = NULL;
}

void fake_fail(struct fake *fake, enum fake_op op, unsigned long nth, bool forever,
	       enum fake_fault fault)
{
	fake->plan[op] = (struct fake_plan){ nth, forever, fault };
}

void fake_heal(struct fake *fake)
{
	for (unsigned op = 0; op < NR_FAKE_OPS; op++)
		fake->plan[op] = (struct fake_plan){ 0 };
}

bool fake_is_mapped(const struct fake *fake, const void *base, size_t size)
{
	uintptr_t address = (uintptr_t)base & ~(uintptr_t)(PAGE - 1);
	uintptr_t end = round_up((uintptr_t)base + size, PAGE);

	if (!in_arena(fake, address, end - address))
		return false;
	for (; address < end; address += PAGE)
		if (!fake->page[page_index(fake, address)])
			return false;
	return true;
}
