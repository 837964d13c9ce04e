/* SPDX-License-Identifier: MIT */
/*
 * Every lock there is, in the order of lock.h, for the moment in which a
 * process is copied: nobody is then half-way through a change.
 */
#include "fork.h"

#include "magazine.h"
#include "meta.h"
#include "slab.h"
#include "superslab.h"

void fork_prepare(void)
{
	slab_lock_all();
	superslab_lock_word();
	cache_lock_word();
	meta_lock_word();
}

void fork_done(void)
{
	meta_unlock_word();
	cache_unlock_word();
	superslab_unlock_word();
	slab_unlock_all();
}
