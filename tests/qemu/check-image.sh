#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Does `make image` build an image of sources that are elsewhere, and does it boot?

set -u

root=$(cd "$(dirname "$0")/../.." && pwd)
scratch=$(mktemp -d) || exit 2
built=$(cd "$root" && cd "${O:-build}" && pwd) || exit 2
trap 'rm -rf "$scratch" "$built/baremetal/image$scratch"' EXIT
unset MAKEFLAGS MAKELEVEL SRC OUT IMAGE_CFLAGS
failed=0
verdict_prefix=image_
. "$(dirname "$0")/../verdict.sh"

make_image() { make -s -C "$root" O="${O:-build}" image "$@" 2>&1; }

# refuses NAME TEXT ARGUMENT...: one line says why
refuses()
{
	local name=$1 text=$2 output

	shift 2
	output=$(make_image "$@") && output="no error: $output"
	grep -qF -- "$text" <<<"$output" && [ "$(wc -l <<<"$output")" -eq 1 ] && output=
	verdict "$name" "${output//$'\n'/ | }"
}

mkdir "$scratch/one" "$scratch/two"
cat >"$scratch/one/case.c" <<'END'
#include <boot.h>
#include <frames.h>
#include <hakmem/hakmem.h>
#include <test.h>

int other(void *block);
int main(int argc, char **argv)
{
	const char *text = argv[argc - 1];

	hak_init(&hak_frames_provider);
	test_print("%u CPUs, number %u\n", smp_count(), NUMBER);
	return other(hak_malloc(100)) + (int)test_number(&text);
}
END
# of the same name, with a warning, and no use for what the first needs
cat >"$scratch/two/case.c" <<'END'
int other(void *block)
{
	int unused;

	return block ? 20 : 90;
}
END
sources=("$scratch/one/case.c" "$scratch/two/case.c")
image=$scratch/new/case.elf

build()
{
	make_image SRC="${sources[*]}" OUT="$image" IMAGE_CFLAGS="$1" >"$scratch/make" ||
		cat "$scratch/make"
}

# boots NAME NUMBER: as it was built last
boots()
{
	local output result

	output=$("$root/qemu/run.sh" "$image" --smp 2 -- 7 2>&1)
	result=$?
	[ $result -eq 27 ] && grep -q "^2 CPUs, number $2" <<<"$output" && output=
	verdict "$1" "${output:+status $result: $output}"
}

verdict builds "$(build -DNUMBER=5)"
boots boots 5
verdict builds_again "$(build -DNUMBER=6)"
boots has_new_flags 6
verdict is_alone "$(cd "$scratch" && find . -type f ! -name case.c ! -name case.elf ! -name make)"
verdict can_be_strict "$(build '-DNUMBER=5 -Werror' | grep -q 'error: unused' || echo 'no error')"
refuses no_source "image: say of what: SRC=" OUT="$image"
refuses no_output "image: say where to: OUT=" SRC="${sources[0]}"
refuses missing_source "image: there is no $scratch/none.c" SRC="${sources[0]} $scratch/none.c" \
	OUT="$image"
exit $failed
