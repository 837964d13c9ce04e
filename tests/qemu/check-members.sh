#!/bin/bash
# SPDX-License-Identifier: MIT
#
# May a kernel define each function itself that the archive has a version of: each one, and
# each pair? And is each alone in its member, so that the library's stays out of the image?
# The names of the C library are together in one member, and weak; those of C++ in another.
#
#	check-members.sh libhakmem.a

set -u

library=$1
root=$(cd "$(dirname "$0")/../.." && pwd)
scratch=$(mktemp -d) || exit 2
trap 'rm -rf "$scratch"' EXIT
failed=0
verdict_prefix=members_
. "$(dirname "$0")/../verdict.sh"

# FUNCTION MEMBER TYPE, of all that is defined for others
nm -g --defined-only "$library" 2>/dev/null | awk '
	/^[^ ]+\.o:$/ { member = substr($1, 1, length($1) - 1) }
	NF == 3 { print $3, member, $2 }' >"$scratch/defined"

# What the headers let a kernel define.
mapfile -t functions < <(sed -nE \
	'/^static/!s/^[A-Za-z].*[ *](hak_(host_|console_|machine_|cpu_)[a-z_]*)\(.*/\1/p' \
	"$root/include/hakmem/host.h" "$root/platform/baremetal/machine.h" | sort -u)
mapfile -t names < <(awk '$2 == "newlib.o" || $2 == "operators.o" { print $1 }' "$scratch/defined")
[ ${#functions[@]} -ge 14 ] || verdict functions "only ${functions[*]}"
[ ${#names[@]} -ge 34 ] || verdict names "only ${names[*]}"

crowded=$(for function in "${functions[@]}"; do
	member=$(awk -v f="$function" '$1 == f { print $2 }' "$scratch/defined")
	awk -v m="${member:-none}" -v f="$function" '
		m == $2 { n++ }
		END { if (n != 1) print f " is in " m " with " n - 1 " others" }' \
		"$scratch/defined"
done)
verdict alone "${crowded//$'\n'/; }"

# An object that needs all, and one for each that defines it.
all=("${functions[@]}" "${names[@]}")
printf '.quad %s\n' "${all[@]}" | as -o "$scratch/needs.o" - || exit 2
for name in "${all[@]}"; do
	printf '.globl %s\n%s:\n\tret\n' "$name" "$name" | as -o "$scratch/$name.o" - || exit 2
done

links()
{
	local objects=() name output

	for name; do
		objects+=("$scratch/$name.o")
	done
	output=$(ld -e 0 -z noexecstack -o "$scratch/image" "$scratch/needs.o" "${objects[@]}" \
		"$library" 2>&1 | grep -v 'entry symbol')
	[ -z "$output" ] || echo "$*: $(head -n 1 <<<"$output")"
}

complaint=$(for ((i = 0; i < ${#all[@]}; i++)); do
	links "${all[i]}"
	for ((j = i + 1; j < ${#all[@]}; j++)); do
		links "${all[i]}" "${all[j]}"
	done
done)
verdict each_and_each_pair "$(head -n 1 <<<"$complaint")"
verdict all_at_once "$(links "${all[@]}")"
exit $failed
