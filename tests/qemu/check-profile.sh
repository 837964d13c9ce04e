#!/bin/bash
# SPDX-License-Identifier: MIT
#
# A profile that an image prints, and what qemu/profile.sh makes of it: see profile.c.
#
#	check-profile.sh profile.elf

image=$1
root=$(cd "$(dirname "$0")/../.." && pwd)
scratch=$(mktemp -d) || exit 2
trap 'rm -rf "$scratch"' EXIT
failed=0
verdict_prefix=profile_
. "$(dirname "$0")/../verdict.sh"

"$root/qemu/run.sh" "$image" >"$scratch/console" 2>&1
verdict image_ends "$([ $? = 0 ] || tail -n 3 "$scratch/console" | tr '\n' ' ')"
verdict leaks "$(grep -qE '^10[0-9]{6} bytes in 20[0-9]{3} blocks are live' "$scratch/console" ||
	echo 'not said')"
verdict no_leaks "$(grep -q '^0 bytes in 0 blocks are live' "$scratch/console" || echo 'not said')"

check script bash -c "'$root/qemu/profile.sh' '$image' <'$scratch/console' >'$scratch/heap'"
verdict maps "$(grep -qE '^[0-9a-f]+-[0-9a-f]+ r-xp [0-9a-f]{8} 00:00 0 /' "$scratch/heap" ||
	echo 'there are none')"
check nothing_printed bash -c "! '$root/qemu/profile.sh' '$image' </dev/null"

# By the first frame of each stack, which is where an allocator of the image was called from.
share()
{
	local start size blocks bytes rest frame all=1 own=0

	read -r start size < <(nm -S "$image" | awk -v f="$1" '$4 == f { print $1, $2 }')
	start=$((0x$start)) size=$((0x$size))
	while read -r blocks bytes rest; do
		[[ $blocks =~ ^[0-9]+:$ && $rest =~ @\ (0x[0-9a-f]+) ]] || continue
		frame=${BASH_REMATCH[1]}
		((all += bytes))
		((frame > start && frame <= start + size)) && ((own += bytes))
	done <"$scratch/heap"
	echo $(((100 * own + all / 2) / all))
}
one=$(share alloc_one)
verdict shares "$([ "$one" -ge 71 ] && [ "$one" -le 79 ] || echo "$one % instead of 75")"

if command -v go >/dev/null; then
	go tool pprof -sample_index=inuse_space -text "$image" "$scratch/heap" >"$scratch/text" 2>&1
	verdict pprof "$(awk '$NF == "alloc_one" { print int($2 + 0.5) }' "$scratch/text" |
		grep -qE '^7[1-9]$' || head -n 5 "$scratch/text" | tr '\n' '|')"
fi
exit $failed
