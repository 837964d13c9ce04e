/* SPDX-License-Identifier: MIT */
/*
 * A scan claims the unused units of a window of a SuperSlab, the slack of its spans, and the free
 * pages of its slabs. It purges them, neighbours with one call of the provider, and frees them.
 *
 * Most images have a provider that cannot purge, and do not link this: it is called through a
 * pointer that hak_purge_enable() sets. Until then no memory counts as purgeable.
 *
 * Lock: LOCK_SCAN, which the caller has.
 */
#include "reclaim/purge.h"

#include "pages/pages.h"
#include "slab/class.h"
#include "superslab/claim.h"

purge_fn *scan_purge;

/*
 * What a scan has claimed at this moment. In the child of a fork() another thread may have been
 * in the middle of it, whose scan is then given up: see api/fork.c.
 */
static struct claim claim;

/* @flags: of claim_purge(); negative also if nothing is known of the purge. */
static void free_claimed(int flags)
{
	claim_free(&claim, flags); /* first: claimed blocks keep the SuperSlab there */
	class_free_claimed(&claim, flags);
}

bool purge_next(bool first, bool all, bool *again)
{
	if (first) {
		if (unlikely(claim_has_any(&claim)))
			free_claimed(-1);
		claim_first();
	}
	if (!claim_next(&claim, all))
		return false;
	class_claim(&claim, all);
	if (claim_has_any(&claim))
		free_claimed(claim_purge(&claim));
	*again |= claim.again;
	return true;
}

void hak_purge_enable(void)
{
	scan_purge = purge_next;
	pages_purgeable = true;
}
