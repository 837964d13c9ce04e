/* SPDX-License-Identifier: MIT */
/*
 * How others take blocks out of the magazines of an owner that may never call
 * again: core/cache/seize.c, with both sides of it. See README.md for what this
 * leaves out, and run.sh for the variants and mutations.
 *
 * One class, magazines of two slots, three blocks. Each statement that others can
 * divide stands alone; what they cannot is in an atomic or d_step sequence. Every
 * CPU has a store buffer, first in first out, from which its own loads are served
 * (x86-TSO). Locked instructions, and the barrier, drain it. What
 * is called as a function of the code stands for it.
 *
 *	(default)  an owner, a scanner
 *	PREEMPT	   CONFIG_HAK_IRQSAVE: two threads share a CPU and its cache
 *	MIGRATE	   the same with two CPUs, to which a cache each belongs: one thread
 *		   stays on the first, the other moves
 *	INTERRUPT  the owner is interrupted by a handler that has no cache
 *	FORK	   another thread forks; the model goes on with the child alone
 *	TWICE	   the owner (with PREEMPT, either thread) may free a block twice in a row, and
 *		   does nothing after that
 */

#ifndef OPS
#define OPS 3 /* calls of malloc and free by each thread, at most */
#endif
#ifndef ROUNDS
#define ROUNDS 2 /* scans, at most */
#endif
#ifndef OPS2
#define OPS2 2 /* by the second thread */
#endif
#ifndef CHILD_OPS
#define CHILD_OPS 1
#endif
#ifndef BLOCKS
#define BLOCKS 3
#endif

#ifdef MIGRATE
#define PREEMPT
#define CACHES 2
#else
#define CACHES 1
#endif

/*
 * A cache: the slots below BASE, which is MAGAZINE_FIRST_BASE, are NULL for ever, and
 * slot[BASE] is the NULL below the blocks.
 */
#ifdef MUTATION_FIRST_BASE_2
#define BASE 2
#else
#define BASE 3
#endif
#define CAPACITY 2
#define SLOTS	 (BASE + CAPACITY + 1)
#define TOP	 SLOTS /* magazine->top lies behind the slots */
#define WORDS	 (SLOTS + 1)

/* MAGAZINE_SEIZED, is_seized_top(), and what cpu_decrement_to_zero() tells, by the old top. */
#ifdef MUTATION_SEIZED_AT_0
/* it tells of a borrow; the top is 0xffff then, and nobody makes that undone */
#define SEIZED		   0
#define IS_SEIZED_TOP(top) ((top) <= 1 || (top) == 255)
#define TELLS(top)	   ((top) == 0)
#else
#define SEIZED		   1
#define IS_SEIZED_TOP(top) ((top) <= SEIZED + 1)
#define TELLS(top)	   ((top) == 1)
#endif
#define LATE_FREE (SEIZED + 1) /* the top after a free that came too late */

byte memory[CACHES * WORDS];
#define AT(c, word) memory[(c) * WORDS + (word)]
byte limit[CACHES]; /* written in slow paths only, which begin and end with a drain */

/* struct magazine_cold, struct cache_cold: under the claim */
bit claim[CACHES];
byte seized_top[CACHES], seized_limit[CACHES], kept[CACHES], excess[CACHES];
bit quiet[CACHES];

/* Where a block is, for the proof. What is SLABS here is also the bitmap of the slabs. */
#define SLABS	0
#define CACHED	1 /* in a magazine, or on its way */
#define PROGRAM 2
byte where[BLOCKS + 1];

/* The block that is freed twice, and whether a scan has taken it out of the magazine. */
#ifdef TWICE
byte victim;
bit gone;
#endif

/* ------------------------------------------------------------- the machine */

#define DEPTH 3
byte stored_word[CACHES * DEPTH], stored_value[CACHES * DEPTH], stored[CACHES];
byte inside[CACHES]; /* the thread that is inside an instruction there, plus 1 */
bit irq_off[CACHES];
bit interrupted;
bit child;
byte running; /* processes that have not ended */

#ifdef FORK
byte flight; /* the block that the thread is about to get or give */
#define IN_FLIGHT(block) flight = block
#else
#define IN_FLIGHT(block) skip
#endif

#define HANDLER 7 /* the thread that is an interrupt handler */

/* No interrupt, and so no other thread, comes to a CPU in the middle of an instruction. */
#define MAY(c)                                                                                     \
	((inside[c] == 0 || inside[c] == me + 1) && (interrupted == (me == HANDLER)))

#define BUFFERED(c, i, word) (stored[c] > i && stored_word[(c) * DEPTH + i] == (word))
#define LOAD(c, word)                                                                              \
	(BUFFERED(c, 2, word) -> stored_value[(c) * DEPTH + 2] :                                   \
	(BUFFERED(c, 1, word) -> stored_value[(c) * DEPTH + 1] :                                   \
	(BUFFERED(c, 0, word) -> stored_value[(c) * DEPTH] : AT(c, word))))

inline store(c, word, value)
{
	d_step {
		stored_word[(c) * DEPTH + stored[c]] = word;
		stored_value[(c) * DEPTH + stored[c]] = value;
		stored[c]++;
	}
}

inline drain_one(c)
{
	d_step {
		AT(c, stored_word[(c) * DEPTH]) = stored_value[(c) * DEPTH];
		stored_word[(c) * DEPTH] = stored_word[(c) * DEPTH + 1];
		stored_value[(c) * DEPTH] = stored_value[(c) * DEPTH + 1];
		stored_word[(c) * DEPTH + 1] = stored_word[(c) * DEPTH + 2];
		stored_value[(c) * DEPTH + 1] = stored_value[(c) * DEPTH + 2];
		stored_word[(c) * DEPTH + 2] = 0;
		stored_value[(c) * DEPTH + 2] = 0;
		stored[c]--;
	}
}

inline drain(c)
{
	do
	:: stored[c] > 0 -> drain_one(c)
	:: else -> break
	od
}

/* A store becomes visible at any time. */
proctype store_buffer(byte c)
{
end:	do
	:: atomic { stored[c] > 0 -> drain_one(c) }
	od
}

/* ------------------------------------- both sides: seize.c, under the claim */

/* slots_held(), slots.c */
#define SLOTS_HELD(c)                                                                              \
	(seized_top[c] != 0 -> kept[c] + (AT(c, TOP) == LATE_FREE) : AT(c, TOP) - BASE)

/* Step 3: has the owner overwritten what the exchange left? */
inline seize_confirm(c)
{
	d_step {
		if
#ifndef MUTATION_NO_CONFIRM
		:: seized_top[c] != 0 && !IS_SEIZED_TOP(AT(c, TOP)) ->
			seized_top[c] = 0;
			limit[c] = seized_limit[c]
#endif
		:: else
		fi
	}
}

/* The owner is back. */
inline open(c)
{
	seize_confirm(c);
	d_step {
		if
		:: seized_top[c] != 0 ->
			if
#ifndef MUTATION_FORGET_PUSH
			:: AT(c, TOP) == LATE_FREE -> /* slot[base + ++held] = slot[seized_top + 1] */
				kept[c]++;
				assert(kept[c] <= CAPACITY);
				AT(c, BASE + kept[c]) = AT(c, seized_top[c] + 1)
#endif
			:: else
			fi;
			AT(c, TOP) = BASE + kept[c];
			limit[c] = BASE + (kept[c] > 1 -> kept[c] : 1); /* budget_set_limit() */
			seized_top[c] = 0;
			excess[c] = 0;
#ifndef MUTATION_QUIET_OPEN
			quiet[c] = 0;
#endif
			kept[c] = 0;
			seized_limit[c] = 0
		:: else
		fi;
		assert(BASE <= AT(c, TOP) && AT(c, TOP) <= limit[c]);
		assert(limit[c] <= BASE + CAPACITY);
		assert(AT(c, 0) == 0 && AT(c, 1) == 0 && AT(c, 2) == 0 && AT(c, BASE) == 0)
	}
}

/* blocks_free(): to the slabs, under the lock of the class. */
inline blocks_free(block)
{
	d_step {
		assert(block != 0);
		assert(where[block] == CACHED);
		where[block] = SLABS
	}
}

/* ----------------------------------------------- the owner: api/fastpath.h */

#ifdef PREEMPT
inline irq_save(c)
{
	if
#ifdef MUTATION_IRQ_ON
	:: c = 0
#else
	:: atomic { !irq_off[0] -> irq_off[0] = 1; c = 0 }
#ifdef MIGRATE
	:: atomic { me && !irq_off[1] -> irq_off[1] = 1; c = 1 }
#endif
#endif
	fi
}
#else
#define irq_save(c) skip
#endif

inline irq_restore(c)
{
#ifdef PREEMPT
	irq_off[c] = 0
#else
	skip
#endif
}

#ifdef TWICE
/* A double free is reported: the block lies in a magazine at this moment. */
inline report()
{
	assert(where[b] == CACHED && !gone)
}

/* One is not: a scan has taken the block, or another thread has used this cache meanwhile. */
inline missed()
{
#ifndef PREEMPT
	assert(gone)
#else
	skip
#endif
}
#endif

/*
 * A load and a store; nothing of this CPU comes between them. An operation that comes too
 * late finds SEIZED, as there is no second one.
 */
inline cpu_increment(c)
{
	atomic {
		MAY(c) && stored[c] < DEPTH ->
		inside[c] = me + 1;
		t = LOAD(c, TOP);
		assert(t == SEIZED || t >= BASE)
	}
	atomic { store(c, TOP, t + 1); inside[c] = 0 }
}

/* Leaves the old top in t: TELLS(t) is what the instruction tells. */
inline cpu_decrement_to_zero(c)
{
	atomic {
		MAY(c) && stored[c] < DEPTH ->
		inside[c] = me + 1;
		t = LOAD(c, TOP);
		assert(t == SEIZED || t > BASE)
	}
	atomic {
		store(c, TOP, (t == 0 -> 255 : t - 1));
		inside[c] = 0;
		IN_FLIGHT((TELLS(t) -> 0 : b))
	}
}

inline pop_fast(c)
{
	atomic { MAY(c) -> t = LOAD(c, TOP) } /* READ_ONCE(magazine->top) */
	atomic { MAY(c) -> assert(t < SLOTS); b = LOAD(c, t) } /* slot[top] */
	if
	:: b != 0 ->
#ifdef MUTATION_POP_REREADS
		/* "is it seized?" and "count down" are two instructions */
		atomic { MAY(c) -> l = LOAD(c, TOP) }
#endif
		cpu_decrement_to_zero(c);
#ifdef MUTATION_POP_REREADS
		t = l;
#endif
		if
		:: TELLS(t) -> b = 0
		:: else
		fi
	:: else
	fi
}

/* Sets l to whether there was room. */
inline push_fast(c)
{
#ifdef MUTATION_PUSH_SWAPPED
	atomic { MAY(c) -> l = limit[c] }
	atomic { MAY(c) -> t = LOAD(c, TOP) }
#else
	atomic { MAY(c) -> t = LOAD(c, TOP) } /* READ_ONCE(magazine->top) */
	atomic { MAY(c) -> l = limit[c] } /* behind COMPILER_BARRIER() */
#endif
	if
	:: t < l ->
#ifdef MUTATION_COMPARE_REREADS
		atomic { MAY(c) -> l = LOAD(c, TOP) }
		atomic { MAY(c) -> l = LOAD(c, l) }
#else
		atomic { MAY(c) -> l = LOAD(c, t) } /* slot[top], the block freed last */
#endif
#if defined(TWICE) && !defined(PREEMPT)
		assert(!twice || l == b) /* nobody else writes to this slot */
#endif
		if
#ifdef TWICE
#ifdef MUTATION_REPORT_UNCONFIRMED
		:: twice && l == b -> atomic { MAY(c) -> report(); l = 1 }
#else
		:: twice && l == b -> l = 0
#endif
#ifdef PREEMPT
		:: twice && l != b -> l = 1
#endif
		:: !twice ->
#else
		:: true ->
#endif
		/* nothing is suspected of a program that frees each block once */
		assert(l != b);
		l = 1;
#ifdef MUTATION_PUSH_REREADS
		atomic { MAY(c) -> t = LOAD(c, TOP) }
#endif
#ifdef MUTATION_PUSH_TOP_FIRST
		l = t + 1;
		cpu_increment(c);
		atomic { MAY(c) && stored[c] < DEPTH -> store(c, l, b); l = 1 }
#else
		atomic { /* slot[top + 1] = block */
			MAY(c) && stored[c] < DEPTH ->
			assert(t + 1 > BASE && t + 1 < SLOTS);
			store(c, t + 1, b)
		}
		cpu_increment(c)
#endif
		fi
	:: else -> l = 0
	fi
}

/* -------------------------------------------- the owner: cache/magazine.c */

/* seize.c: lock_word_lock(), then open() if it is seized. */
inline seize_enter(c)
{
#ifdef MUTATION_OPEN_UNCLAIMED
	atomic { MAY(c) -> drain(c) }
#else
	atomic { MAY(c) && !claim[c] -> claim[c] = 1; drain(c) }
#endif
	atomic { MAY(c) -> open(c) }
}

/* seize_leave(), with what follows at once. */
#define SEIZE_LEAVE(c) claim[c] = 0

/* refill() if it is empty; what is done under the claim is not seen by others, so at once. */
inline magazine_pop(c)
{
	seize_enter(c);
	atomic {
		MAY(c) ->
		if
		:: AT(c, TOP) == BASE ->
			do
			:: AT(c, TOP) < limit[c] ->
				if
				:: where[1] == SLABS -> b = 1
				:: where[1] != SLABS && where[2] == SLABS -> b = 2
#if BLOCKS > 2
				:: where[1] != SLABS && where[2] != SLABS && where[3] == SLABS -> b = 3
#endif
				:: else -> break
				fi;
				where[b] = CACHED;
#ifdef TWICE
				gone = gone && b != victim;
#endif
				AT(c, TOP) = AT(c, TOP) + 1;
				AT(c, AT(c, TOP)) = b
			:: AT(c, TOP) > BASE -> break
			:: AT(c, TOP) >= limit[c] -> break
			od
		:: else
		fi;
		b = AT(c, AT(c, TOP));
		if
		:: b != 0 -> AT(c, TOP) = AT(c, TOP) - 1
		:: else
		fi
	}
	atomic { MAY(c) -> SEIZE_LEAVE(c); returned(b) }
}

/* spill() lets the magazine grow, or gives the oldest block back. */
inline magazine_push(c)
{
	seize_enter(c);
#ifdef TWICE
	if
	:: atomic { MAY(c) && twice && AT(c, AT(c, TOP)) == b -> report() }
		goto leave
	:: atomic { MAY(c) && twice && AT(c, AT(c, TOP)) != b -> missed() }
		goto leave
	:: !twice
	fi;
#endif
	if
	:: AT(c, TOP) >= limit[c] ->
		if
		:: atomic { MAY(c) && limit[c] < BASE + CAPACITY -> limit[c]++ }
		:: atomic { MAY(c) -> blocks_free(AT(c, BASE + 1)) }
			atomic {
				AT(c, BASE + 1) = AT(c, BASE + 2);
				AT(c, TOP) = AT(c, TOP) - 1
			}
		fi
	:: else
	fi;
	atomic {
		MAY(c) ->
		assert(AT(c, AT(c, TOP)) != b);
		AT(c, TOP) = AT(c, TOP) + 1;
		AT(c, AT(c, TOP)) = b
	}
leave:	atomic { MAY(c) -> SEIZE_LEAVE(c); IN_FLIGHT(0) }
}

/* --------------------------------------------------- the owner: its program */

inline returned(block)
{
	d_step {
		IN_FLIGHT(0);
		if
		:: block != 0 ->
			assert(where[block] == CACHED);
			where[block] = PROGRAM
		:: else
		fi
	}
}

inline program_malloc()
{
	irq_save(c);
	pop_fast(c);
	if
	:: b != 0 -> atomic { MAY(c) -> irq_restore(c); returned(b) }
	:: else ->
		irq_restore(c);
		irq_save(c);
		magazine_pop(c);
		atomic { irq_restore(c); t = 0 }
	fi
}

inline program_free()
{
	irq_save(c);
	push_fast(c);
	if
	:: l -> atomic { MAY(c) -> irq_restore(c); IN_FLIGHT(0) }
	:: else ->
		irq_restore(c);
		irq_save(c);
		magazine_push(c);
		irq_restore(c)
	fi
}

/* Sets b to a live block, or to 0. */
inline pick_live()
{
	if
	:: atomic { where[1] == PROGRAM -> where[1] = CACHED; b = 1; IN_FLIGHT(1) }
	:: atomic { where[2] == PROGRAM -> where[2] = CACHED; b = 2; IN_FLIGHT(2) }
#if BLOCKS > 2
	:: atomic { where[3] == PROGRAM -> where[3] = CACHED; b = 3; IN_FLIGHT(3) }
#endif
	:: b = 0
	fi
}

proctype thread(byte me; byte world; byte ops)
{
	byte c, t, l, b;
#ifdef TWICE
	bit guilty, twice; /* it has chosen to free a block twice; this is the second time */
#endif

	{
		do
		:: ops > 0 ->
			ops--;
			pick_live();
			if
			:: b == 0 -> program_malloc()
			:: else ->
#ifdef TWICE
				if
				:: atomic { !victim -> victim = b; gone = 0; guilty = 1 }
				:: skip
				fi;
again:				program_free();
				if
				:: atomic { guilty && !twice -> twice = 1 }
					goto again
				:: twice -> ops = 0
				:: !guilty
				fi
#else
				program_free()
#endif
			fi;
			atomic { c = 0; t = 0; l = 0; b = 0 }
		:: break /* it never calls again */
		od;
		atomic { ops = 0; running-- }
	} unless {
		atomic { child > world -> running-- }
	}
}

#ifdef INTERRUPT
/*
 * It has no cache (CACHE_NEVER), and goes to the slabs. The locks of these are held
 * with interrupts off.
 */
proctype handler()
{
	byte c, t, l, b;
	byte me = HANDLER;

	if
	:: atomic { !inside[0] && !interrupted -> interrupted = 1 }
#ifdef MUTATION_HANDLER_CACHE
		pick_live();
		if
		:: b == 0 -> program_malloc()
		:: else -> program_free()
		fi;
#else
		if
		:: atomic { where[1] == SLABS -> where[1] = PROGRAM }
		:: atomic { where[2] == SLABS -> where[2] = PROGRAM }
		:: pick_live();
			if
			:: b != 0 -> blocks_free(b)
			:: else
			fi
		fi;
#endif
		interrupted = 0
	:: skip
	fi;
	atomic { c = 0; t = 0; l = 0; b = 0; running-- }
}
#endif

/* ------------------------------ the scanner: reclaim/scan.c, cache/cache.c */

bit scan_lock, list_lock;

inline lock(word)
{
	atomic { !word -> word = 1 }
}

/* hak_host_barrier(): each CPU passes a fence, between two instructions; or it fails. */
inline barrier()
{
	for (c : 0 .. CACHES - 1) {
#ifdef MUTATION_BARRIER_INSIDE
		atomic { true -> drain(c) }
#else
		atomic { !inside[c] -> drain(c) }
#endif
	}
}

/* Step 1. */
inline seize_begin(c)
{
#ifdef MUTATION_LIMIT_AFTER
	atomic {
		seized_limit[c] = limit[c];
		seized_top[c] = AT(c, TOP);
		AT(c, TOP) = SEIZED
	}
	atomic {
		limit[c] = 0;
#else
	atomic { /* WRITE_ONCE(magazine->limit, 0) */
		seized_limit[c] = limit[c];
		limit[c] = 0
	}
	atomic { /* __atomic_exchange_n() */
		seized_top[c] = AT(c, TOP);
		AT(c, TOP) = SEIZED;
#endif
		assert(BASE <= seized_top[c] && seized_top[c] <= BASE + CAPACITY);
		kept[c] = seized_top[c] - BASE
	}
}

/* How much is excess is chosen here, where the code goes by counters. */
inline seize_one(c)
{
	atomic {
		excess[c] = SLOTS_HELD(c);
		if
		:: true /* idle, or seized */
		:: seized_top[c] == 0 && excess[c] > 1 -> excess[c] = 1
		:: seized_top[c] == 0 && excess[c] > 0 -> excess[c] = 0
		fi
	}
	if
	:: seized_top[c] == 0 && (excess[c] > 0 || AT(c, TOP) == BASE) -> seize_begin(c)
	:: seized_top[c] != 0 || excess[c] == 0
	fi
}

/* Step 3 for a cache. */
inline seize_settle(c)
{
	atomic {
		if
		:: sure -> seize_confirm(c)
		:: else
		fi;
		if
		:: !sure || seized_top[c] == 0 -> excess[c] = 0
		:: else -> excess[c] = (excess[c] > kept[c] -> kept[c] : excess[c])
		fi;
		quiet[c] = sure && seized_top[c] != 0 && excess[c] == kept[c]
	}
}

/* Step 4: the oldest blocks; those above move down. */
inline seize_collect(c)
{
	atomic { /* blocks[i] = slot[i] */
		assert(excess[c] <= kept[c]);
		n = excess[c];
		if :: n > 0 -> taken[0] = AT(c, BASE + 1) :: else fi;
		if :: n > 1 -> taken[1] = AT(c, BASE + 2) :: else fi;
#ifdef TWICE
		gone = gone || (victim && (taken[0] == victim || taken[1] == victim))
#endif
	}
	atomic { /* slot[i - n] = slot[i] */
		if :: n == 1 && kept[c] > 1 -> AT(c, BASE + 1) = AT(c, BASE + 2) :: else fi;
		kept[c] = kept[c] - n;
		excess[c] = 0
	}
}

/* cache_scan(): blocks_free() */
inline free_taken()
{
	if :: n > 0 -> blocks_free(taken[0]) :: else fi;
	if :: n > 1 -> blocks_free(taken[1]) :: else fi;
	atomic { n = 0; taken[0] = 0; taken[1] = 0 }
}

proctype scanner(byte world; byte rounds)
{
	byte c, n;
	byte taken[2];
	bit claimed[CACHES];
	bit sure;

	{
		do
		:: rounds > 0 ->
			rounds--;
			lock(scan_lock);
			/* seize_caches() */
			lock(list_lock);
#ifdef MUTATION_BARRIER_FIRST
			barrier();
#endif
			for (c : 0 .. CACHES - 1) {
				if
				:: atomic { /* seize_try_claim() */
						!claim[c] && !quiet[c] ->
						claim[c] = 1;
						claimed[c] = 1
					}
					seize_one(c)
				:: claim[c] || quiet[c]
				fi
			}
			if
			:: sure = 1;
#ifndef MUTATION_NO_BARRIER
#ifndef MUTATION_BARRIER_FIRST
				barrier()
#endif
#endif
			:: sure = 0 /* it failed */
			fi;
			for (c : 0 .. CACHES - 1) {
				if
				:: claimed[c] ->
					seize_settle(c);
					atomic { SEIZE_LEAVE(c); claimed[c] = 0 }
				:: else
				fi
			}
			list_lock = 0;
			/* take_excess(), at any later time */
			for (c : 0 .. CACHES - 1) {
				lock(list_lock);
				if
				:: atomic { !claim[c] -> claim[c] = 1 } /* seize_try_claim() */
					if
					:: seized_top[c] != 0 -> seize_collect(c)
					:: else
					fi;
					SEIZE_LEAVE(c)
				:: claim[c]
				fi;
				list_lock = 0;
				free_taken()
			}
			atomic { c = 0; sure = 0; scan_lock = 0 }
		:: break
		od;
		atomic { rounds = 0; running-- }
	} unless {
		atomic { child > world -> running-- }
	}
}

/* ----------------------------------------------------------- api/fork.c */

byte excused;	  /* the block that a thread was about to get or give, which is not there now */
bit all_excused; /* the cache may be half-way through a change, and is nobody's for ever */

#ifdef FORK
/*
 * In the child, cache_disown(): the owner is not there, its magazine goes to the next one as
 * it is. Kernels drain the buffers of all CPUs when they write-protect the pages.
 */
proctype forker()
{
	if
	::
#ifndef MUTATION_FORK_NO_SCAN
		lock(scan_lock);
#endif
		lock(list_lock);
		atomic {
			drain(0);
			excused = flight;
			flight = 0;
			inside[0] = 0;
			child = 1
		}
#ifdef MUTATION_FORK_CLAIM
		claim[0] = 0;
#endif
		atomic {
			all_excused = claim[0];
			scan_lock = 0;
			list_lock = 0
		}
		if
		:: !all_excused ->
			if /* a scan may come first */
			:: atomic { running++; run scanner(1, 1) }
				running == 1
			:: skip
			fi;
			/* the next owner */
			atomic { running++; run thread(0, 1, CHILD_OPS) }
		:: else
		fi
	:: skip
	fi;
	running--
}
#endif

/* ------------------------------------------------------------- the proof */

/* When all have ended: is each block in one place? */
inline judge()
{
	atomic {
		for (c : 0 .. CACHES - 1) {
			if
			:: !all_excused ->
				assert(!claim[c]);
				drain(c);
				/* a scan that skips it misses at most the block of a late free */
				assert(!quiet[c] || (seized_top[c] != 0 && kept[c] == 0));
				open(c);
				for (i : BASE + 1 .. AT(c, TOP)) {
					b = AT(c, i);
					assert(b != 0);
					assert(where[b] == CACHED);
					where[b] = 3
				}
			:: else
			fi
		}
		for (b : 1 .. BLOCKS) {
			assert(where[b] != CACHED || all_excused || b == excused)
		}
	}
}

init
{
	byte c, i, b;

	atomic {
		for (c : 0 .. CACHES - 1) {
			AT(c, TOP) = BASE;
			limit[c] = BASE + 1;
			run store_buffer(c)
		}
		/* a full magazine to begin with */
		AT(0, BASE + 1) = 1;
		AT(0, BASE + 2) = 2;
		AT(0, TOP) = BASE + 2;
		limit[0] = BASE + 2;
		where[1] = CACHED;
		where[2] = CACHED;
		c = 0;
		running = 2;
		run thread(0, 0, OPS);
		run scanner(0, ROUNDS);
#ifdef PREEMPT
		running++;
		run thread(1, 0, OPS2);
#endif
#ifdef INTERRUPT
		running++;
		run handler();
#endif
#ifdef FORK
		running++;
		run forker();
#endif
	}
	running == 0;
	judge()
}
