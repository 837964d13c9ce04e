#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Does an installed archive tell a kernel how it was built? Where the words of a CPU are is
# compiled into both, and must be the same for both.
#
#	check-kit.sh NAME OPTION...	make's options of a build, with O=

set -u

root=$(cd "$(dirname "$0")/../.." && pwd)
verdict_prefix=kit_$1_
shift
scratch=$(mktemp -d) || exit 2
trap 'rm -rf "$scratch"' EXIT
unset MAKEFLAGS MAKELEVEL
failed=0
. "$root/tests/verdict.sh"

cat >"$scratch/kernel.c" <<'END'
#include <hakmem/machine.h>

struct hak_cache *before(void)
{
	return hak_interrupt_enter();
}
END
verdict installs "$(make -s -C "$root" "$@" install-baremetal PREFIX="$scratch/kit" 2>&1)"

# what of "%gs:..." is in the first instruction that has it, of the library or of a kernel
word_of()
{
	objdump -drw "$@" 2>/dev/null | awk '
		/%gs:0x/ {
			symbol = /R_X86_64/ ? $NF : "no symbol"
			sub(/.*%gs:/, "")
			sub(/,.*/, "")
			print $0, symbol
			exit
		}'
}

for flag in -fno-pie -fpie; do
	gcc -O2 -ffreestanding $flag -I"$scratch/kit/include" -c "$scratch/kernel.c" \
		-o "$scratch/kernel.o" || exit 2
	ours=$(word_of "$scratch/kit/lib/libhakmem.a" --disassemble=hak_malloc)
	theirs=$(word_of "$scratch/kernel.o")
	[ "$flag" = -fpie ] && [[ " $* " != *' HAK_CPU_AT='* ]] && ours='0x8 no symbol'
	[ -n "$ours" ] && [ "$ours" = "$theirs" ] && ours= || ours="library $ours, kernel $theirs"
	verdict "same_word$flag" "$ours"
done
for option; do
	[[ $option == HAK_* || $option == CONFIG_HAK_* ]] || continue
	option=${option/=y/=1}
	verdict "${option%=*}" "$(grep -qx "#define ${option/=/ }" \
		"$scratch/kit/include/hakmem/config.h" || echo "config.h does not have $option")"
done
exit $failed
