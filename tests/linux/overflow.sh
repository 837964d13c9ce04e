#!/bin/bash
# SPDX-License-Identifier: MIT
#
# No overflow of a block changes what is the allocator's: see overflow.c. With the shared
# library, and with the archive in a static program, where libc and the library have their
# static data in one piece.
#
#	tests/linux/overflow.sh DIRECTORY		where libhakmem.so and .a are

here=$(cd "$(dirname "$0")" && pwd)
directory=$(cd "${1:?usage: $0 DIRECTORY}" && pwd) || exit 2
status=0
scratch=$(mktemp -d) || exit 2
trap 'rm -rf "$scratch"' EXIT
ulimit -c 0

# overflow NAME FLAG ...: built with these; lines of its tests get the name
overflow()
{
	local name=$1

	shift
	if ! ${CC:-gcc} -std=gnu11 -O1 -g -w -fno-builtin -I"$here/../../include" \
		"$here/overflow.c" -o "$scratch/$name" "$@" 2>"$scratch/errors"; then
		echo "FAIL $name-builds: $(head -n 3 "$scratch/errors" | tr '\n' ' ')"
		status=1
		return
	fi
	"$scratch/$name" >"$scratch/out" 2>&1 || status=1
	sed -E "s/^(ok|FAIL) /\1 $name-/" "$scratch/out"
}

# -z now: the first call of a function of libc is not to change the program
overflow shared -Wl,-z,now -L"$directory" -Wl,-rpath,"$directory" -lhakmem
overflow static -static "$directory/libhakmem.a" -pthread

# distances N COMMAND...: how many different distances have the heap and libc in N runs?
distances()
{
	for ((i = 0; i < $1; i++)); do
		LD_PRELOAD=$directory/libhakmem.so "${@:2}" "$scratch/distance"
	done | sort -u | wc -l
}

# By chance alone, 200 runs have 166 different ones where it is the kernel that places both.
${CC:-gcc} -O1 -w -fno-builtin -x c - -o "$scratch/distance" <<'END' || exit 2
#include <stdio.h>
#include <stdlib.h>
int main(void) { printf("%ld\n", (long)((char *)malloc(100) - (char *)&puts)); return 0; }
END
if [ "$(cat /proc/sys/kernel/randomize_va_space)" != 0 ]; then
	n=$(distances 200)
	[ "$n" -ge 185 ] && echo "ok distances ($n of 200)" || {
		echo "FAIL distances: $n different ones in 200 runs"
		status=1
	}
	n=$(distances 5 setarch -R)
	[ "$n" -le 1 ] && echo "ok distance-without-chance" || {
		echo "FAIL distance-without-chance: $n different ones"
		status=1
	}
fi
exit $status
