/* SPDX-License-Identifier: MIT */
/*
 * A kernel in C++ without a C++ library: every form of new and delete is the heap's. With
 * CXX_REPLACED it has a plain new and delete of its own, which all other plain forms follow. What
 * a C++ library would do when there is no memory, functions here do.
 */
#include <balloon.h>
#include <cpu.h>
#include <frames.h>
#include <hakmem/hakmem.h>
#include <hakmem/stats.h>
#include <machine.h>

extern "C" {
#include "../test.h"
int main();
}

namespace std
{
enum class align_val_t : size_t {};
struct nothrow_t {
};
extern const nothrow_t nothrow;
const nothrow_t nothrow = nothrow_t();
typedef void (*new_handler)();
new_handler get_new_handler() noexcept;
[[noreturn]] void __throw_bad_alloc();
}

void *operator new(size_t size, const std::nothrow_t &) noexcept;
void *operator new[](size_t size, const std::nothrow_t &) noexcept;
void *operator new(size_t size, std::align_val_t align, const std::nothrow_t &) noexcept;
void *operator new[](size_t size, std::align_val_t align, const std::nothrow_t &) noexcept;
void operator delete(void *block, const std::nothrow_t &) noexcept;
void operator delete[](void *block, const std::nothrow_t &) noexcept;
void operator delete(void *block, std::align_val_t align, const std::nothrow_t &) noexcept;
void operator delete[](void *block, std::align_val_t align, const std::nothrow_t &) noexcept;

/* clang has these only if it is asked to call them by itself */
void operator delete(void *block, size_t size) noexcept;
void operator delete[](void *block, size_t size) noexcept;
void operator delete(void *block, size_t size, std::align_val_t align) noexcept;
void operator delete[](void *block, size_t size, std::align_val_t align) noexcept;

static hak_stats stats;

static uint64_t live()
{
	hak_stats_read(&stats, sizeof(stats));
	return stats.total.live_blocks;
}

/* Else compilers leave out what has no use. */
static __attribute__((unused)) void *volatile sink;

static size_t hide(size_t size)
{
	__asm__ volatile("" : "+r"(size));
	return size;
}

/* What a C++ library would have. */
static std::new_handler volatile handler;
static void *catcher[5];
static volatile unsigned thrown;

std::new_handler std::get_new_handler() noexcept
{
	return handler;
}

void std::__throw_bad_alloc()
{
	thrown = thrown + 1;
	__builtin_longjmp(catcher, 1);
}

#ifdef CXX_REPLACED
#ifndef __clang__
#pragma GCC diagnostic ignored "-Wsized-deallocation" /* it follows the one that is here */
#endif
static unsigned news, deletes;

void *operator new(size_t size)
{
	news++;
	return hak_malloc(size);
}

void operator delete(void *block) noexcept
{
	deletes++;
	hak_free(block);
}

static void other_forms_follow()
{
	CHECK(hak_init(&hak_frames_provider));
	::operator delete(::operator new(hide(100)), hide(100));
	::operator delete[](::operator new[](hide(100)));
	::operator delete[](::operator new[](hide(100)), hide(100));
	::operator delete(::operator new(hide(100), std::nothrow), std::nothrow);
	::operator delete[](::operator new[](hide(100), std::nothrow), std::nothrow);
	CHECK(news == 5 && deletes == 5);
	/* these are a pair of their own */
	::operator delete (::operator new (hide(100), std::align_val_t{ 64 }),
			   std::align_val_t{ 64 });
	CHECK(news == 5 && deletes == 5 && live() == 0);
	hak_fini();
}

int main()
{
	TEST_RUN(other_forms_follow);
	return test_finish();
}
#else
static bool is_at(void *block, size_t align)
{
	sink = block;
	return block && reinterpret_cast<uintptr_t>(block) % align == 0 && hak_owns(block);
}

struct alignas(256) wide {
	char bytes[300];
};

static void plain_forms()
{
	void *block = ::operator new(hide(100));

	CHECK(is_at(block, 16));
	::operator delete(block);
	block = ::operator new[](hide(100));
	CHECK(is_at(block, 16));
	::operator delete[](block);
	block = ::operator new(hide(100), std::nothrow);
	CHECK(is_at(block, 16));
	::operator delete(block, std::nothrow);
	block = ::operator new[](hide(100), std::nothrow);
	CHECK(is_at(block, 16));
	::operator delete[](block, std::nothrow);
	block = ::operator new(hide(0));
	CHECK(block);
	::operator delete(block, hide(0));
	::operator delete[](::operator new[](hide(3000)), hide(3000));
	::operator delete(nullptr);
	::operator delete[](nullptr, hide(10));
	int *number = new int(7);
	sink = number;
	CHECK(*number == 7);
	delete number;
	int *numbers = new int[1000];
	sink = numbers;
	delete[] numbers;
	CHECK(live() == 0);
}

static void aligned_forms()
{
	const std::align_val_t align{ 512 };
	void *block = ::operator new(hide(100), align);

	CHECK(is_at(block, 512));
	::operator delete(block, align);
	block = ::operator new[](hide(100), align);
	CHECK(is_at(block, 512));
	::operator delete[](block, align);
	block = ::operator new(hide(100), align, std::nothrow);
	CHECK(is_at(block, 512));
	::operator delete(block, align, std::nothrow);
	block = ::operator new[](hide(100), align, std::nothrow);
	CHECK(is_at(block, 512));
	::operator delete[](block, align, std::nothrow);
	::operator delete(::operator new(hide(100), align), hide(100), align);
	::operator delete[](::operator new[](hide(100), align), hide(100), align);
	wide *object = new wide;
	CHECK(is_at(object, 256));
	delete object;
	CHECK(live() == 0);
}

static volatile unsigned handled;
static const size_t too_much = static_cast<size_t>(1) << 62;

static void nothrow_forms_return_null()
{
	handler = nullptr;
	CHECK(!::operator new(hide(too_much), std::nothrow));
	CHECK(!::operator new[](hide(too_much), std::nothrow));
	CHECK(!::operator new (hide(too_much), std::align_val_t{ 64 }, std::nothrow));
	CHECK(!::operator new[](hide(100), static_cast<std::align_val_t>(hide(48)), std::nothrow));
	CHECK(thrown == 0);
}

/* It gives up when it is called a third time. */
static void handle()
{
	handled = handled + 1;
	if (handled == 3)
		handler = nullptr;
}

static void no_memory_is_handled_and_thrown()
{
	handler = handle;
	if (!__builtin_setjmp(catcher)) {
		sink = ::operator new(hide(too_much));
		CHECK(!"new has returned");
	}
	CHECK(handled == 3 && thrown == 1);
	if (!__builtin_setjmp(catcher)) {
		sink = ::operator new[](hide(too_much), std::align_val_t{ 64 });
		CHECK(!"new has returned");
	}
	handler = handle;
	if (!__builtin_setjmp(catcher)) {
		sink = ::operator new(hide(10), static_cast<std::align_val_t>(
							hide(48))); /* no handler can help */
		CHECK(!"new has returned");
	}
	CHECK(handled == 3 && thrown == 3 && live() == 0 && !hak_check());
}

/* With --icount the figure is one of instructions, those of the loop among them. */
static void pair()
{
	const unsigned pairs = 100000;
	uint64_t start = cpu_read_tsc();

	for (unsigned i = 0; i < pairs; i++) {
		void *block = ::operator new(hide(64));

		__asm__ volatile("" : "+r"(block));
		::operator delete(block, static_cast<size_t>(64));
	}
	test_print("a pair: %lu ticks\n",
		   static_cast<unsigned long>((cpu_read_tsc() - start) / pairs));
	CHECK(live() == 0);
}

int main()
{
	hak_init(&hak_frames_provider);
	TEST_RUN(plain_forms);
	TEST_RUN(aligned_forms);
	TEST_RUN(nothrow_forms_return_null);
	TEST_RUN(no_memory_is_handled_and_thrown);
	TEST_RUN(pair);
	return test_finish();
}
#endif
