#!/bin/bash
# SPDX-License-Identifier: MIT
#
# How large is what an image links of the library, if it uses all that a program
# uses and no diagnostics, and the linker drops the rest (--gc-sections)? And if it
# uses malloc's family alone?
#
#	check-size.sh size.map size.elf family.map
#
# The limits, in bytes: what a kernel is promised; of constants a little more than
# there is. They are for gcc and GNU ld, whose map is read here: other compilers make other
# sizes.

set -u

. "$(dirname "$0")/../at-most.sh"

map=$1
image=$2
family=$3
most_text=27904
most_family=27000
most_constants=2048
most_data=35840
failed=0

# sum MAP KIND...: bytes of the library's sections of these kinds
sum()
{
	local map=$1

	shift
	awk -v kinds=" $* " '
		/^Linker script and memory map/ { begun = 1 }
		!begun || !/^ \./ { next }
		NF == 1 { name = $1; getline; $0 = name " " $0 }
		$4 ~ /libhakmem\.a\(/ {
			split($1, part, ".")
			if (index(kinds, " " part[2] " ")) print $3
		}' "$map" | {
		total=0
		while read -r size; do
			total=$((total + size))
		done
		echo $total
	}
}

# limit NAME BYTES MOST
limit()
{
	at_most "size_$1" "$2" "$3" "$2 bytes, at most $3" || failed=1
}

if ! grep -q '^Linker script and memory map' "$map"; then
	echo "ok size (left out: $map is not a map of GNU ld)"
	exit 0
fi
limit text "$(sum "$map" text)" $most_text
limit text_of_family "$(sum "$family" text)" $most_family
limit constants "$(sum "$map" rodata)" $most_constants
limit static_data "$(sum "$map" data bss)" $most_data

# Optional parts that this image does not ask for.
unwanted=$(nm --defined-only "$image" | awk '{ print $NF }' |
	grep -E -e '^hak_(available|largest|host_supply)' \
		-e '^hak_(balloon|virtio|pages|pool|prefill|region_remove)' \
		-e '^hak_(stats_text|stats_json|dump|check)' |
	tr '\n' ' ')
if [ -z "$unwanted" ]; then
	echo "ok size_optional_parts"
else
	echo "FAIL size_optional_parts: linked for nobody: $unwanted"
	failed=1
fi
exit $failed
