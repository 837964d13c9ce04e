/* SPDX-License-Identifier: MIT */
/*
 * Programs into which top.sh looks with hakmem-top.
 *
 *	top equal FOLDER	does the page of the process say what statistics say?
 *	top stay		1000 blocks of 100 bytes live, until stdin ends
 *	top fork		a child that works, until stdin ends, and prints its number
 */
#include <fcntl.h>
#include <hakmem/stats.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void *volatile kept[1000];

static void keep(void)
{
	for (int i = 0; i < 1000; i++)
		kept[i] = malloc(100);
}

/* So that a slow path comes by. */
static void work(void)
{
	free(malloc(3 << 20));
}

static void work_until_end(void)
{
	char byte;

	fcntl(0, F_SETFL, O_NONBLOCK);
	while (read(0, &byte, 1)) {
		work();
		usleep(20000);
	}
}

static int is_equal(const char *folder)
{
	struct hak_class_stats page[HAK_STATS_CLASSES + 1], row;
	char name[4096];
	void *volatile last;
	int file, wrong = 0;
	unsigned i;

	keep();
	for (i = 0; i < 500; i++)
		free(kept[i]);
	usleep(1100000);
	last = malloc(3 << 20);
	snprintf(name, sizeof(name), "%s/hakmem-top.%d", folder, getpid());
	file = open(name, O_RDONLY);
	if (pread(file, page, sizeof(page), 96) != sizeof(page))
		return 2;
	for (i = 0; hak_stats_row(i, &row, sizeof(row)); i++)
		if (memcmp(&row, &page[i], sizeof(row))) {
			printf("row %u: %lu allocations, %lu in the page\n", i, row.allocations,
			       page[i].allocations);
			wrong = 1;
		}
	return wrong || i < 20;
}

static int forks(void)
{
	pid_t child = fork();

	if (!child) {
		keep();
		work_until_end();
		return 0;
	}
	printf("%d\n", child);
	fflush(stdout);
	work_until_end();
	wait(NULL);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc < 2)
		return 2;
	if (!strcmp(argv[1], "equal"))
		return is_equal(argv[2]);
	if (!strcmp(argv[1], "fork"))
		return forks();
	keep();
	work_until_end();
	return 0;
}
