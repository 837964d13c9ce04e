/* SPDX-License-Identifier: MIT */
/*
 * The operators new and delete of C++, all of them. This is C++, without its
 * library and its headers, because one thing can be said in no C: that an
 * exception ends here (of a new-handler, in a nothrow form).
 *
 * Only the four that have no other to stand on reach the heap: plain and
 * aligned, new and delete. The others call these by name, as the standard has
 * it, because a program may replace any of them and expects the rest to follow:
 * one with a pool behind its new and delete must not see the sized delete, which
 * its compiler calls, end in another heap.
 *
 * When there is no memory the new-handler is called until there is some, it
 * throws, or there is no handler: then std::bad_alloc is thrown. Handler and
 * exception are the C++ library's. The shared library serves programs without
 * it, too, so there (HAK_CXX_OPTIONAL) each reference to it is weak; if it came
 * later, with something that a program in C has opened, it is looked for when it is
 * needed, and a nothrow form goes to the heap at once: what a handler throws could
 * not be caught. A program that manages to call new without it is stopped. The
 * archive has this file as a member of its own, which programs in C do not pull in,
 * with ordinary references, which pull in what they need.
 *
 * Lock: none.
 */
#include <hakmem/config.h>
#include <hakmem/hakmem.h>

#ifdef HAK_CXX_OPTIONAL
#include <dlfcn.h>

#define OPTIONAL __attribute__((weak))
__asm__(".weak __cxa_begin_catch\n.weak __cxa_end_catch\n.weak __gxx_personality_v0\n"
	".weak _ZSt9terminatev\n"); /* what clang calls where noexcept is broken */
#else
#define OPTIONAL
#endif

/* Replaceable: a program's own goes before those of the archive. */
#define NEW    HAK_API __attribute__((weak))
#define DELETE HAK_API __attribute__((weak))

namespace std
{
struct nothrow_t;
enum class align_val_t : size_t {};
typedef void (*new_handler)();
OPTIONAL new_handler get_new_handler() noexcept;
[[noreturn]] OPTIONAL void __throw_bad_alloc();
}

using std::align_val_t;
using std::nothrow_t;

#ifdef HAK_CXX_OPTIONAL
extern "C" [[noreturn]] void hak_host_panic(const char *line);

/* Was the C++ library there when this one was loaded? */
static bool has_runtime()
{
	return std::get_new_handler && std::__throw_bad_alloc;
}

/* A function of the C++ library that has been loaded since. */
template <class function> static function find(const char *name)
{
	void *library = dlopen("libstdc++.so.6", RTLD_LAZY | RTLD_NOLOAD);
	void *found = library ? dlsym(library, name) : nullptr;

	if (!found)
		hak_host_panic("hakmem: operator new: out of memory, and no C++ library to say so");
	return reinterpret_cast<function>(found);
}

static std::new_handler get_new_handler()
{
	return has_runtime() ? std::get_new_handler()
			     : find<std::new_handler (*)()>("_ZSt15get_new_handlerv")();
}

[[noreturn]] static void throw_bad_alloc()
{
	if (has_runtime())
		std::__throw_bad_alloc();
	find<void (*)()>("_ZSt17__throw_bad_allocv")();
	__builtin_unreachable();
}
#else
using std::get_new_handler;

static bool has_runtime()
{
	return true;
}

[[noreturn]] static void throw_bad_alloc()
{
	std::__throw_bad_alloc();
}
#endif

/* Returns if it is worth another try. */
static void no_memory()
{
	std::new_handler handler = get_new_handler();

	if (!handler)
		throw_bad_alloc();
	handler();
}

static __attribute__((noinline)) void *new_again(size_t size)
{
	void *block;

	do
		no_memory();
	while (!(block = hak_malloc(size)));
	return block;
}

NEW void *operator new(size_t size)
{
	void *block = hak_malloc(size);

	return __builtin_expect(block != nullptr, 1) ? block : new_again(size);
}

NEW void *operator new(size_t size, align_val_t align)
{
	size_t bytes = static_cast<size_t>(align);
	void *block;

	while (!(block = hak_aligned_alloc(bytes, size))) {
		if (bytes & (bytes - 1) || !bytes)
			throw_bad_alloc(); /* no handler can help */
		no_memory();
	}
	return block;
}

NEW void *operator new[](size_t size)
{
	return operator new(size);
}

NEW void *operator new[](size_t size, align_val_t align)
{
	return operator new(size, align);
}

NEW void *operator new(size_t size, const nothrow_t &) noexcept
{
	if (!has_runtime())
		return hak_malloc(size);
	try {
		return operator new(size);
	} catch (...) {
		return nullptr;
	}
}

NEW void *operator new[](size_t size, const nothrow_t &) noexcept
{
	if (!has_runtime())
		return hak_malloc(size);
	try {
		return operator new[](size);
	} catch (...) {
		return nullptr;
	}
}

NEW void *operator new(size_t size, align_val_t align, const nothrow_t &) noexcept
{
	if (!has_runtime())
		return hak_aligned_alloc(static_cast<size_t>(align), size);
	try {
		return operator new(size, align);
	} catch (...) {
		return nullptr;
	}
}

NEW void *operator new[](size_t size, align_val_t align, const nothrow_t &) noexcept
{
	if (!has_runtime())
		return hak_aligned_alloc(static_cast<size_t>(align), size);
	try {
		return operator new[](size, align);
	} catch (...) {
		return nullptr;
	}
}

DELETE void operator delete(void *block) noexcept
{
	hak_free(block);
}

DELETE void operator delete(void *block, align_val_t) noexcept
{
	hak_free(block);
}

DELETE void operator delete[](void *block) noexcept
{
	operator delete(block);
}

DELETE void operator delete[](void *block, align_val_t align) noexcept
{
	operator delete(block, align);
}

DELETE void operator delete(void *block, const nothrow_t &) noexcept
{
	operator delete(block);
}

DELETE void operator delete[](void *block, const nothrow_t &) noexcept
{
	operator delete[](block);
}

DELETE void operator delete(void *block, align_val_t align, const nothrow_t &) noexcept
{
	operator delete(block, align);
}

DELETE void operator delete[](void *block, align_val_t align, const nothrow_t &) noexcept
{
	operator delete[](block, align);
}

/*
 * With a size: it is passed on where the block would come to us anyway. (A
 * program that is linked to fixed addresses has these functions at others, which
 * only loses the check.)
 */
extern "C" {
#define OWN(name) __attribute__((visibility("hidden"), alias(#name)))
OWN(_ZdlPv) void hak_delete(void *block) noexcept;
OWN(_ZdaPv) void hak_delete_array(void *block) noexcept;
OWN(_ZdlPvSt11align_val_t) void hak_delete_aligned(void *block, align_val_t align) noexcept;
OWN(_ZdaPvSt11align_val_t) void hak_delete_array_aligned(void *block, align_val_t align) noexcept;
OWN(_ZdaPvmSt11align_val_t)
void hak_delete_last(void *block, size_t size, align_val_t align) noexcept;
}

typedef void (*plain_delete)(void *block);
typedef void (*aligned_delete)(void *block, align_val_t align);

static inline bool is_own(plain_delete function, plain_delete own)
{
	return (CONFIG_HAK_DEBUG || CONFIG_HAK_HARDENED) && function == own;
}

static inline bool is_own(aligned_delete function, aligned_delete own)
{
	return (CONFIG_HAK_DEBUG || CONFIG_HAK_HARDENED) && function == own;
}

DELETE void operator delete(void *block, size_t size) noexcept
{
	if (is_own(operator delete, hak_delete))
		hak_free_sized(block, size);
	else
		operator delete(block);
}

DELETE void operator delete[](void *block, size_t size) noexcept
{
	if (is_own(operator delete[], hak_delete_array))
		operator delete(block, size);
	else
		operator delete[](block);
}

DELETE void operator delete(void *block, size_t size, align_val_t align) noexcept
{
	if (is_own(operator delete, hak_delete_aligned))
		hak_free_aligned_sized(block, static_cast<size_t>(align), size);
	else
		operator delete(block, align);
}

DELETE void operator delete[](void *block, size_t size, align_val_t align) noexcept
{
	if (is_own(operator delete[], hak_delete_array_aligned))
		operator delete(block, size, align);
	else
		operator delete[](block, align);
}
