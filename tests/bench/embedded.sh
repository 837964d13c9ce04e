#!/bin/bash
# SPDX-License-Identifier: MIT
#
# What the allocator costs an image, and what is required, beside newlib's malloc, and TLSF if the
# image was linked with it: a table. The status is 1 if a requirement was missed.
#
#	embedded.sh FOLDER IRQSAVE	where embedded.elf and soak.elf are, and where the first is
#					that was built with CONFIG_HAK_IRQSAVE

set -u

folder=$1
irqsave=$2
run=$(dirname "$0")/../../qemu/run.sh
rows=$(mktemp -d) || exit 2
trap 'rm -r "$rows"' EXIT
missed=0

# image COLUMN FOLDER OPTION... -- ARGUMENT...: its rows are a column of the table
image()
{
	local column=$1 elf=$2/embedded.elf

	shift 2
	"$run" "$elf" --timeout 600 "$@" >>"$rows/$column" || missed=1
}

# A row is told by its name; the first column has all of them.
table()
{
	local columns=$1 names

	read -ra names <<<"$columns"
	printf '\n%-54s%9s' "$2" required
	printf '%9s' "${names[@]//_/ }"
	printf '\n'
	(cd "$rows" && touch "${names[@]}" && awk -F '\t' '
	function is_missed(limit, value) {
		if (limit ~ /^</)
			return value + 0 > substr(limit, 2) + 0
		return limit ~ /^>/ && value + 0 < substr(limit, 2) + 0
	}
	FNR == 1 { column++ }
	FILENAME == ARGV[1] { name[++rows] = $1 }
	{
		value[$1, FILENAME] = $3
		limit[$1, FILENAME] = $2
	}
	END {
		for (i = 1; i <= rows; i++) {
			bad = 0
			printf "%-54s%9s", name[i], limit[name[i], ARGV[1]]
			for (c = 1; c < ARGC; c++) {
				v = value[name[i], ARGV[c]]
				printf "%9s", v
				if (v != "" && ARGV[c] !~ /^(newlib|TLSF)$/)
					bad += is_missed(limit[name[i], ARGV[c]], v)
			}
			print bad ? "  MISSED" : ""
			missed += bad
		}
		exit missed > 0
	}' "${names[@]}") || missed=1
	rm -f "$rows"/*
}

counted=(--icount --memory 512M)
for whose in microvm:hakmem newlib:newlib TLSF:tlsf; do
	image "${whose%:*}" "$folder" "${counted[@]}" -- cost "${whose#*:}"
done
image pc "$folder" "${counted[@]}" --machine pc -- cost hakmem
table 'microvm pc newlib TLSF' 'instructions'

for whose in microvm:hakmem newlib:newlib TLSF:tlsf; do
	image "${whose%:*}" "$folder" "${counted[@]}" -- time "${whose#*:}"
done
image pc "$folder" "${counted[@]}" --machine pc -- time hakmem
image 4_CPUs "$folder" "${counted[@]}" --smp 4 -- time hakmem
image pc,_4 "$folder" "${counted[@]}" --smp 4 --machine pc -- time hakmem
image irqsave "$irqsave" "${counted[@]}" -- time hakmem
image irqs,_4 "$irqsave" "${counted[@]}" --smp 4 -- time hakmem
table 'microvm pc 4_CPUs pc,_4 irqsave irqs,_4 newlib TLSF' 'instructions of one call, steady'

for whose in microvm:hakmem newlib:newlib TLSF:tlsf; do
	for size in 16 256 2000; do
		image "${whose%:*}" "$folder" --memory 18M -- half "${whose#*:}" "$size"
	done
	for size in 16 256 2000; do
		image "${whose%:*}" "$folder" --memory 18M -- random "${whose#*:}" "$size"
	done
	image "${whose%:*}" "$folder" --memory 18M -- fill "${whose#*:}"
	image "${whose%:*}" "$folder" --memory 18M -- mix "${whose#*:}"
	image "${whose%:*}" "$folder" --memory 258M -- mix "${whose#*:}"
done
table 'microvm newlib TLSF' 'memory'

# Only the library's own heap: see soak.c.
printf '\nof 10 million requests, while sizes change\n'
for percent in 50 60 68; do
	"$run" "$folder/soak.elf" --timeout 1800 --memory 80M -- "$percent" 10 10000000 |
		grep -v '^ok'
done
exit $missed
