#!/bin/bash
# SPDX-License-Identifier: MIT
#
# gdb, and a program under it: breakpoints, a backtrace, malloc and free called by
# hand while the program stands, its children, a core file.
#
# for a debugger that stops the program anywhere, and calls malloc in it
# needs gcc gdb
# probe gdb --version

cat >program.c <<'END'
#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

struct node {
	struct node *next;
	char name[40];
};
static struct node *list;

/* By name, gdb does not find what a library has where it cannot list the libraries. */
struct hands {
	char *(*malloc)(unsigned long);
	char *(*calloc)(unsigned long, unsigned long);
	char *(*realloc)(char *, unsigned long);
	unsigned long (*usable)(char *);
	void (*free)(char *);
} hands = { (void *)malloc, (void *)calloc, (void *)realloc, (void *)malloc_usable_size,
	    (void *)free };
char *a, *b;

__attribute__((noinline)) void reached(struct node *node, int depth)
{
	if (depth)
		reached(node, depth - 1);
	__asm__ volatile("" ::: "memory");
}

static void *worker(void *unused)
{
	for (int i = 0; i < 20000; i++) {
		char *block = malloc(i % 900 + 1);

		block[0] = 1;
		free(block);
	}
	reached(list, 2);
	return unused;
}

int main(void)
{
	pthread_t threads[3];
	int status;

	for (int i = 0; i < 2000; i++) {
		struct node *node = calloc(1, sizeof(*node));

		sprintf(node->name, "node %d", i);
		node->next = list;
		list = node;
	}
	reached(list, 5);
	pid_t child = fork();
	if (!child) {
		reached(list->next, 1);
		free(malloc(5000000));
		_exit(7);
	}
	waitpid(child, &status, 0);
	printf("child %d\n", WEXITSTATUS(status));
	fflush(stdout);
	for (int i = 0; i < 3; i++)
		pthread_create(&threads[i], NULL, worker, NULL);
	for (int i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	printf("done\n");
	return 3;
}
END
gcc -g -O1 -pthread program.c -o program >&2 || exit

quiet=(gdb -q -nx -batch -ex 'set debuginfod enabled off' -ex 'set pagination off'
	-ex 'set print address off' -ex 'set print thread-events off'
	-ex 'set print inferior-events off')

# session NAME COMMAND ...: frames, values and what the program prints, without numbers that
# differ; TARGET is what gdb starts with
program=(./program)
target=(-ex 'break reached if depth == 0' -ex run)
session()
{
	local name=$1 commands=() status

	shift
	for command; do
		commands+=(-ex "$command")
	done
	timeout 100 "${quiet[@]}" "${target[@]}" "${commands[@]}" "${program[@]}" \
		>out 2>errors </dev/null
	status=$?
	cat out errors >&2
	grep -aE '^(\$[0-9]|#|child|done|Breakpoint|Thread .* hit)' out |
		grep -vE '^Breakpoint .*( at |locations|: file)' |
		sed -E 's/0x[0-9a-f]+/ADDRESS/g; s/Thread [0-9a-fx.]+/Thread/g' >said
	echo "result $name status $status: $(tr '\n' ';' <said)"
}

# What is called by hand. gdb 13 cannot write the registers of some CPUs, with no program.
by_hand=('set var a = hands.malloc(100)' 'set var b = hands.calloc(1000, 1000)'
	'print a != 0 && b != 0 && a != b' 'set var a[99] = 1' 'print b[999999]'
	'set var a = hands.realloc(a, 300000)' 'print a[99] == 1' 'print hands.usable(a) >= 300000'
	'call hands.free(a)' 'call hands.free(b)' 'print "text of its own"' delete continue)
called()
{
	if [[ $1 == call ]] && env -u LD_PRELOAD "${quiet[@]}" -ex 'break main' -ex run \
			-ex 'print (int)getpid()' ./program 2>&1 </dev/null |
			grep -m 1 "Couldn't write" >why; then
		echo "skipped $1 gdb cannot call any function here: $(cat why)"
		return
	fi
	session "$1" "${by_hand[@]}"
}

session break backtrace 'print list->name' 'print list->next->next->name' 'info threads' \
	delete continue
called call
session child 'set follow-fork-mode child' continue backtrace 'print node->name' delete continue
session malloc 'break malloc' continue finish delete continue
session core 'generate-core-file core' kill
target=(-ex 'break worker' -ex run)
session threads delete continue
program=(./program core)
target=()
session core-read backtrace 'print list->name' 'print list->next->name'
program=(./program)

# The same by the stub of an emulator, where functions can be called on every machine.
if command -v qemu-x86_64 >/dev/null; then
	qemu-x86_64 -g "$PWD/stub" ./program >emulated 2>&1 </dev/null &
	for i in {1..100}; do
		[ -S stub ] && break
		sleep 0.1
	done
	target=(-ex "target remote $PWD/stub" -ex 'break reached if depth == 0' -ex continue)
	session call-emulated "${by_hand[@]}"
	wait $!
	echo "result emulated status $? $(tr '\n' ' ' <emulated)"
fi

# The commands of the repository; without the library there is nothing that they could say.
timeout 100 "${quiet[@]}" -ex "source $ROOT/qemu/hakmem-gdb.py" \
	-ex 'break reached if depth == 0' -ex run -ex 'hak heap' -ex 'hak block list' \
	./program >out 2>errors </dev/null
cat out errors >&2
if [ -z "$LD_PRELOAD" ] || grep -q 'a block of 48 bytes, live' out; then
	echo "result hak works"
else
	echo "result hak $(tail -n 1 errors)"
fi
