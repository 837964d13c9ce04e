/* SPDX-License-Identifier: MIT */
/*
 * HAKMEM_TOP=1: a page of counters for hakmem-top, which reads it without a word to the process.
 *
 * The page is a file in $XDG_RUNTIME_DIR, or in /dev/shm: hakmem-top.PID, for its owner alone. It
 * is made anew, so nobody's link is followed, and is removed at exit. hakmem-top finds it among the
 * mappings of the process. Slow paths of malloc and free, and the thread that gives memory back,
 * write it when it is a second old; malloc and free themselves do nothing for it. A child of
 * fork() makes its own a second later: most children call execve() before that.
 *
 * The layout is hakmem-top's, too (the numbers of the version): `sequence` is odd while the page is
 * written. errno stays what it was. Lock: none; `busy` is who writes.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <hakmem/stats.h>

#include "cache/cache.h"
#include "linux.h"
#include "options.h"
#include "pages/pages.h"
#include "superslab/arena.h"

#define SECOND ((uint64_t)1000 * 1000 * 1000)

struct page {
	char magic[8];
	uint32_t version, pid, rows, row_bytes;
	_Atomic uint64_t sequence;
	uint64_t time_ns; /* CLOCK_MONOTONIC */
	uint64_t unit_bytes, mapped_bytes, meta_bytes, purged_bytes;
	uint64_t superslabs_active, superslabs_reserve, caches;
	struct hak_class_stats row[HAK_STATS_CLASSES + 1]; /* by size, then the spans */
};

_Atomic bool hak_top_is_on;

static struct page *page;
static PLATFORM_SPARSE char page_name[PATH_MAX];
static _Atomic uint64_t due; /* when it is to be written next */
static _Atomic bool busy;

/* A file that was left behind by a process of the same number goes, if it is ours. */
static int create_file(void)
{
	int flags = O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
	int file = (int)syscall(SYS_openat, AT_FDCWD, page_name, flags, 0600);
	struct stat what;

	if (file >= 0 || errno != EEXIST)
		return file;
	if (lstat(page_name, &what) || what.st_uid != geteuid() || !S_ISREG(what.st_mode) ||
	    unlink(page_name)) {
		errno = EEXIST;
		return -1;
	}
	return (int)syscall(SYS_openat, AT_FDCWD, page_name, flags, 0600);
}

/* A page in this folder, or NULL. All of it is there: a write to it cannot fail. */
static struct page *create_page(const char *folder)
{
	struct rlimit most = { RLIM_INFINITY, RLIM_INFINITY };
	struct hak_line name = { 0 };
	void *base = MAP_FAILED;
	int file, failure;

	getrlimit(RLIMIT_FSIZE, &most);
	errno = EFBIG;
	if (most.rlim_cur < sizeof(struct page))
		return NULL; /* a signal would kill the program */
	hak_format(hak_line_append, &name, "/hakmem-top.%d", (int)getpid());
	if (strlen(folder) + name.length >= sizeof(page_name))
		return NULL;
	stpcpy(stpcpy(page_name, folder), name.text);
	file = create_file();
	if (file < 0)
		return NULL;
	if (!syscall(SYS_fallocate, file, 0L, 0L, sizeof(struct page)))
		base = mmap(NULL, sizeof(struct page), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	failure = errno;
	syscall(SYS_close, file);
	if (base != MAP_FAILED)
		return base;
	unlink(page_name);
	errno = failure;
	return NULL;
}

static bool top_create(void)
{
	const char *folder = getenv("XDG_RUNTIME_DIR");

	page = folder && *folder == '/' ? create_page(folder) : NULL;
	if (!page)
		page = create_page("/dev/shm");
	if (!page) {
		hak_say("HAKMEM_TOP: no page in /dev/shm can be had (errno %d)", errno);
		hak_top_is_on = false;
		return false;
	}
	page->version = 1;
	page->pid = (uint32_t)getpid();
	page->row_bytes = sizeof(page->row[0]);
	page->unit_bytes = HAK_UNIT_SIZE;
	return true;
}

static void write_page(void)
{
	struct arena_counters arena;
	struct timespec now = { 0 };
	unsigned i;

	clock_gettime(CLOCK_MONOTONIC, &now);
	page->sequence++;
	page->time_ns = (uint64_t)now.tv_sec * SECOND + (uint64_t)now.tv_nsec;
	arena_read_counters(&arena);
	page->mapped_bytes = pages_counters.mapped;
	page->purged_bytes = pages_counters.purged;
	page->superslabs_active = arena.active;
	page->superslabs_reserve = arena.reserve;
	page->meta_bytes = page->mapped_bytes - arena.active * HAK_SUPERSLAB_SIZE;
	page->caches = cache_count();
	for (i = 0; i < ARRAY_SIZE(page->row); i++)
		if (!hak_stats_row(i, &page->row[i], sizeof(page->row[i])))
			break;
	page->rows = i;
	page->sequence++;
	memcpy(page->magic, "hakmtop", sizeof(page->magic)); /* last: now it can be read */
}

/* Write the page if it is a second old. The caller holds no lock. */
void hak_top_tick(void)
{
	uint64_t now = hak_now_ns();
	int saved = errno;

	if (now < due || atomic_exchange(&busy, true))
		return;
	due = now + SECOND;
	if (page && page->pid != (uint32_t)getpid())
		goto done; /* the child of a vfork(), or of a clone() */
	if (page || top_create())
		write_page();
done:
	busy = false;
	errno = saved;
}

/* The page that the child has is its parent's. */
void hak_top_after_fork(void)
{
	if (!hak_top_is_on)
		return;
	if (page)
		munmap(page, sizeof(*page));
	page = NULL;
	due = hak_now_ns() + SECOND;
	busy = false;
}

void hak_top_begin(void)
{
	hak_top_is_on = hak_option(HAK_OPTION_TOP);
	if (hak_top_is_on)
		hak_top_tick();
}

/* A child that was not forked by fork() leaves the page alone. */
void hak_top_end(void)
{
	int saved = errno;

	if (page && page->pid == (uint32_t)getpid())
		unlink(page_name);
	errno = saved;
}
