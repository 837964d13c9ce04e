/* SPDX-License-Identifier: MIT */
/*
 * How SuperSlabs and slabs come and go while the arena's lock is dropped around
 * the provider, and what a scan claims meanwhile: core/superslab/, core/slab/class.c
 * and core/reclaim/scan.c. See README.md for what this leaves out, and run.sh for the
 * variants and mutations.
 *
 * Two places for SuperSlabs of two slabs each; two threads, one scan. What is done
 * under a lock is one step or a few, and the lock is there as in the code. What is
 * called as a function of the code stands for it.
 *
 *	(default)  slabs of spans, with slack behind their ends
 *	REMAP	   a new SuperSlab gets the memory of an empty one
 *	CLASS	   slabs of a class, of PER blocks, a page each
 *	FORK	   another thread forks; the model goes on with the child alone
 */

#ifndef OPS
#define OPS 2 /* by each thread, at most */
#endif
#ifndef OPS2
#define OPS2 OPS
#endif
#define PLACES 2
#define SLABS  4 /* slab s lies in place s / 2 */
#define NONE   PLACES

/* The provider's truth. */
bit there[PLACES];

/* Under the lock of the arena. */
bit entered[PLACES]; /* in the page map, and on the lists */
bit refused[PLACES];
bit unused[SLABS], claimed[SLABS]; /* superslab->unused, ->claimed */
bit dirty[SLABS]; /* an unused slab is backed */
bit slack[SLABS]; /* slab->slack, and backed */
byte next_scanned = NONE;
byte nr_active, nr_reserve, slabs_used; /* hak_arena.counters */

/* For the proof: who may write to a slab, what left the lists and is not gone. */
#define NOBODY	 0 /* 1 and 2 are threads */
#define OF_CLASS 3
#define SCAN	 4
byte owner[SLABS];
bit seen_slack[SLABS]; /* its slack is what the scan saw, and nobody has it */
bit in_hand[PLACES];

bit scan_lock, class_lock, arena_lock;
bit child;
byte running;

/* What is done under a lock is one atomic sequence: others see it done, or not begun. */
inline lock(word)
{
	!word -> word = 1
}

inline arena_unlock()
{
	arena_lock = 0
}

#define EMPTY(a)      (entered[a] && unused[(a) * 2] && unused[(a) * 2 + 1])
#define arena_next(a) ((a) == 0 && entered[1] -> 1 : NONE)
#define arena_first() (entered[0] -> 0 : (entered[1] -> 1 : NONE))

/* ---------------------------------------------------- arena.c, under its lock */

inline arena_enter(a)
{
	atomic {
		assert(there[a] && !entered[a]);
		entered[a] = 1;
		unused[(a) * 2] = 1;
		unused[(a) * 2 + 1] = 1;
		in_hand[a] = 0;
		nr_active++;
		nr_reserve++
	}
}

/* Of an empty one. */
inline arena_remove(a)
{
	atomic {
		assert(EMPTY(a));
#ifndef MUTATION_CURSOR
		next_scanned = (next_scanned == a -> arena_next(a) : next_scanned);
#endif
		entered[a] = 0;
		unused[(a) * 2] = 0;
		unused[(a) * 2 + 1] = 0;
		in_hand[a] = 1;
		nr_active--;
		nr_reserve--
	}
}

/* superslab.c */
inline superslab_alloc_part(s, who)
{
	atomic {
		assert(there[(s) / 2] && unused[s] && owner[s] == NOBODY);
		nr_reserve = nr_reserve - EMPTY((s) / 2);
		unused[s] = 0;
		owner[s] = who;
		seen_slack[s] = 0;
		slabs_used++
	}
}

/* superslab.c; what has become empty and shall go is collected: gone is a place, or NONE */
inline superslab_free_part(s, gone)
{
	atomic {
		assert(!unused[s]);
		unused[s] = 1;
		claimed[s] = 0;
		dirty[s] = 1;
		slack[s] = 0;
		owner[s] = NOBODY;
		slabs_used--;
		nr_reserve = nr_reserve + EMPTY((s) / 2);
		/* arena_set_unused() */
		assert(!EMPTY((s) / 2) || (!claimed[(s) / 2 * 2] && !claimed[(s) / 2 * 2 + 1]))
	}
	if
	:: EMPTY((s) / 2) && !refused[(s) / 2] ->
		gone = (s) / 2; /* arena_collect() */
#ifndef MUTATION_UNMAP_LISTED
		arena_remove(gone)
#endif
	:: true /* policy_keeps() */
	fi
}

/* ------------------------------------------- arena.c, without a lock: provider */

inline keep_refused(a)
{
	atomic {
		lock(arena_lock);
		refused[a] = 1;
		arena_enter(a);
		dirty[a * 2] = 1;
		dirty[a * 2 + 1] = 1;
		a = NONE;
		arena_unlock()
	}
}

/* Of what has left the lists. */
inline arena_release(a)
{
	if
	:: a == NONE
	:: a != NONE ->
		atomic { /* pages_unmap() */
			assert(owner[a * 2] == NOBODY && owner[a * 2 + 1] == NOBODY);
			there[a] = 0;
			dirty[a * 2] = 0;
			dirty[a * 2 + 1] = 0;
			in_hand[a] = 0
		}
#ifdef MUTATION_UNMAP_LISTED
		atomic {
			lock(arena_lock);
			arena_remove(a);
			in_hand[a] = 0;
			arena_unlock()
		}
#endif
		a = NONE
#ifndef MUTATION_UNMAP_LISTED
	:: a != NONE -> /* it is refused */
#ifdef MUTATION_REFUSED_DROPPED
		in_hand[a] = 0
#else
		keep_refused(a)
#endif
#endif
	fi
}

/* remap.c: the new place gets the memory of an empty one, if there is one. */
inline remap_reserve()
{
	atomic { /* arena_withdraw_reserve() */
		lock(arena_lock);
		if
		:: EMPTY(0) && !refused[0] -> gone = 0
		:: EMPTY(1) && !refused[1] -> gone = 1
		:: true
		fi;
#ifndef MUTATION_REMAP_LISTED
		if
		:: gone != NONE -> arena_remove(gone)
		:: else
		fi;
#endif
		arena_unlock()
	}
	if
	:: gone != NONE ->
		/* pages_move() moves it, or only a part */
		assert(owner[gone * 2] == NOBODY && owner[gone * 2 + 1] == NOBODY);
#ifdef MUTATION_REMAP_LISTED
		atomic {
			lock(arena_lock);
			arena_remove(gone);
			arena_unlock()
		}
#endif
		if
		:: arena_release(gone)
		:: atomic { /* arena_return_reserve() */
				lock(arena_lock);
				arena_enter(gone);
				gone = NONE;
				arena_unlock()
			}
		fi
	:: else
	fi
}

/* alloc_new(), up to where it takes the lock: new is the place, or NONE */
inline descriptor_map()
{
	if
	:: atomic { !there[0] -> there[0] = 1; in_hand[0] = 1; new = 0 }
	:: atomic { !there[1] -> there[1] = 1; in_hand[1] = 1; new = 1 }
	:: new = NONE /* no memory */
	fi
#ifdef REMAP
	;
	if
	:: new != NONE -> remap_reserve()
	:: else
	fi
#endif
}

/* s becomes the slab, or SLABS */
inline superslab_alloc(who)
{
	atomic { /* alloc_run() */
		lock(arena_lock);
		if
		:: unused[0] -> s = 0
		:: unused[1] -> s = 1
		:: unused[2] -> s = 2
		:: unused[3] -> s = 3
		:: else -> s = SLABS
		fi;
		if
		:: s < SLABS -> superslab_alloc_part(s, who)
		:: else
		fi;
		arena_unlock()
	}
	if
	:: s == SLABS ->
		descriptor_map();
		if
		:: new != NONE ->
			atomic { /* arena_enter_and_lock(), alloc_at() */
				lock(arena_lock);
				arena_enter(new);
				s = new * 2;
				superslab_alloc_part(s, who);
				new = NONE;
				arena_unlock()
			}
		:: else
		fi
	:: else
	fi
}

inline superslab_free(s)
{
	atomic {
		lock(arena_lock);
		if
#ifndef CLASS
#ifndef MUTATION_CLAIMED_IGNORED
		/* in superslab_free_part(): from now on it is the scan's */
		:: claimed[s] -> claimed[s] = 0; owner[s] = SCAN
#endif
#endif
		:: else -> superslab_free_part(s, gone)
		fi;
		arena_unlock()
	}
	arena_release(gone)
}

/* An allocation fails. */
inline arena_release_reserve()
{
	atomic { lock(arena_lock); refused[0] = 0; refused[1] = 0; arena_unlock() }
	atomic { /* release_down_to() */
		lock(arena_lock);
		if
		:: EMPTY(0) && !refused[0] -> gone = 0
		:: EMPTY(1) && !refused[1] -> gone = 1
		:: else
		fi;
		if
#ifndef MUTATION_UNMAP_LISTED
		:: gone != NONE -> arena_remove(gone)
#endif
		:: else
		fi;
		arena_unlock()
	}
	arena_release(gone)
}

/* ------------------------------------------------------------- slab/class.c */

#ifdef CLASS
#ifndef PER
#define PER 2
#endif
#define BLOCKS (SLABS * PER) /* block b lies in slab b / PER */
byte slab_class;	/* slab_classes[class]: who made it, or 0 */
byte class_of[SLABS];	/* the struct slab_class that the slab counts in */
bit of_class[SLABS];	/* slab->class */
bit listed[SLABS];
byte free[SLABS], unbacked_blocks[SLABS];
bit unbacked[BLOCKS];	/* slab->unbacked, by page */
byte holder[BLOCKS];
bit claim_pages[BLOCKS]; /* claim->pages */

/* A block's bit in the bitmap. */
#define OFFERED(b) (holder[b] == NOBODY && !unbacked[b])

inline relist(s)
{
	listed[s] = free[s] + unbacked_blocks[s] > 0
}

/* One block. If no backed one is left, back_blocks() backs the lowest page. */
inline alloc_and_relist(s)
{
	atomic {
		assert(of_class[s] && owner[s] == OF_CLASS && there[(s) / 2]);
		assert(free[s] + unbacked_blocks[s] > 0);
		b = (s) * PER;
		if
		:: free[s] == 0 ->
			do
			:: unbacked[b] -> break
			:: else -> b++
			od;
			unbacked[b] = 0;
			unbacked_blocks[s]--;
			free[s]++;
			b = (s) * PER
		:: else
		fi;
		do /* slab_alloc() */
		:: OFFERED(b) -> break
		:: else -> b++
		od;
		assert(b / PER == (s) && !claim_pages[b]);
		holder[b] = me;
		free[s]--;
		relist(s);
		b = 0
	}
}

inline first_partial()
{
	if
	:: listed[0] -> s = 0
	:: listed[1] -> s = 1
	:: listed[2] -> s = 2
	:: listed[3] -> s = 3
	:: else -> s = SLABS
	fi
}

/* It needs memory, so somebody else may have been faster. */
inline class_make()
{
	if
	:: slab_class == 0 ->
		atomic {
			lock(class_lock); /* make_lock */
#ifdef MUTATION_CLASS_UNCHECKED
			slab_class = me;
#else
			slab_class = (slab_class == 0 -> me : slab_class);
#endif
			class_lock = 0
		}
	:: else
	fi
}

/* Of an empty slab, under the lock: it counts for nothing. */
inline leave_class(s)
{
	of_class[s] = 0;
	class_of[s] = 0;
	free[s] = 0;
	unbacked_blocks[s] = 0;
	for (j : 0 .. PER - 1) {
		unbacked[(s) * PER + j] = 0
	}
	j = 0
}

inline add_slabs()
{
#if PER == 2
	class_make(); /* else it is there */
#endif
	kind = slab_class;
	superslab_alloc(OF_CLASS); /* superslab_alloc_slabs() */
	if
	:: s < SLABS ->
		atomic { of_class[s] = 1; free[s] = PER } /* slab_init(); on no list yet */
		atomic {
			lock(class_lock);
			if /* somebody else may have been faster */
			:: !listed[0] && !listed[1] && !listed[2] && !listed[3] ->
				class_of[s] = kind;
				holder[s * PER] = me; /* alloc_and_relist() */
				free[s]--;
				relist(s);
				s = SLABS
			:: else -> leave_class(s)
			fi;
			class_lock = 0
		}
		if
		:: s < SLABS -> superslab_free(s) /* free_slabs() */
		:: else
		fi
	:: else
	fi
}

inline class_alloc()
{
	atomic { /* class_alloc_partial() */
		lock(class_lock);
		first_partial();
		if
		:: s < SLABS -> alloc_and_relist(s)
		:: else
		fi;
		class_lock = 0
	}
	if
	:: s == SLABS -> add_slabs()
	:: else
	fi
}

/* With leave_class(), under the lock; s stays if it is to be freed, or is SLABS. */
inline relist_or_empty(s)
{
	assert(of_class[s] && free[s] + unbacked_blocks[s] <= PER);
	if
#ifdef MUTATION_EMPTY_CLAIMED
	:: holder[(s) * PER] != NOBODY || holder[(s) * PER + 1] != NOBODY ->
#else
	:: free[s] + unbacked_blocks[s] < PER ->
#endif
		relist(s);
		s = SLABS
	:: else -> listed[s] = 0; leave_class(s)
	fi
}

inline class_free()
{
	atomic {
		lock(class_lock);
		assert(!unbacked[b]);
		holder[b] = NOBODY; /* free_blocks() */
		s = b / PER;
		b = 0;
		free[s]++;
		relist_or_empty(s);
		class_lock = 0
	}
	if
	:: s < SLABS -> superslab_free(s) /* free_slabs() */
	:: else
	fi
}
#endif

/* -------------------------------------------------------------- threads */

proctype thread(byte me; byte ops)
{
	byte s = SLABS, gone = NONE, new = NONE;
#ifdef CLASS
	byte b, j, kind;
#endif

	{
		do
		:: ops > 0 ->
			ops--;
			if
#ifdef CLASS
			:: class_alloc()
			:: atomic {
					if
					:: holder[0] == me -> b = 0
					:: holder[1] == me -> b = 1
					:: holder[2] == me -> b = 2
#if PER == 2
					:: holder[4] == me -> b = 4
#else
					:: holder[3] == me -> b = 3
#endif
					fi
				}
				class_free()
#else
			:: superslab_alloc(me);
				if /* has it slack at its end? own_as_span() */
				:: s < SLABS -> slack[s] = 1
				:: true
				fi
			:: atomic {
					if
					:: owner[0] == me -> s = 0
					:: owner[1] == me -> s = 1
					:: owner[2] == me -> s = 2
					fi
				}
				superslab_free(s)
			:: owner[0] == me ->
				/* superslab_resize(): it grows into its slack, set_slack() */
				atomic {
					lock(arena_lock);
					if
#ifndef MUTATION_GROW_CLAIMED
					:: claimed[0] && slack[0]
#endif
					:: else -> slack[0] = 0; seen_slack[0] = 0
					fi;
					arena_unlock()
				}
#endif
			:: arena_release_reserve()
			fi;
			atomic { s = SLABS; gone = NONE; new = NONE }
		:: break
		od;
		atomic { ops = 0; running-- }
	} unless {
		atomic { child -> running-- }
	}
}

/* --------------------------------------- reclaim/scan.c, superslab/claim.c */

/* claim_superslab(): of its slabs those that have memory and no owner, and slack. */
inline claim_superslab(s)
{
	atomic {
		if
		:: unused[s] && dirty[s] && (refused[(s) / 2] || !EMPTY((s) / 2)) ->
			claim_unused[i] = 1
#ifndef CLASS
		:: !unused[s] && slack[s] ->
			claim_slack[i] = 1;
			claimed[s] = 1;
			seen_slack[s] = 1
#endif
		:: else
		fi
	}
}

inline claim_purge(s)
{
	atomic {
		if
		:: claim_unused[i] ->
			assert(there[(s) / 2]);
			assert(owner[s] == SCAN || owner[s] == NOBODY);
			assert(owner[s] == SCAN || entered[(s) / 2])
#ifndef CLASS
		:: claim_slack[i] -> assert(there[(s) / 2] && seen_slack[s])
#else
		:: claim_blocks[i] ->
			assert(there[(s) / 2] && of_class[s] && owner[s] == OF_CLASS);
			for (j : 0 .. PER - 1) {
				assert(!claim_pages[(s) * PER + j] || holder[(s) * PER + j] == NOBODY)
			}
			j = 0
#endif
		:: else
		fi
	}
}

/* The slabs that are the scan's. */
inline claim_free(s)
{
	if
#ifndef CLASS
	:: claim_slack[i] && claimed[s] ->
		atomic { claimed[s] = 0; slack[s] = 0; seen_slack[s] = 0 }
#ifndef MUTATION_CLAIMED_FORGOTTEN
	:: claim_slack[i] && !claimed[s] -> superslab_free_part(s, gone)
#endif
#endif
#ifndef MUTATION_SCAN_UNCLAIMED
	:: claim_unused[i] -> superslab_free_part(s, gone); dirty[s] = 0
#endif
	:: else
	fi
}

#ifdef CLASS
/* class.c: of a slab that is on a list the pages that are idle, and with them all free blocks */
inline claim_slab(s)
{
	for (j : 0 .. PER - 1) {
		if
		:: OFFERED((s) * PER + j) -> /* slab_unback() */
			unbacked[(s) * PER + j] = 1;
			free[s]--;
			unbacked_blocks[s]++;
			claim_pages[(s) * PER + j] = 1;
			claim_blocks[i] = 1
		:: PER > 2 && OFFERED((s) * PER + j) /* used a moment ago */
		:: else
		fi
	}
	j = 0;
	if
	:: claim_blocks[i] ->
		claim_nr_free[i] = free[s];
		free[s] = 0;
#ifndef MUTATION_UNBACKED_OFFERED
		claim_nr_unbacked[i] = unbacked_blocks[s];
		unbacked_blocks[s] = 0;
#endif
		relist(s)
	:: else
	fi
}

inline class_claim()
{
	for (i : 0 .. 1) {
		atomic {
			s = a * 2 + i;
			lock(class_lock);
			if /* is_listed() */
			:: !claim_unused[i] && of_class[s] && listed[s] -> claim_slab(s)
			:: else
			fi;
			class_lock = 0
		}
	}
	s = SLABS
}

inline class_free_claimed()
{
	for (i : 0 .. 1) {
		if
		:: claim_blocks[i] ->
			atomic {
				lock(class_lock);
				s = a * 2 + i;
				free[s] = free[s] + claim_nr_free[i];
				unbacked_blocks[s] = unbacked_blocks[s] + claim_nr_unbacked[i];
				for (j : 0 .. PER - 1) {
					if
					:: failed && claim_pages[s * PER + j] -> /* slab_back() */
						unbacked[s * PER + j] = 0;
						unbacked_blocks[s]--;
						free[s]++
					:: else
					fi;
					claim_pages[s * PER + j] = 0
				}
				relist_or_empty(s);
				claim_blocks[i] = 0;
				claim_nr_free[i] = 0;
				claim_nr_unbacked[i] = 0;
				class_lock = 0
			}
			if
			:: s < SLABS -> superslab_free(s) /* free_slabs() */
			:: else
			fi
		:: else
		fi
	}
}
#endif

proctype scanner()
{
	byte a = NONE, i, s = SLABS, gone = NONE;
	bit claim_unused[2], claim_slack[2];
#ifdef CLASS
	bit failed; /* the provider refused to purge */
	byte j;
	bit claim_blocks[2];
	byte claim_nr_free[2], claim_nr_unbacked[2];
#endif

	{
		atomic { lock(scan_lock) }
		atomic { /* claim_first() */
			lock(arena_lock);
			next_scanned = arena_first();
			arena_unlock()
		}
		do /* scan_next() */
		:: atomic { /* claim_next() */
				lock(arena_lock);
				a = next_scanned;
				if
				:: a == NONE -> arena_unlock(); break
				:: else
				fi;
				assert(entered[a]);
				next_scanned = arena_next(a);
				for (i : 0 .. 1) {
					claim_superslab(a * 2 + i)
				}
#ifndef MUTATION_SCAN_UNCLAIMED
				for (i : 0 .. 1) {
					if
					:: claim_unused[i] -> superslab_alloc_part(a * 2 + i, SCAN)
					:: else
					fi
				}
#endif
				arena_unlock()
			}
#ifdef CLASS
			class_claim();
#endif
			for (i : 0 .. 1) {
				claim_purge(a * 2 + i)
			}
			atomic {
				lock(arena_lock);
#ifdef CLASS
				if
				:: true
				:: claim_blocks[0] || claim_blocks[1] -> failed = 1
				fi;
#endif
				for (i : 0 .. 1) {
					claim_free(a * 2 + i)
				}
				arena_unlock()
			}
			arena_release(gone);
#ifdef CLASS
			class_free_claimed();
			failed = 0;
#endif
			atomic {
				claim_unused[0] = 0;
				claim_unused[1] = 0;
				claim_slack[0] = 0;
				claim_slack[1] = 0;
				s = SLABS
			}
		od;
		atomic { scan_lock = 0; i = 0; running-- }
	} unless {
		atomic { child -> running-- }
	}
}

/* ------------------------------------------------------------ api/fork.c */

#ifdef FORK
proctype forker()
{
	if
	::
#ifndef MUTATION_FORK_NO_SCAN
		atomic { lock(scan_lock) }
#endif
		atomic { lock(class_lock) }
		atomic { lock(arena_lock) }
		child = 1;
		atomic { scan_lock = 0; class_lock = 0; arena_lock = 0 }
	:: skip
	fi;
	running--
}
#endif

/* ------------------------------------------------------------- the proof */

/*
 * When all have ended: arena_check(). In a child, what a thread was about to get or
 * give is lost with the thread, but nothing that a scan had.
 */
inline judge()
{
	atomic {
		assert(!scan_lock && !class_lock && !arena_lock);
		for (i : 0 .. PLACES - 1) {
			assert(!entered[i] || there[i]);
			assert(entered[i] || !there[i] || (child && in_hand[i]));
			n_active = n_active + entered[i];
			n_reserve = n_reserve + EMPTY(i)
		}
		for (i : 0 .. SLABS - 1) {
			if
			:: entered[i / 2] ->
				assert(unused[i] == (owner[i] == NOBODY));
				assert(owner[i] != SCAN && !claimed[i]);
				n_used = n_used + !unused[i];
#ifdef CLASS
				n_free = 0;
				n_unbacked = 0;
				for (j : i * PER .. i * PER + PER - 1) {
					n_free = n_free + OFFERED(j);
					n_unbacked = n_unbacked + unbacked[j]
				}
				assert(!of_class[i] || (n_free == free[i] && n_unbacked == unbacked_blocks[i]));
				assert(child || of_class[i] == (owner[i] == OF_CLASS));
				assert(child || !of_class[i] || n_free + n_unbacked < PER);
				assert(child || listed[i] == (of_class[i] && n_free + n_unbacked > 0));
				assert(child || class_of[i] == 0 || class_of[i] == slab_class);
#endif
			:: else -> assert(!unused[i] && owner[i] == NOBODY)
			fi
		}
		assert(n_active == nr_active && n_reserve == nr_reserve && n_used == slabs_used)
	}
}

init
{
	byte i, n_active, n_reserve, n_used;
#ifdef CLASS
	byte j, n_free, n_unbacked;
#endif

	atomic {
		/* one SuperSlab: a slab of thread 1, and one that was used and is free */
		there[0] = 1;
		entered[0] = 1;
		unused[1] = 1;
		dirty[1] = 1;
		slabs_used = 1;
		nr_active = 1;
#ifdef CLASS
		if
		:: slab_class = 1;
			owner[0] = OF_CLASS;
			of_class[0] = 1;
			class_of[0] = 1;
			free[0] = PER - 1;
			holder[0] = 1;
			listed[0] = 1
#if PER == 2
		:: unused[0] = 1; /* the class is new */
			dirty[0] = 1;
			slabs_used = 0;
			nr_reserve = 1
#endif
		fi;
#else
		owner[0] = 1;
		slack[0] = 1;
#endif
		running = 3;
		run thread(1, OPS);
		run thread(2, OPS2);
		run scanner();
#ifdef FORK
		running++;
		run forker();
#endif
	}
	running == 0;
	judge()
}
