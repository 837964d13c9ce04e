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
 * Pages come by faults, also those of slabs that will be written to soon. To get a slab's
 * pages at once (MADV_POPULATE_WRITE) would make a heap grow a little faster, but it costs
 * memory, and a malloc that does it takes much longer than all others.
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
#include <sys/mman.h>

#include "linux.h"
#include "options.h"
#include "pages/pages.h"

static void *map_anywhere(size_t size, int protection)
{
	void *base = mmap(NULL, size, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return base == MAP_FAILED ? NULL : base;
}

/* Map enough to align in, then cut. All is mapped, or nothing. */
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
	if (before && munmap(base, before)) {
		munmap(base, room); /* too many mappings to split one more */
		return NULL;
	}
	base += before;
	room -= before;
	if (room > size && munmap(base + size, room - size)) {
		munmap(base, room);
		return NULL;
	}
	return base;
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

/* How much to map besides, if nothing is left ahead. */
static size_t more_ahead(void)
{
	size_t quarter = pages_counters.mapped / 4 & ~(HAK_SUPERSLAB_SIZE - 1);

	if (ahead & AHEAD_LEFT)
		return 0;
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

/* Ask for huge pages, or for none. A kernel that has none refuses, which does no harm. */
static void advise(void *base, size_t size)
{
	switch (hak_option(HAK_OPTION_THP)) {
	case HAK_THP_NEVER:
		madvise(base, size, MADV_NOHUGEPAGE);
		break;
	case HAK_THP_ALWAYS:
		madvise(base, size, MADV_HUGEPAGE);
		break;
	}
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

static void *map(size_t size, size_t align, enum hak_want want)
{
	return want == HAK_WANT_HEAP ? map_heap(size, align)
				     : map_aligned(size, align, PROT_READ | PROT_WRITE);
}

static int linux_map(void *ctx, size_t size, size_t align, enum hak_want want,
		     struct hak_mapping *out)
{
	static _Atomic bool told;
	int saved = errno;

	(void)ctx;
	out->base = map(size, align, want);
	out->flags = HAK_PAGES_ZERO | HAK_PAGES_PURGE;
	if (!out->base && drop_ahead())
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

/* MADV_DONTNEED, not MADV_FREE: what is given back is then seen to be gone. */
static int linux_purge(void *ctx, void *base, size_t size)
{
	static _Atomic bool told;
	int saved = errno;
	int failed = madvise(base, size, MADV_DONTNEED);

	(void)ctx;
	if (failed)
		tell(&told, "take back", size);
	errno = saved;
	return failed ? -1 : (int)(HAK_PAGES_ZERO | HAK_PAGES_PURGE);
}

/*
 * Is this one mapping to the kernel, and not several side by side? The kernel is asked to
 * make it longer than there are addresses. It first checks that it is one mapping (else
 * it says EFAULT), and then finds that there are not so many addresses, or that the
 * process may not lock as much.
 */
static bool is_one_mapping(void *base, size_t size)
{
	size_t too_long = ((size_t)1 << 47) - HAK_SUPERSLAB_SIZE;

	return mremap(base, size, too_long, 0) == MAP_FAILED &&
	       (errno == ENOMEM || errno == EAGAIN);
}

/*
 * A move has failed, since there was no memory for page tables or none that the system
 * lets a process commit. It may have unmapped its target first. Then the target is mapped
 * again. If that fails, too, the next access stops the program.
 */
static void map_again(void *base, size_t size)
{
	void *other = mmap(base, size, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

	if (other != MAP_FAILED && other != base)
		munmap(other, size);
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
	static _Atomic bool unsupported;
	int saved = errno, flags = -1;

	(void)ctx;
	if (unsupported || !is_one_mapping(from, size))
		goto out;
	if (mremap(from, size, size, MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP, to) == to) {
		flags = HAK_PAGES_ZERO | HAK_PAGES_PURGE;
	} else {
		unsupported = errno == EINVAL;
		map_again(to, size);
	}
out:
	errno = saved;
	return flags;
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

const struct hak_provider hak_linux_provider = {
	.name = "linux",
	.map = linux_map,
	.unmap = linux_unmap,
	.purge = linux_purge,
	.move = linux_move,
	.resident = linux_resident,
};
