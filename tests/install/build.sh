#!/bin/bash
# SPDX-License-Identifier: MIT
#
# What the Makefile does with what people give it: switches, flags, directories; and
# that a build leaves the source tree alone.

root=$(cd "$(dirname "$0")/../.." && pwd)
scratch=$(mktemp -d) || exit 2
trap 'rm -rf "$scratch"' EXIT
for name in MAKEFLAGS MAKELEVEL CC CFLAGS CPPFLAGS CXXFLAGS LDFLAGS PREFIX DESTDIR DEBUG LLVM V W \
	SAN O ${!CONFIG_HAK_@}; do
	unset "$name"
done
status=0

# verdict NAME COMPLAINT: the complaint is empty if all is well
verdict()
{
	if [ -z "$2" ]; then
		echo "ok $1"
	else
		echo "FAIL $1: ${2//$'\n'/ | }"
		status=1
	fi
}

here() { make -C "$root" "$@"; }

# commands ARGUMENT...: how one object would be made
commands() { here -n V=1 O="$scratch/out" "$@" "$scratch/out/linux/obj/core/base/lock.o" 2>&1; }

# has NAME TEXT COMPLAINT-IF-MISSING; hasnt: the other way round
has() { verdict "$1" "$(grep -qF -- "$2" <<<"$3" || echo "there is no $2: $(tail -n 1 <<<"$3")")"; }
hasnt() { verdict "$1" "$(grep -F -- "$2" <<<"$3" | head -n 1)"; }

# refuses NAME TEXT ARGUMENT...: with one line that says so
refuses()
{
	local name=$1 text=$2 output

	shift 2
	output=$(here -s "$@" 2>&1) && output="no error: $output"
	grep -qF -- "$text" <<<"$output" && [ "$(wc -l <<<"$output")" -eq 1 ] && output=
	verdict "refuses-$name" "$output"
}

test_switches()
{
	local value

	for value in 0 n no; do
		hasnt "DEBUG=$value" -Og "$(commands DEBUG=$value)"
		hasnt "LLVM=$value" clang "$(commands LLVM=$value)"
		has "CONFIG=$value" -DCONFIG_HAK_MOVE=0 "$(commands CONFIG_HAK_MOVE=$value)"
		has "V=$value" "printf '  " "$(commands V=$value)"
	done
	for value in 1 y yes; do
		has "DEBUG=$value" -Og "$(commands DEBUG=$value)"
		has "LLVM=$value" clang "$(commands LLVM=$value)"
		has "CONFIG=$value" -DCONFIG_HAK_MOVE=1 "$(commands CONFIG_HAK_MOVE=$value)"
	done
	has DEBUG-of-environment -Og "$(DEBUG=1 commands)"
	refuses CONFIG=maybe 'CONFIG_HAK_MOVE=maybe is not yes or no' CONFIG_HAK_MOVE=maybe
	refuses DEBUG=2 'DEBUG=2 is not yes or no' DEBUG=2
	refuses unknown-option 'unknown option CONFIG_HAK_FOO' CONFIG_HAK_FOO=y
	hasnt warnings-are-no-errors -Werror "$(commands)"
	has W=1-makes-them-errors -Werror "$(commands W=1)"
	has W=2-shows-more -Wconversion "$(commands W=2)"
	refuses W=3 'W=3 is unknown' W=3
}

test_switches
exit $status
