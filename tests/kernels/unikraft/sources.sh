#!/bin/bash
# SPDX-License-Identifier: MIT
#
# The sources that platform/unikraft/Makefile.uk names, put together as Unikraft's build does it:
# all objects in one directory, by the names of their files, linked into one object, of which
# only the names in exportsyms.uk are seen.
#
#	sources.sh OBJECTS
#
# OBJECTS has the objects of the archive, and those of unikraft.elf.

set -u

objects=$1
scratch=$(mktemp -d) || exit 2
trap 'rm -rf "$scratch"' EXIT
failed=0
verdict_prefix=unikraft_
. tests/verdict.sh

mapfile -t sources < <(make -s --no-print-directory -f tests/kernels/unikraft/sources.mk |
	tr -s ' ' '\n' | sed "s|^$PWD/||")
if [ ${#sources[@]} -lt 60 ]; then
	verdict sources "only ${sources[*]}"
	exit 1
fi
verdict sources ""

twice=$(printf '%s\n' "${sources[@]##*/}" | sort | uniq -d)
verdict names-differ "${twice//$'\n'/ }"

linked=()
for source in "${sources[@]%|*}"; do
	case $source in
	platform/unikraft/*) linked+=("$objects/kernels/unikraft/${source%.c}.o") ;;
	*) linked+=("$objects/${source%.c}.o") ;;
	esac
done
check links-into-one ld -r -z noexecstack -o "$scratch/all.o" "${linked[@]}"

# What is left is Unikraft's: what the glue calls, and what compilers call.
allowed=$(nm -u "$objects/kernels/unikraft/platform/unikraft/glue.o" | grep -v ' hak_')
missing=$(nm -u "$scratch/all.o" | grep -vxF "$allowed" |
	grep -vxE ' +[Uw] (memcpy|memmove|memset|memcmp|hak_console_write|hak_balloon_deflate)')
verdict lacks-nothing "$(echo $missing)"

nm --defined-only "$scratch/all.o" | awk '$2 ~ /[TW]/ { print $3 }' | sort >"$scratch/defined"
sort platform/unikraft/exportsyms.uk >"$scratch/exported"
absent=$(comm -13 "$scratch/defined" "$scratch/exported")
verdict exports-are-there "$(echo $absent)"

# The public functions but those that make the heap, which the glue does, and unmake it.
public=$(sed -nE '/^static/!s/^[A-Za-z].*[ *](hak_[a-z_0-9]*)\(.*/\1/p' \
	include/hakmem/{hakmem,pool,stats}.h | sort -u |
	grep -vxE 'hak_init|hak_init_with|hak_fini|hak_host_.*')
hidden=$(comm -23 <(echo "$public") "$scratch/exported" | comm -12 - "$scratch/defined")
verdict exports-all "$(echo $hidden)"
exit $failed
