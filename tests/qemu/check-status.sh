#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Does qemu/run.sh tell how an image ended? For each way that status.c knows:
# the status, and what must be said on the console or on stderr.
#
#	check-status.sh status.elf DEBUG-status.elf

image=$1
debug=$2
run=$(dirname "$0")/../../qemu/run.sh
failed=0

# expect NAME STATUS TEXT MACHINE ARGUMENT [OPTION ...]
expect()
{
	local output status

	local name=$1_$4 wanted=$2 text=$3 machine=$4 argument=$5

	shift 5
	# shellcheck disable=SC2086
	output=$("$run" "$image" --machine "$machine" "$@" -- $argument 2>&1)
	status=$?
	if [ "$status" -eq "$wanted" ] && grep -q -- "$text" <<<"$output"; then
		echo "ok status_$name"
	else
		echo "FAIL status_$name: status $status, expected $wanted and '$text'"
		failed=1
	fi
}

for machine in microvm pc; do
	no_acpi=-no-acpi
	[ "$machine" = pc ] || no_acpi='-machine acpi=off'
	expect success 0 '' "$machine" 0
	expect failure 7 '' "$machine" 7
	expect panic 101 'as asked' "$machine" panic
	expect exception 101 \
		'exception 14 (page fault): rip 0x.* cr2 0xdeadbeef0' "$machine" exception
	expect double_free 101 'double free of a block of 64 bytes' "$machine" double-free
	for what in stack image frame; do
		expect "free_of_$what" 101 'hakmem: free(0x[0-9a-f]*): not from this heap$' \
			"$machine" "f$what"
	done
	expect overflow 101 'exception 14 (page fault): rip 0x' "$machine" overflow
	expect gs_is_0 101 'cpu 0: hakmem: hak_init() before hak_cpu_init()' "$machine" gs
	expect gs_is_another 101 'hakmem: hak_init() before hak_cpu_init()' "$machine" Gs
	expect triple_fault 126 'triple fault' "$machine" triple-fault
	# the same on another CPU, which is named
	expect exception_3 101 'cpu 3: exception 14 (page fault): rip 0x.* cr2 0xdeadbeef0' \
		"$machine" 'exception 3' --smp 4
	expect double_free_3 101 'cpu 3: hakmem: free(0x.*): double free of a block of 64 bytes' \
		"$machine" 'double-free 3' --smp 4
	expect overflow_3 101 'cpu 3: exception 14 (page fault): rip 0x' \
		"$machine" 'overflow 3' --smp 4
	# machines that are too large or too small
	expect too_many_cpus 101 'the machine has 17 CPUs, the image is for 16' \
		"$machine" 0 --smp 17
	expect no_acpi 0 'no ACPI table of CPUs' "$machine" 0 --smp 2 --qemu "$no_acpi"
	expect too_little_memory 101 'too little memory: not one free frame of 2 MiB' \
		"$machine" 0 --memory 3M
	expect no_memory_map 101 'the loader gave no memory map' "$machine" no-map
	expect same_memory 101 'entries of the memory map overlap' "$machine" same-memory
done
# Images that know nothing of qemu/exit.h.
expect off 0 '^$' pc without-power
expect raw_success 0 '^$' microvm raw-0
expect raw_failure 3 '^$' microvm raw-3
expect raw_success_with_warning 0 '^$' microvm raw-0 --qemu '-cpu qemu64,+avx512f'
expect bad_option 125 'QEMU failed' microvm 0 --qemu '-no-such-option'
# in debug builds, with and without a cache of the CPU's own
image=$debug expect no_enter 101 'cpu 0: hakmem: an interrupt handler .* hak_interrupt_enter()' \
	microvm interrupt
image=$debug expect no_enter_3 101 'cpu 3: hakmem: an interrupt handler' \
	pc 'interrupt 3' --smp 4
expect hang 124 'did not end within 5 s' microvm hang --timeout 5

# A QEMU whose KVM is as $KIND says; TCG does the work.
scratch=$(mktemp -d) || exit 2
trap 'rm -r "$scratch"' EXIT
cat >"$scratch/qemu" <<'END'
#!/bin/bash
[[ " $* " == *' -accel kvm '* ]] || exec qemu-system-x86_64 "$@"
case $KIND in
works) echo "this is KVM" && exec qemu-system-x86_64 "${@/#kvm/tcg}" ;;
refuses) echo "no such thing" >&2 && exit 1 ;;
hangs) sleep 60 ;;
esac
END
chmod +x "$scratch/qemu"
export QEMU=$scratch/qemu KVM=$scratch/qemu

KVM_SECONDS=60 KIND=works expect kvm_works 0 'this is KVM' microvm 0 --accel auto
KIND=works expect kvm_not_asked_for 0 '^$' microvm 0
KIND=refuses expect kvm_refuses 0 \
	'TCG, as KVM cannot be used: the probe did not' microvm 0 --accel auto
KIND=hangs expect kvm_hangs 0 'TCG, as KVM cannot be used: the probe did not' microvm 0 --accel auto
KIND=refuses expect kvm_insisted 125 'KVM cannot be used: the probe did not' microvm 0 --accel kvm
KVM=$scratch/none expect kvm_missing 0 \
	'TCG, as KVM cannot be used: no access' microvm 0 --accel auto
KIND=works expect kvm_icount 125 'icount needs --accel tcg' microvm 0 --accel kvm --icount
exit $failed
