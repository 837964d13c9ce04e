#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Checks the models of this directory with spin, every interleaving of them; and
# that an error is found in each mutation. See README.md.
#
#	tests/model-check/run.sh [WORD]
#
# With WORD only those whose names contain it; the directory with the trails of
# their errors stays then, and is printed.

here=$(cd "$(dirname "$0")" && pwd)
only=$1
cc=${CC:-gcc}
jobs=$(nproc)
depth=10000
memory=1900 # MiB, for one search

# NAME MODEL OPTIONS: no error in any interleaving
variants='
	seize		seize	-DOPS=4
	seize-rounds	seize	-DROUNDS=3
	seize-interrupt	seize	-DINTERRUPT -DROUNDS=1
	seize-preempt	seize	-DPREEMPT -DOPS=2 -DOPS2=1 -DROUNDS=1 -DBLOCKS=2
	seize-migrate	seize	-DMIGRATE -DOPS=1 -DOPS2=1 -DROUNDS=1 -DBLOCKS=2
	seize-fork	seize	-DFORK -DROUNDS=1
	seize-twice	seize	-DTWICE
	seize-twice-preempt seize -DTWICE -DPREEMPT -DOPS=2 -DOPS2=1 -DROUNDS=1 -DBLOCKS=2
	arena		arena	-DOPS2=1
	arena-remap	arena	-DREMAP
	arena-class	arena	-DCLASS -DOPS2=1
	arena-blocks	arena	-DCLASS -DPER=3 -DOPS=1 -DOPS2=2
	arena-fork	arena	-DFORK -DOPS2=1
	arena-class-fork arena	-DFORK -DCLASS -DOPS=1
'

# MUTATION MODEL OPTIONS: an error in some
mutations='
	NO_BARRIER	seize
	BARRIER_FIRST	seize
	BARRIER_INSIDE	seize
	NO_CONFIRM	seize
	LIMIT_AFTER	seize
	OPEN_UNCLAIMED	seize
	FORGET_PUSH	seize
	FIRST_BASE_2	seize
	QUIET_OPEN	seize
	POP_REREADS	seize
	PUSH_REREADS	seize
	PUSH_SWAPPED	seize
	PUSH_TOP_FIRST	seize
	HANDLER_CACHE	seize	-DINTERRUPT -DOPS=2 -DROUNDS=1
	SEIZED_AT_0	seize	-DPREEMPT -DOPS=1 -DOPS2=1 -DROUNDS=1
	IRQ_ON		seize	-DPREEMPT -DOPS=2 -DOPS2=1 -DROUNDS=1
	FORK_CLAIM	seize	-DFORK -DOPS=2 -DROUNDS=1
	FORK_NO_SCAN	seize	-DFORK -DOPS=2 -DROUNDS=1
	COMPARE_REREADS	seize	-DTWICE
	REPORT_UNCONFIRMED seize -DTWICE
	UNMAP_LISTED	arena
	REFUSED_DROPPED	arena
	CURSOR		arena
	SCAN_UNCLAIMED	arena
	CLAIMED_IGNORED	arena
	CLAIMED_FORGOTTEN arena
	GROW_CLAIMED	arena
	REMAP_LISTED	arena	-DREMAP
	UNBACKED_OFFERED arena	-DCLASS
	EMPTY_CLAIMED	arena	-DCLASS
	CLASS_UNCHECKED	arena	-DCLASS -DOPS=1
	FORK_NO_SCAN	arena	-DFORK -DOPS2=1
'

for tool in spin "$cc"; do
	if ! command -v "$tool" >/dev/null; then
		echo "FAIL model-check: $tool is missing: run 'make setup-test'"
		exit 1
	fi
done
scratch=$(mktemp -d) || exit 2
if [ -z "$only" ]; then
	trap 'rm -rf "$scratch"' EXIT
fi

# What of a model was never run, but for processes that end with the machine. With fork
# the threads do less, since they do it all in the variants without it.
unreached()
{
	sed -nE '/^unreached in/,$p' log | case $1 in
	arena*fork) sed -nE '/^unreached in proctype forker/,/states\)/p' ;;
	*) cat ;;
	esac | grep -E 'state [0-9]+,' | grep -v '"-end-"'
}

# What is wrong with a search that should have found no error?
why_not_sound()
{
	if ! grep -q 'errors: 0$' log; then
		grep -m 1 -E '^pan:[0-9]*:|^pan: .*(reached|exceeds|out of)' log ||
			echo "no result"
	elif grep -qiE 'truncated|not completed|max search depth too small|memlim' log; then
		echo "the search was not exhaustive"
	elif ! grep -q '^State-vector' log || ! grep -q 'Full statespace search' log; then
		echo "not a full search"
	elif [ -n "$(unreached "$1")" ]; then
		echo "never reached:$(unreached "$1" | head -n 1)"
	fi
}

# An assertion that fails, or a deadlock, and nothing else.
why_not_found()
{
	if ! grep -qE '^pan:[0-9]*: (assertion violated|invalid end state)' log; then
		echo "no error was found in a model with MUTATION_$1"
	fi
}

# check NAME MODEL OPTIONS...: prints what tests/run.sh reads
check()
{
	local name=$1 model=$2 why optimize=-O2
	local options=("${@:3}")

	mkdir -p "$scratch/$name" && cd "$scratch/$name" || exit 2
	case $name in
	mutation-*) options+=("-DMUTATION_${name##*-}") optimize=-O0 ;;
	esac
	{
		echo "spin -a ${options[*]} $here/$model.pml"
		spin -a "${options[@]}" "$here/$model.pml" &&
			"$cc" "$optimize" -w -DSAFETY -DCOLLAPSE -DMEMLIM="$memory" -o pan pan.c &&
			./pan -m"$depth" -w23
	} >log 2>&1
	case $name in
	mutation-*) why=$(why_not_found "${name##*-}") ;;
	*) why=$(why_not_sound "$name") ;;
	esac
	if [ -z "$why" ]; then
		echo "ok $name ($(sed -nE 's/^ *([0-9]+) states, stored.*/\1 states/p' log))"
	else
		echo "FAIL $name: $why"
		touch "$scratch/failed"
	fi
}

while read -r name model options; do
	case $name in
	'') continue ;;
	*"$only"*) ;;
	*) continue ;;
	esac
	while [ "$(jobs -rp | wc -l)" -ge "$jobs" ]; do
		wait -n
	done
	# shellcheck disable=SC2086 # a list of words
	(check "$name" "$model" $options) &
done <<<"$variants
$(sed -nE 's/^\t([A-Z_0-9]+)\s+(\w+)/mutation-\2-\1 \2/p' <<<"$mutations")"
wait
[ -n "$only" ] && echo "logs and trails: $scratch"
[ ! -e "$scratch/failed" ]
