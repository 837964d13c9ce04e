/* SPDX-License-Identifier: MIT */
/*
 * An image that uses malloc's family alone: check-size.sh reads what the library costs it.
 */
#include "family.h"

int main(void)
{
	return use_family();
}
