#!/bin/bash
# SPDX-License-Identifier: MIT
#
# When the kernel refuses: address space limited from 8 to 512 MiB; as many
# mappings as there may be; moves of what an older one does not move; and the
# N-th call of mmap, munmap, madvise, mremap failing, once and from then on, for
# N = 1 until a run needs no failure. Never a crash, only NULL with ENOMEM, and that only
# if no other thread's magazines have the memory.
#
#	tests/linux/limits.sh DIRECTORY [archive]	where libhakmem.so and .a are; programs are
#							linked with the archive

here=$(cd "$(dirname "$0")" && pwd)
directory=$(cd "${1:?usage: $0 DIRECTORY}" && pwd) || exit 2
archive=${2:+$directory/libhakmem.a}
preloaded=
[ -n "$archive" ] || preloaded=$directory/libhakmem.so
cc=${CC:-gcc}
status=0
scratch=$(mktemp -d) || exit 2
trap 'rm -rf "$scratch"' EXIT

fail()
{
	echo "FAIL $*"
	status=1
}

# build NAME [OPTION...]
build()
{
	$cc -std=gnu11 -O1 -g -w -fno-builtin -pthread -I"$here/../../include" "$here/$1.c" \
		"${@:2}" -o "$scratch/$1" || fail "$1-build"
}

linked=("$archive")
[ -n "$archive" ] || linked=(-L"$directory" -Wl,-rpath,"$directory" -lhakmem)
for program in limits others; do
	build $program $archive
done
for program in maps largest; do
	build $program "${linked[@]}"
done
$cc -std=gnu11 -O1 -g -w -shared -fPIC "$here/inject.c" -o "$scratch/inject.so" ||
	fail "inject-build"
[ $status -eq 0 ] || exit 1

test_address_space()
{
	local mib result refused=0 fine=0

	for mib in $(seq 8 2 64) $(seq 72 16 512); do
		(ulimit -c 0 -v $((mib << 10)) &&
			LD_PRELOAD=$preloaded exec "$scratch/limits") 2>"$scratch/errors"
		result=$?
		case $result in
		0) fine=$((fine + 1)) ;;
		10) refused=$((refused + 1)) ;;
		*) fail "address-space-$mib: status $result: $(tail -n 1 "$scratch/errors")" ;;
		esac
	done
	if [ $refused -eq 0 ] || [ $fine -eq 0 ]; then
		fail "address-space: $refused runs were refused something, $fine nothing"
	else
		echo "ok address-space ($refused runs were refused something, $fine nothing)"
	fi
}

test_mappings()
{
	local reaper

	for reaper in 0 1; do
		if HAKMEM_REAPER=$reaper "$scratch/maps" 2>"$scratch/errors"; then
			echo "ok mappings-reaper-$reaper"
		else
			fail "mappings-reaper-$reaper: $(tail -n 1 "$scratch/errors")"
		fi
	done
}

# Blocks that are moved more than once, under a kernel for which they are several mappings.
test_moves()
{
	local result

	INJECT_OLD=1 LD_PRELOAD="$scratch/inject.so $preloaded" "$scratch/limits" moves \
		2>"$scratch/errors"
	result=$?
	if [ $result -eq 10 ]; then
		echo "ok moves"
	else
		fail "moves: status $result (10: there were such): $(tail -n 1 "$scratch/errors")"
	fi
}

# What lies in the magazines of a thread that sleeps is there for others before they get NULL.
test_other_threads()
{
	local reaper size before after

	for reaper in 0 1; do
		while read -r size before after; do
			# the reaper may have one in its hand
			if [ $(((after + 1) * 100)) -ge $((before * 99)) ]; then
				echo "ok other-threads-$size-reaper-$reaper"
			else
				fail "other-threads-$size-reaper-$reaper: $before, then $after"
			fi
		done < <(HAKMEM_REAPER=$reaper LD_PRELOAD=$preloaded "$scratch/others" ||
			echo "status 1 0")
	done
}

test_largest()
{
	local seed

	for seed in $(seq 20); do
		"$scratch/largest" $seed 2>"$scratch/errors" || {
			fail "largest: seed $seed: status $?: $(tail -n 1 "$scratch/errors")"
			return
		}
	done
	echo "ok largest"
}

# inject CALL FROM COUNT: the status of a run
inject()
{
	INJECT_CALL=$1 INJECT_FROM=$2 INJECT_COUNT=$3 HAKMEM_REAPER=0 \
		LD_PRELOAD="$scratch/inject.so $preloaded" "$scratch/limits" small \
		2>"$scratch/errors"
}

# Every N until one is beyond the last call; above 40 only some.
inject_case()
{
	local call=$1 count=$2 n=1 result runs=0

	while [ $n -lt 4000 ]; do
		inject "$call" $n "$count"
		result=$?
		[ $result -eq 0 ] && break
		runs=$((runs + 1))
		if [ $result -ne 10 ]; then
			fail "$call-$n-fails-$count: status $result: $(tail -n 1 "$scratch/errors")"
			return
		fi
		n=$((n < 40 ? n + 1 : n * 9 / 8))
	done
	if [ $n -ge 4000 ]; then
		fail "$call-fails-$count: there is no end of it"
	elif [ $runs -eq 0 ]; then
		fail "$call-fails-$count: it was never called"
	else
		echo "ok $call-fails-$count ($runs runs)"
	fi
}

test_address_space
test_mappings
test_moves
test_other_threads
test_largest
ulimit -c 0
for call in mmap munmap madvise mremap any; do
	inject_case $call 1
	inject_case $call 1000000
done
exit $status
