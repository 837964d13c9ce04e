#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Makes the report of a run of bench.sh: results.md, which begins with one picture
# (summary.svg) and one table, and with gnuplot charts.
#
#	tests/bench/report.sh DIRECTORY
#
# Reads there results.csv (turn, workload, peer, status, ns, ops, peak_kib, and
# "KEY=VALUE ..."), and, where they are there, trace.csv (workload, peer, ms,
# kib), machine.txt, missing.txt (lines to be shown) and memory.md. Works with any
# part of a run, so an interrupted one has a report too.

here=$(cd "$(dirname "$0")" && pwd)
out=${1:?usage: $0 DIRECTORY}
[ -s "$out/results.csv" ] || { echo "report.sh: no results in $out/results.csv" >&2; exit 2; }
charts=$(mktemp -d) || exit 2
trap 'rm -rf "$charts"' EXIT

# How many rows of the memory table have "no" under "met", and how many were measured.
promises=-
[ -s "$out/memory.md" ] && promises=$(awk -F ' *[|] *' '$5 == "no" { n++ }
	$3 ~ /^<=/ { all++ } $5 ~ /^(yes|no)$/ { seen++ }
	END { print seen ? n + 0 " " seen " of " all : "-" }' "$out/memory.md")

lines_of()
{
	[ -s "$1" ] && sed 's/^/- /' "$1"
}

# One point for each workload and malloc, hakmem's on a line of ones.
draw_ratios()
{
	local what=$1 title=$2 rows columns

	rows=$(($(wc -l <"$charts/$what.dat") - 1))
	columns=$(head -n 1 "$charts/$what.dat" | tr '\t' '\n' | wc -l)
	[ $rows -gt 0 ] || return 0
	gnuplot <<-END
		set terminal svg size 900,$((rows * 18 + 140)) dynamic background rgb 'white' \\
			font 'sans,12'
		set output '$out/$what.svg'
		set title '$title'
		set datafile separator '\t'
		set datafile missing '?'
		set key outside top center horizontal
		set logscale x
		set grid
		set yrange [-1:$rows]
		set xlabel 'hakmem = 1, logarithmic; further to the left is better'
		set arrow from 1, graph 0 to 1, graph 1 nohead lw 2 lc rgb 'black'
		set linetype 1 lc rgb '#000000' pt 7
		plot for [i=2:$columns] '$charts/$what.dat' using i:0:yticlabels(1) \
			with points pt (i == 2 ? 7 : i + 2) ps 0.8 lt i - 1 title columnheader(i)
	END
	echo "![$title]($what.svg)"
}

# Resident memory over time: a curve for each malloc.
draw_trace()
{
	local workload=$1 file=$2 peer plots=

	while read -r peer; do
		awk -F , -v w="$workload" -v p="$peer" \
			'$1 == w && $2 == p { print $3 / 1000, $4 / 1024 }' \
			"$out/trace.csv" >"$charts/$file-$peer"
		plots="$plots${plots:+, }'$charts/$file-$peer' with lines lw 2 title '$peer'"
	done < <(awk -F , -v w="$workload" '$1 == w && !seen[$2]++ { print $2 }' "$out/trace.csv")
	gnuplot <<-END
		set terminal svg size 900,420 dynamic background rgb 'white' font 'sans,12'
		set output '$out/$file.svg'
		set title '$workload'
		set key outside right
		set grid
		set yrange [0:*]
		set xlabel 'seconds'
		set ylabel 'MiB resident'
		set linetype 1 lc rgb '#000000'
		plot $plots
	END
	echo "![$workload]($file.svg)"
}

draw_traces()
{
	local workload file

	[ -s "$out/trace.csv" ] || return 0
	while read -r workload; do
		file=$(tr -cs 'a-z0-9' '-' <<<"$workload" | sed 's/-$//')
		draw_trace "$workload" "$file"
	done < <(awk -F , 'FNR > 1 && !seen[$1]++ { print $1 }' "$out/trace.csv")
}

# What was measured on, and what is not in it.
write_about()
{
	lines_of "$out/machine.txt"
	if [ -s "$out/missing.txt" ]; then
		printf '\nNot in it:\n\n'
		lines_of "$out/missing.txt"
	fi
}

write_report()
{
	local traced=()

	echo "# hakmem beside other mallocs"
	echo
	write_about >"$charts/about"
	[ ! -s "$out/trace.csv" ] || traced=(tracing=1 "$out/trace.csv" tracing=)
	awk -v picture="$out/summary.svg" -v charts="$charts" -v about="$charts/about" \
		-v promises="$promises" -f "$here/report.awk" "${traced[@]}" \
		"$out/results.csv" || return
	if [ -s "$out/memory.md" ]; then
		printf '\n## What goes back (make bench-memory)\n\n'
		cat "$out/memory.md"
	fi
	if command -v gnuplot >/dev/null; then
		printf '\n## Charts\n\n'
		draw_ratios time 'Time' && draw_ratios memory 'Peak memory' && draw_traces
	fi
}

write_report >"$out/results.md" || { echo "report.sh: no report could be made" >&2; exit 1; }
sed -n '/^## What it must show/,/^## Time/p' "$out/results.md" | sed '1d;$d'
[ ! -s "$out/missing.txt" ] || sed 's/^/bench: /' "$out/missing.txt"
echo "bench: all results are in $out/results.md and $out/results.csv"
