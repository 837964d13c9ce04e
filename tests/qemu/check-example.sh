#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Does the example unikernel work, and is what it links all that it should be?
#
#	check-example.sh EXAMPLE-DIRECTORY LIBRARY

set -u

example=$1
library=$2
here=$(dirname "$0")
failed=0
verdict_prefix=example_
. "$(dirname "$0")/../verdict.sh"

for machine in microvm pc; do
	output=$("$here/../../qemu/run.sh" "$example/example.elf" --machine $machine 2>&1)
	status=$?
	if [ $status -eq 0 ] && grep -q '^200000 of 200000 numbers in order' <<<"$output"; then
		verdict "runs_$machine" ''
	else
		verdict "runs_$machine" "status $status: $output"
	fi
done

verdict one_heap "$("$here/check-newlib-map.sh" "$example/example.map" 2>&1 | grep -v '^ok')"

# Names that the members define for others: hak_*, but for the parts of a library.
exports=$(nm -g --defined-only "$library" 2>/dev/null | awk '
	/^[^ ]+\.o:$/ { member = $1; next }
	NF == 3 && member !~ /^(newlib|operators|string)\.o:$/ && $3 !~ /^hak_/ {
		print member $3
	}')
verdict exports "$exports"

# The image has its own console, panic and pages, so the library's stay out.
members=$(grep -oE 'libhakmem\.a\([a-z_]+\.o\)' "$example/example.map" | sort -u |
	grep -E '\((console(_[a-z]+)?|panic|frames|balloon.*|virtio|halt)\.o\)' | tr '\n' ' ')
verdict links_no_more_than_it_needs "$members"
exit $failed
