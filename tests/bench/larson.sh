#!/bin/bash
# SPDX-License-Identifier: MIT
#
# What an operation of Larson's server (see speed_threads.c) costs with 2 to 256 threads: how many
# instructions of all threads together, by callgrind. The threads take turns there, so that nobody
# spins. An operation takes at most 15 % more with many threads, and few locks.
#
#	tests/bench/larson.sh DIRECTORY		where libhakmem.so and bench/bench are

here=$(cd "$(dirname "$0")" && pwd)
. "$here/../at-most.sh"
directory=${1:?usage: $0 DIRECTORY}
scratch=$(mktemp -d) || exit 2
trap 'rm -rf "$scratch"' EXIT
life=20000 # operations of a thread, then it ends
status=0

# run THREADS OPERATIONS: prints instructions, and locks of 100000 operations
run()
{
	LD_PRELOAD=$directory/libhakmem.so valgrind --tool=callgrind \
		--callgrind-out-file=/dev/null "$directory/bench/bench" larson \
		threads="$1" ops="$2" least=10 most=500 >"$scratch/line" 2>"$scratch/counts" &&
		echo "$(sed -nE 's/.*Collected *: *([0-9]+).*/\1/p' "$scratch/counts")" \
			"$(sed -nE 's/.*locks_per_1000=([0-9]+)\.([0-9]{2}).*/\1\2/p' \
				"$scratch/line")"
}

# What begins and ends once is in both runs, and so in no operation.
for threads in 2 16 64 256; do
	lives=$((threads < 64 ? 64 / threads : 1))
	ops=$((threads * lives * life))
	read -r few _ <<<"$(run $threads $ops)"
	read -r many locks <<<"$(run $threads $((3 * ops)))"
	cost=$(((${many:-0} - ${few:-0}) * 100 / (2 * ops)))
	[ $threads -gt 2 ] || most=$((cost * 115 / 100))
	at_most larson-$threads "$cost" "$most" \
		"$((cost / 100)).$(printf %02d $((cost % 100))) instructions" || status=1
	locks=$((10#${locks:-0}))
	at_most larson-$threads-locks $locks 1000 "$locks locks in 100000 operations" || status=1
done
exit $status
