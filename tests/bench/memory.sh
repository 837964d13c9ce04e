#!/bin/bash
# SPDX-License-Identifier: MIT
#
# What the heap of a process costs in memory, and what it gives back: runs the
# workloads of tests/bench/memory.c with this library and with others, and makes
# a table. Figures are no failures: the status tells whether all programs ran.
#
#	tests/bench/memory.sh		`make bench-memory` builds what it needs
#
# Environment:
#	O	where everything is built, default build: raw lines go to
#		$O/bench/memory.txt, the table to $O/bench/memory.md
#	LIB	the library, default $O/linux/libhakmem.so
#	PEERS	more libraries to compare with, as "NAME=/PATH.so ..."
#	QUICK	if set, a shorter run, with the C library's malloc as only peer
#	ALONE	if set, no other malloc
#	BRIEF	if set, likewise, and not all of the promises: a minute

O=${O:-build}
LIB=${LIB:-$O/linux/libhakmem.so}
program=$O/linux/bench/memory
raw=$O/bench/memory.txt
table=$O/bench/memory.md
failures=0

for file in "$LIB" "$program"; do
	[ -r "$file" ] || { echo "memory.sh: no $file: run 'make bench-memory'" >&2; exit 2; }
done
mkdir -p "$O/bench" && : >"$raw" || exit 2

. "$(dirname "$0")/peers.sh"
find_peers "$program"
if [ -n "$ALONE$BRIEF" ]; then
	names=(hakmem)
else
	[ -n "$QUICK" ] || find_debian_peers
	find_more_peers
fi
LIB=${library[hakmem]}

# run NAME WORKLOAD VARIANT [OPTION ...]: its lines, with the name in front, go to $raw
run()
{
	local name=$1 lines

	shift
	echo "memory.sh: $name $*" >&2
	if ! lines=$(timeout 300 env LD_PRELOAD="${library[$name]}" "$program" "$@"); then
		echo "memory.sh: $name $*: failed" >&2
		failures=$((failures + 1))
	elif [ -n "$lines" ]; then
		printf '%s\n' "$name ${lines//$'\n'/$'\n'$name }" >>"$raw"
	fi
}

run_workloads()
{
	local name=$1 variant light keep

	for variant in forward reverse random; do
		run "$name" small $variant
	done
	for variant in all scattered neighbour neighbour-all; do
		for light in 0 1; do
			run "$name" spike $variant light=$light
		done
	done
	run "$name" sawtooth stack
	run "$name" replace steady
	for keep in 1024 32; do
		run "$name" aging phases keep=$keep ${QUICK:+seconds=3}
	done
	for variant in all scattered; do
		run "$name" idle $variant
	done
}

# median KEY NAME: of the lines of the sawtooth that were made in turns
median()
{
	sed -nE "s/^$2 sawtooth .* sample=0 .*\b$1=([0-9.]+).*/\1/p" "$raw" | sort -n |
		awk '{ v[NR] = $1 } END { print (v[int((NR + 1) / 2)] + v[int(NR / 2) + 1]) / 2 }'
}

ratio()
{
	awk -v on="$1" -v off="$2" 'BEGIN { if (off > 0) printf "%.3f", on / off; else print "-" }'
}

# What giving back costs, in time: one run after another with and without. The runs are long
# enough that the first tooth does not decide: a program of one thread gets its memory back for
# that one by page faults, since it is not known yet that it will want it again.
compare_time()
{
	local turns=${QUICK:+2} work cpu

	library[hakmem-never]=$LIB
	for ((turn = ${turns:-11}; turn > 0; turn--)); do
		run hakmem sawtooth stack sample=0 teeth=40
		HAKMEM_PURGE_DELAY_MS=-1 run hakmem-never sawtooth stack sample=0 teeth=40
	done
	work=$(ratio "$(median work_ms hakmem)" "$(median work_ms hakmem-never)")
	cpu=$(ratio "$(median cpu_ms hakmem)" "$(median cpu_ms hakmem-never)")
	echo "hakmem sawtooth on-off work_ratio=$work cpu_ratio=$cpu" >>"$raw"
}

# Instructions of all threads.
count_instructions()
{
	echo "memory.sh: hakmem replace steady under callgrind" >&2
	LD_PRELOAD=$LIB valgrind --tool=callgrind --callgrind-out-file=/dev/null \
		"$program" replace steady ops="$1" 2>&1 |
		sed -nE 's/.*Collected *: *([0-9]+).*/\1/p'
}

compare_instructions()
{
	local ops=${QUICK:+1000000} on off

	ops=${ops:-5000000}
	if ! command -v valgrind >/dev/null; then
		missing+=("no valgrind, which counts instructions: run 'make setup-test'")
		return
	fi
	on=$(count_instructions "$ops")
	off=$(HAKMEM_PURGE_DELAY_MS=-1 count_instructions "$ops")
	if [ -z "$on" ] || [ -z "$off" ]; then
		echo "memory.sh: replace under callgrind: failed" >&2
		failures=$((failures + 1))
		return
	fi
	echo "hakmem replace on-off ops=$ops on=$on off=$off" \
		"instructions_ratio=$(ratio "$on" "$off")" >>"$raw"
}

# A row of the table: what it is | words that its lines have | which of their
# figures | the most it may be: a number, another figure of the line, or -
rows()
{
	cat <<-'END'
		1M x 16 B freed in order: net KiB | small forward | net_kib | 512
		1M x 16 B freed in reverse: net KiB | small reverse | net_kib | 512
		1M x 16 B freed at random: net KiB | small random | net_kib | 512
		1M x 16 B: phantom SuperSlabs, at most | small | phantoms | 0
		spike, all freed: net MiB | spike all light=0 | net_mib | 12
		... and light work | spike all light=1 | net_mib | 12
		spike, all freed by neighbour: net MiB | spike neighbour-all light=0 | net_mib | 12
		... and light work | spike neighbour-all light=1 | net_mib | 12
		spike, 1 of 16 survives: net MiB | spike scattered light=0 | net_mib | limit_mib
		... and light work | spike scattered light=1 | net_mib | limit_mib
		... freed by neighbour | spike neighbour light=0 | net_mib | limit_mib
		... and light work | spike neighbour light=1 | net_mib | limit_mib
		sawtooth, after the last tooth: net / live | sawtooth sample=10 | ratio | 1.25
		... all the time, at most: net / live | sawtooth sample=10 | worst_ratio | -
		... CPU ms | sawtooth sample=10 | cpu_ms | -
		... work, giving back / never | sawtooth on-off | work_ratio | 1.10
		... CPU time, giving back / never | sawtooth on-off | cpu_ratio | 1.10
		replace 20M: ms | replace steady | total_ms | -
		... purges while steady | replace steady | purges | -
		... instructions, giving back / never | replace on-off | instructions_ratio | 1.01
		aging, phase 1: net / live | aging phase=1 keep=1024 | ratio | 1.20
		... phase 2 | aging phase=2 keep=1024 | ratio | 1.20
		... phase 3 | aging phase=3 keep=1024 | ratio | 1.20
		... most, net / floor | aging keep=1024 | floor_ratio | -
		... most, net / floor, 1 of 32 kept | aging keep=32 | floor_ratio | -
		idle, all freed: switches of other threads in 5 s | idle all | switches | 0
		... 1 of 16 survives | idle scattered | switches | 0
		... threads, main's included | idle | threads | -
	END
}

# The largest figure of all lines that a row means is what counts.
make_table()
{
	rows | awk -F ' *[|] *' -v names="${names[*]}" '
		function figure(line, key)
		{
			if (!match(line, " " key "=[^ ]+"))
				return "-"
			return substr(line, RSTART + length(key) + 2, RLENGTH - length(key) - 2)
		}
		# Looks up a row: sets value and limit.
		function look_up(name, words, key, most,    i, j, n, word, found)
		{
			value = "-"
			n = split(name " " words, word, " ")
			for (i = 1; i <= lines; i++) {
				for (j = 1; j <= n && index(line[i] " ", " " word[j] " "); j++)
					;
				found = j > n ? figure(line[i], key) : "-"
				if (found == "-" || (value != "-" && found + 0 <= value + 0))
					continue
				value = found
				limit = most ~ /^[a-z]/ ? figure(line[i], most) : most
			}
		}
		function cell(row, column, text)
		{
			cells[row, column] = text
			if (length(text) > width[column])
				width[column] = length(text)
		}
		BEGIN {
			peers = split(names, peer, " ")
			cell(1, 1, "workload"); cell(1, 2, "required")
			cell(1, 3, peer[1]); cell(1, 4, "met")
			for (i = 2; i <= peers; i++)
				cell(1, 3 + i, peer[i])
			last = 1
		}
		!reading_rows {
			line[++lines] = " " $0
			next
		}
		{
			last++
			limit = $4
			look_up(peer[1], $2, $3, $4)
			cell(last, 1, $1)
			if (limit !~ /^[0-9]/)
				limit = "-"
			met = value + 0 <= limit + 0 ? "yes" : "no"
			cell(last, 2, limit == "-" ? "-" : "<= " limit)
			cell(last, 3, value)
			cell(last, 4, value == "-" || limit == "-" ? "-" : met)
			for (i = 2; i <= peers; i++) {
				look_up(peer[i], $2, $3, $4)
				cell(last, 3 + i, value)
			}
		}
		END {
			for (row = 1; row <= last; row++) {
				for (i = 1; i <= 3 + peers; i++)
					printf "| %" (i == 1 ? "-" : "") width[i] "s ",
						cells[row, i]
				print "|"
				for (i = 1; row == 1 && i <= 3 + peers; i++) {
					dashes = sprintf("%" width[i] + 1 "s", "")
					gsub(/ /, "-", dashes)
					printf "|%s%s", dashes, i == 1 ? "-" : ":"
				}
				if (row == 1)
					print "|"
			}
		}' "$raw" reading_rows=1 -
}

# What one look at each kind of promise takes.
run_brief()
{
	run hakmem small random
	run hakmem spike scattered light=1 mib=320
	run hakmem spike neighbour-all light=0 mib=320
	run hakmem sawtooth stack teeth=10
	run hakmem idle scattered
}

if [ -n "$BRIEF" ]; then
	run_brief
else
	for name in "${names[@]}"; do
		run_workloads "$name"
	done
	compare_time
	compare_instructions
fi
make_table >"$table" || failures=$((failures + 1))
echo
cat "$table"
echo
[ ${#missing[@]} -eq 0 ] || printf 'memory.sh: %s\n' "${missing[@]}"
echo "memory.sh: this table is $table, the lines behind it are $raw"
[ "$failures" -eq 0 ] && exit
echo "memory.sh: $failures failures, see above" >&2
exit 1
