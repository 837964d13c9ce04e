#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Programs that are confined (confined.c): with the library preloaded, and with the archive.
#
#	tests/linux/confined.sh DIRECTORY	where libhakmem.so and libhakmem.a are

here=$(cd "$(dirname "$0")" && pwd)
directory=$(cd "${1:?usage: $0 DIRECTORY}" && pwd) || exit 2
cc=${CC:-gcc}
status=0
scratch=$(mktemp -d) || exit 2
trap 'rm -rf "$scratch"' EXIT
ulimit -c 0

fail()
{
	echo "FAIL $*"
	status=1
}

build=("$cc" -std=gnu11 -O1 -g -w -fno-builtin -pthread "$here/confined.c")
"${build[@]}" -o "$scratch/confined" &&
	"${build[@]}" -static "$directory/libhakmem.a" -o "$scratch/confined-static" || {
	fail "confined-builds"
	exit 1
}

# judge NAME STATUS: what a program said
judge()
{
	case $2 in
	0) echo "ok $1" ;;
	77) echo "ok $1 (skipped: the system does not allow that)" ;;
	*) fail "$1: status $2: $(tail -n 1 "$scratch/errors")" ;;
	esac
}

# confined ARGUMENT ...: both programs
confined()
{
	local name=${*// /-}

	name=${name// /-}
	LD_PRELOAD=$directory/libhakmem.so "$scratch/confined" "$@" 2>"$scratch/errors"
	judge "preload-$name" $?
	"$scratch/confined-static" "$@" 2>"$scratch/errors"
	judge "archive-$name" $?
}

confined lowered
confined locked early
confined locked late
exit $status
