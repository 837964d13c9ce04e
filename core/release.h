/* SPDX-License-Identifier: MIT */
#ifndef HAKMEM_RELEASE_H
#define HAKMEM_RELEASE_H

#include "base.h"

/*
 * Empty SuperSlabs that are kept mapped. One is what it takes to keep a
 * program that frees and allocates across a SuperSlab's edge from mapping and
 * unmapping at every step; what more would save it is rare, and every one is
 * 2 MiB that others could use.
 */
#define RELEASE_RESERVE 1u

/* Should a SuperSlab that has just become empty stay, when @reserve already do? */
bool release_keeps(size_t reserve);

#endif
