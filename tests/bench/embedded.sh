#!/bin/bash
# SPDX-License-Identifier: MIT
#
# The costs of the allocator in an image, beside those of newlib's malloc, and
# what is required: a table. The status is 1 if a requirement was missed.
#
#	embedded.sh embedded.elf

set -u

image=$1
run=$(dirname "$0")/../../qemu/run.sh
missed=0

printf '%-44s %10s%10s%10s\n' '' required measured newlib
echo 'instructions (QEMU -icount)'
"$run" "$image" --icount --memory 512M -- cost || missed=1

# fill NAME KIND MEMORY REQUIRED: in tenths of a percent
fill()
{
	local mib ours theirs

	read -r mib ours < <("$run" "$image" --timeout 300 --memory "$3" -- "$2")
	read -r mib theirs < <("$run" "$image" --timeout 300 --memory "$3" -- "$2" newlib)
	awk -v name="$1, $mib MiB of frames" -v required="$4" -v ours="${ours:-0}" \
		-v theirs="${theirs:-0}" 'BEGIN {
		printf "%-44s %10.1f%10.1f%10.1f%s\n", name, required / 10, ours / 10, theirs / 10,
			ours < required ? "  MISSED" : ""
		exit ours < required }' || missed=1
}

echo 'payload, % of the memory, when malloc returns NULL'
fill '16 bytes' fill 18M 970
fill '16 to 4096 bytes, log-uniform' mix 18M 820
fill '16 to 4096 bytes, log-uniform' mix 258M 900
exit $missed
