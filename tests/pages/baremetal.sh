#!/bin/bash
# SPDX-License-Identifier: MIT
#
# The kernels of platform/baremetal/README.md: as they stand there; and the first of them with
# the mistakes that the page lists, each of which has to look as the page says. And the image of
# qemu/README.md.

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
page=$root/platform/baremetal/README.md
scratch=$(mktemp -d) || exit 2
built=$(cd "$root" && cd "${O:-build}" 2>/dev/null && pwd)
trap 'rm -rf "$scratch" ${built:+"$built/baremetal/image$scratch"}' EXIT
export HAKMEM=$root
failed=0
verdict_prefix=page-baremetal-
. "$here/../verdict.sh"

"$here/follow.sh" page-baremetal "$page" "$scratch/page" || failed=1
"$here/follow.sh" page-qemu "$root/qemu/README.md" "$scratch/qemu" || failed=1
cd "$scratch/page/kernel" || exit 1

FLAGS=$(sed -n '/^FLAGS="/,/"$/p' "$page" | tr '\n' ' ' | sed 's/^FLAGS="//; s/" *$//')

# build_wrong FILE EDIT OBJECTS: as on the page, but with FILE edited by sed
build_wrong()
{
	cp "$1" right
	sed -i "$2" "$1"
	# shellcheck disable=SC2086 # lists of words
	{
		gcc -c start.S && gcc -w $FLAGS -c machine.c main.c &&
			ld -T kernel.ld --gc-sections -z noexecstack $3 -o kernel.elf
	} 2>&1
	mv right "$1"
}

without_addresses() { sed -E 's/0x[0-9a-f]+/0x/g'; }

# mistake NAME TEXT FILE EDIT [OBJECTS]: it looks like TEXT, which the page has
mistake()
{
	local name=$1 text=$2 limit=60 output

	[[ $text != *'within 5 s' ]] || limit=5
	rm -f kernel.elf
	output=$(build_wrong "$3" "$4" "${5:-start.o machine.o main.o hakmem/lib/libhakmem.a}")
	[ ! -e kernel.elf ] ||
		output="$output$("$root/qemu/run.sh" kernel.elf --timeout $limit 2>&1)" ||
		: "it fails, as it should"
	verdict "$name-looks-so" "$(without_addresses <<<"$output" | grep -qF -- "$text" ||
		tail -n 3 <<<"$output" | tr '\n' '|')"
	verdict "$name-is-listed" "$(sed 's/end within 60 s/end within 5 s/' "$page" |
		without_addresses | grep -qF -- "| \`$text" || echo "there is no row for '$text'")"
}

mistake no-cpu-init 'cpu 0: hakmem: hak_init() before hak_cpu_init()' \
	machine.c '/hak_cpu_init/d'
mistake memory-not-mapped 'the machine was reset (a triple fault?)' machine.c \
	's/base = (uint64_t)kernel_end/base = MAPPED, end = 2 * MAPPED/; /end > MAPPED/,+1d'
mistake no-init 'cpu 0: no memory' main.c '/hak_init(&/d'
mistake no-frame 'cpu 0: no memory' machine.c \
	's/end > MAPPED/end > 0x200000/; s/end = MAPPED/end = 0x200000/'
mistake double-free 'cpu 0: hakmem: free(0x): double free of a block of 112 bytes' \
	main.c 's/hak_free(block);/&&/'
mistake no-exit 'did not end within 5 s' machine.c 's/hak_machine_exit(int/my_&/'
mistake no-note 'Error loading uncompressed kernel without PVH ELF Note' kernel.ld '/KEEP/d'
mistake too-high 'relocation truncated to fit' kernel.ld 's/= 1M/= 0x80000000/'
mistake order 'undefined reference to' main.c '' \
	'hakmem/lib/libhakmem.a start.o machine.o main.o'
exit $failed
