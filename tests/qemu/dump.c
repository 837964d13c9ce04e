/* SPDX-License-Identifier: MIT */
/*
 * An image whose heap is looked at from outside and inside: what it has is known
 * to check-debug.sh, which compares it with what GDB says, and with hak_dump().
 *
 * Reachable: a chain of 100 blocks of 48 bytes from a variable, blocks of 512
 * and 100000 bytes; and one each of 1536 bytes from a page of the provider, of 768 bytes
 * from the stack of another CPU, of 256 bytes by a pointer into it that is odd. Lost: 7
 * blocks of 512 bytes, one of 3 MiB, one of 8 KiB that only a free page leads to, and the 5
 * of 96 bytes that only a lost block leads to. 60 blocks of 32 bytes are freed again, and lie
 * in a magazine.
 *
 * The machine has two CPUs.
 */
#include <boot.h>
#include <cpu.h>
#include <frames.h>
#include <hakmem/hakmem.h>
#include <hakmem/host.h>
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
char *inside;
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

/* A page that the kernel has of the provider, and that only page tables lead to. */
static void *fill_page(void *block)
{
	struct hak_mapping page;

	if (hak_frames_provider.map(NULL, HAK_GRANULE, HAK_GRANULE, HAK_WANT_META, &page))
		hak_host_panic("no page");
	*(void **)page.base = block;
	return page.base;
}

static void free_page(void *page)
{
	hak_frames_provider.unmap(NULL, page, HAK_GRANULE);
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
	inside = (char *)hak_zalloc(256) + 3;
	fill_page(hak_zalloc(1536));
	free_page(fill_page(hak_zalloc(8192)));
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

static void show(void)
{
	stop_here();
	hak_dump(hak_console_sink, NULL);
	hak_dump_json(hak_console_sink, NULL);
	hak_top(hak_console_sink, NULL);
	lengthen(&chain, 10, 48);
	hak_top(hak_console_sink, NULL); /* what was allocated since */
}

static _Atomic bool ready, done;

static void on_cpu(void *unused)
{
	void *volatile mine;

	(void)unused;
	if (this_cpu()->id == 0) {
		while (!ready)
			cpu_relax();
		show();
		done = true;
		return;
	}
	mine = hak_malloc(768);
	ready = true;
	while (!done)
		cpu_relax();
	hak_free(mine);
}

int main(void)
{
	const char *broken;

	hak_frames_use_parts(); /* one of the SuperSlabs is a part */
	hak_init(port_provider());
	if (smp_count() != 2)
		hak_host_panic("dump: two CPUs are needed");
	make();
	wipe();
	smp_run(on_cpu, NULL);
	broken = hak_check();
	test_print("check: %s\n", broken ? broken : "clean");
	return broken != NULL;
}
