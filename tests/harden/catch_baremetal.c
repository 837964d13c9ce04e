/* SPDX-License-Identifier: MIT */
/*
 * A machine that is stopped, by a hak_host_panic() of its own, or by a fault.
 */
#include "catch.h"

#include <boot.h>
#include <hakmem/host.h>

#include "diag/sampled.h"

char caught_line[256];
char caught_report[8192];

static void *after[5];
static enum caught what;
static size_t reported;

/* What comes before the line goes into the report, and not to the console. */
void hak_sampled_print(void *ctx, const char *text, size_t length)
{
	(void)ctx;
	for (size_t i = 0; i < length && reported < sizeof(caught_report) - 1; i++)
		caught_report[reported++] = text[i];
	caught_report[reported] = '\0';
}

void hak_sampled_name(struct hak_line *line, void *frame)
{
	(void)line;
	(void)frame;
}

static void on_fault(uint64_t address, uint64_t rip)
{
	(void)address;
	(void)rip;
	what = CAUGHT_FAULT;
	__builtin_longjmp(after, 1);
}

HAK_NORETURN void hak_host_panic(const char *line)
{
	static const char prefix[] = "hakmem: ";
	size_t n = sizeof(prefix) - 1;

	for (size_t i = 0; i < sizeof(caught_line) - 1; i++) {
		caught_line[i] = line[n];
		n += line[n] != '\0';
	}
	what = CAUGHT_STOP;
	__builtin_longjmp(after, 1);
}

void catch_init(void)
{
	fault_set(on_fault);
}

/* Through a pointer that the compiler does not know: only of a call does it believe in a jump. */
enum caught catch (void (*commit)(void)) {
	void (*volatile function)(void) = commit;

	if (__builtin_setjmp(after)) return what;
	reported = 0;
	caught_report[0] = '\0';
	function();
	return CAUGHT_NOT;
}
