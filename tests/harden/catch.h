/* SPDX-License-Identifier: MIT */
/*
 * What becomes of a crime, on both platforms: see catch_linux.c and catch_baremetal.c.
 */
#ifndef HAKMEM_TESTS_CATCH_H
#define HAKMEM_TESTS_CATCH_H

#include <stdbool.h>
#include <stddef.h>

enum caught {
	CAUGHT_NOT,   /* it went on */
	CAUGHT_STOP,  /* the library has stopped the program, with the line in caught_line */
	CAUGHT_FAULT, /* an access has faulted */
};

extern char caught_line[256];
extern char caught_report[8192]; /* the lines before it, too */

/* Before the others. */
void catch_init(void);

/* Commit it. If it is caught, the heap is fit for hak_fini() alone. */
enum caught catch (void (*commit)(void));

#endif
