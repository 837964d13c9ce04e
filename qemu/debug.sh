#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Boot an image in QEMU with GDB at its side:
#
#	debug.sh IMAGE ['OPTION-OF-run.sh...' [OPTION-OF-GDB...]]
#
# GDB knows the commands of hakmem-gdb.py. The image has not begun, and does with
# "continue"; or it stands where it first calls the function STOP of the environment. Its
# console is this terminal, or the file CONSOLE of the environment.

fail()
{
	echo "debug.sh: $*" >&2
	exit 125
}

[ $# -ge 1 ] || fail "usage: debug.sh IMAGE ['OPTION-OF-run.sh...' [OPTION-OF-GDB...]]"
image=$1
options=${2-}
shift
[ $# -eq 0 ] || shift
here=$(dirname "$0")
gdb=${GDB:-gdb}
command -v "$gdb" >/dev/null || fail "no $gdb: run 'make setup-test' (Debian package gdb)"

scratch=$(mktemp -d) || fail "cannot make a temporary directory"
# shellcheck disable=SC2086 # a list of words
"$here/run.sh" "$image" --timeout 86400 $options \
	--qemu "-S -gdb unix:$scratch/gdb,server=on,wait=off -pidfile $scratch/pid" \
	>"${CONSOLE:-/dev/stdout}" 2>"$scratch/errors" &
runner=$!

finish()
{
	[ ! -s "$scratch/pid" ] || kill "$(cat "$scratch/pid")" 2>/dev/null
	wait $runner
	rm -rf "$scratch"
}
trap finish EXIT
trap 'exit 143' TERM
trap '' INT # it is GDB's

tenths=100
until [ -S "$scratch/gdb" ]; do
	kill -0 $runner 2>/dev/null && [ $tenths -gt 0 ] || fail "$(cat "$scratch/errors")"
	tenths=$((tenths - 1))
	sleep 0.1
done
if [ -n "${STOP-}" ]; then
	set -- -ex "thbreak $STOP" -ex continue "$@"
fi
"$gdb" -q -nx -ex 'set architecture i386:x86-64' -ex "source $here/hakmem-gdb.py" \
	-ex "target remote $scratch/gdb" "$@" "$image"
