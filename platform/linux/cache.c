/* SPDX-License-Identifier: MIT */
/*
 * One cache per thread: attached by the thread's first miss, given back by the
 * destructor of a pthread key.
 *
 * Other destructors of the same thread may run after ours and allocate or
 * free. They find hak_cache_never, the second stand-in, and work without a
 * cache: a new one would have nobody to give it back.
 *
 * (glibc runs destructors in four rounds. A thread that first calls us in the
 * last of them leaves its cache behind, as nobody is told of its end.)
 *
 * pthread_setspecific() may itself allocate. By then the thread's pointer is
 * set, so that call is an ordinary one.
 *
 * Around fork() all locks are held, so that the child finds the heap in order.
 */
#define _GNU_SOURCE
#include <pthread.h>

#include <hakmem/host.h>

#include "cache.h"
#include "fork.h"
#include "linux.h"
#include "reap.h"

/* Said again, or gcc would use in this file the model that calls __tls_get_addr(). */
#define INITIAL_EXEC __attribute__((tls_model("initial-exec")))

__thread struct hak_cache *hak_tls_cache INITIAL_EXEC = &hak_cache_none;
__thread unsigned hak_tls_held INITIAL_EXEC;

static pthread_key_t key;
static bool have_key;

static void thread_ends(void *cache)
{
	hak_tls_cache = &hak_cache_never;
	hak_cache_detach(cache);
	reap_note(HAK_REAP_FREE);
	hak_reaper_thread_ended();
}

static void make_key(void)
{
	have_key = pthread_key_create(&key, thread_ends) == 0;
}

bool this_cache_set(struct hak_cache *cache)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, make_key);
	hak_tls_cache = cache;
	if (have_key && pthread_setspecific(key, cache == &hak_cache_none ? NULL : cache) == 0)
		return true;
	hak_tls_cache = &hak_cache_none;
	return false;
}

static void forked_in_child(void)
{
	fork_in_child();
	fork_done();
	hak_reaper_after_fork();
}

__attribute__((constructor)) static void watch_forks(void)
{
	pthread_atfork(fork_prepare, fork_done, forked_in_child);
}
