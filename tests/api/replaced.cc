/* SPDX-License-Identifier: MIT */
/*
 * A program with a pool behind its own new and delete, and nothing else
 * replaced: the other forms have to come to these, whatever is preloaded. A
 * block of the pool would be none of the heap's.
 *
 *	replaced WHICH
 */
#include <cstddef>
#include <cstdlib>
#include <new>

#include "check.h"

static char pool[1 << 20];
static size_t used, freed;

void *operator new(size_t size)
{
	char *block = pool + used;

	used += (size + 15) / 16 * 16;
	if (used > sizeof(pool))
		throw std::bad_alloc();
	return block;
}

void operator delete(void *block) noexcept
{
	if (block && ((char *)block < pool || (char *)block >= pool + sizeof(pool)))
		std::abort();
	freed++;
}

static void other_forms_follow()
{
	size_t before = used;
	int *array = new int[10];
	int *maybe = new (std::nothrow) int[20];

	CHECK(used == before + 48 + 80);
	freed = 0;
	delete[] array;
	::operator delete[](maybe, std::nothrow);
	::operator delete(::operator new(hide(10)), (size_t)10);
	::operator delete[](::operator new[](hide(10)), (size_t)10);
	CHECK(freed == 4);
	CHECK(!::operator new[](hide(1 << 20), std::nothrow));
}

static const struct api_test tests[] = { TEST(other_forms_follow) };

int main(int argc, char **argv)
{
	return run_tests(argc, argv, tests, 1);
}
