/* SPDX-License-Identifier: MIT */
#include <uk/unikraft.h>
