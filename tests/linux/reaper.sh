#!/bin/bash
# SPDX-License-Identifier: MIT
#
# The thread that gives memory back, and what malloc and free do without it, in a program that
# knows nothing of it: with the shared library, and some cases with the archive.
#
#	tests/linux/reaper.sh DIRECTORY [CASE ...]	where libhakmem.so and libhakmem.a are

here=$(cd "$(dirname "$0")" && pwd)
directory=$(cd "${1:?usage: $0 DIRECTORY}" && pwd) || exit 2
shift
scratch=$(mktemp -d) || exit 2
trap 'rm -rf "$scratch"' EXIT
status=0

# Which threads there are, what wraps them, and what a fork takes along: that depends on linking.
with_archive="one_thread_stays_one threads_start_it survives_vfork main_leaves_wrapped
	child_of_two_threads child_of_one_thread freed_goes_at_once survivors_keep_their_pages"

# build NAME [ARCHIVE]
build()
{
	${CC:-gcc} -std=gnu11 -O1 -g -Wall -Wextra -fno-builtin -I"$here/../../include" \
		"$here/reaper.c" ${2:+"$2"} \
		-pthread -ldl -rdynamic -o "$scratch/$1" 2>"$scratch/errors" && return
	echo "FAIL $1-builds: $(head -n 3 "$scratch/errors" | tr '\n' ' ')"
	exit 1
}

unset HAKMEM_REAPER HAKMEM_PURGE_DELAY_MS
build reaper
build reaper-archive "$directory/libhakmem.a"
if [ $# -eq 0 ]; then
	LD_PRELOAD=$directory/libhakmem.so "$scratch/reaper" || status=1
fi
for case in "$@"; do
	LD_PRELOAD=$directory/libhakmem.so "$scratch/reaper" "$case" || status=1
done
for case in $with_archive; do
	[ $# -eq 0 ] || [[ " $* " == *" $case "* ]] || continue
	"$scratch/reaper-archive" "$case" | sed "s/$case/$case-archive/"
	[ "${PIPESTATUS[0]}" -eq 0 ] || status=1
done
exit $status
