/* SPDX-License-Identifier: MIT */
/*
 * All unit tests in one program, on Linux and on bare metal. From the bottom
 * layer up, so that the first failure is the cause of those that follow.
 */
#include "unit.h"

int main(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	unit_sizeclass();
	unit_format();
	unit_lock();
	unit_list();
	unit_frames();
	unit_pages();
	unit_meta();
	unit_pagemap();
	unit_superslab();
	unit_units();
	unit_class();
	if (IS_ENABLED(
		    CONFIG_HAK_HARDENED)) { /* what malloc asks the others for is its own matter */
		unit_pool();
		unit_harden();
		return test_finish();
	}
	unit_magazine();
	unit_span();
	unit_malloc();
	unit_gap();
	unit_policy();
	unit_scan();
	unit_seize();
	unit_stats();
	unit_check();
	unit_prefill();
	unit_pool();
	return test_finish();
}
