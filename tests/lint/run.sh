#!/bin/bash
# SPDX-License-Identifier: MIT
#
# All checks of this directory, at once; what they say comes one after another.

cd "$(dirname "$0")" || exit 2
scratch=$(mktemp -d) || exit 2
trap 'rm -r "$scratch"' EXIT

checks=(include-graph locks names no-if format house undefined public man spelling selftest)
pids=()
for check in "${checks[@]}"; do
	"./$check.sh" >"$scratch/$check" 2>&1 &
	pids+=($!)
done

status=0
for i in "${!checks[@]}"; do
	wait "${pids[$i]}" || status=1
	cat "$scratch/${checks[$i]}"
done
exit $status
