/* SPDX-License-Identifier: MIT */
/*
 * Blocks with a pattern that go from hand to hand, for the images in which
 * several CPUs, their interrupt handlers and preempted threads use one heap.
 */
#ifndef HAKMEM_TESTS_TRAFFIC_H
#define HAKMEM_TESTS_TRAFFIC_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Blocks begin with this; the rest of them follows from it. */
struct block {
	uint64_t tag;
	size_t size;
};

#define NR_MAILS 256u

/* Where anybody leaves a block and takes what the one before has left. */
extern struct block *_Atomic traffic_mail[NR_MAILS];

/* What went wrong first, on any CPU; NULL if nothing. test_fail() is for one CPU. */
extern const char *_Atomic traffic_wrong;
void traffic_blame(const char *what);

/* 16 bytes to 256 KiB, mostly small. */
size_t traffic_size(uint64_t *random);

/* NULL if there is no memory. */
struct block *traffic_alloc(size_t size, uint64_t tag);

/* Check the pattern, and free it. NULL is nothing. */
void traffic_free(struct block *block);

/* One new block for whatever lies in a place: two operations, or one. */
void traffic_exchange(struct block *_Atomic *place, uint64_t *random);

/* Free all that lies in the mails. */
void traffic_end(void);

#endif
