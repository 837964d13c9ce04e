/* SPDX-License-Identifier: MIT */
/*
 * The operators new and delete of C++ for images, with a C++ library or without one. This is
 * C, so that no C++ compiler is needed; the names are those of the Itanium ABI for x86_64.
 *
 * Each is weak, so a kernel may define any of them itself. Only the four that have no other to
 * stand on reach the heap: plain and aligned, new and delete. The others call these by name, so
 * that they follow one that a kernel has defined. The nothrow forms of new cannot catch what
 * another new throws, so they go to the heap by themselves while new is that of this file.
 *
 * When there is no memory, the new-handler of the C++ library is called, and std::bad_alloc is
 * thrown, if that library is in the image for another reason: the references to it are weak.
 * A kernel without one, mostly compiled with -fno-exceptions, panics with a line. So who can
 * go on without the memory calls new (std::nothrow). This file is compiled with unwind tables,
 * so that an exception finds the way to who called new.
 *
 * Lock: none.
 */
#include <hakmem/config.h>
#include <hakmem/hakmem.h>
#include <hakmem/host.h>

#define WEAK __attribute__((weak))

/* a reference to std::nothrow, which is never read */
struct nothrow;

WEAK void *new_array(size_t size) __asm__("_Znam");
WEAK void *new_nothrow(size_t size, const struct nothrow *tag) __asm__("_ZnwmRKSt9nothrow_t");
WEAK void *new_array_nothrow(size_t size, const struct nothrow *tag) __asm__("_ZnamRKSt9nothrow_t");
WEAK void *new_array_aligned(size_t size, size_t align) __asm__("_ZnamSt11align_val_t");
WEAK void *
new_aligned_nothrow(size_t size, size_t align,
		    const struct nothrow *tag) __asm__("_ZnwmSt11align_val_tRKSt9nothrow_t");
WEAK void *
new_array_aligned_nothrow(size_t size, size_t align,
			  const struct nothrow *tag) __asm__("_ZnamSt11align_val_tRKSt9nothrow_t");

WEAK void delete_array(void *block) __asm__("_ZdaPv");
WEAK void delete_nothrow(void *block, const struct nothrow *tag) __asm__("_ZdlPvRKSt9nothrow_t");
WEAK void delete_array_nothrow(void *block,
			       const struct nothrow *tag) __asm__("_ZdaPvRKSt9nothrow_t");
WEAK void delete_sized(void *block, size_t size) __asm__("_ZdlPvm");
WEAK void delete_array_sized(void *block, size_t size) __asm__("_ZdaPvm");
WEAK void delete_array_aligned(void *block, size_t align) __asm__("_ZdaPvSt11align_val_t");
WEAK void
delete_aligned_nothrow(void *block, size_t align,
		       const struct nothrow *tag) __asm__("_ZdlPvSt11align_val_tRKSt9nothrow_t");
WEAK void delete_array_aligned_nothrow(
	void *block, size_t align,
	const struct nothrow *tag) __asm__("_ZdaPvSt11align_val_tRKSt9nothrow_t");
WEAK void delete_sized_aligned(void *block, size_t size,
			       size_t align) __asm__("_ZdlPvmSt11align_val_t");
WEAK void delete_array_sized_aligned(void *block, size_t size,
				     size_t align) __asm__("_ZdaPvmSt11align_val_t");

/* std::get_new_handler() and std::__throw_bad_alloc(), if they are there. */
typedef void new_handler(void);
WEAK new_handler *get_new_handler(void) __asm__("_ZSt15get_new_handlerv");
WEAK HAK_NORETURN void throw_bad_alloc(void) __asm__("_ZSt17__throw_bad_allocv");

static HAK_NORETURN void give_up(const char *line)
{
	if (throw_bad_alloc)
		throw_bad_alloc();
	hak_host_panic(line);
}

/* Returns if it is worth another try. */
static void no_memory(void)
{
	new_handler *handler = get_new_handler ? get_new_handler() : NULL;

	if (!handler)
		give_up("hakmem: operator new: out of memory");
	handler();
}

static void *own_new(size_t size)
{
	void *block;

	while (!(block = hak_malloc(size)))
		no_memory();
	return block;
}

static void *own_new_aligned(size_t size, size_t align)
{
	void *block;

	while (!(block = hak_aligned_alloc(align, size))) {
		if (!align || align & (align - 1))
			give_up("hakmem: operator new: an alignment that is no power of two");
		no_memory();
	}
	return block;
}

static void own_delete(void *block)
{
	hak_free(block);
}

static void own_delete_aligned(void *block, size_t align)
{
	(void)align;
	hak_free(block);
}

WEAK __attribute__((alias("own_new"))) void *new_plain(size_t size) __asm__("_Znwm");
WEAK __attribute__((alias("own_new_aligned"))) void *
new_aligned(size_t size, size_t align) __asm__("_ZnwmSt11align_val_t");
WEAK __attribute__((alias("own_delete"))) void delete_plain(void *block) __asm__("_ZdlPv");
WEAK __attribute__((alias("own_delete_aligned"))) void
delete_aligned(void *block, size_t align) __asm__("_ZdlPvSt11align_val_t");

/* Is the function that is linked the one above? The compiler may not guess. */
#define IS_OWN(linked, own)                                                                        \
	({                                                                                         \
		__typeof__(&(own)) function = (linked);                                            \
		__asm__("" : "+r"(function));                                                      \
		function == (own);                                                                 \
	})

void *new_array(size_t size)
{
	return new_plain(size);
}

void *new_array_aligned(size_t size, size_t align)
{
	return new_aligned(size, align);
}

void *new_nothrow(size_t size, const struct nothrow *tag)
{
	(void)tag;
	return IS_OWN(new_plain, own_new) ? hak_malloc(size) : new_plain(size);
}

void *new_array_nothrow(size_t size, const struct nothrow *tag)
{
	return new_nothrow(size, tag);
}

void *new_aligned_nothrow(size_t size, size_t align, const struct nothrow *tag)
{
	(void)tag;
	return IS_OWN(new_aligned, own_new_aligned) ? hak_aligned_alloc(align, size)
						    : new_aligned(size, align);
}

void *new_array_aligned_nothrow(size_t size, size_t align, const struct nothrow *tag)
{
	return new_aligned_nothrow(size, align, tag);
}

void delete_array(void *block)
{
	delete_plain(block);
}

void delete_array_aligned(void *block, size_t align)
{
	delete_aligned(block, align);
}

void delete_nothrow(void *block, const struct nothrow *tag)
{
	(void)tag;
	delete_plain(block);
}

void delete_array_nothrow(void *block, const struct nothrow *tag)
{
	(void)tag;
	delete_array(block);
}

void delete_aligned_nothrow(void *block, size_t align, const struct nothrow *tag)
{
	(void)tag;
	delete_aligned(block, align);
}

void delete_array_aligned_nothrow(void *block, size_t align, const struct nothrow *tag)
{
	(void)tag;
	delete_array_aligned(block, align);
}

/* With a size: debug builds look at it, where the block comes to us anyway. */
void delete_sized(void *block, size_t size)
{
	if (CONFIG_HAK_DEBUG && IS_OWN(delete_plain, own_delete))
		hak_free_sized(block, size);
	else
		delete_plain(block);
}

void delete_array_sized(void *block, size_t size)
{
	(void)size;
	delete_array(block);
}

void delete_sized_aligned(void *block, size_t size, size_t align)
{
	if (CONFIG_HAK_DEBUG && IS_OWN(delete_aligned, own_delete_aligned))
		hak_free_aligned_sized(block, align, size);
	else
		delete_aligned(block, align);
}

void delete_array_sized_aligned(void *block, size_t size, size_t align)
{
	(void)size;
	delete_array_aligned(block, align);
}
