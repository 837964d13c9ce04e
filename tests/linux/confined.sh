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

# refused NUMBER NAME THREADS: a call that is refused, missing, or trapped. A thread of the C
# library calls madvise when it ends, with all signals blocked: to trap that kills any program.
refused()
{
	local how

	for how in eperm enosys trap; do
		[ "$how-$2-$3" != trap-madvise-2 ] || continue
		confined "$how" "$1" "$3"
	done | sed "s/-$1-$3/-$2-$3-threads/"
}

# Calls that the library makes, mmap excepted; the C library needs futex for threads.
calls=(11:munmap 10:mprotect 12:brk 28:madvise 25:mremap 324:membarrier 39:getpid 186:gettid
	234:tgkill 228:clock_gettime 27:mincore 157:prctl 14:rt_sigprocmask 257:openat)
refusals()
{
	local call threads

	# shellcheck disable=SC2030 # for the programs of this function
	export HAKMEM_PURGE_DELAY_MS=20 HAKMEM_REAPER=0
	confined list 0
	confined list 2
	refused 202 futex 0
	for call in "${calls[@]}"; do
		for threads in 0 2; do
			refused "${call%:*}" "${call#*:}" "$threads"
		done
	done
}

confined lowered
confined locked early
confined locked late
confined rests 11
confined rests 28
confined rests 11 28
refusals >"$scratch/refusals" # its functions run in subshells
cat "$scratch/refusals"
grep -q ^FAIL "$scratch/refusals" && status=1
exit $status
