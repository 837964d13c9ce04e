#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Does memory that an image frees go back to the host, and does the balloon do
# what an operator asks of it? The guest's side is balloon.c.
#
#	check-balloon.sh balloon.elf
#
# What QEMU occupies is read while the image runs; orders go to QEMU's monitor.

set -u

image=$1
run=$(dirname "$0")/../../qemu/run.sh
memory=512 # MiB
failed=0

# By the legacy interface, and by virtio 1.
declare -A device=(
	[microvm]='-device virtio-balloon-device,free-page-reporting=on'
	[pc]='-device virtio-balloon-pci,free-page-reporting=on'
	[microvm_1]='-global virtio-mmio.force-legacy=false
		-device virtio-balloon-device,free-page-reporting=on'
	[pc_1]='-device virtio-balloon-pci,free-page-reporting=on,disable-legacy=on'
)

scratch=$(mktemp -d) || exit 1
trap 'kill "${runner-}" 2>/dev/null; rm -rf "$scratch"' EXIT

ok()
{
	echo "ok balloon_$1_$machine: $2"
}

bad()
{
	echo "FAIL balloon_$1_$machine: $2"
	failed=1
}

# start SCENARIO
start()
{
	local features= smp=1

	case $1 in oom*) features=,deflate-on-oom=on ;; esac
	case $1 in *_smp_4) smp=4 ;; esac
	rm -f "$scratch"/*
	mkfifo "$scratch/qmp.in" "$scratch/qmp.out"
	exec 3<>"$scratch/qmp.in" 4<>"$scratch/qmp.out"
	"$run" "$image" --machine "${machine%_1}" --memory ${memory}M --smp $smp \
		--qemu "-pidfile $scratch/pid -qmp pipe:$scratch/qmp ${device[$machine]}$features" \
		-- "${1%_smp_4}" >"$scratch/console" 2>&1 &
	runner=$!
	cat <&4 >>"$scratch/replies" &
	reader=$!
	echo '{"execute":"qmp_capabilities"}' >&3
}

# The rest of it: its status, which ought to be 0.
finish()
{
	local status

	wait "$runner"
	status=$?
	kill "$reader"
	exec 3>&- 4>&-
	[ $status -eq 0 ] || { bad "$1" "status $status" && sed 's/^/  /' "$scratch/console"; }
}

# balloon MIB: what the machine is to have
balloon()
{
	echo "{\"execute\":\"balloon\",\"arguments\":{\"value\":$(($1 << 20))}}" >&3
}

# status_of FIELD: in KiB
status_of()
{
	awk -v field="$1:" '$1 == field { print $2 }' "/proc/$(cat "$scratch/pid")/status"
}

# within TENTHS COMMAND...: until the command succeeds, so long at most
within()
{
	local tenths=$1

	shift
	until "$@"; do
		[ $((tenths--)) -gt 0 ] || return 1
		sleep 0.1
	done
}

says()
{
	grep -q -- "$1" "$scratch/console"
}

resident_is_at_most()
{
	resident=$(status_of VmRSS)
	[ "${resident:-0}" -gt 0 ] && [ "$resident" -le "$1" ]
}

# The image is up; sets $before.
begin()
{
	start "$1"
	within 100 says '^now: ready' || return 1
	before=$(status_of VmRSS)
	balloon $((memory - 2))
}

held_is()
{
	: >"$scratch/replies"
	echo '{"execute":"query-balloon"}' >&3
	sleep 0.1
	grep -q "\"actual\": $((($memory - $1) << 20))" "$scratch/replies"
}

spike()
{
	local peak kept

	begin spike && within 600 says '^now: freed' ||
		{ bad spike "it did not come so far"; return; }
	peak=$(status_of VmHWM)
	kept=$(((peak - before) / 20))
	if [ $((peak - before)) -lt $((380 << 10)) ]; then
		bad spike "the spike was not seen: $before to $peak KiB"
	elif within 20 resident_is_at_most $((before + kept)); then
		ok spike "$before KiB, spike $peak, then $resident"
	else
		bad spike "$before KiB, spike $peak, 2 s later $resident"
	fi
	balloon 256
	if within 100 says '^now: inflated' && within 20 held_is 256; then
		ok inflate "the host got 256 MiB"
	else
		bad inflate "the host did not get 256 MiB: $(cat "$scratch/replies")"
	fi
	balloon $memory
	if within 100 says '^now: deflated' && within 20 held_is 0; then
		ok deflate "and returned them"
	else
		bad deflate "the host has not returned them: $(cat "$scratch/replies")"
	fi
}

scattered()
{
	local pages result

	begin scattered && within 600 says '^now: freed' ||
		{ bad scattered "it did not come so far"; return; }
	pages=$(sed -nE 's/^now: freed, ([0-9]+) KiB.*/\1/p' "$scratch/console")
	result=ok
	within 20 resident_is_at_most $((before + pages * 5 / 4)) || result=bad
	$result scattered "$pages KiB of pages hold a live byte, $((resident - before)) are there"
	balloon $memory
}

# oom NAME: the host takes half of the memory, and allows that it is taken back
oom()
{
	local held

	begin "$1" && within 100 says '^now: freed' ||
		{ bad "$1" "it did not come so far"; return; }
	balloon 256
	within 100 says '^now: inflated' || { bad "$1" "the host did not get memory"; return; }
	within 600 says '^now: short' || { bad "$1" "memory was not taken back"; return; }
	held=$(sed -nE 's/^now: short, ([0-9]+) MiB held.*/\1/p' "$scratch/console")
	if within 20 held_is "$held"; then
		ok "$1" "the host has $held of 256 MiB, and knows it"
	else
		bad "$1" "the host ought to have $held MiB: $(cat "$scratch/replies")"
	fi
	balloon 254
	if within 100 says '^now: inflated again' && within 20 held_is 258; then
		ok "${1}_again" "and got 258 MiB when it asked again"
	else
		bad "${1}_again" "the host did not get 258 MiB: $(cat "$scratch/replies")"
	fi
	balloon $memory
}

for machine in microvm pc microvm_1 pc_1; do
	for scenario in spike scattered oom oom_smp_4; do
		${scenario%_smp_4} $scenario
		finish $scenario
	done
done
exit $failed
