#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Does the example in Rust build, from an installed copy of the library, and work? Where there
# is no rustc, or one that is too old for a kernel with a heap, only a line says so.
#
#	check-rust.sh INSTALLED OUT

set -u

installed=$(realpath "$1")
out=$(realpath -m "$2")
root=$(cd "$(dirname "$0")/../.." && pwd)
failed=0
verdict_prefix=rust_
. "$(dirname "$0")/../verdict.sh"

version=$(rustc --version 2>/dev/null | sed -n 's/^rustc 1\.\([0-9]*\)\..*/\1/p')
if [ "${version:-0}" -lt 68 ]; then
	echo "ok rust_skipped (no rustc, or before 1.68: $(rustc --version 2>/dev/null))"
	exit 0
fi

built=$(MAKEFLAGS='' make -s -B -C "$root/qemu/example-rust" PREFIX="$installed" O="$out" 2>&1)
verdict builds "$built"
for machine in microvm pc; do
	output=$("$root/qemu/run.sh" "$out/example-rust.elf" --memory 64M --machine $machine 2>&1)
	if grep -qE '^5555 letters; (29|30) of 30 frames are free again$' <<<"$output"; then
		verdict "runs_$machine" ''
	else
		verdict "runs_$machine" "$output"
	fi
done
exit $failed
