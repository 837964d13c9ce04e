#!/bin/bash
# SPDX-License-Identifier: MIT
#
# HAKMEM_DEBUG in programs: what is right goes on as without it, crimes are reported, wrong letters
# give one line. See letters.cc.
#
#	tests/linux/letters.sh DEBUG RELEASE	where libhakmem.so and .a are of both builds

here=$(cd "$(dirname "$0")" && pwd)
debug=$(cd "${1:?usage: $0 DEBUG RELEASE}" && pwd) || exit 2
release=$(cd "${2:?}" && pwd) || exit 2
scratch=$(mktemp -d) || exit 2
trap 'rm -rf "$scratch"' EXIT
ulimit -c 0
failed=0
verdict_prefix=letters_
. "$here/../verdict.sh"
for name in ${!HAKMEM_@}; do unset "$name"; done

cxx="${CXX:-g++} -std=c++17 -O1 -g -w -fno-builtin $here/letters.cc -pthread"
$cxx -o "$scratch/shared" || exit 2
$cxx -static -o "$scratch/static" -Wl,--whole-archive "$debug/libhakmem.a" \
	-Wl,--no-whole-archive || exit 2

# run LETTERS PROGRAM ARGUMENT...: its status, and what it says on stderr
run()
{
	# the shell says on its own stderr that a program was aborted
	{
		timeout 60 env HAKMEM_DEBUG="$1" LD_PRELOAD="${library-$debug/libhakmem.so}" \
			"${@:2}" >"$scratch/output" 2>"$scratch/said"
		status=$?
	} 2>/dev/null
}

# says NAME STATUS LINES PATTERN: how many lines, -1: any number; the last one matches
says()
{
	local lines

	lines=$(wc -l <"$scratch/said")
	verdict "$1" "$([ "$status" = "$2" ] && { [ "$3" = -1 ] || [ "$lines" = "$3" ]; } &&
		tail -n 1 "$scratch/said" | grep -qE "$4" || {
			[ "$status$lines$3" = 000 ] || echo "status $status, $lines lines:"
			[ "$status$lines$3" = 000 ] || tail -n 3 "$scratch/said"
		})"
}

for letters in FZPU 'FZ,24;U,1000,50000'; do
	run "$letters" "$scratch/shared" fine
	says "shared-$letters" 0 0 ''
	library='' run "$letters" "$scratch/static" fine
	says "static-$letters" 0 0 ''
done
HAKMEM_GUARD=1 HAKMEM_PROFILE=1:/dev/null library='' run - "$scratch/static" fine
says static-sampled 0 0 ''
run FZPU bash -c 'for ((i = 0; i < 500; i++)); do a[i]=$(printf %$((i * 9))s); done; echo ${#a[@]}'
says bash 0 0 ''

byte='a block of 24 bytes is 0x21, not'
for program in shared static; do
	[ $program = shared ] || library=
	run Z "$scratch/$program" overflow
	says $program-overflow 134 -1 \
		"delete|free.*: byte 24 of $byte 0xcc: it was written to behind its end"
	run P "$scratch/$program" late
	says $program-late 134 -1 "exit.*: byte 5 of $byte 0x6b: it was written to after its free"
	run U "$scratch/$program" twice
	says $program-twice 134 -1 'double free of a block of 24 bytes'
	verdict $program-users "$(grep -A 2 'this: ' "$scratch/said" |
		grep -q "/$program+0x" && grep -A 1 'freed by thread [0-9]*, at [0-9]* ms' \
			"$scratch/said" | grep -q "/$program+0x" || cat "$scratch/said")"
done
unset library
run Z,24 "$scratch/shared" overflow
says by-size 134 -1 'behind its end'
run Z,100 "$scratch/shared" overflow
says by-other-size 0 0 ''

for letters in X FQ 'F,' 'F;;'; do
	run "$letters" "$scratch/shared" overflow
	says "wrong-$letters" 0 1 "HAKMEM_DEBUG may be .*: using -, not \"$letters\""
done
library=$release/libhakmem.so run FZ "$scratch/shared" overflow
says release 0 1 'HAKMEM_DEBUG needs a library that was built with DEBUG=1'
exit $failed
