#!/bin/bash
# SPDX-License-Identifier: MIT
#
# What the core needs of others when it is linked: the four memory functions
# that compilers call by themselves, those of hakmem/host.h (nine at most), and
# what the platform.h declares that is not inline.
#
#	undefined.sh [PLATFORM OBJECT-OR-ARCHIVE ...]
#
# Without arguments the core is compiled here, for both platforms, once as
# released and once with every check in.

. "$(dirname "$0")/lint.sh"

memory='memcpy memmove memset memcmp'
host=$(sed -nE 's/^.*[ *](hak_host_[a-z_]+)\(.*/\1/p' "$ROOT/include/hakmem/host.h" | sort -u)
# What platforms define for samples, and for the hardened build and the debug build.
samples='hak_sampled_name hak_sampled_print hak_secret hak_secret_make hak_debug_now hak_debug_who'
baremetal="hak_ask hak_note hak_cpu_at hak_cpu_require $samples"
linux="hak_tls_cache hak_tls_held hak_linux_provider this_cache_set this_owner owner_is_gone
	$samples"

# check_objects PLATFORM OBJECT ...: undefined symbols that no object defines
check_objects()
{
	local own=${!1} symbols allowed

	shift
	allowed=$(printf '%s\n' _GLOBAL_OFFSET_TABLE_ $memory $host $own | sort -u)
	symbols=$(nm -g "$@" | awk '
		NF == 2 && $1 ~ /^[Uwv]$/ { undefined[$2] }
		NF == 3 && $2 !~ /^[Uwv]$/ { defined[$3] }
		END { for (s in undefined) if (!(s in defined)) print s }' | sort)
	[ -n "$symbols" ] || echo "no undefined symbols at all: these are not the core's objects"
	comm -23 <(echo "$symbols") <(echo "$allowed")
}

compile()
{
	local platform=$1 debug=$2 target=$3 hardened=$4 source flags=
	local cc=${CC:-gcc} only=()

	[ "$hardened" = 1 ] || only=(! -path './harden/*' ! -name quarantine.c)
	if [ "$debug" = 1 ]; then
		only+=(-o -path './harden/heap.c' -o -path './harden/walk.c')
	else
		only+=(! -path './debug/*')
	fi

	[ "$platform" = baremetal ] && flags='-mno-red-zone -mgeneral-regs-only'
	[ "$platform" = linux ] && flags=-fPIC
	for source in $(cd "$ROOT/core" && find . -name '*.c' "${only[@]}"); do
		# shellcheck disable=SC2086
		$cc -std=gnu11 -O2 -ffreestanding -nostdlib -fvisibility=hidden $flags \
			-DCONFIG_HAK_DEBUG="$debug" -DCONFIG_HAK_HARDENED="$hardened" \
			-I"$ROOT/include" -I"$ROOT/core" \
			-I"$ROOT/arch/x86_64" -I"$ROOT/platform/$platform" \
			-c "$ROOT/core/$source" -o "$target/$(tr / _ <<<"${source#./}").o" || return
	done
}

if [ $# -gt 1 ]; then
	platform=$1
	shift
	lint_report "undefined-symbols-$platform" "$(check_objects "$platform" "$@")"
	lint_finish
fi

lint_report host-has-13-functions "$([ "$(wc -w <<<"$host")" -le 13 ] || echo "$host")"

scratch=$(mktemp -d) || exit 2
trap 'rm -r "$scratch"' EXIT

check_build()
{
	local platform=$1 debug=$2 hardened=$3
	local objects=$scratch/$platform-$debug-$hardened
	local name=undefined-symbols-$platform-release

	[ "$debug" = 0 ] || name=undefined-symbols-$platform-debug
	[ "$hardened" = 0 ] || name=undefined-symbols-$platform-hardened
	mkdir "$objects"
	if compile "$platform" "$debug" "$objects" "$hardened"; then
		lint_report "$name" "$(check_objects "$platform" "$objects"/*.o)"
	else
		lint_fail "$name: the core does not compile"
	fi
	lint_finish
}

builds=()
for platform in linux baremetal; do
	for options in '0 0' '1 0' '0 1'; do
		# shellcheck disable=SC2086
		(check_build $platform $options) &
		builds+=($!)
	done
done
for build in "${builds[@]}"; do
	wait "$build" || lint_failures=$((lint_failures + 1))
done
lint_finish
