#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Does qemu/run.sh tell how an image ended? For each way that status.c knows:
# the status, and what must be said on the console or on stderr.
#
#	check-status.sh status.elf

image=$1
run=$(dirname "$0")/../../qemu/run.sh
failed=0

# expect NAME STATUS TEXT MACHINE ARGUMENT
expect()
{
	local output status

	output=$("$run" "$image" --machine "$4" --timeout 5 -- "$5" 2>&1)
	status=$?
	if [ "$status" -eq "$2" ] && grep -q -- "$3" <<<"$output"; then
		echo "ok status_$1_$4"
	else
		echo "FAIL status_$1_$4: status $status, expected $2 and '$3'"
		failed=1
	fi
}

for machine in microvm pc; do
	expect success 0 '' "$machine" 0
	expect failure 7 '' "$machine" 7
	expect panic 101 'as asked' "$machine" panic
	expect exception 101 'exception 14 (page fault): rip 0x.* cr2 0xdeadbeef0' "$machine" exception
	expect double_free 101 'double free of a block of 64 bytes' "$machine" double-free
	expect triple_fault 126 'triple fault' "$machine" triple-fault
done
expect hang 124 'did not end in 5 s' microvm hang
exit $failed
