/* SPDX-License-Identifier: MIT */
/*
 * A program that is confined: by a limit that was lowered, by memory that is locked, by a
 * filter of system calls. It checks its blocks; the names are those of the C library.
 *
 *	confined lowered	less address space is allowed than is in use
 *	confined locked WHEN	mlockall(), "early" or "late"
 *	confined list THREADS	only the system calls that the manual lists; all others kill
 *	confined eperm|enosys|trap NUMBER THREADS
 *				one system call is refused, or answered by SIGSYS
 *	confined rests NUMBER ...	the same for one thread that frees what it had, turn by
 *				turn: the library does not ask for ever
 *
 * Ends with 0, or 77 if the system does not let it do that, or a line that says what is wrong.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#define PAGE ((size_t)4096)
#define MIB  ((size_t)1 << 20)

enum {
	FINE = 0,
	WRONG = 1,
	SKIPPED = 77,
};

static int wrong(const char *why)
{
	if (write(STDERR_FILENO, why, strlen(why)) < 0 || write(STDERR_FILENO, "\n", 1) < 0)
		return WRONG;
	return WRONG;
}

static void fill(unsigned char *block, size_t size, unsigned with)
{
	for (size_t i = 0; i < size; i += PAGE)
		block[i] = (unsigned char)(with + i / PAGE);
}

static bool is_filled(const unsigned char *block, size_t size, unsigned with)
{
	for (size_t i = 0; i < size; i += PAGE)
		if (block[i] != (unsigned char)(with + i / PAGE))
			return false;
	return true;
}

static bool is_zero(const unsigned char *block, size_t size)
{
	for (size_t i = 0; i < size; i += 61)
		if (block[i])
			return false;
	return true;
}

static size_t virtual_size(void)
{
	unsigned long pages = 0;
	FILE *file = fopen("/proc/self/statm", "r");

	if (!file || fscanf(file, "%lu", &pages) != 1)
		pages = 0;
	if (file)
		fclose(file);
	return pages * PAGE;
}

#define LARGE 150u

/*
 * Large blocks of @size bytes grow, one after the other, when the limit is @less below what
 * is in use: each is where it is with all that is in it, or moved with all that is in it.
 */
static int grow_below(size_t size, size_t less)
{
	unsigned char *block[LARGE];
	struct rlimit limit, before;

	for (unsigned i = 0; i < LARGE; i++) {
		block[i] = malloc(size);
		if (!block[i])
			return wrong("there is too little memory for this test");
		fill(block[i], size, i);
	}
	getrlimit(RLIMIT_AS, &before);
	limit = before;
	limit.rlim_cur = virtual_size() - less;
	setrlimit(RLIMIT_AS, &limit);
	for (unsigned i = 0; i < LARGE; i++) {
		unsigned char *larger;

		errno = 0;
		larger = realloc(block[i], 3 * size);
		if (!larger && errno != ENOMEM)
			return wrong("NULL without ENOMEM");
		if (larger)
			block[i] = larger;
		if (!is_filled(block[i], size, i))
			return wrong("a block has changed");
		if (larger)
			fill(larger, 3 * size, i); /* all of it is there */
	}
	setrlimit(RLIMIT_AS, &before);
	for (unsigned i = 0; i < LARGE; i++) {
		if (!is_filled(block[i], size, i))
			return wrong("a block has changed later");
		free(block[i]);
	}
	return FINE;
}

static int run_lowered(void)
{
	static const size_t size[] = { 300 << 10, 1100 << 10, 5 << 20 };
	int status = FINE;

	for (unsigned i = 0; i < sizeof(size) / sizeof(*size) && !status; i++)
		for (size_t less = 0; less <= 16 * MIB && !status; less += 4 * MIB)
			status = grow_below(size[i], less);
	return status;
}

static bool is_locked(void *block, size_t size)
{
	char *base = (char *)((uintptr_t)block & ~(PAGE - 1));

	/* what is locked cannot be invalidated; of other memory of this kind nothing is */
	for (size_t i = 0; i < size; i += PAGE)
		if (msync(base + i, PAGE, MS_ASYNC | MS_INVALIDATE) == 0 || errno != EBUSY)
			return false;
	return true;
}

/* Blocks grow, and others take the places that they have left. */
static int use_locked(unsigned seed)
{
	unsigned char *grown = malloc(3 * MIB), *others[64];
	size_t size = 3 * MIB;

	fill(grown, size, seed);
	for (unsigned i = 0; i < 8; i++) {
		void *behind = malloc(70000);

		grown = realloc(grown, size + size / 2);
		if (!grown || !is_filled(grown, size, seed))
			return wrong("a block has changed");
		size += size / 2;
		fill(grown, size, seed);
		if (!is_locked(grown, size))
			return wrong("a block that has grown is not locked");
		free(behind);
	}
	for (unsigned i = 0; i < 64; i++) {
		others[i] = malloc(MIB);
		fill(others[i], MIB, i);
		if (!is_locked(others[i], MIB))
			return wrong("a block at the place of another is not locked");
	}
	for (unsigned i = 0; i < 64; i++)
		free(others[i]);
	free(grown);
	grown = calloc(1, 40 * MIB); /* as large a one would be purged */
	if (!grown || !is_zero(grown, 40 * MIB) || !is_locked(grown, 40 * MIB))
		return wrong("a block is not zero, or not locked");
	free(grown);
	return FINE;
}

static int run_locked(bool late)
{
	static unsigned char *early[64];
	struct rlimit limit = { RLIM_INFINITY, RLIM_INFINITY };

	setrlimit(RLIMIT_MEMLOCK, &limit);
	for (unsigned i = 0; late && i < 64; i++) {
		early[i] = malloc(MIB * (1 + i % 3));
		fill(early[i], MIB * (1 + i % 3), i);
	}
	for (unsigned i = 0; late && i < 64; i += 2)
		free(early[i]); /* some memory is kept that moves would use */
	if (mlockall(MCL_CURRENT | MCL_FUTURE))
		return SKIPPED;
	for (unsigned i = 1; late && i < 64; i += 2) {
		early[i] = realloc(early[i], 4 * MIB);
		if (!early[i] || !is_filled(early[i], MIB * (1 + i % 3), i))
			return wrong("an early block has changed");
		if (!is_locked(early[i], MIB * (1 + i % 3)))
			return wrong("an early block is not locked");
	}
	return use_locked(1);
}

#define SMALL 20000u
#define TURNS 4u

struct blocks {
	unsigned char *block[SMALL];
	size_t size[SMALL];
	unsigned seed;
};

static unsigned next(struct blocks *blocks, unsigned below)
{
	blocks->seed = blocks->seed * 1103515245u + 12345u;
	return (blocks->seed >> 8) % below;
}

/* Small blocks come, and most of them go. */
static int turn_small(struct blocks *blocks)
{
	for (unsigned i = 0; i < SMALL; i++) {
		size_t size = 1 + next(blocks, 1000);

		if (blocks->block[i] && !is_filled(blocks->block[i], blocks->size[i], i))
			return wrong("a small block has changed");
		if (blocks->block[i] && next(blocks, 16)) {
			free(blocks->block[i]);
			blocks->block[i] = NULL;
		} else if (!blocks->block[i]) {
			blocks->block[i] = next(blocks, 2) ? malloc(size) : calloc(1, size);
			if (!blocks->block[i])
				return wrong("there is no memory");
			blocks->size[i] = size;
			fill(blocks->block[i], size, i);
		}
	}
	return FINE;
}

/* Large blocks grow, shrink, and are of all kinds. */
static int turn_large(size_t zeros)
{
	unsigned char *grown = NULL, *aligned, *zero;
	size_t size;

	for (size = 4096; size <= 16 * MIB; size *= 2) {
		unsigned char *more = realloc(grown, size);

		if (!more || !is_filled(more, grown ? size / 2 : 0, 3))
			return wrong("a large block has changed");
		fill(more, size, 3);
		grown = more;
		free(malloc(size / 3));
	}
	grown = realloc(grown, MIB);
	if (!grown || !is_filled(grown, MIB, 3))
		return wrong("a large block has shrunk wrongly");
	zero = calloc(zeros, MIB + 17);
	if (!zero || !is_zero(zero, zeros * (MIB + 17)))
		return wrong("calloc() is not zero");
	fill(zero, zeros * MIB, 5);
	aligned = aligned_alloc(4 * MIB, 4 * MIB);
	if (!aligned || (uintptr_t)aligned % (4 * MIB))
		return wrong("a block is not aligned");
	fill(aligned, 4 * MIB, 5);
	free(aligned);
	free(zero);
	free(grown);
	return FINE;
}

static _Atomic int first_wrong;

/* All that a program does with memory, for a few delays of the library. */
static void *traffic(void *seed)
{
	struct blocks *blocks = mmap(NULL, sizeof(*blocks), PROT_READ | PROT_WRITE,
				     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int status = FINE;

	blocks->seed = (unsigned)(uintptr_t)seed;
	for (unsigned i = 0; i < TURNS && !status; i++) {
		status = turn_small(blocks);
		if (!status)
			status = turn_large(i < TURNS - 1 ? 3 : 35);
		if (i % 3 == 2)
			malloc_trim(0);
		if (malloc_usable_size(blocks->block[0]) < (blocks->block[0] != NULL))
			status = wrong("a block has no size");
		nanosleep(&(struct timespec){ .tv_nsec = 20000000 }, NULL);
	}
	for (unsigned i = 0; i < SMALL; i++)
		free(blocks->block[i]);
	if (status)
		first_wrong = status;
	return NULL;
}

static volatile unsigned long traps;

static void on_trap(int signal, siginfo_t *info, void *context)
{
	traps++;
	(void)signal;
	(void)info;
	((ucontext_t *)context)->uc_mcontext.gregs[REG_RAX] = -ENOSYS;
}

#define ALLOW(number)                                                                              \
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (number), 0, 1),                                       \
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)

/* For all threads that there are, and those that there will be. */
static bool install(struct sock_filter *filter, size_t count)
{
	struct sock_fprog program = { (unsigned short)count, filter };

	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
	       syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program) ==
		       0;
}

/* What README.md of the platform lists, and what this program needs itself. */
static bool allow_the_list(bool threads)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		ALLOW(SYS_mmap),
		ALLOW(SYS_munmap),
		ALLOW(SYS_mprotect),
		ALLOW(SYS_brk),
		ALLOW(SYS_madvise),
		ALLOW(SYS_mremap),
		ALLOW(SYS_write),
		ALLOW(SYS_nanosleep),
		ALLOW(SYS_clock_nanosleep),
		ALLOW(SYS_exit_group),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
		/* with threads: those of the C library for a thread, and these */
		ALLOW(SYS_futex),
		ALLOW(SYS_clone),
		ALLOW(SYS_clone3),
		ALLOW(SYS_exit),
		ALLOW(SYS_rseq),
		ALLOW(SYS_set_robust_list),
		ALLOW(SYS_rt_sigprocmask),
		ALLOW(SYS_rt_sigaction),
		ALLOW(SYS_sched_yield),
		ALLOW(SYS_gettid),
		ALLOW(SYS_getpid),
		ALLOW(SYS_tgkill),
		ALLOW(SYS_process_vm_readv),
		ALLOW(SYS_membarrier),
		ALLOW(SYS_clock_gettime),
		ALLOW(SYS_prctl),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
	};
	unsigned count = sizeof(filter) / sizeof(*filter), end = 1 + 10 * 2;

	if (threads)
		filter[end] = filter[0]; /* the list goes on */
	return install(filter, threads ? count : end + 1);
}

static bool refuse(const char *how, unsigned number)
{
	uint32_t answer = !strcmp(how, "trap")	  ? SECCOMP_RET_TRAP
			  : !strcmp(how, "eperm") ? SECCOMP_RET_ERRNO | EPERM
						  : SECCOMP_RET_ERRNO | ENOSYS;
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, answer),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sigaction action = { .sa_sigaction = on_trap, .sa_flags = SA_SIGINFO | SA_NODEFER };

	sigaction(SIGSYS, &action, NULL);
	return install(filter, sizeof(filter) / sizeof(*filter));
}

/* @how: NULL for the list. A thread that cannot be made is none of our business. */
static int run_filter(const char *how, unsigned number, unsigned threads)
{
	pthread_t thread[8];
	unsigned made = 0;

	if (how ? !refuse(how, number) : !allow_the_list(threads))
		return SKIPPED;
	for (uintptr_t i = 0; i < threads && i < 8; i++)
		made += !pthread_create(&thread[made], NULL, traffic, (void *)(i + 1));
	traffic(NULL);
	while (made)
		pthread_join(thread[--made], NULL);
	return first_wrong;
}

/*
 * What a program frees goes in some forty steps, in each of which every SuperSlab is tried: some
 * 1000 calls, and more where the machine is busy, as time counts, too. If it did not rest, there
 * would be 250000.
 */
#define MOST_TRAPS 10000u

static int run_rests(char **numbers)
{
	static unsigned char *block[SMALL];

	for (; *numbers; numbers++)
		if (!refuse("trap", (unsigned)atoi(*numbers)))
			return SKIPPED;
	for (unsigned turn = 0; turn < 5; turn++) {
		for (unsigned i = 0; i < SMALL; i++) {
			block[i] = malloc(1000);
			if (!block[i])
				return wrong("there is no memory");
			fill(block[i], 1000, i);
		}
		for (unsigned i = 0; i < SMALL; i++)
			free(block[i]);
	}
	return traps > MOST_TRAPS ? wrong("it asks again and again for what is refused") : FINE;
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";

	if (!strcmp(what, "lowered"))
		return run_lowered();
	if (!strcmp(what, "locked"))
		return run_locked(argc > 2 && !strcmp(argv[2], "late"));
	if (!strcmp(what, "rests"))
		_exit(run_rests(argv + 2));
	if (!strcmp(what, "list") && argc > 2)
		_exit(run_filter(NULL, 0, (unsigned)atoi(argv[2])));
	if (argc > 3)
		_exit(run_filter(what, (unsigned)atoi(argv[2]), (unsigned)atoi(argv[3])));
	return wrong("usage: see the head of confined.c");
}
