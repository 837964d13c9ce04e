/* SPDX-License-Identifier: MIT */
/*
 * fork() while other threads are inside the C library, where it allocates and frees with
 * locks of its own held: a thread for each of these locks. fork() takes some of them, and
 * so must not wait for one with a lock of the heap held.
 *
 *	forklocks NAME	NAME is for the names of the tests
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <grp.h>
#include <iconv.h>
#include <libintl.h>
#include <link.h>
#include <locale.h>
#include <netdb.h>
#include <pthread.h>
#include <pwd.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "check.h"

#define FORKERS 2
#define SECONDS 2

static char file_name[] = "/tmp/hakmem-XXXXXX";
static _Atomic bool stop;
static _Atomic unsigned forks, bad;

/* ------------------------------------------------- with the lock of a FILE, or of their list */

static void read_line(void)
{
	static __thread FILE *file;
	char *line = NULL;
	size_t room = 0;

	if (!file)
		file = fopen(file_name, "r");
	rewind(file);
	bad += getline(&line, &room, file) < 0;
	free(line);
}

static void open_file(void)
{
	FILE *file = fopen(file_name, "r");

	if (file)
		fclose(file);
}

static void open_memory(void)
{
	char *text = NULL;
	size_t length;
	FILE *file = open_memstream(&text, &length);

	for (unsigned i = 0; i < 100; i++)
		fprintf(file, "%100u", i);
	fclose(file);
	free(text);
}

static void flush_all(void)
{
	fflush(NULL);
	usleep(100);
}

static void print_to_all(void)
{
	static __thread FILE *file;
	char *text;

	if (!file)
		file = fopen("/dev/null", "w");
	fprintf(file, "%s", "some text");
	if (asprintf(&text, "%300d", 1) > 0)
		free(text);
}

static void run_command(void)
{
	FILE *file = popen(":", "r");

	if (file)
		pclose(file);
}

/* --------------------------------------------------------------------- with other locks */

static int visit_object(struct dl_phdr_info *info, size_t size, void *ctx)
{
	(void)info, (void)size, (void)ctx;
	free(malloc(5000));
	return 0;
}

static void walk_objects(void)
{
	dl_iterate_phdr(visit_object, NULL);
}

static void set_environment(void)
{
	static char text[3000];
	static unsigned turn;

	memset(text, 'a' + turn++ % 26, sizeof(text) - 1);
	setenv("HERE", text, 1); /* it is there: nobody sees the list of them move */
}

static void set_zone(void)
{
	static unsigned turn;
	time_t now = 1000000;
	struct tm tm;

	setenv("TZ", turn++ % 2 ? "CET-1CEST,M3.5.0,M10.5.0/3" : "UTC", 1);
	tzset();
	localtime_r(&now, &tm);
}

static void set_locale(void)
{
	static unsigned turn;
	locale_t made;

	setlocale(LC_ALL, turn++ % 2 ? "C.UTF-8" : "C");
	made = newlocale(LC_ALL_MASK, "C", NULL);
	if (made)
		freelocale(made);
}

static void translate(void)
{
	char domain[20];
	static unsigned turn;

	snprintf(domain, sizeof(domain), "domain%u", turn++ % 50);
	bindtextdomain(domain, "/nowhere");
	textdomain(domain);
	dgettext(domain, "text");
}

static void log_line(void)
{
	openlog("forklocks", LOG_NDELAY, LOG_USER);
	syslog(LOG_DEBUG, "%s", "");
	closelog();
}

static void handler_of_exit(void)
{
}

static void register_for_exit(void)
{
	static unsigned turn;

	if (turn++ < 5000)
		atexit(handler_of_exit);
}

static void make_key(void)
{
	pthread_key_t key;

	if (pthread_key_create(&key, free) == 0) {
		pthread_setspecific(key, malloc(10));
		free(pthread_getspecific(key));
		pthread_setspecific(key, NULL);
		pthread_key_delete(key);
	}
}

static void *thread_of_a_moment(void *unused)
{
	free(malloc(100));
	return unused;
}

static void start_thread(void)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, thread_of_a_moment, NULL) == 0)
		pthread_join(thread, NULL);
}

static void convert(void)
{
	iconv_t made = iconv_open("UTF-8", "ISO-8859-1");

	if (made != (iconv_t)-1)
		iconv_close(made);
}

/* Not in static programs, which would need the shared libraries of the same libc for them. */
static bool is_static(void)
{
	return strstr(which, "static") || strstr(which, "musl");
}

static void find_names(void)
{
	char buffer[2000];
	struct passwd passwd, *found;
	struct group group, *found_group;

	getpwuid_r(0, &passwd, buffer, sizeof(buffer), &found);
	getgrgid_r(0, &group, buffer, sizeof(buffer), &found_group);
}

static void find_host(void)
{
	struct addrinfo hints = { .ai_flags = AI_NUMERICHOST }, *found;

	if (getaddrinfo("127.0.0.1", "80", &hints, &found) == 0)
		freeaddrinfo(found);
}

static void open_library(void)
{
	void *library = dlopen("libm.so.6", RTLD_NOW);

	if (library)
		dlclose(library);
	dlopen("libno-such-library.so", RTLD_NOW);
	dlerror();
}

static const struct user {
	const char *name;
	void (*function)(void);
	bool dynamic;
} users[] = {
	{ "read-line", read_line },
	{ "read-line", read_line },
	{ "open-file", open_file },
	{ "open-memory", open_memory },
	{ "flush-all", flush_all },
	{ "print", print_to_all },
	{ "run-command", run_command },
	{ "walk-objects", walk_objects },
	{ "set-environment", set_environment },
	{ "set-zone", set_zone },
	{ "set-locale", set_locale },
	{ "translate", translate },
	{ "log-line", log_line },
	{ "register-for-exit", register_for_exit },
	{ "make-key", make_key },
	{ "start-thread", start_thread },
	{ "convert", convert, true },
	{ "look-up-names", find_names, true },
	{ "look-up-host", find_host, true },
	{ "open-library", open_library, true },
};
#define USERS (sizeof(users) / sizeof(users[0]))

static void *use(void *user)
{
	while (!stop)
		((const struct user *)user)->function();
	return NULL;
}

static void *fork_often(void *unused)
{
	while (!stop) {
		pid_t pid = fork();

		if (!pid) {
			for (unsigned i = 0; i < 200; i++)
				free(malloc(i * 100));
			_exit(0);
		}
		bad += child_status(pid) != 0;
		forks++;
	}
	return unused;
}

/* Those of @users from @first to before @end, beside threads that fork. */
static void fork_beside(size_t first, size_t end)
{
	pthread_t thread[USERS + FORKERS];
	unsigned n = 0;

	stop = false;
	forks = bad = 0;
	for (size_t i = first; i < end; i++)
		if (!users[i].dynamic || !is_static())
			n += !pthread_create(&thread[n], NULL, use, (void *)&users[i]);
	for (unsigned i = 0; n && i < FORKERS; i++)
		n += !pthread_create(&thread[n], NULL, fork_often, NULL);
	alarm(HANGS); /* a deadlock ends the program */
	sleep(SECONDS);
	stop = true;
	while (n)
		pthread_join(thread[--n], NULL);
	alarm(0);
	CHECK(bad == 0);
	CHECK(forks > 0);
}

static void forks_beside_stdio(void)
{
	fork_beside(0, 7);
}

static void forks_beside_all(void)
{
	fork_beside(0, USERS);
}

static const struct api_test tests[] = {
	TEST(forks_beside_stdio),
	TEST(forks_beside_all),
};

int main(int argc, char **argv)
{
	int file = mkstemp(file_name), status;
	static char line[60000];

	memset(line, 'x', sizeof(line));
	if (file < 0 || write(file, line, sizeof(line)) != sizeof(line))
		return 2;
	close(file);
	setenv("HERE", "", 1);
	setenv("TZ", "UTC", 1);
	status = run_tests(argc, argv, tests, sizeof(tests) / sizeof(tests[0]));
	unlink(file_name);
	_exit(status);
}
