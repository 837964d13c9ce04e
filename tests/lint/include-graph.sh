#!/bin/bash
# SPDX-License-Identifier: MIT
#
# No layer of the core reaches up: a file includes only headers of the folders
# below its own, and of its own folder those of the files below it. The table has
# the folders from the bottom up, with the files of each from the bottom up. Folders
# of one rank do not know of each other. A file that is not in the table fails:
# its author decides where it belongs.

. "$(dirname "$0")/lint.sh"

cd "$ROOT" || exit 2

layers='
	0 base		layered base zero list counters format assert lock sizeclass policy usage
	1 pages		pages bug pagemap meta
	2 superslab	descriptor runs arena remap superslab part claim group span
	3 slab		slab class gap blocks
	4 cache		layout quarantine slots budget seize magazine cache prefill
	5 reclaim	purge scan
	5 diag		stats available resident row top dump dump_json check
	5 diag		sampled trace sample guard profile
	6 pool		layout slabs magazine pool registry stats fixed
	7 api		request fastpath sampled sampled_paths init fork malloc aligned
	8 harden	raw seal report large walk verify heap harden
	9 debug		record choice report waiting verify debug
'

# The rank of a folder, and the place in it of a unit: FOLDER/NAME, both .c and .h.
declare -A rank place
while read -r number folder names; do
	[ -n "$folder" ] || continue
	rank[$folder]=$number
	for name in $names; do
		place[$folder/$name]=${#place[@]}
	done
done <<<"$layers"

# check_include FILE HEADER: why FILE, whose unit has a place, may not include it
check_include()
{
	local file=$1 header=$2
	local own=${file#core/} unit=${header%.h}

	own=${own%.*}
	if [[ $header != */* ]]; then
		echo "$file includes $header without its folder"
	elif [ -z "${place[$unit]}" ]; then
		echo "$file includes $header, which has no place"
	elif [ "${unit%/*}" != "${own%/*}" ]; then
		[ "${rank[${unit%/*}]}" -lt "${rank[${own%/*}]}" ] ||
			echo "$file includes $header: ${unit%/*} is not below ${own%/*}"
	elif [ "${place[$unit]}" -gt "${place[$own]}" ]; then
		echo "$file includes $header, which is above it"
	fi
}

violations()
{
	local file own header

	for file in $(find core -name '*.[ch]' | sort); do
		own=${file#core/}
		if [ -z "${place[${own%.*}]}" ]; then
			echo "$file has no place in tests/lint/include-graph.sh"
			continue
		fi
		while read -r header; do
			check_include "$file" "$header"
		done < <(sed -nE 's/^[[:space:]]*#[[:space:]]*include[[:space:]]*"([^"]*)".*/\1/p' \
			"$file")
	done
}

# Functions of a higher layer that are called without an include of its header.
declarations()
{
	grep -rHnE --include='*.c' '^(extern|[a-z_][a-z_0-9 *]*[ *][a-z_0-9]+\(.*\);)' core |
		grep -vE ':(static|return|goto|extern inline) ' |
		sed 's/$/ (declared outside a header)/'
}

lint_report include-graph "$(violations)"
lint_report declarations-in-headers "$(declarations)"
lint_finish
