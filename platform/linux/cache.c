/* SPDX-License-Identifier: MIT */
/*
 * Each thread has a cache. The thread's first miss attaches it, and the destructor of a
 * pthread key gives it back.
 *
 * Other destructors of the same thread may run after ours and allocate or free. They find
 * CACHE_NEVER, the second stand-in, and work without a cache, since no destructor would
 * give back a new one.
 *
 * glibc runs destructors in four rounds. If a thread first calls us in the last round, no
 * destructor of ours runs. The core finds such a cache when it would have to make more
 * caches (owner_is_gone()).
 *
 * A thread may also end in ways that run no destructor at all: by the system call exit, or
 * killed by a seccomp filter. The core finds its cache as well, and the library's thread
 * has it look once a minute.
 *
 * pthread_setspecific() may itself allocate. By then the thread's pointer is
 * set, so that call is an ordinary one.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <hakmem/host.h>

#include "cache/cache.h"
#include "linux.h"
#include "reclaim/scan.h"

/* The model is said again, or gcc would use the one that calls __tls_get_addr(). */
#define INITIAL_EXEC __attribute__((tls_model("initial-exec")))

__thread struct hak_cache *hak_tls_cache INITIAL_EXEC = CACHE_NONE;
__thread unsigned hak_tls_held INITIAL_EXEC __attribute__((aligned(8)));

static pthread_key_t key;
static bool have_key;

static void thread_ends(void *cache)
{
	hak_tls_cache = CACHE_NEVER;
	hak_cache_detach(cache);
	scan_note(HAK_REAP_FREE);
	hak_reaper_thread_ended();
}

static void make_key(void)
{
	have_key = pthread_key_create(&key, thread_ends) == 0;
}

/* To make the key may take a system call: see note_first(). */
static void ensure_key(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, make_key);
}

bool this_cache_set(struct hak_cache *cache)
{
	ensure_key();
	hak_tls_cache = cache;
	if (have_key && pthread_setspecific(key, cache == CACHE_NONE ? NULL : cache) == 0)
		return true;
	hak_tls_cache = CACHE_NONE;
	return false;
}

static uint64_t owner_of(pid_t process, long thread)
{
	return (uint64_t)process << 32 | (unsigned)thread;
}

/*
 * The thread that the program begins with, by the address of its variables, which no other
 * thread will have. What takes system calls is done before main(), so that a program that
 * allows itself only a few of them needs not allow these.
 */
static struct {
	struct hak_cache **variables;
	uint64_t owner;
} first;

__attribute__((constructor)) static void note_first(void)
{
	ensure_key();
	if (getpid() != syscall(SYS_gettid))
		return; /* the library was opened by another thread */
	first.owner = owner_of(getpid(), getpid());
	first.variables = &hak_tls_cache;
}

/* In the child, whose only thread has the number of the process. */
void hak_cache_after_fork(void)
{
	if (first.variables == &hak_tls_cache)
		first.owner = owner_of(getpid(), getpid());
	else
		first.variables = NULL;
}

void hak_do_without_cache(void)
{
	struct hak_cache *cache = hak_tls_cache;

	hak_tls_cache = CACHE_NEVER;
	if (!cache->cold)
		return;
	pthread_setspecific(key, NULL);
	hak_cache_detach(cache);
}

/* Has a thread other than the first one ever asked for a cache? */
static _Atomic bool others_had_caches;

/* glibc 2.32 and later say whether there ever was a second thread. Others have no such word. */
extern char __libc_single_threaded __attribute__((weak));

bool hak_is_alone(void)
{
	return &__libc_single_threaded && __libc_single_threaded;
}

bool hak_has_threads(void)
{
	return &__libc_single_threaded ? !hak_is_alone() : others_had_caches;
}

uint64_t this_owner(void)
{
	pid_t process, thread;

	if (first.variables == &hak_tls_cache)
		return first.owner;
	process = getpid();
	thread = (pid_t)syscall(SYS_gettid);
	if (thread != process)
		others_had_caches = true;
	return owner_of(process, thread);
}

/*
 * In another process the answer is no: a copy by an unknown fork() has other thread numbers.
 * The number of the first thread stays for as long as the process, but when that thread has
 * ended it has no memory any more that could be read.
 */
bool owner_is_gone(uint64_t owner)
{
	pid_t process = (pid_t)(owner >> 32), thread = (pid_t)owner;
	int saved = errno;
	char from = 0, to;
	struct iovec local = { &to, 1 }, remote = { &from, 1 };
	bool gone;

	if (process != getpid())
		return false;
	if (thread == process)
		gone = syscall(SYS_process_vm_readv, thread, &local, 1L, &remote, 1L, 0L) < 0;
	else
		gone = syscall(SYS_tgkill, process, thread, 0) != 0;
	gone = gone && errno == ESRCH;
	errno = saved;
	return gone;
}
