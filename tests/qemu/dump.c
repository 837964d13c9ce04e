/* SPDX-License-Identifier: MIT */
/*
 * An image whose heap is looked at from outside and inside: what it has is known
 * to check-debug.sh, which compares it with what GDB says, and with hak_dump().
 *
 * Reachable: a chain of 100 blocks of 48 bytes from a variable, blocks of 512
 * and 100000 bytes; lost: 7 blocks of 512 bytes, one of 3 MiB, and the 5 of 96
 * bytes that only a lost block leads to. 60 blocks of 32 bytes are freed again,
 * and lie in a magazine.
 */
#include <hakmem/hakmem.h>
#include <hakmem/stats.h>
#include <machine.h>

#include "../test.h"

struct link {
	struct link *next;
	char rest[40];
};

/* What GDB asks about. */
struct link *chain;
void *small, *large, *freed[60];
volatile uintptr_t lost; /* a block that nothing leads to, hidden from a search */

/* Where GDB stops. */
void stop_here(void);

__attribute__((noinline)) void stop_here(void)
{
	__asm__ volatile("" ::: "memory");
}

static void lengthen(struct link **list, unsigned n, size_t size)
{
	while (n--) {
		struct link *link = hak_zalloc(size);

		link->next = *list;
		*list = link;
	}
}

static __attribute__((noinline)) void make(void)
{
	struct link *hidden = NULL;

	lengthen(&chain, 100, 48);
	small = hak_malloc(512);
	large = hak_malloc(100000);
	for (unsigned i = 0; i < 7; i++)
		lost = ~(uintptr_t)hak_zalloc(512);
	lengthen(&hidden, 5, 96);
	*(void **)~lost = hidden;
	lost = ~(uintptr_t)hak_zalloc(3 << 20);
	for (unsigned i = 0; i < 60; i++)
		freed[i] = hak_malloc(32);
	for (unsigned i = 0; i < 60; i++)
		hak_free(freed[i]);
}

/* So that no address stays behind in a part of the stack that is not used any more. */
static __attribute__((noinline)) void wipe(void)
{
	volatile char stack[8192];

	for (unsigned i = 0; i < sizeof(stack); i++)
		stack[i] = 0;
}

int main(void)
{
	const char *broken;

	hak_init(port_provider());
	make();
	wipe();
	stop_here();
	hak_dump(hak_console_sink, NULL);
	broken = hak_check();
	test_print("check: %s\n", broken ? broken : "clean");
	return broken != NULL;
}
