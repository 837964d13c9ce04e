#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Can an image that loads anywhere be made of an archive that was built with BM_FLAGS=-fpie?
# Nothing in its code or constants has to be changed when it is loaded, and all that has to be
# changed elsewhere is relative to where it lies.
#
#	check-pie.sh libhakmem.a

set -u

library=$1
scratch=$(mktemp -d) || exit 2
trap 'rm -rf "$scratch"' EXIT
failed=0
verdict_prefix=pie_
. "$(dirname "$0")/../verdict.sh"

output=$(ld -pie --no-dynamic-linker -z text -z noexecstack -e 0 -o "$scratch/image" \
	--defsym=__errno=0 --whole-archive "$library" 2>&1 | grep -v 'entry symbol')
verdict links "$(head -n 1 <<<"$output")"
[ -e "$scratch/image" ] || exit 1
verdict is_relative "$(readelf -rW "$scratch/image" | awk '
	/^[0-9a-f]+ / && $3 != "R_X86_64_RELATIVE" { print $3, $5; exit }')"
exit $failed
