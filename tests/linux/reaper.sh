#!/bin/bash
# SPDX-License-Identifier: MIT
#
# The thread that gives memory back, in a program that knows nothing of it.
#
#	tests/linux/reaper.sh DIRECTORY [CASE]	where libhakmem.so is

here=$(cd "$(dirname "$0")" && pwd)
directory=$(cd "${1:?usage: $0 DIRECTORY}" && pwd) || exit 2
scratch=$(mktemp -d) || exit 2
trap 'rm -rf "$scratch"' EXIT

if ! ${CC:-gcc} -std=gnu11 -O1 -g -Wall -Wextra -fno-builtin -I"$here/../../include" \
	"$here/reaper.c" -pthread -ldl -rdynamic -o "$scratch/reaper" 2>"$scratch/errors"; then
	echo "FAIL reaper-builds: $(head -n 3 "$scratch/errors" | tr '\n' ' ')"
	exit 1
fi
unset HAKMEM_REAPER HAKMEM_PURGE_DELAY_MS
LD_PRELOAD=$directory/libhakmem.so "$scratch/reaper" "${@:2}"
