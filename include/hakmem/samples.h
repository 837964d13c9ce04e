/* SPDX-License-Identifier: MIT */
/*
 * Samples: now and then a block is a special one, of which it is known who has allocated it. A
 * guarded sample lies against a page that faults. A profile says which callers have how much of
 * the heap. Both are off until they are asked for, and cost malloc and free nothing then.
 *
 * A block can become a sample when its magazine is empty, and is fetched from the slabs. What is
 * allocated and freed again before that happens is never one.
 *
 * The statistics count the slabs in which samples lie as large blocks, and not the samples.
 *
 * On Linux the environment asks for the same (HAKMEM_GUARD, HAKMEM_PROFILE, HAKMEM_LEAKS). A
 * kernel that calls hak_profile_start() or hak_guard_start() links what is needed for it. It calls
 * hak_init() before. Each function needs at most 2 KiB of stack besides what the host and the
 * sink need; malloc and free need as much while there are samples.
 */
#ifndef HAK_SAMPLES_H
#define HAK_SAMPLES_H

#include <stdbool.h>
#include <stddef.h>

#include <hakmem/hakmem.h>
#include <hakmem/stats.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * hak_profile_start() - begin to make samples for a profile
 * @bytes: one sample for so many bytes that are allocated, on average; 1: all blocks are samples
 *
 * What was allocated before is not known. Returns false if @bytes is 0 or samples are made
 * already. Any context but an interrupt handler, as all functions of this header.
 */
HAK_API bool hak_profile_start(size_t bytes);

/**
 * hak_profile_stop() - make no more samples
 *
 * Those that there are stay known, and so does who has freed them from now on.
 */
HAK_API void hak_profile_stop(void);

/**
 * hak_profile_text() - write the profile in the format that pprof reads
 * @sink: gets the text
 * @ctx:  is handed to the sink
 *
 * A line for each stack: how many blocks and bytes are live, and were ever allocated, as the
 * samples let suppose. Takes no lock, so a signal handler may call it.
 */
HAK_API void hak_profile_text(hak_sink *sink, void *ctx);

/**
 * hak_leaks() - write what is live by stack, the most bytes first
 */
HAK_API void hak_leaks(hak_sink *sink, void *ctx);

/**
 * hak_guard_start() - let one allocation in @one_in stand against a page that faults
 * @one_in: on average, of those that do not find a block in their magazine
 *
 * Blocks of up to a page, each in a page of its own, at its left or right end by chance. When
 * it is freed, the page faults from then on, until it serves another block, as late as possible.
 * Returns false if @one_in is 0, there is no memory, or hak_host_protect() cannot let pages
 * fault. A second call changes @one_in; two callers at once are not allowed.
 */
HAK_API bool hak_guard_start(size_t one_in);

/**
 * hak_guard_stop() - guard no more blocks; those that are guarded stay so
 */
HAK_API void hak_guard_stop(void);

/**
 * hak_guard_report() - an access to an address has faulted: say whether a guarded block is to blame
 * @address: that was accessed
 * @frames:  return addresses of who did it, the innermost first; may be NULL
 * @n:       how many
 * @sink:    gets the report
 * @ctx:     is handed to the sink
 *
 * Returns false, and writes nothing, if the address is not among those of guarded blocks. Takes
 * no lock: for a handler of page faults, or of SIGSEGV.
 */
HAK_API bool hak_guard_report(const void *address, void *const *frames, size_t n, hak_sink *sink,
			      void *ctx);

/**
 * struct hak_samples - what is counted of samples
 * @profiled:       blocks that became samples for a profile, ever
 * @profile_missed: those that did not, since there was no room for what is to be known of them
 * @guarded:        blocks that were guarded, ever
 * @guard_missed:   those that were not, since all guarded pages were in use, or no page could be
 *		    made to fault
 * @record_bytes:   memory for what is known of all of them
 * @block_bytes:    memory for the blocks of up to 32 KiB, and for guards
 */
struct hak_samples {
	size_t profiled, profile_missed;
	size_t guarded, guard_missed;
	size_t record_bytes, block_bytes;
};

/**
 * hak_samples_read() - read these counters
 * @size: sizeof(*samples), as the caller was compiled; no more bytes are written
 */
HAK_API void hak_samples_read(struct hak_samples *samples, size_t size);

#ifdef __cplusplus
}
#endif

#endif
