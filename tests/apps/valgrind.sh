#!/bin/bash
# SPDX-License-Identifier: MIT
#
# valgrind's memcheck, which replaces malloc: the library's too, so that it finds the
# same mistakes. Then without that, and callgrind: the library itself, as it is.
#
# for a program that runs on a synthetic CPU, its malloc replaced or not
# needs gcc valgrind
# probe perl -e 1

cat >program.c <<'END'
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static uint64_t sums[3];

static void *worker(void *argument)
{
	uint64_t *sum = argument;
	char *blocks[500] = { 0 };

	for (unsigned i = 0; i < 30000; i++) {
		unsigned at = i * 7919 % 500, size = i * 31 % 3000 + 1;

		if (blocks[at])
			*sum = *sum * 31 + (unsigned char)blocks[at][0];
		free(blocks[at]);
		blocks[at] = malloc(size);
		memset(blocks[at], (int)i, size);
	}
	for (int i = 0; i < 500; i++)
		free(blocks[i]);
	return argument;
}

int main(int argc, char **argv)
{
	pthread_t threads[3];
	volatile char *block = calloc(100, 1);
	int status = 0, how = argc > 1 ? argv[1][0] : 'g';

	for (int i = 0; i < 3; i++)
		pthread_create(&threads[i], NULL, worker, &sums[i]);
	for (int i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	if (how != 't' && !fork()) {
		worker(&sums[0]);
		_exit((int)(sums[0] % 50));
	}
	if (how != 't')
		wait(&status);
	printf("%lx %lx %d\n", (long)sums[1], (long)sums[2], WEXITSTATUS(status));
	fflush(stdout);
	block = realloc((void *)block, 3000000);
	if (how == 'l')
		block = malloc(777);
	free((void *)block);
	if (how == 'u')
		printf("%d\n", block[50]);
	if (how == 'o') {
		block = malloc(40);
		block[40] = 1;
		free((void *)block);
	}
	return 5;
}
END
gcc -g -O1 -pthread program.c -o program >&2 || exit

# under NAME OPTION ... -- ARGUMENT: the status, what the program says, the errors
under()
{
	local name=$1 status options=()

	shift
	while [ "$1" != -- ]; do
		options+=("$1")
		shift
	done
	shift
	timeout 150 valgrind --log-file=log.%p "${options[@]}" ./program "$@" \
		>out 2>errors </dev/null
	status=$?
	cat errors log.* >&2
	cat log.* | sed -nE 's/^==[0-9]+== (Invalid .*|.* definitely lost in).*/\1/p' | sort >found
	echo "result $name status $status $(head -n 1 out) $(tr '\n' ' ' <found)"
	rm -f log.*
}

under good --error-exitcode=9 -- good
under leak --error-exitcode=9 --leak-check=full -- leak
under use-after-free --error-exitcode=9 -- use
under overflow --error-exitcode=9 -- overflow
itself=(--soname-synonyms=somalloc=nouserintercepts --undef-value-errors=no)
under not-replaced "${itself[@]}" -- good
under callgrind --tool=callgrind --callgrind-out-file=/dev/null -- good
under massif --tool=massif --massif-out-file=/dev/null -- good
# shellcheck disable=SC2016 # variables of perl
echo "result perl $(timeout 150 valgrind -q "${itself[@]}" --log-file=/dev/null perl -e '
	$h{$_} = "x" x ($_ % 90) for 1 .. 20000;
	print scalar(keys %h), " ", length(join "", values %h)' 2>&1) $?"
