/* SPDX-License-Identifier: MIT */
/*
 * Functions of hakmem.h as the heap below has them: see base/layered.h. What others there are is
 * reached by api/fastpath.h and api/request.h.
 */
#ifndef HAKMEM_HARDEN_RAW_H
#define HAKMEM_HARDEN_RAW_H

#include <hakmem/hakmem.h>

#include "reclaim/scan.h"

#define RAW(function) extern __typeof__(hak_##function) hak_raw_##function

RAW(malloc);
RAW(zalloc);
RAW(realloc);
RAW(aligned_alloc);
RAW(free_sized);
RAW(free_aligned_sized);
RAW(usable_size);
RAW(good_size);
RAW(prefill);
RAW(flush);
RAW(idle);
RAW(trim);
RAW(check);
RAW(fini);

#undef RAW

enum scan_state raw_scan_step(size_t budget, unsigned ages);

#endif
