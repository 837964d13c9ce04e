#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Programs that are confined (confined.c): with the library preloaded, and with the archive.
#
#	tests/linux/confined.sh DIRECTORY	where libhakmem.so and libhakmem.a are

here=$(cd "$(dirname "$0")" && pwd)
directory=$(cd "${1:?usage: $0 DIRECTORY}" && pwd) || exit 2
cc=${CC:-gcc}
scratch=$(mktemp -d) || exit 2
trap 'rm -rf "$scratch"' EXIT
ulimit -c 0

fail()
{
	echo "FAIL $*"
}

build=("$cc" -std=gnu11 -O1 -g -w -fno-builtin -pthread "$here/confined.c")
"${build[@]}" -o "$scratch/confined" &&
	"${build[@]}" -static "$directory/libhakmem.a" -o "$scratch/confined-static" || {
	fail "confined-builds"
	exit 1
}

# judge NAME STATUS ERRORS: what a program said
judge()
{
	case $2 in
	0) echo "ok $1" ;;
	77) echo "ok $1 (skipped: the system does not allow that)" ;;
	*) fail "$1: status $2: $(tail -n 1 "$3")" ;;
	esac
}

# confined ARGUMENT ...: both programs
confined()
{
	local name=$* errors=$scratch/errors-$BASHPID

	name=${name// /-}
	LD_PRELOAD=$directory/libhakmem.so "$scratch/confined" "$@" 2>"$errors"
	judge "preload-$name" $? "$errors"
	"$scratch/confined-static" "$@" 2>"$errors"
	judge "archive-$name" $? "$errors"
}

# They wait for half of the time, so three run at once; what they say comes in order.
count=0
later()
{
	[ "$count" -lt 3 ] || wait -n
	"$@" >"$scratch/said-$count" &
	count=$((count + 1))
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
later confined lowered
later confined locked early
later confined locked late
later confined rests 11
later confined rests 28
later confined rests 11 28
export HAKMEM_PURGE_DELAY_MS=20 HAKMEM_REAPER=0
later confined list 0
later confined list 2
later refused 202 futex 0
for call in "${calls[@]}"; do
	for threads in 0 2; do
		later refused "${call%:*}" "${call#*:}" "$threads"
	done
done
wait
for i in $(seq 0 $((count - 1))); do
	cat "$scratch/said-$i"
done >"$scratch/said"
cat "$scratch/said"
! grep -q ^FAIL "$scratch/said"
