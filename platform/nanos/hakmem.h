/* SPDX-License-Identifier: MIT */
/*
 * hakmem as a heap of nanos. Included after <kernel.h>.
 */
#ifndef NANOS_HAKMEM_H
#define NANOS_HAKMEM_H

/**
 * hakmem_heap() - make the heap
 * @parent:    where 2 MiB come from, and pages, each aligned to its size; it is thread-safe
 * @addresses: what addresses these may have
 *
 * Called once, on the first CPU, before GS is set; it calls hakmem_cpu_begin(). The heap needs
 * no lock around it, and interrupt handlers may use it. Blocks of 2^n bytes are aligned to 2^n,
 * up to a page. A size of -1 may be given when one is freed. Returns INVALID_ADDRESS if there
 * is a heap already, or if the library was not built for these addresses.
 */
heap hakmem_heap(heap parent, range addresses);

/**
 * hakmem_cpu_begin() - this CPU starts, and has no struct cpuinfo yet
 * @id: its number
 *
 * Called before it allocates, with interrupts off, by one CPU after the other. Sets GS. Without a
 * heap of hakmem's it does nothing.
 */
void hakmem_cpu_begin(int id);

/**
 * hakmem_cpu_move() - GS of this CPU points to @ci from now on
 *
 * Called after hakmem_cpu_begin(), with interrupts off. What is at the beginning of @ci is there
 * already. Without a heap of hakmem's it does nothing.
 */
void hakmem_cpu_move(cpuinfo ci);

#endif
