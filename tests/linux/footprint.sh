#!/bin/bash
# SPDX-License-Identifier: MIT
#
# What it costs to have the library in a process: see footprint.c.
#
#	tests/linux/footprint.sh DIRECTORY		where libhakmem.so is

here=$(cd "$(dirname "$0")" && pwd)
. "$here/../at-most.sh"
directory=$(cd "${1:?usage: $0 DIRECTORY}" && pwd) || exit 2
library=$directory/libhakmem.so
scratch=$(mktemp -d) || exit 2
trap 'rm -rf "$scratch"' EXIT
status=0

build()
{
	${CC:-gcc} -std=gnu11 -O2 -w -fno-builtin -I"$here/../../include" "$here/footprint.c" \
		-pthread -o "$scratch/$1" "${@:2}" 2>"$scratch/errors"
}

# A small one to start others: what it has resident counts as theirs before they begin.
if ! build footprint || ! build small -static; then
	echo "FAIL footprint-builds: $(head -n 3 "$scratch/errors" | tr '\n' ' ')"
	exit 1
fi
"$scratch/small" true "$library" || status=1
LD_PRELOAD=$library "$scratch/footprint" growth || status=1

# The median of five; how much of libc is resident differs from run to run. Nothing if
# one of them fails.
resident()
{
	local values

	values=$(for _ in 1 2 3 4 5; do
		"${@:2}" "$scratch/footprint" "$1" || exit
	done) && sort -n <<<"$values" | sed -n 3p
}

without=$(resident churn env)
with=$(resident churn env LD_PRELOAD="$library")
echo "churn: $((without / 1000)) KB at the end; with the library $((with / 1000)) KB"
at_most churn "$with" 4000000 "$((with / 1000)) KB" || status=1

without=$(resident idle env)
with=$(resident idle env LD_PRELOAD="$library")
echo "idle: $((without >> 10)) KiB of its own; with the library $((with >> 10)) KiB"
at_most idle "$with" $((without + (64 << 10))) "$(((with - without) >> 10)) KiB more" ||
	status=1

# Instructions from the first to the last, of the dynamic linker too; told, not judged.
instructions()
{
	valgrind --tool=callgrind --callgrind-out-file=/dev/null /bin/true 2>&1 |
		awk '/Collected/ { print $NF }'
}
if command -v valgrind >/dev/null; then
	echo "true: $(instructions) instructions; with the library" \
		"$(LD_PRELOAD=$library instructions)"
fi
exit $status
