/* SPDX-License-Identifier: MIT */
/*
 * How SuperSlabs and slabs come and go while the arena's lock is dropped around
 * the provider: core/superslab/arena.c, superslab.c, claim.c, remap.c, class.c and
 * the scan. See README.md for what this leaves out, and run.sh for the variants and
 * mutations.
 *
 * Two places for SuperSlabs of two slabs each; two threads, one scan. What is done
 * under a lock is one step or a few, and the lock is there as in the code.
 *
 *	(default)  slabs of spans, with slack behind their ends
 *	REMAP	   a new SuperSlab gets the memory of an empty one
 *	CLASS	   slabs of a class, of two blocks, a page each
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
bit unused[SLABS], dirty[SLABS], slack[SLABS], busy[SLABS], late[SLABS];
byte cursor = NONE;
byte nr_active, nr_reserve, slabs_used, mapped, released;

/* For the proof: who may write to a slab, what left the lists and is not gone. */
#define NOBODY 0 /* 1 and 2 are threads */
#define OF_CLASS 3
#define SCAN 4
#define LATE 5
byte owner[SLABS];
bit seen_slack[SLABS]; /* its slack is what the scan saw */
bit in_hand[PLACES];
byte leaving;

bit scan_lock, class_lock, arena_lock;
bit child;
byte running;

/* What is done under a lock is one atomic sequence: others see it done, or not begun. */
inline lock(word)
{
	!word -> word = 1
}

#define EMPTY(a)    (entered[a] && unused[(a) * 2] && unused[(a) * 2 + 1])
#define AFTER(a)    ((a) == 0 && entered[1] -> 1 : NONE) /* arena_next() */
#define FIRST	    (entered[0] -> 0 : (entered[1] -> 1 : NONE))

/* ---------------------------------------------------- arena.c, under its lock */

/* register_locked() */
inline enter_place(a)
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

/* unregister_locked(), of an empty one */
inline leave_place(a)
{
	atomic {
		assert(EMPTY(a));
#ifndef MUTATION_CURSOR
		cursor = (cursor == a -> AFTER(a) : cursor);
#endif
		entered[a] = 0;
		unused[(a) * 2] = 0;
		unused[(a) * 2 + 1] = 0;
		in_hand[a] = 1;
		leaving++;
		nr_active--;
		nr_reserve--
	}
}

inline take_slab(s, who)
{
	atomic {
		assert(there[(s) / 2] && owner[s] == NOBODY);
		nr_reserve = nr_reserve - EMPTY((s) / 2);
		unused[s] = 0;
		owner[s] = who;
		seen_slack[s] = 0;
		slabs_used++
	}
}

/* superslab_free_part_locked(); what has become empty and shall go: a place, or NONE */
inline put_slab(s, gone)
{
	atomic {
		unused[s] = 1;
		dirty[s] = 1;
		slack[s] = 0;
		owner[s] = NOBODY;
		slabs_used--;
		nr_reserve = nr_reserve + EMPTY((s) / 2)
	}
	if
	:: EMPTY((s) / 2) && !refused[(s) / 2] ->
		gone = (s) / 2;
#ifndef MUTATION_UNMAP_LISTED
		leave_place(gone)
#endif
	:: true /* the reserve keeps it */
	fi
}

/* ------------------------------------------- arena.c, without a lock: provider */

/* arena_release(): unmap what has left the lists, or enter it again if refused. */
inline unmap(a)
{
	if
	:: a == NONE
	:: a != NONE ->
		atomic {
			assert(owner[a * 2] == NOBODY && owner[a * 2 + 1] == NOBODY);
			there[a] = 0;
			dirty[a * 2] = 0;
			dirty[a * 2 + 1] = 0;
			in_hand[a] = 0
		}
		atomic {
			lock(arena_lock);
#ifdef MUTATION_UNMAP_LISTED
			leave_place(a);
			in_hand[a] = 0;
#endif
			released++;
			leaving--;
			a = NONE;
			arena_lock = 0
		}
#ifndef MUTATION_UNMAP_LISTED
	:: a != NONE ->
#ifdef MUTATION_REFUSED_DROPPED
		in_hand[a] = 0
#else
		atomic {
			lock(arena_lock);
			refused[a] = 1;
			enter_place(a);
			leaving--;
			dirty[a * 2] = 1;
			dirty[a * 2 + 1] = 1;
			a = NONE;
			arena_lock = 0
		}
#endif
#endif
	fi
}

/* remap_chain(): the new place gets the memory of an empty one, if there is one. */
inline remap()
{
	atomic {
		lock(arena_lock);
		if
		:: EMPTY(0) && !refused[0] -> gone = 0
		:: EMPTY(1) && !refused[1] -> gone = 1
		:: true
		fi;
#ifndef MUTATION_REMAP_LISTED
		if
		:: gone != NONE -> leave_place(gone)
		:: else
		fi;
#endif
		arena_lock = 0
	}
	if
	:: gone != NONE ->
		/* the provider moves it, or only a part */
		assert(owner[gone * 2] == NOBODY && owner[gone * 2 + 1] == NOBODY);
#ifdef MUTATION_REMAP_LISTED
		atomic {
			lock(arena_lock);
			leave_place(gone);
			arena_lock = 0
		}
#endif
		if
		:: unmap(gone)
		:: atomic {
				lock(arena_lock);
				enter_place(gone);
				leaving--;
				gone = NONE;
				arena_lock = 0
			}
		fi
	:: else
	fi
}

/* arena_map_and_lock(), up to where it takes the lock: new is the place, or NONE */
inline map_place()
{
	if
	:: atomic { !there[0] -> there[0] = 1; in_hand[0] = 1; new = 0 }
	:: atomic { !there[1] -> there[1] = 1; in_hand[1] = 1; new = 1 }
	:: new = NONE /* no memory */
	fi
#ifdef REMAP
	;
	if
	:: new != NONE -> remap()
	:: else
	fi
#endif
}

/* superslab_alloc(): s becomes the slab, or SLABS */
inline alloc_slab(who)
{
	atomic {
		lock(arena_lock);
		if
		:: unused[0] -> s = 0
		:: unused[1] -> s = 1
		:: unused[2] -> s = 2
		:: unused[3] -> s = 3
		:: else -> s = SLABS
		fi;
		if
		:: s < SLABS -> take_slab(s, who)
		:: else
		fi;
		arena_lock = 0
	}
	if
	:: s == SLABS ->
		map_place();
		if
		:: new != NONE ->
			atomic {
				lock(arena_lock);
				enter_place(new);
				mapped++;
				s = new * 2;
				take_slab(s, who);
				new = NONE;
				arena_lock = 0
			}
		:: else
		fi
	:: else
	fi
}

inline free_slab(s)
{
	atomic {
		lock(arena_lock);
		if
#ifndef CLASS
#ifndef MUTATION_FREE_BUSY
		:: busy[s] -> late[s] = 1; owner[s] = LATE
#endif
#endif
		:: else -> put_slab(s, gone)
		fi;
		arena_lock = 0
	}
	unmap(gone)
}

/* arena_release_reserve(): an allocation fails */
inline release_reserve()
{
	atomic {
		lock(arena_lock);
		refused[0] = 0;
		refused[1] = 0;
		if
		:: EMPTY(0) -> gone = 0
		:: EMPTY(1) -> gone = 1
		:: else
		fi;
		if
#ifndef MUTATION_UNMAP_LISTED
		:: gone != NONE -> leave_place(gone)
#endif
		:: else
		fi;
		arena_lock = 0
	}
	unmap(gone)
}

/* ------------------------------------------------------ class.c, blocks.c */

#ifdef CLASS
#define BLOCKS 8 /* block b lies in slab b / 2 */
byte current;		/* the record of the class: who made it, or 0 */
byte record_of[SLABS];	/* that the slab counts in */
bit of_class[SLABS];	/* slab->class */
bit listed[SLABS], withheld[BLOCKS], being_purged[SLABS];
bit live[BLOCKS];
byte holder[BLOCKS];

#define ALL_FREE(s) (!live[(s) * 2] && !live[(s) * 2 + 1])
#define HAS_FREE(s) (!live[(s) * 2] || !live[(s) * 2 + 1])

inline relist(s)
{
	listed[s] = HAS_FREE(s) && !being_purged[s]
}

/* take_and_relist(): one block, which is offered again if it is withheld */
inline alloc_from(s)
{
	atomic {
		assert(of_class[s] && !being_purged[s] && owner[s] == OF_CLASS && there[(s) / 2]);
		b = (s) * 2 + live[(s) * 2];
		assert(!live[b] && holder[b] == NOBODY);
		live[b] = 1;
		withheld[b] = 0;
		holder[b] = me;
		relist(s)
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

/* make_record(): it needs memory, so somebody else may have been faster */
inline make_record()
{
	if
	:: current == 0 ->
		atomic {
			lock(class_lock);
#ifdef MUTATION_RECORD_UNCHECKED
			current = me;
#else
			current = (current == 0 -> me : current);
#endif
			class_lock = 0
		}
	:: else
	fi
}

/* add_slabs() */
inline add_slab()
{
	make_record();
	kind = current;
	alloc_slab(OF_CLASS);
	if
	:: s < SLABS ->
		of_class[s] = 1; /* on no list yet */
		atomic {
			lock(class_lock);
			if /* somebody else may have been faster */
			:: !listed[0] && !listed[1] && !listed[2] && !listed[3] ->
				record_of[s] = kind;
				alloc_from(s);
				s = SLABS
			:: else -> of_class[s] = 0
			fi;
			class_lock = 0
		}
		if
		:: s < SLABS -> free_slab(s)
		:: else
		fi
	:: else
	fi
}

inline malloc_block()
{
	atomic {
		lock(class_lock);
		first_partial();
		if
		:: s < SLABS -> alloc_from(s)
		:: else
		fi;
		class_lock = 0
	}
	if
	:: s == SLABS -> add_slab()
	:: else
	fi
}

/* relist_or_empty(), under the lock; s stays if it is to be returned, or is SLABS */
inline relist_or_empty(s)
{
	if
#ifdef MUTATION_EMPTY_BUSY
	:: ALL_FREE(s) ->
#else
	:: ALL_FREE(s) && !being_purged[s] ->
#endif
		listed[s] = 0;
		of_class[s] = 0;
		record_of[s] = 0;
		withheld[(s) * 2] = 0;
		withheld[(s) * 2 + 1] = 0
	:: else -> relist(s); s = SLABS
	fi
}

inline free_block()
{
	atomic {
		lock(class_lock);
		live[b] = 0;
		holder[b] = NOBODY;
		s = b / 2;
		relist_or_empty(s);
		class_lock = 0
	}
	if
	:: s < SLABS -> free_slab(s)
	:: else
	fi
}
#endif

/* -------------------------------------------------------------- threads */

proctype thread(byte me; byte ops)
{
	byte s = SLABS, gone = NONE, new = NONE;
#ifdef CLASS
	byte b, kind;
#endif

	{
		do
		:: ops > 0 ->
			ops--;
			if
#ifdef CLASS
			:: malloc_block()
			:: atomic {
					if
					:: holder[0] == me -> b = 0
					:: holder[1] == me -> b = 1
					:: holder[2] == me -> b = 2
					:: holder[4] == me -> b = 4
					fi
				}
				free_block()
#else
			:: alloc_slab(me);
				if /* has it slack at its end? */
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
				free_slab(s)
			:: owner[0] == me ->
				/* superslab_resize(): it grows into its slack */
				atomic {
					lock(arena_lock);
					if
#ifdef MUTATION_GROW_BUSY
					:: true -> slack[0] = 0; seen_slack[0] = 0
#else
					:: !busy[0] -> slack[0] = 0; seen_slack[0] = 0
					:: busy[0]
#endif
					fi;
					arena_lock = 0
				}
#endif
			:: release_reserve()
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

/* claim_next(): the slabs of the next SuperSlab that have memory and no owner */
inline claim_slab(s)
{
	atomic {
		if
		:: unused[s] && dirty[s] && (refused[(s) / 2] || !EMPTY((s) / 2)) ->
			claimed[i] = 1;
#ifndef MUTATION_SCAN_UNCLAIMED
			take_slab(s, SCAN)
#endif
#ifndef CLASS
		:: !unused[s] && slack[s] ->
			slacks[i] = 1;
			busy[s] = 1;
			seen_slack[s] = 1
#endif
		:: else
		fi
	}
}

inline purge_slab(s)
{
	atomic {
		if
		:: claimed[i] ->
			assert(there[(s) / 2]);
			assert(owner[s] == SCAN || owner[s] == NOBODY);
			assert(owner[s] == SCAN || entered[(s) / 2])
#ifndef CLASS
		:: slacks[i] -> assert(there[(s) / 2] && seen_slack[s])
#else
		:: blocks[i] ->
			assert(there[(s) / 2] && of_class[s]);
			assert(!withheld[(s) * 2] || holder[(s) * 2] == NOBODY);
			assert(!withheld[(s) * 2 + 1] || holder[(s) * 2 + 1] == NOBODY)
#endif
		:: else
		fi
	}
}

/* claim_done(): back, with what was freed meanwhile */
inline unclaim_slab(s)
{
	if
#ifndef CLASS
	:: slacks[i] ->
		atomic { busy[s] = 0; slack[s] = 0; seen_slack[s] = 0 }
		if
#ifndef MUTATION_LATE_FORGOTTEN
		:: late[s] -> late[s] = 0; put_slab(s, gone)
#endif
		:: else
		fi
#endif
#ifndef MUTATION_SCAN_UNCLAIMED
	:: claimed[i] -> put_slab(s, gone); dirty[s] = 0
#endif
	:: else
	fi
}

proctype scanner()
{
	byte a = NONE, i, s = SLABS, gone = NONE;
	bit claimed[2], slacks[2];
#ifdef CLASS
	bit blocks[2];
#endif

	{
		atomic { lock(scan_lock) }
		atomic {
			lock(arena_lock);
			cursor = FIRST;
			arena_lock = 0
		}
		do
		:: atomic {
				lock(arena_lock);
				a = cursor;
				arena_lock = 0;
				if
				:: a == NONE -> break
				:: else
				fi;
				assert(entered[a]);
				cursor = AFTER(a);
				for (i : 0 .. 1) {
					claim_slab(a * 2 + i)
				}
			}
#ifdef CLASS
			/* class_scan(): the free pages of slabs in use */
			for (i : 0 .. 1) {
				atomic {
					lock(class_lock);
					if
					:: !claimed[i] && of_class[a * 2 + i] && listed[a * 2 + i] ->
						blocks[i] = 1;
						withheld[(a * 2 + i) * 2] = !live[(a * 2 + i) * 2];
						withheld[(a * 2 + i) * 2 + 1] = !live[(a * 2 + i) * 2 + 1];
						being_purged[a * 2 + i] = 1;
						listed[a * 2 + i] = 0
					:: else
					fi;
					class_lock = 0
				}
			}
#endif
			/* claim_purge() */
			for (i : 0 .. 1) {
				purge_slab(a * 2 + i)
			}
			atomic {
				lock(arena_lock);
				for (i : 0 .. 1) {
					unclaim_slab(a * 2 + i)
				}
				arena_lock = 0
			}
			unmap(gone);
#ifdef CLASS
			/* class_scan_done() */
			for (i : 0 .. 1) {
				if
				:: blocks[i] ->
					atomic {
						lock(class_lock);
						s = a * 2 + i;
						being_purged[s] = 0;
						relist_or_empty(s);
						class_lock = 0
					}
					if
					:: s < SLABS -> free_slab(s)
					:: else
					fi
				:: else
				fi;
				blocks[i] = 0
			}
#endif
			atomic {
				claimed[0] = 0;
				claimed[1] = 0;
				slacks[0] = 0;
				slacks[1] = 0;
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
				assert(owner[i] != SCAN && owner[i] != LATE && !busy[i]);
				n_used = n_used + !unused[i];
#ifdef CLASS
				assert(!being_purged[i]);
				assert(child || of_class[i] == (owner[i] == OF_CLASS));
				assert(child || !of_class[i] || (!ALL_FREE(i) && listed[i] == HAS_FREE(i)));
				assert(child || record_of[i] == 0 || record_of[i] == current);
#endif
			:: else -> assert(!unused[i] && owner[i] == NOBODY)
			fi
		}
		assert(n_active == nr_active && n_reserve == nr_reserve && n_used == slabs_used);
		assert(leaving == 0 || child);
		assert(nr_active + leaving == mapped - released)
	}
}

init
{
	byte i, n_active, n_reserve, n_used;

	atomic {
		/* one SuperSlab: a slab of thread 1, and one that was used and is free */
		there[0] = 1;
		entered[0] = 1;
		unused[1] = 1;
		dirty[1] = 1;
		slabs_used = 1;
		nr_active = 1;
		mapped = 1;
#ifdef CLASS
		if
		:: current = 1;
			owner[0] = OF_CLASS;
			of_class[0] = 1;
			record_of[0] = 1;
			live[0] = 1;
			holder[0] = 1;
			listed[0] = 1
		:: unused[0] = 1; /* the class is new */
			dirty[0] = 1;
			slabs_used = 0;
			nr_reserve = 1
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
