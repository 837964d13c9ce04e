#!/bin/bash
# SPDX-License-Identifier: MIT
#
# No layer of the core reaches up: a file includes only headers of lower rank,
# and its own. The table is the list of layers, from the bottom. Files of one
# rank do not know of each other; a file that is not in the table fails, so that
# whoever adds one decides where it belongs.

. "$(dirname "$0")/lint.sh"

ranks='
	0	base
	1	counters format list lock release sizeclass
	2	pages
	3	bug pagemap
	4	inline meta
	5	descriptor
	6	runs
	7	heap
	8	superslab
	9	look
	10	slab span
	11	blocks
	12	magazine
	13	cache fastpath
	14	check dump reap stats
	15	fork malloc
'

declare -A rank
while read -r number names; do
	for name in $names; do
		rank[$name]=$number
	done
done <<<"$ranks"

violations()
{
	local file name own header

	for file in "$ROOT"/core/*.[ch]; do
		own=$(basename "${file%.*}")
		if [ -z "${rank[$own]}" ]; then
			echo "core/$own has no rank in tests/lint/include-graph.sh"
			continue
		fi
		while read -r header; do
			name=${header%.h}
			if [ -z "${rank[$name]}" ]; then
				echo "${file#"$ROOT"/} includes $header, which has no rank"
			elif [ "$name" != "$own" ] && [ "${rank[$name]}" -ge "${rank[$own]}" ]; then
				echo "${file#"$ROOT"/} (rank ${rank[$own]}) includes $header" \
					"(rank ${rank[$name]})"
			fi
		done < <(sed -nE 's/^[[:space:]]*#[[:space:]]*include[[:space:]]*"([^"]*)".*/\1/p' "$file")
	done
}

# Functions of a higher layer that are called without an include of its header.
declarations()
{
	grep -HnE '^(extern|[a-z_][a-z_0-9 *]*[ *][a-z_0-9]+\(.*\);)' "$ROOT"/core/*.c |
		grep -vE ':(static|return|goto|extern inline) ' | sed "s|^$ROOT/||; s|\$| (declared outside a header)|"
}

lint_report include-graph "$(violations)"
lint_report declarations-in-headers "$(declarations)"
lint_finish
