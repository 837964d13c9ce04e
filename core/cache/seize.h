/* SPDX-License-Identifier: MIT */
/*
 * Taking blocks from the magazines of others. See seize.c for the protocol.
 */
#ifndef HAKMEM_CACHE_SEIZE_H
#define HAKMEM_CACHE_SEIZE_H

#include "cache/layout.h"

/* The owner's slow path: from here to seize_leave() the magazine is open and its own. */
HAK_COLD void seize_enter(struct hak_cache *cache, unsigned class);
HAK_COLD void seize_leave(struct hak_cache *cache);

HAK_COLD void seize_after_fork(struct hak_cache *cache);

/* Others: try to take the claim. If that succeeds, seize_leave() gives it up. */
HAK_COLD bool seize_try_claim(struct hak_cache *cache);

/* With the claim: the steps, in this order, for one magazine, ... */
HAK_COLD void seize_begin(struct hak_cache *cache, unsigned class);
HAK_COLD bool seize_confirm(struct hak_cache *cache, unsigned class);
HAK_COLD unsigned seize_collect(struct hak_cache *cache, unsigned class, void **blocks, unsigned n);

/* ... and what a scan does with it: before the barrier, and after it. */
HAK_COLD void seize_idle(struct hak_cache *cache, unsigned class, bool all);
HAK_COLD bool seize_settle(struct hak_cache *cache, unsigned class, bool sure);

#endif
