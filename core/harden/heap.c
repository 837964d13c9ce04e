/* SPDX-License-Identifier: MIT */
/*
 * Calls that are about all of the heap, in the builds that have a layer above that of api/: the
 * hardened one, and the debug build (debug/). Each has a verify_some() and a hak_layer_reclaim() of
 * its own.
 *
 * Lock: none.
 */
#include <hakmem/hakmem.h>

#include "api/request.h"
#include "harden/raw.h"
#include "harden/verify.h"

void hak_flush(void)
{
	hak_layer_reclaim();
	hak_raw_flush();
}

size_t hak_trim(enum hak_trim_level level)
{
	verify_some(VERIFY_ALL, "trim");
	hak_layer_reclaim();
	return hak_raw_trim(level);
}

/* On Linux, what scans at intervals calls this. */
enum scan_state scan_step(size_t budget, unsigned ages)
{
	verify_some(VERIFY_STEP, "scan");
	return raw_scan_step(budget, ages);
}

bool hak_idle(size_t budget)
{
	verify_some(VERIFY_STEP, "idle");
	return hak_raw_idle(budget);
}

const char *hak_check(void)
{
	verify_some(VERIFY_ALL, "check");
	return hak_raw_check();
}
