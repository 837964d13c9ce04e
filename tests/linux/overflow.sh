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
exit $status
