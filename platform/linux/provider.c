/* SPDX-License-Identifier: MIT */
/*
 * Pages from the Linux kernel. Memory is mapped where the kernel likes; when
 * that is not aligned, a longer range is mapped and both its ends are given
 * back. The kernel places mappings from high to low addresses one below the
 * other, so after the first SuperSlab that is rare.
 *
 * A heap that grows gets address space ahead of what it asks for, up to a quarter of what
 * it has, since page faults of other threads wait for each mapping that is made. No memory
 * is behind it, and it is unmapped before a mapping fails.
 *
 * Pages come by faults. But those of a new slab come at once (MADV_POPULATE_WRITE, Linux 5.14),
 * if its class has grown large.
 *
 * errno stays what it was, also after a failure: free() must not change it.
 *
 * Lock: none. The kernel has its own.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <hakmem/hakmem.h>

#include "linux.h"
#include "options.h"
#include "pages/pages.h"

static void *map_anywhere(size_t size, int protection)
{
	void *base = mmap(NULL, size, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return base == MAP_FAILED ? NULL : base;
}

/*
 * Map enough to align in, then cut. What cannot be cut, as the process has too many mappings
 * or may not unmap, stays. It is never touched.
 */
static void *map_and_cut(size_t size, size_t align, int protection)
{
	size_t room = size + align - HAK_GRANULE, before;
	char *base;

	if (room < size)
		return NULL;
	base = map_anywhere(room, protection);
	if (!base)
		return NULL;
	before = -(uintptr_t)base & (align - 1);
	if (before)
		munmap(base, before);
	if (room - before > size)
		munmap(base + before + size, room - before - size);
	return base + before;
}

static void *map_aligned(size_t size, size_t align, int protection)
{
	void *base = map_anywhere(size, protection);

	if (!base || !((uintptr_t)base & (align - 1)))
		return base;
	munmap(base, size);
	return map_and_cut(size, align, protection);
}

/* SuperSlabs that are mapped ahead: the address of the first, and in its low bits how many. */
static _Atomic uintptr_t ahead;

#define AHEAD_LEFT ((uintptr_t)HAK_GRANULE - 1)
#define AHEAD_MOST ((size_t)32 << 20)

/* The process has locked its memory: see mlockall() below. */
static _Atomic bool locked;

/* Take @size bytes of what is mapped ahead; NULL if there is less. */
static void *take_ahead(size_t size)
{
	size_t count = size / HAK_SUPERSLAB_SIZE;
	uintptr_t seen = ahead;

	do
		if ((seen & AHEAD_LEFT) < count)
			return NULL;
	while (!atomic_compare_exchange_weak(&ahead, &seen, seen + size - count));
	return (void *)(seen & ~AHEAD_LEFT);
}

/*
 * How much to map besides, if nothing is left ahead. Beside the first SuperSlab it is one more,
 * which bitmaps will soon ask for. They get that one, above the first. So the next ones of the
 * heap, below it, are its neighbours, and together they can serve a large block.
 */
static size_t more_ahead(void)
{
	size_t quarter = pages_counters.mapped / 4 & ~(HAK_SUPERSLAB_SIZE - 1);

	if (ahead & AHEAD_LEFT || locked)
		return 0;
	if (pages_counters.mapped && pages_counters.mapped < HAK_SUPERSLAB_SIZE)
		return HAK_SUPERSLAB_SIZE;
	return quarter < AHEAD_MOST ? quarter : AHEAD_MOST;
}

/* What was mapped besides is ahead now, unless somebody else was faster. */
static void put_ahead(void *base, size_t size)
{
	uintptr_t seen = ahead;

	if (seen & AHEAD_LEFT ||
	    !atomic_compare_exchange_strong(&ahead, &seen,
					    (uintptr_t)base | size / HAK_SUPERSLAB_SIZE))
		munmap(base, size);
}

/* Unmap what is left ahead; was there anything? */
static bool drop_ahead(void)
{
	uintptr_t left = atomic_exchange(&ahead, 0);

	if (!(left & AHEAD_LEFT))
		return false;
	munmap((void *)(left & ~AHEAD_LEFT), (left & AHEAD_LEFT) * HAK_SUPERSLAB_SIZE);
	return true;
}

/*
 * The kernel places libraries at random, but all mappings one below the other: the distance of the
 * heap to a library would be guessed from one address. So there are up to GAP_MOST between them, by
 * chance, that nobody can touch. They go before a mapping fails.
 *
 * Programs whose address space is limited, or not random (a debugger's), have no gap.
 */
#define GAP_MOST  ((size_t)128 << 20)
#define STACK_END ((uintptr_t)64 << 10) /* the name of the program is in these bytes of it */

static struct {
	_Atomic bool decided;
	_Atomic(void *) base;
	size_t size;
} gap;

/* The kernel gives each program 16 random bytes, which libc uses, too: a few bits of a hash. */
static size_t random_size(void)
{
	const void *random = (const void *)getauxval(AT_RANDOM);
	uint64_t bytes[2], x;

	if (!random)
		return 0;
	__builtin_memcpy(bytes, random, sizeof(bytes));
	x = (bytes[0] ^ (bytes[1] >> 31 | bytes[1] << 33)) * 0x9e3779b97f4a7c15;
	x ^= x >> 32;
	x *= 0xbf58476d1ce4e5b9; /* as the finalizer of splitmix64 */
	return (size_t)(x >> 32) % (GAP_MOST / HAK_SUPERSLAB_SIZE) * HAK_SUPERSLAB_SIZE;
}

/* If not, the stack of the first thread ends where a stack may end at most. */
static bool is_address_space_random(void)
{
	return ((uintptr_t)1 << 47) - getauxval(AT_EXECFN) > STACK_END;
}

void hak_provider_begin(void)
{
	struct rlimit limit = { RLIM_INFINITY, RLIM_INFINITY };
	int saved = errno;

	if (gap.decided || atomic_exchange(&gap.decided, true))
		return;
	getrlimit(RLIMIT_AS, &limit); /* as libc does when a process begins */
	if (limit.rlim_cur == RLIM_INFINITY && is_address_space_random())
		gap.size = random_size();
	if (gap.size)
		gap.base = map_anywhere(gap.size, PROT_NONE);
	errno = saved;
}

/* Was there one? */
static bool drop_gap(void)
{
	void *base = atomic_exchange(&gap.base, NULL);

	if (base)
		munmap(base, gap.size);
	return base;
}

/* Addresses that the heap does not use yet. Were there any? */
static bool drop_addresses(void)
{
	bool any = drop_ahead();

	return drop_gap() || any;
}

/*
 * Ask for huge pages, or for none. A kernel that has none refuses, and is not asked again. By
 * default the heap is to have none but those that linux_populate() gets. Else a kernel that gives
 * them wherever it can would put 2 MiB behind the first block, and put pages that were purged back.
 */
static void advise(void *base, size_t size)
{
	static _Atomic bool refused;
	bool always = hak_option(HAK_OPTION_THP) == HAK_THP_ALWAYS;

	if (!refused && madvise(base, size, always ? MADV_HUGEPAGE : MADV_NOHUGEPAGE))
		refused = true;
}

/* With HAKMEM_VERBOSE=1: the first time that the kernel refuses something. */
static void tell(_Atomic bool *told, const char *what, size_t size)
{
	if (hak_option(HAK_OPTION_VERBOSE) && !atomic_exchange(told, true))
		hak_say("the system refuses to %s %lu KiB (errno %d)", what, size >> 10, errno);
}

static void *map_heap(size_t size, size_t align)
{
	bool ahead_will_do = align == HAK_SUPERSLAB_SIZE;
	char *base = ahead_will_do ? take_ahead(size) : NULL;
	size_t more = ahead_will_do ? more_ahead() : 0;

	hak_provider_begin();
	if (base)
		return base;
	base = map_aligned(size + more, align, PROT_READ | PROT_WRITE);
	if (!base && more) {
		more = 0;
		base = map_aligned(size, align, PROT_READ | PROT_WRITE);
	}
	if (base)
		advise(base, size + more);
	if (more)
		put_ahead(base + size, more);
	return base;
}

/*
 * Pages that nobody may touch, in place of others: no memory is behind them. mprotect() would do
 * the same, but glibc's malloc does not call it in a program with one thread, and so a filter
 * may forbid it. If the kernel refuses, as the process has too many mappings, the pages stay what
 * they are, and an overflow that reaches them harms nothing, unless it is longer.
 */
static void guard(void *base)
{
	static _Atomic bool told;

	if (mmap(base, HAK_GUARD, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) ==
	    MAP_FAILED)
		tell(&told, "guard", HAK_GUARD);
}

/*
 * What is for records has guards at both its ends. They are put there last. If the whole was
 * mapped without access, and the middle then mapped again, a kernel that may not commit so much
 * memory could leave a hole there.
 */
static void *map_records(size_t size, size_t align)
{
	char *base = align == HAK_SUPERSLAB_SIZE ? take_ahead(size) : NULL;

	if (!base)
		base = map_aligned(size, align, PROT_READ | PROT_WRITE);
	if (HAK_METADATA_APART && base && size > 2 * HAK_GUARD) {
		guard(base);
		guard(base + size - HAK_GUARD);
	}
	return base;
}

static void *map(size_t size, size_t align, enum hak_want want)
{
	return want == HAK_WANT_HEAP ? map_heap(size, align) : map_records(size, align);
}

static int linux_map(void *ctx, size_t size, size_t align, enum hak_want want,
		     struct hak_mapping *out)
{
	static _Atomic bool told;
	int saved = errno;

	(void)ctx;
	out->base = map(size, align, want);
	out->flags = HAK_PAGES_ZERO | HAK_PAGES_PURGE;
	if (!out->base && drop_addresses())
		out->base = map(size, align, want);
	if (!out->base)
		tell(&told, "map", size);
	errno = saved;
	return out->base ? 0 : -1;
}

static int linux_unmap(void *ctx, void *base, size_t size)
{
	static _Atomic bool told;
	int saved = errno;
	int failed = munmap(base, size);

	(void)ctx;
	if (failed)
		tell(&told, "unmap", size);
	errno = saved;
	return failed;
}

/* There are huge pages that linux_populate() has asked for. */
static _Atomic bool has_huge;

#ifndef MADV_COLD
#define MADV_COLD 20
#endif

/*
 * MADV_DONTNEED, not MADV_FREE: what is given back is then seen to be gone. Of a part of a huge
 * page it is only seen so: the memory stays the process's until the kernel is short of it. A huge
 * page a part of which is said to be cold (Linux 5.4) is split into small ones, and these go at
 * once.
 */
static int linux_purge(void *ctx, void *base, size_t size)
{
	static _Atomic bool told;
	int saved = errno, failed;

	(void)ctx;
	if (has_huge)
		madvise(base, size, MADV_COLD);
	failed = madvise(base, size, MADV_DONTNEED);
	if (failed)
		tell(&told, "take back", size);
	errno = saved;
	return failed ? -1 : (int)(HAK_PAGES_ZERO | HAK_PAGES_PURGE);
}

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

/* The system does not know of it, or a filter kills who calls it. */
static _Atomic bool cannot_populate;

/*
 * If there is no memory, the page fault will say so. A whole SuperSlab may be a huge page. This is
 * asked for just now, not left as advice: the kernel would make huge pages again of what was purged
 * since, and mappings that have other advice than their neighbours stay apart.
 */
static void linux_populate(void *ctx, void *base, size_t size)
{
	bool whole = size == HAK_SUPERSLAB_SIZE && hak_option(HAK_OPTION_THP) == HAK_THP_DEFAULT;
	int saved = errno;

	(void)ctx;
	if (cannot_populate)
		return;
	if (whole && !madvise(base, size, MADV_HUGEPAGE))
		has_huge = true;
	if (madvise(base, size, MADV_POPULATE_WRITE) && errno == EINVAL)
		cannot_populate = true;
	if (whole)
		advise(base, size);
	errno = saved;
}

void hak_do_without_madvise(void)
{
	cannot_populate = true;
}

/* The system cannot move memory, or does not let us. */
static _Atomic bool cannot_move;

/*
 * Is this one mapping to the kernel, and not several side by side? The kernel is asked to
 * make it longer than there are addresses. It first checks that it is one mapping (else
 * it says EFAULT), and then finds that there are not so many addresses, or that the
 * process may not lock as much (EAGAIN): so it is locked.
 */
static bool is_one_mapping(void *base, size_t size)
{
	size_t too_long = ((size_t)1 << 47) - HAK_SUPERSLAB_SIZE;

	if (mremap(base, size, too_long, 0) == MAP_FAILED && errno == ENOMEM)
		return true;
	if (errno != EFAULT && errno != EAGAIN)
		cannot_move = true;
	return false;
}

/*
 * A move that fails may have unmapped its target: it unmaps it first, and then may find that
 * there is no memory for page tables, or that the process has more address space than it may
 * have, if that limit was lowered. The target cannot be mapped again then. So there is a
 * spare mapping, untouched, made while nothing is lost yet. To put that in the target's place
 * takes neither memory nor address space. Nobody moves more than a SuperSlab at once.
 */
static void *_Atomic spare;

static void *spare_get(void)
{
	void *base = atomic_exchange(&spare, NULL);

	return base ? base : map_anywhere(HAK_SUPERSLAB_SIZE, PROT_READ | PROT_WRITE);
}

static void spare_put(void *base)
{
	void *none = NULL;

	if (!atomic_compare_exchange_strong(&spare, &none, base))
		munmap(base, HAK_SUPERSLAB_SIZE);
}

static void spare_drop(void)
{
	void *base = atomic_exchange(&spare, NULL);

	if (base)
		munmap(base, HAK_SUPERSLAB_SIZE);
}

/* Let the spare mapping be at @to, where a move has failed. What was there was of no use. */
static void spare_use(char *base, void *to, size_t size)
{
	if (mremap(base, size, size, MREMAP_MAYMOVE | MREMAP_FIXED, to) != to) {
		spare_put(base); /* too many mappings: so the move has changed nothing */
		return;
	}
	advise(to, size);
	if (size < HAK_SUPERSLAB_SIZE)
		munmap(base + size, HAK_SUPERSLAB_SIZE - size);
}

/* Page tables move; what is left behind stays mapped. */
static bool provider_move(void *from, void *to, size_t size)
{
	void *base;

	if (cannot_move || locked || !is_one_mapping(from, size))
		return false;
	base = spare_get();
	if (!base)
		return false;
	if (mremap(from, size, size, MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP, to) == to) {
		spare_put(base);
		return true;
	}
	if (errno == EINVAL)
		cannot_move = true;
	spare_use(base, to, size);
	return false;
}

/*
 * Page tables move, not bytes. What is left behind stays mapped, which needs Linux 5.7;
 * older kernels refuse.
 *
 * Only a single mapping is moved. Linux before 6.17 refuses to move several, but unmaps the
 * target before it finds out. Later kernels move one after the other, and stop half-way if
 * there are as many mappings as there may be. There are several wherever a moved block is
 * used beyond its end, and where a program has advised the kernel of a part of its block.
 */
static int linux_move(void *ctx, void *from, void *to, size_t size)
{
	int saved = errno;
	bool moved = provider_move(from, to, size);

	(void)ctx;
	errno = saved;
	return moved ? (int)(HAK_PAGES_ZERO | HAK_PAGES_PURGE) : -1;
}

static int linux_resident(void *ctx, const void *base, size_t size, size_t *bytes)
{
	unsigned char page[512];
	uintptr_t from = (uintptr_t)base;
	int saved = errno, failed = 0;

	(void)ctx;
	*bytes = 0;
	while (size && !failed) {
		size_t part = size < sizeof(page) * HAK_GRANULE ? size : sizeof(page) * HAK_GRANULE;

		failed = mincore((void *)from, part, page);
		for (size_t i = 0; !failed && i < part / HAK_GRANULE; i++)
			*bytes += (page[i] & 1) * HAK_GRANULE;
		from += part;
		size -= part;
	}
	errno = saved;
	return failed;
}

/*
 * In place of the C library's. In a process that locks its memory nothing is mapped ahead,
 * as it would be backed, and nothing moves, as what a move leaves behind is not locked.
 * There is no cheap way to ask the kernel.
 */
HAK_API int mlockall(int flags)
{
	locked = true;
	drop_addresses();
	spare_drop();
	return (int)syscall(SYS_mlockall, flags);
}

const struct hak_provider hak_linux_provider = {
	.name = "linux",
	.map = linux_map,
	.unmap = linux_unmap,
	.purge = linux_purge,
	.move = linux_move,
	.populate = linux_populate,
	.resident = linux_resident,
};
