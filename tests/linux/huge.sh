#!/bin/bash
# SPDX-License-Identifier: MIT
#
# A heap that is large and grows gets huge pages; it is not larger for that, and what is freed goes
# back as it does without: what is resident, and what the process is charged for (by its control
# group, where one can be made).
#
#	tests/linux/huge.sh DIRECTORY		where libhakmem.so is

here=$(cd "$(dirname "$0")" && pwd)
. "$here/../at-most.sh"
directory=$(cd "${1:?usage: $0 DIRECTORY}" && pwd) || exit 2
scratch=$(mktemp -d) || exit 2
trap 'rm -rf "$scratch"; [ -z "$made" ] || rmdir "$made"' EXIT
status=0
made=
group=-

${CC:-gcc} -std=gnu11 -O2 -w -fno-builtin "$here/huge.c" -o "$scratch/huge" || exit 2
for place in /sys/fs/cgroup /sys/fs/cgroup/memory; do
	[ -z "$made" ] && mkdir "$place/hakmem-huge-$$" 2>/dev/null || continue
	made=$place/hakmem-huge-$$
	[ -r "$made/memory.current" ] || [ -r "$made/memory.usage_in_bytes" ] ||
		{ rmdir "$made"; made=; }
done
group=${made:--}

# run NAME MIB OPTION: figures go to $scratch/NAME
run()
{
	HAKMEM_REAPER=0 HAKMEM_THP=$3 LD_PRELOAD=$directory/libhakmem.so \
		"$scratch/huge" "$2" "$group" >"$scratch/$1" || { echo "FAIL huge-$1: $?"; exit 1; }
}

# figure NAME WHEN COLUMN
figure()
{
	awk -v when="$2" -v column="$3" '$1 == when { print $column }' "$scratch/$1"
}

# compare NAME WHEN COLUMN PERCENT: with huge pages at most so much of what it is without. Some
# pages more or less are chance.
compare()
{
	local with without name=$1-$2-${columns[$3]}

	with=$(figure "$1" "$2" "$3")
	without=$(figure "$1-never" "$2" "$3")
	at_most "huge-$name" "$with" $((without * $4 / 100 + 256)) \
		"$with KiB, without $without KiB" || status=1
}

columns=([2]=own [3]=huge [4]=peak [5]=charged)
for mib in 24 160; do
	run $mib $mib default
	run $mib-never $mib never
	compare $mib built 4 $((mib > 32 ? 103 : 100))
	for when in scattered empty; do
		compare $mib $when 2 103
		[ "$group" = - ] || compare $mib $when 5 103
	done
done
[ "$(figure 24 built 3)" = 0 ] && echo "ok huge-24-has-none" ||
	{ echo "FAIL huge-24-has-none: $(figure 24 built 3) KiB"; status=1; }
[ "$(figure 160-never built 3)" = 0 ] && echo "ok huge-never" ||
	{ echo "FAIL huge-never: $(figure 160-never built 3) KiB"; status=1; }
if grep -qs '\[never\]' /sys/kernel/mm/transparent_hugepage/enabled ||
	! [ -r /sys/kernel/mm/transparent_hugepage/enabled ]; then
	echo "the system has no huge pages"
else
	huge=$(figure 160 built 3)
	[ "$huge" -ge $((64 << 10)) ] && echo "ok huge-160-has-some ($huge KiB)" ||
		{ echo "FAIL huge-160-has-some: $huge KiB"; status=1; }
fi
exit $status
