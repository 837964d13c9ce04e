/* SPDX-License-Identifier: MIT */
/*
 * An image that uses malloc's family alone: check-size.sh reads what the library costs it.
 */
#include "family.h"

void kernel_main(void)
{
	hak_machine_exit(use_family());
}
