/* SPDX-License-Identifier: MIT */
/*
 * Which letters are chosen for which sizes. See choice.c.
 */
#ifndef HAKMEM_DEBUG_CHOICE_H
#define HAKMEM_DEBUG_CHOICE_H

#include "api/request.h"
#include "base/sizeclass.h"

/* Are there sizes of which it is to be known who has allocated and freed them? */
bool debug_has_tracks(void);

/* Was anything ever chosen? */
extern HAK_HIDDEN _Atomic bool debug_is_on;

/* Of each class of slabs; the first is for larger blocks. */
extern HAK_HIDDEN uint8_t debug_letters[CLASS_SLAB_LAST + 1];

static inline unsigned letters_of(size_t size)
{
	if (likely(!debug_is_on))
		return 0;
	return debug_letters[size > SLAB_MAX ? 0 : class_of(size)];
}

#endif
