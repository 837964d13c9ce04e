/* SPDX-License-Identifier: MIT */
/*
 * A scan claims the unused units of a window of a SuperSlab, the slack of its spans, and the free
 * pages of its slabs. It purges them, neighbours with one call of the provider, and frees them.
 *
 * Most images have a provider that cannot purge, and do not link this: it is called through a
 * pointer that hak_purge_enable() sets. Until then no memory counts as purgeable.
 *
 * Lock: none here; the caller has LOCK_SCAN.
 */
#include "reclaim/purge.h"

#include "pages/pages.h"
#include "slab/class.h"
#include "superslab/claim.h"

purge_fn *scan_purge;

bool purge_next(bool first, bool all, bool *again)
{
	struct claim claim;

	if (first)
		claim_first();
	if (!claim_next(&claim, all))
		return false;
	class_claim(&claim, all);
	if (claim.unused || claim.slack || claim.blocks) {
		int flags = claim_purge(&claim);

		claim_free(&claim, flags); /* first: claimed blocks keep the SuperSlab there */
		class_free_claimed(&claim, flags);
	}
	*again |= claim.again;
	return true;
}

void hak_purge_enable(void)
{
	scan_purge = purge_next;
	pages_purgeable = true;
}
