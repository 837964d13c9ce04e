#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Is what README.md shows of `make demo` what it prints? Lines and words have to be the same,
# figures not. No line is longer than 90 columns.
#
#	demo.sh SCALING SCALING.ELF [README]

root=$(cd "$(dirname "$0")/../.." && pwd)
readme=${3:-$root/README.md}
scratch=$(mktemp -d) || exit 2
trap 'rm -rf "$scratch"' EXIT
failed=0
verdict_prefix=demo-
. "$root/tests/verdict.sh"

# Without figures, and with one blank between words.
shape()
{
	tr -d '\r' | sed -E 's/[0-9]+(\.[0-9]+)?%?/N/g; s/[ \t]+/ /g; s/^ //'
}

# shown WORLD: what README.md shows of it, which is indented by four blanks
shown()
{
	awk -v first="^    scaling on $1:" '$0 ~ first { found = 1 }
		found && !/^(    .*)?$/ { exit }
		found && /^    scaling on/ && $0 !~ first { exit }
		found' "$readme" | shape | sed -e :a -e '/^\n*$/{$d;N;ba' -e '}'
}

# compare NAME WORLD COMMAND ...
compare()
{
	local name=$1 world=$2

	shift 2
	check "$name-runs" "$@"
	sed '/./,$!d' "$scratch/output" >"$scratch/printed"
	check "$name-is-narrow" test -z "$(grep -E '.{91}' "$scratch/printed")"
	check "$name-is-in-readme" diff <(shown "$world") <(shape <"$scratch/printed")
}

compare linux Linux "$1"
compare image 'bare metal' "$root/qemu/run.sh" "$2"
exit $failed
