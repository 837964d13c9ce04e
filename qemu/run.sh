#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Boot an image in QEMU, stream its console to stdout, return its status.

usage()
{
	cat <<'END'
usage: run.sh IMAGE [OPTION]... [-- ARGUMENT...]

  --machine microvm|pc|q35
                        default: microvm
  --memory SIZE         as QEMU takes it: 128M (the default), 5G, ...
  --smp N               number of CPUs, default: 1
  --accel tcg|kvm|auto  default: tcg. auto is KVM if status.elf, beside the image,
                        runs and ends there at the speed of the machine, as not
                        every /dev/kvm lets it, and else tcg
  --icount              count instructions: one tick of the TSC is one
                        instruction, and every run is like the other
  --balloon             give the machine a balloon with free page reporting
  --qemu 'OPTION...'    more options of QEMU, split at blanks
  --timeout SECONDS     how long the image may take, default: $TIMEOUT, or 60

The ARGUMENTs reach the image's main() split at blanks; there is no quoting.

The status is what main() returned (0 to 100), or
  101  the image panicked, as it does on an exception
  111  main() returned something else
  124  the image did not end in time
  125  QEMU could not run it, or these arguments are wrong
  126  the machine was reset, as by a triple fault
For every status of this list the reason is on stderr, with the last lines
that the image printed. An image that knows nothing of this ends well if it
switches the machine off, or writes 0 to port 0xf4: see exit.h.

Environment: QEMU, the program to run, default qemu-system-x86_64;
KVM, the device that --accel looks for, default /dev/kvm; KVM_SECONDS, how
long the probe for it may take, default 3; TIMEOUT.
END
}

fail()
{
	echo "run.sh: $*" >&2
	exit 125
}

# needs_value OPTION NUMBER-OF-ARGUMENTS-LEFT
needs_value()
{
	[ "$2" -ge 2 ] || fail "$1 needs a value"
}

image=
machine=microvm
memory=128M
smp=1
accel=tcg
icount=
balloon=
options=
timeout=${TIMEOUT:-60}
while [ $# -gt 0 ]; do
	case $1 in
	--machine) needs_value "$1" $# && machine=$2 && shift ;;
	--memory) needs_value "$1" $# && memory=$2 && shift ;;
	--smp) needs_value "$1" $# && smp=$2 && shift ;;
	--accel) needs_value "$1" $# && accel=$2 && shift ;;
	--timeout) needs_value "$1" $# && timeout=$2 && shift ;;
	--qemu) needs_value "$1" $# && options="$options $2" && shift ;;
	--balloon) balloon=yes ;;
	--icount) icount=shift=0,sleep=off ;;
	--help) usage && exit 0 ;;
	--) shift && break ;;
	-*) fail "unknown option $1; see run.sh --help" ;;
	*) [ -z "$image" ] || fail "more than one image; arguments of the image go after --"
	   image=$1 ;;
	esac
	shift
done

case $timeout in
'' | *[!0-9]*) fail "--timeout takes whole seconds" ;;
esac
[ -n "$image" ] || fail "no image; see run.sh --help"
[ -r "$image" ] || fail "cannot read $image"
case $machine in
microvm) bus=device ;;
pc | q35) bus=pci ;;
*) fail "unknown machine $machine: microvm, pc or q35" ;;
esac
[ -z "$balloon" ] || options="$options -device virtio-balloon-$bus,free-page-reporting=on"
case $accel in
tcg | kvm | auto) ;;
*) fail "unknown accelerator $accel: tcg, kvm or auto" ;;
esac
case $accel$icount in
kvm?*) fail "--icount needs --accel tcg" ;;
auto?*) accel=tcg ;;
esac
qemu=${QEMU:-qemu-system-x86_64}
command -v "$qemu" >/dev/null || fail "no $qemu: run 'make setup' (Debian package qemu-system-x86)"

scratch=$(mktemp -d) || fail "cannot make a temporary directory"
trap 'rm -rf "$scratch"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# QEMU ends with 0 when the machine is switched off, and when it is reset. Its monitor tells
# which: the reason of the event SHUTDOWN goes to $scratch/ended.
mkfifo "$scratch/monitor.in" "$scratch/monitor.out" || fail "cannot make a pipe"

# boot SECONDS IMAGE ARGUMENT ...
boot()
{
	local limit=$1 kernel=$2 reader

	shift 2
	# the reader has its pipe before QEMU begins, and ends when this shell has closed it, too
	exec 3<>"$scratch/monitor.in" 4<>"$scratch/monitor.out" 5<"$scratch/monitor.out"
	sed -nE 's/.*"SHUTDOWN".*"reason": "([a-z-]*)".*/\1/p' <&5 3>&- 4>&- 5<&- \
		>"$scratch/ended" &
	reader=$!
	exec 5<&-
	echo '{"execute": "qmp_capabilities"}' >&3
	# shellcheck disable=SC2086 # a list of words
	timeout --foreground -k 5 "$limit" "$qemu" \
		-nodefaults -no-user-config -display none -no-reboot \
		-machine "$machine" -accel "$accel" ${icount:+-icount "$icount"} \
		-m "$memory" -smp "$smp" -serial stdio \
		-device isa-debug-exit,iobase=0xf4,iosize=4 \
		-chardev pipe,id=ended,path="$scratch/monitor" -mon chardev=ended,mode=control \
		$options -kernel "$kernel" -append "$*" </dev/null 2>"$scratch/errors" 3>&- 4>&-
	echo $? >"$scratch/status"
	exec 3>&- 4>&-
	wait $reader
}

# Why KVM cannot be used, or nothing: 33 is the status 0 of an image, see exit.h.
why_no_kvm()
{
	local probe

	probe=$(dirname "$image")/status.elf
	[ -r "$KVM" ] && [ -w "$KVM" ] || { echo "no access to $KVM" && return; }
	[ -r "$probe" ] || { echo "no $probe to probe it with" && return; }
	accel=kvm options= boot "${KVM_SECONDS:-3}" "$probe" loop >/dev/null
	[ "$(cat "$scratch/status")" = 33 ] || echo "the probe did not run and end there"
}

KVM=${KVM:-/dev/kvm}
if [ "$accel" != tcg ]; then
	why=$(why_no_kvm)
	[ -z "$why" ] || [ "$accel" = auto ] || fail "KVM cannot be used: $why"
	[ -z "$why" ] || echo "run.sh: TCG, as KVM cannot be used: $why" >&2
	[ -z "$why" ] && accel=kvm || accel=tcg
fi

began=$(date +%s)
boot "$timeout" "$image" "$@" | tee "$scratch/console"
took=$(($(date +%s) - began))
status=$(cat "$scratch/status") || fail "QEMU did not start"

# Says why, shows the end of the console, and exits.
report()
{
	echo "run.sh: $image: $2" >&2
	grep -v 'terminating on signal' "$scratch/errors" | sed 's/^/  /' >&2
	if [ -s "$scratch/console" ]; then
		echo "run.sh: the image's last lines:" >&2
		tail -n 5 "$scratch/console" | sed 's/^/  /' >&2
	fi
	exit "$1"
}

# A QEMU that timeout(1) had to kill is 137, which is a status of images too.
if [ "$status" -eq 137 ] && [ "$took" -ge "$timeout" ]; then
	status=124
fi
# See exit.h: QEMU ends with 2 * VALUE + 1, or with 0 or 1 for reasons of its own.
case $status,$(cat "$scratch/ended") in
0,guest-shutdown) exit 0 ;;
0,guest-panic) report 101 "panic" ;;
0,host-*) report 125 "QEMU was ended from outside" ;;
0,*) report 126 "the machine was reset (a triple fault?)" ;;
124,*) report 124 "did not end within $timeout s" ;;
esac
if [ $((status % 2)) -eq 0 ] ||
	{ [ "$status" -eq 1 ] && grep -v ': warning: ' "$scratch/errors" | grep -q .; }; then
	report 125 "QEMU failed (status $status)"
fi
value=$(((status - 1) / 2))
[ "$value" -ge 16 ] || exit "$value"
case $((value - 16)) in
101) report 101 "panic" ;;
111) report 111 "main() returned a status that is not 0 to 100" ;;
esac
exit $((value - 16))
