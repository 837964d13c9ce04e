#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Samples as the environment asks for them: what is reported, what is written, and what is said
# when something is missing. See samples.c for the programs.
#
#	tests/linux/samples.sh DIRECTORY	where libhakmem.so and .a are

here=$(cd "$(dirname "$0")" && pwd)
directory=$(cd "${1:?usage: $0 DIRECTORY}" && pwd) || exit 2
status=0
scratch=$(mktemp -d) || exit 2
trap 'rm -rf "$scratch"' EXIT
for name in ${!HAKMEM_@}; do unset "$name"; done
ulimit -S -c 0
verdict_prefix=samples-
failed=0
. "$here/../verdict.sh"

build()
{
	${CC:-gcc} -std=gnu11 -O1 -g -w -fno-builtin -pthread -I"$here/../../include" \
		"$here/samples.c" -o "$scratch/$1" "${@:2}" 2>"$scratch/errors" || {
		echo "FAIL samples-builds-$1: $(head -n 3 "$scratch/errors" | tr '\n' ' ')"
		exit 1
	}
}
build probe -L"$directory" -Wl,-rpath,"$directory" -lhakmem
build static -static "$directory/libhakmem.a"

# run SETTINGS -- PROGRAM ARGUMENT...: what it said is in $scratch/said, its status in $ended
run()
{
	local settings=()

	while [ "$1" != -- ]; do
		settings+=("$1")
		shift
	done
	shift
	# what the shell says of a signal goes nowhere
	{
		(cd "$scratch" && env "${settings[@]}" "./$1" "${@:2}") >"$scratch/output" \
			2>"$scratch/said"
		ended=$?
	} 2>/dev/null
}

# expect NAME STATUS PATTERN...: lines on stderr match each of these, and so ended the program
expect()
{
	local name=$1 why=

	[ "$ended" = "$2" ] || why="it ended with $ended; "
	shift 2
	for pattern; do
		grep -qE -- "$pattern" "$scratch/said" || why+="no line is $pattern; "
	done
	[ -z "$why" ] || why+="but $(head -n 2 "$scratch/said" | tr '\n' ' ')"
	verdict "$name" "$why"
}

who='^hakmem: [a-z]+\[[0-9]+\]: '
segv=139
abort=134

test_guards()
{
	local place='at 0x[0-9a-f]+$' access='access to 0x[0-9a-f]+'
	local code='^    0x[0-9a-f]+ \(.*/probe\+0x[0-9a-f]+\)$'

	run HAKMEM_GUARD=1 -- probe write-behind
	expect overflow-right $segv \
		"${who}guard: overflow: $access, 0 bytes behind the end of a block of 64 bytes" \
		'^  accessed by:' '^  allocated by:' "$code"
	run HAKMEM_GUARD=1 -- probe write-before
	expect overflow-left $segv \
		"${who}guard: overflow: $access, 1 bytes before the start of a block of 64 bytes"
	run HAKMEM_GUARD=1 -- probe read-freed
	expect use-after-free $segv \
		"${who}guard: use after free: $access, 5 bytes into a block of 64 bytes $place" \
		'^  freed by:' "$code"
	verdict one-report "$([ "$(grep -c 'guard:' "$scratch/said")" = 1 ] || echo 'not one')"
	run HAKMEM_GUARD=1 -- probe write-into-slack
	expect overflow-into-slack $abort \
		"${who}guard: misuse of 0x[0-9a-f]+, 0 bytes behind the end of a block of 61 " \
		"${who}guard: bytes around a block were written to"
	run HAKMEM_GUARD=1 -- probe free-twice
	expect double-free $abort '^  misused by:' '^  freed by:' \
		"${who}free\(0x[0-9a-f]+\): double free of a block of 64 bytes$"
	run HAKMEM_GUARD=1 -- probe free-inside
	expect free-inside $abort "${who}free\(0x[0-9a-f]+\): 16 bytes inside a block of 64 bytes$"
	run HAKMEM_GUARD=1 -- probe crash
	expect other-fault $segv
	verdict other-fault-is-not-reported "$(cat "$scratch/said")"
	run HAKMEM_GUARD=100 HAKMEM_VERBOSE=1 -- probe threads
	expect guards-with-threads 0 "${who}[0-9]+ samples, .*; [1-9][0-9]* guarded blocks"
}

# share FUNCTION: percent of the live bytes of the profile that go's pprof sees of it
share()
{
	go tool pprof -sample_index=inuse_space -text "$scratch/probe" "$scratch/heap" \
		2>/dev/null | awk -v f="$1" '$NF == f { print int($2 + 0.5) }'
}

test_profile()
{
	local one two

	run HAKMEM_PROFILE=4096:heap -- probe two-stacks
	expect profile 0
	verdict profile-header "$(head -n 1 "$scratch/heap" | grep -vE \
		'^heap profile: [0-9]+: [0-9]+ \[[0-9]+: [0-9]+\] @ heapprofile$')"
	verdict profile-maps "$(grep -q '^MAPPED_LIBRARIES:$' "$scratch/heap" &&
		grep -q ' r-xp .*/probe$' "$scratch/heap" || echo 'there are none')"
	if command -v go >/dev/null; then
		one=$(share alloc_one)
		two=$(share alloc_two)
		verdict profile-is-read "$([ "${one:-0}" -ge 70 ] && [ "${one:-0}" -le 80 ] &&
			[ "${two:-0}" -ge 20 ] && [ "${two:-0}" -le 30 ] ||
			echo "shares of $one and $two % instead of 75 and 25")"
	fi
	run HAKMEM_PROFILE=4096:by-%p-signal HAKMEM_PROFILE_SIGNAL=12 -- probe signal
	expect profile-by-signal 0
	verdict profile-name "$(cd "$scratch" && ls by-*-signal | grep -vE '^by-[0-9]+-signal$')"
	run HAKMEM_PROFILE=4096 -- probe two-stacks
	verdict profile-default-name "$(cd "$scratch" && ls hakmem.*.heap 2>&1 |
		grep -vE '^hakmem\.[0-9]+\.heap$')"
	run HAKMEM_PROFILE=4096:/nowhere/heap -- probe two-stacks
	expect profile-cannot-be-written 0 \
		"${who}cannot write the profile to /nowhere/heap \(errno 2\)$"
	run HAKMEM_PROFILE=4096:heap -- probe start-again
	expect profile-twice 0 "${who}a profile was started already$"
	run HAKMEM_PROFILE=x:heap -- probe two-stacks
	expect profile-of-nonsense 0 "${who}HAKMEM_PROFILE may be 0\.\.[0-9]*\[:FILE\]: using 0"
	run HAKMEM_PROFILE=4096:heap -- probe threads
	expect profile-with-threads 0
	run HAKMEM_PROFILE=4096:heap -- probe fork
	expect profile-with-fork 0
	run HAKMEM_PROFILE=4096:heap -- static two-stacks
	expect static 0
	verdict static-profile "$([ "$(grep -c '^[0-9].*@ 0x' "$scratch/heap")" -gt 1 ] ||
		echo 'it is empty')"
	mkdir "$scratch/broken"
	echo 'no library' >"$scratch/broken/libgcc_s.so.1"
	run HAKMEM_PROFILE=4096:heap LD_LIBRARY_PATH="$scratch/broken" -- probe two-stacks
	expect no-unwinder 0 "${who}there is no unwinder .*: the stacks of samples are unknown$"
	verdict no-unwinder-profile "$([ "$(grep -c '^[1-9].* @$' "$scratch/heap")" = 1 ] ||
		echo 'it is empty')"
}

test_leaks()
{
	run HAKMEM_LEAKS=1 -- probe leaks
	expect leaks 0 "${who}leaks$" '^300 bytes in 3 blocks, allocated by:$' \
		'^5000000 bytes in 1 blocks, allocated by:$'
	verdict leaks-are-live "$(grep -E '^(200|400|500) bytes' "$scratch/said")"
	run HAKMEM_LEAKS=1 -- probe threads
	expect leaks-with-threads 0 '^256000 bytes in 4000 blocks, allocated by:$'
	run HAKMEM_LEAKS=1 HAKMEM_PROFILE=4096:heap -- probe leaks
	expect leaks-of-profile 0 "${who}HAKMEM_LEAKS tells of the samples of HAKMEM_PROFILE$"
}

test_guards
test_profile
test_leaks
exit $failed
