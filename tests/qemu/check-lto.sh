#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Does an archive that was built with BM_FLAGS=-flto serve all kernels? It has no code of the
# compiler's own in it, so that any linker takes it; and a kernel that is itself compiled with
# -flto links with it, and boots.
#
#	check-lto.sh libhakmem.a scaling.elf COMPILER...
#
# scaling.elf is of the same build, linked by ld.

set -u

library=$1
image=$2
shift 2
root=$(cd "$(dirname "$0")/../.." && pwd)
scratch=$(mktemp -d) || exit 2
trap 'rm -rf "$scratch"' EXIT
failed=0
verdict_prefix=lto_
. "$root/tests/verdict.sh"

flags='-std=gnu11 -O2 -ffreestanding -fno-pie -fno-stack-protector -fcf-protection=none
	-mno-red-zone -mgeneral-regs-only -fno-asynchronous-unwind-tables -flto'
includes='include core arch/x86_64 platform/baremetal tests qemu arch/x86_64/boot'
sources='tests/bench/scaling tests/test tests/port/baremetal qemu/boot qemu/exit'
boot=$root/arch/x86_64/boot

link()
{
	local source objects=() linker=

	[[ $* == clang* ]] && linker=-fuse-ld=lld
	# shellcheck disable=SC2086
	for source in $(printf "$root/%s.c " $sources) "$boot"/*.[cS]; do
		"$@" $flags $(printf -- "-I$root/%s " $includes) -c "$source" \
			-o "$scratch/${#objects[@]}.o" || return
		objects+=("$scratch/${#objects[@]}.o")
	done
	# shellcheck disable=SC2086
	"$@" $flags $linker -static -nostdlib -T "$root/qemu/image.ld" \
		-Wl,-z,max-page-size=4096,-z,noexecstack,--build-id=none \
		"${objects[@]}" "$library" -o "$scratch/kernel.elf"
}

# boots NAME IMAGE
boots()
{
	local output

	output=$("$root/qemu/run.sh" "$2" -- 100000 2>&1) &&
		[[ $output == *'ok scaling_as_given'* ]] && output=
	verdict "$1" "${output//$'\n'/ | }"
}

verdict machine_code_only \
	"$(objdump -h "$library" 2>&1 | grep -m 1 -E '\.gnu\.lto|\.llvmbc|not recognized')"
boots archive_boots "$image"
verdict kernel_links "$(link "$@" 2>&1 | head -n 3)"
boots kernel_boots "$scratch/kernel.elf"
exit $failed
