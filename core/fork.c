/* SPDX-License-Identifier: MIT */
/*
 * Every lock there is, in the order of lock.h, for the moment in which a
 * process is copied: nobody is then half-way through a change.
 *
 * Unless it is the caller itself: a signal handler that interrupted malloc and
 * forks. Then no lock is taken, because the caller may hold it already; it
 * will complete its change when the handler returns, in the child as well.
 * What another thread may have left half-way cannot be helped there, and the
 * child of such a fork may only call what is async-signal-safe anyhow.
 */
#include "fork.h"

#include "lock.h"
#include "magazine.h"
#include "meta.h"
#include "slab.h"
#include "superslab.h"

void fork_prepare(void)
{
	if (lock_is_any_held())
		return;
	slab_lock_all();
	superslab_lock_word();
	cache_lock_word();
	meta_lock_word();
}

void fork_done(void)
{
	if (lock_is_any_held())
		return;
	meta_unlock_word();
	cache_unlock_word();
	superslab_unlock_word();
	slab_unlock_all();
}
