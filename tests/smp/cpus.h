/* SPDX-License-Identifier: MIT */
/*
 * What the images that run on all CPUs have in common.
 */
#ifndef HAKMEM_TESTS_CPUS_H
#define HAKMEM_TESTS_CPUS_H

#include <stdbool.h>
#include <stdint.h>

#include <boot.h>
#include <cpu.h>

/* "--ops 1000": the number that follows @name, or @otherwise. */
unsigned long cpus_option(int argc, char **argv, const char *name, unsigned long otherwise);

/* A start for test_random(), different on each CPU. */
uint64_t cpus_seed(void);

/* Wait until all CPUs, or so many, have come here. In what smp_run() runs. */
void cpus_meet(void);
void cpus_meet_some(unsigned n);

/* hak_init(), and remember how much memory there is. */
bool cpus_open(void);

/*
 * Give back all caches, and the heap. False if it was not empty or not sound, or
 * if a frame is missing.
 */
bool cpus_close(void);

#endif
