/* SPDX-License-Identifier: MIT */
/*
 * Every form of new and delete, as a C++ program uses them: by expressions, by
 * name, with a new-handler, and when there is no memory. Programs that replace
 * some of them: replaced.cc.
 *
 *	cxx WHICH
 */
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <malloc.h>
#include <new>
#include <string>
#include <sys/resource.h>
#include <vector>

#include "check.h"

/* Else compilers leave out what has no use. */
static void *volatile sink;

static const size_t too_large = (size_t)1 << 62;

struct alignas(256) wide {
	char bytes[300];
};

static bool is_ours(void *block, size_t usable)
{
	return block && malloc_usable_size(block) == usable;
}

static void plain_forms()
{
	void *block = ::operator new(hide(100));

	CHECK(is_ours(block, 112)); /* glibc's would have 104 */
	::operator delete(block);
	block = ::operator new[](hide(100));
	CHECK(is_ours(block, 112));
	::operator delete[](block);
	block = ::operator new(hide(100), std::nothrow);
	CHECK(is_ours(block, 112));
	::operator delete(block, std::nothrow);
	block = ::operator new[](hide(100), std::nothrow);
	CHECK(is_ours(block, 112));
	::operator delete[](block, std::nothrow);
	block = ::operator new(hide(0));
	CHECK(block);
	::operator delete(block, (size_t)0);
	::operator delete[](::operator new[](hide(100)), (size_t)100);
	::operator delete(nullptr);
	::operator delete[](nullptr, (size_t)10);
}

static void aligned_forms()
{
	const std::align_val_t align{ 512 };
	void *block = ::operator new(hide(100), align);

	CHECK(is_ours(block, 512) && (uintptr_t)block % 512 == 0);
	::operator delete(block, align);
	block = ::operator new[](hide(100), align);
	CHECK(is_ours(block, 512) && (uintptr_t)block % 512 == 0);
	::operator delete[](block, align);
	block = ::operator new(hide(100), align, std::nothrow);
	CHECK(is_ours(block, 512) && (uintptr_t)block % 512 == 0);
	::operator delete(block, align, std::nothrow);
	block = ::operator new[](hide(100), align, std::nothrow);
	CHECK(is_ours(block, 512) && (uintptr_t)block % 512 == 0);
	::operator delete[](block, align, std::nothrow);
	::operator delete(::operator new(hide(100), align), 100, align);
	::operator delete[](::operator new[](hide(100), align), 100, align);
	::operator delete (::operator new (hide(100), std::align_val_t{ 1 << 22 }), 100,
			   std::align_val_t{ 1 << 22 });
}

static void expressions()
{
	wide *one = new wide, *many = new wide[7];
	std::vector<std::string> words;

	CHECK((uintptr_t)one % 256 == 0 && (uintptr_t)many % 256 == 0);
	delete one;
	delete[] many;
	for (int i = 0; i < 10000; i++)
		words.push_back(std::string(i % 100, 'x'));
	CHECK(words[9999] == std::string(99, 'x'));
	delete new int(5);
	delete[] new std::string[100];
}

template <typename function> static bool throws_bad_alloc(function what)
{
	try {
		what();
	} catch (const std::bad_alloc &) {
		return true;
	}
	return false;
}

static void failure_throws()
{
	const std::align_val_t align{ 64 }, crooked{ 48 };

	CHECK(throws_bad_alloc([] { sink = ::operator new(hide(too_large)); }));
	CHECK(throws_bad_alloc([] { sink = ::operator new[](hide(too_large)); }));
	CHECK(throws_bad_alloc([=] { sink = ::operator new(hide(too_large), align); }));
	CHECK(throws_bad_alloc([=] { sink = ::operator new[](hide(too_large), align); }));
	CHECK(throws_bad_alloc([=] { sink = ::operator new(hide(16), crooked); }));
	CHECK(throws_bad_alloc([] { sink = ::operator new(hide(SIZE_MAX)); }));
	CHECK(throws_bad_alloc([] { std::string(hide(too_large) - 1, 'x'); }));
	/* NULL where that is asked for */
	CHECK(!::operator new(hide(too_large), std::nothrow));
	CHECK(!::operator new[](hide(too_large), std::nothrow));
	CHECK(!::operator new(hide(too_large), align, std::nothrow));
	CHECK(!::operator new[](hide(too_large), align, std::nothrow));
	CHECK(!::operator new(hide(16), crooked, std::nothrow));
}

static int calls;

static void give_up_at_third_call()
{
	if (++calls == 3)
		std::set_new_handler(nullptr);
}

static void throw_something()
{
	calls++;
	throw std::bad_alloc();
}

static void handler_is_called()
{
	calls = 0;
	std::set_new_handler(give_up_at_third_call);
	CHECK(throws_bad_alloc([] { sink = ::operator new(hide(too_large)); }) && calls == 3);
	calls = 0;
	std::set_new_handler(give_up_at_third_call);
	CHECK(!::operator new[](hide(too_large), std::nothrow) && calls == 3);
	calls = 0;
	std::set_new_handler(throw_something);
	CHECK(throws_bad_alloc(
		[] { sink = ::operator new (hide(too_large), std::align_val_t{ 64 }); }));
	CHECK(!::operator new(hide(too_large), std::nothrow) && calls == 2);
	std::set_new_handler(nullptr);
}

static void *kept;

static void free_what_is_kept()
{
	calls++;
	if (kept)
		std::free(kept);
	else
		std::set_new_handler(nullptr); /* nothing is left to give up */
	kept = nullptr;
}

/* The handler has something to give up, and the request succeeds. */
static void handler_can_help()
{
	const size_t size = (size_t)3 << 28;
	const struct rlimit limit = { (rlim_t)1 << 30, RLIM_INFINITY };
	struct rlimit before;
	void *block;

	CHECK(!getrlimit(RLIMIT_AS, &before) && !setrlimit(RLIMIT_AS, &limit));
	kept = std::malloc(size);
	calls = 0;
	std::set_new_handler(free_what_is_kept);
	block = ::operator new(hide(size), std::nothrow);
	std::set_new_handler(nullptr);
	setrlimit(RLIMIT_AS, &before);
	CHECK(block && calls == 1 && !kept);
	::operator delete(block);
}

static const struct api_test tests[] = {
	TEST(plain_forms),    TEST(aligned_forms),     TEST(expressions),
	TEST(failure_throws), TEST(handler_is_called), TEST(handler_can_help),
};

int main(int argc, char **argv)
{
	return run_tests(argc, argv, tests, sizeof(tests) / sizeof(tests[0]));
}
