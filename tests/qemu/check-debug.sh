#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Do GDB, with qemu/hakmem-gdb.py, and hak_dump() tell of a heap what is in it? What
# that is, is written in dump.c; of a process, below. What GDB prints of the heap is what
# hak_dump() prints, to the letter.
#
#	check-debug.sh dump.elf scaling.elf libhakmem.so

set -u

image=$1
demo=$2
library=$3
here=$(dirname "$0")
limit=${TIMEOUT:-60}
failed=0
scratch=$(mktemp -d) || exit 1
trap 'rm -rf "$scratch"' EXIT

# has NAME FILE REGEX...: each is in a line of the file
has()
{
	local name=$1 file=$2 regex missing=

	shift 2
	for regex; do
		grep -qE -- "$regex" "$file" || missing="$missing '$regex'"
	done
	if [ -z "$missing" ]; then
		echo "ok debug_$name"
	else
		echo "FAIL debug_$name: not told:$missing"
		sed 's/^/  /' "$file"
		failed=1
	fi
}

. "$here/../verdict.sh"

command -v gdb >/dev/null || { echo "FAIL debug: no gdb: run 'make setup-test'"; exit 1; }
root=$here/../..

# debug IMAGE OPTIONS-OF-run.sh OUTPUT OPTION-OF-GDB...
debug()
{
	local image=$1 options=$2 output=$3

	shift 3
	CONSOLE=$scratch/console timeout "$limit" "$root/qemu/debug.sh" "$image" "$options" -batch \
		"$@" >"$output" 2>&1
	[ $? -ne 124 ] || echo "FAIL debug: GDB did not end within $limit s"
}

# The lines of hak_dump().
dump_of()
{
	tr -d '\r' <"$1" | grep -E -e '^ +(size|[0-9]+|larger)( +[a-z0-9]+){3} ' \
		-e '^ +SuperSlab ' -e '^0x[0-9a-f]{16}  +[0-9]'
}

STOP=stop_here debug "$image" '--smp 2' "$scratch/gdb" \
	-ex 'hak heap' -ex 'hak block small' -ex 'hak block (char *)large + 70000' \
	-ex 'hak block freed[3]' -ex 'hak block &small' -ex 'hak block' \
	-ex 'hak block (char *)small + 32 * 65536' \
	-ex 'hak leaks' -ex "hak map $scratch/map" -ex 'hak map' -ex 'hak map /no/such' \
	-ex 'delete' -ex 'continue'

# One SuperSlab is a part.
has heap "$scratch/gdb" '^ +48 +100 +[0-9]+ +16 +7%$' '^ +32 +0 +64 +16 ' '^ +512 +8 ' \
	'^ +larger +2 +0 +793 +100%$' '^0x[0-9a-f]{16} +512 +0 +0 +0  [+#]=+$' \
	'^0x[0-9a-f]{16} +[0-9]+ +[0-9]+ +0 +0  [+s =-]+ [+s =-]+$'
has block "$scratch/gdb" 'a block of 512 bytes, live;' \
	'70000 bytes into the block 0x[0-9a-f]+ of 102400 bytes, live;' \
	'a block of 32 bytes, free, in the magazine of cache [01];' 'not of the heap' \
	'hak block: which ADDRESS'
# the block of 3 MiB lies at 16 MiB, a number that data of the image may have, too
lost='13 blocks of 119 live are lost, 12256|14 blocks of 119 live are lost, 3157984'
has leaks "$scratch/gdb" "^($lost) bytes" \
	'^ +96 bytes: 5 blocks' '^ +512 bytes: 7 blocks' '^ +8192 bytes: 1 block'
has dump "$scratch/console" '^ +48 +100 +[0-9]+ +16 ' '^check: clean'
dump_of "$scratch/gdb" >"$scratch/seen"
dump_of "$scratch/console" >"$scratch/printed"
check debug_heap_is_dump diff "$scratch/printed" "$scratch/seen"
# 100 and 13 blocks of other sizes, and later 10 more
has top "$scratch/console" '^[0-9]+ KiB mapped, .* SuperSlabs' '^ +size +live +used +KiB ' \
	'^ +48 +100 +7% +64 +[0-9]+ +[0-9]+% +100 +0' '^ +48 +110 +8% .* 10 +0' \
	'^ +larger +2 +100% +3172 ' '^ +total +129 .* 10 +0'
has map_file "$scratch/gdb" 'hak map: to which FILE' 'hak map: /no/such: No such file'
tr -d '\r' <"$scratch/console" | sed -n '/^{"hakmem_dump"/,/^\]}/p' >"$scratch/printed"
check debug_map_is_dump diff "$scratch/printed" "$scratch/map"
check debug_map_is_drawn bash -c "python3 '$root/platform/linux/hakmem-map.in' '$scratch/console' |
	grep -q 'blocks of 48 bytes: 1[0-9][0-9] of '"

# What `make qemu-debug` begins with: the heap of the demo, full.
STOP=free_all debug "$demo" '' "$scratch/gdb" -ex 'hak heap' -ex 'hak leaks'
has demo "$scratch/gdb" '^ +16 +100000 +[0-9]+ +400 ' '^0 blocks of 100000 live are lost'

# A process: reachable from the stack of a thread, from memory that is thread-local or mapped;
# of what is lost the 6 blocks of 200 bytes are left. The same of its core file.
cat >"$scratch/program.c" <<'END'
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

/* of the same names as structs of the library */
struct superslab { int slab; } superslab;
struct slab { int node; } slab;
struct cache_cold { int node; } cache_cold;
static __thread char *volatile local;
static volatile uintptr_t lost;
static pthread_barrier_t barrier;

__attribute__((noinline)) void stop_here(void) { __asm__ volatile("" ::: "memory"); }

static void *thread(void *unused)
{
	char *volatile mine = malloc(3000);

	local = (char *)malloc(4000) + 1;
	pthread_barrier_wait(&barrier);
	pause();
	free(mine);
	return unused;
}

int main(void)
{
	char **page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	pthread_t other;

	for (int i = 0; i < 6; i++)
		lost = ~(uintptr_t)malloc(200);
	page[7] = malloc(5000);
	pthread_barrier_init(&barrier, NULL, 2);
	pthread_create(&other, NULL, thread, NULL);
	pthread_barrier_wait(&barrier);
	stop_here();
	_exit(0);
}
END
check process_builds cc -g -O1 -pthread "$scratch/program.c" -o "$scratch/program"
commands=(-ex "source $root/qemu/hakmem-gdb.py" -ex 'hak heap' -ex 'hak leaks')
timeout "$limit" gdb -q -nx -batch -ex "set environment LD_PRELOAD $library" \
	-ex 'break stop_here' -ex run "${commands[@]}" -ex "gcore $scratch/core" \
	"$scratch/program" >"$scratch/gdb" 2>&1
timeout "$limit" gdb -q -nx -batch "${commands[@]}" "$scratch/program" "$scratch/core" \
	>"$scratch/gdb-core" 2>&1
for output in gdb gdb-core; do
	has "process_$output" "$scratch/$output" '^ +5120 +1 ' '^6 blocks of [0-9]+ live are lost' \
		'^ +224 bytes: 6 blocks'
done
check debug_core_is_process diff <(dump_of "$scratch/gdb") <(dump_of "$scratch/gdb-core")

# A structure that has changed is an error that names what is missing.
sed 's/"arena": "all"/"arena": "all nothing"/' "$root/qemu/hakmem-gdb.py" >"$scratch/other.py"
gdb -q -nx -batch -ex "source $scratch/other.py" -ex 'hak heap' "$image" >"$scratch/gdb" 2>&1
has other_version "$scratch/gdb" 'hak: struct arena has no field nothing'
exit $failed
