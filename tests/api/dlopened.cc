/* SPDX-License-Identifier: MIT */
/*
 * C++ that is opened by a program in C when the allocator has long been loaded:
 * out of memory is what it always is, NULL or an exception. See dlopen_cxx.c.
 */
#include <cstddef>
#include <cstdio>
#include <new>

static const volatile std::size_t too_large = (std::size_t)1 << 62;
static unsigned handled;
static void *volatile sink;

static void handler()
{
	if (++handled == 3)
		std::set_new_handler(nullptr);
}

static bool throws(void *(*get)())
{
	try {
		sink = get();
	} catch (std::bad_alloc &) {
		return true;
	}
	return false;
}

static void *plain()
{
	return operator new(too_large);
}

static void *aligned()
{
	return operator new(too_large, std::align_val_t(64));
}

static bool says(const char *name, bool holds)
{
	std::printf("%s late-%s\n", holds ? "ok" : "FAIL", name);
	return holds;
}

extern "C" int run()
{
	std::align_val_t align{ 64 };
	bool fine = true;

	fine &= says("nothrow", !operator new(too_large, std::nothrow) &&
					!operator new[](too_large, std::nothrow) &&
					!operator new(too_large, align, std::nothrow) &&
					!operator new[](too_large, align, std::nothrow));
	fine &= says("throws", throws(plain) && throws(aligned));
	std::set_new_handler(handler);
	fine &= says("handler", throws(plain) && handled == 3);
	sink = operator new(100);
	operator delete(sink);
	return !fine;
}
