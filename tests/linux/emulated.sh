#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Where QEMU emulates the CPU of a program, the memory barrier on all threads does not fall
# between two instructions, and nothing may be taken from the magazines of others.
#
#	tests/linux/emulated.sh DIRECTORY [SECONDS]	where libhakmem.so and .a are

here=$(cd "$(dirname "$0")" && pwd)
directory=$(cd "${1:?usage: $0 DIRECTORY [SECONDS]}" && pwd) || exit 2
seconds=${2:-15}
cc=${CC:-gcc}
status=0
scratch=$(mktemp -d) || exit 2
trap 'rm -rf "$scratch"' EXIT
ulimit -c 0

if ! command -v qemu-x86_64 >/dev/null; then
	echo "ok emulated (skipped: there is no qemu-x86_64; 'make setup-test' installs it)"
	exit 0
fi

# emulated NAME COMMAND ...: the delay is short, so that there are many scans
emulated()
{
	if HAKMEM_PURGE_DELAY_MS=10 qemu-x86_64 "${@:2}" "$seconds" >"$scratch/$1" 2>&1; then
		echo "ok $1 ($(tail -n 1 "$scratch/$1"))"
	else
		echo "FAIL $1: $(grep -m 1 . "$scratch/$1")"
		return 1
	fi
}

build=("$cc" -std=gnu11 -O1 -g -w -fno-builtin -pthread "$here/emulated.c")
"${build[@]}" -o "$scratch/emulated" &&
	"${build[@]}" -static "$directory/libhakmem.a" -o "$scratch/emulated-static" || {
	echo "FAIL emulated-builds"
	exit 1
}
emulated preload -E LD_PRELOAD="$directory/libhakmem.so" "$scratch/emulated" &
emulated archive "$scratch/emulated-static" || status=1
wait $! || status=1
exit $status
