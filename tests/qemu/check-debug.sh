#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Do GDB, with qemu/hakmem-gdb.py, and hak_dump() tell of a heap what is in it?
# What that is, is written in dump.c.
#
#	check-debug.sh dump.elf

set -u

image=$1
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

command -v gdb >/dev/null || { echo "FAIL debug: no gdb: run 'make setup-test'"; exit 1; }
CONSOLE=$scratch/console timeout "$limit" "$here/../../qemu/debug.sh" "$image" '' -batch \
	-ex 'hbreak stop_here' -ex continue \
	-ex 'hak heap' -ex 'hak block small' -ex 'hak block (char *)large + 70000' \
	-ex 'hak block freed[3]' -ex 'hak block &small' -ex 'hak block' \
	-ex 'hak block (char *)small + 32 * 65536' \
	-ex 'hak leaks' -ex 'delete' -ex 'continue' >"$scratch/gdb" 2>&1
[ $? -ne 124 ] || echo "FAIL debug: GDB did not end within $limit s"

has heap "$scratch/gdb" '^ +48 +100 +[0-9]+ +1$' '^ +32 +0 +60 +1$' '^ +512 +8 ' \
	'^ +3145728 +1 +0 +48$' '^0x[0-9a-f]{16} +32 +0 +0 +0$'
has block "$scratch/gdb" 'a block of 512 bytes, live;' \
	'70000 bytes into the block 0x[0-9a-f]+ of 102400 bytes, live;' \
	'a block of 32 bytes, free, in the magazine of cache 0;' 'not of the heap' \
	'hak block: which ADDRESS'
has leaks "$scratch/gdb" '^13 blocks of 115 live are lost, 3149792 bytes' \
	'^ +96 bytes: 5 blocks' '^ +512 bytes: 7 blocks' '^ +3145728 bytes: 1 block'
has dump "$scratch/console" '^ +48 +100 +[0-9]+ +1 ' '^ +32 +0 +60 +1 ' '^ +larger +2 ' \
	'^0x[0-9a-f]{16} +32 +0 +0 +0  #?=+$' '^check: clean'
exit $failed
