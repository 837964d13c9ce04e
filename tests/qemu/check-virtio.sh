#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Is the balloon found and used wherever a machine may have it: by the legacy interface and by
# virtio 1, behind bridges, as a second function, with the features of other hosts? The
# guest's side is upper.c, which sees that what it reports is gone.
#
#	check-virtio.sh upper.elf

set -u

image=$1
run=$(dirname "$0")/../../qemu/run.sh
balloon=virtio-balloon-pci,free-page-reporting=on
failed=0

# expect NAME MACHINE OPTION...
expect()
{
	local name=$1 machine=$2 output status

	shift 2
	output=$("$run" "$image" --machine "$machine" --qemu "$*" 2>&1)
	status=$?
	if [ $status -eq 0 ] && [ "$(grep -c '^ok' <<<"$output")" -ge 4 ]; then
		echo "ok virtio_$name"
	else
		echo "FAIL virtio_$name: status $status: ${output//$'\n'/ | }"
		failed=1
	fi
}

memory='-device virtio-balloon-device,free-page-reporting=on'
bridge='-device pci-bridge,id=one,chassis_nr=1'

expect memory microvm "$memory"
expect memory_1 microvm -global virtio-mmio.force-legacy=false "$memory"
expect pci pc -device "$balloon"
expect pci_1 pc -device "$balloon,disable-legacy=on"
expect pci_1_deflate_on_oom pc -device "$balloon,disable-legacy=on,deflate-on-oom=on"
expect pci_1_iommu_platform pc -device "$balloon,disable-legacy=on,iommu_platform=on"
expect pci_poison pc -device "$balloon,disable-legacy=on,page-poison=on"
expect second_function pc -device virtio-rng-pci,addr=6.0,multifunction=on \
	-device "$balloon,addr=6.1"
expect second_function_1 pc -device virtio-rng-pci,addr=6.0,multifunction=on \
	-device "$balloon,addr=6.1,disable-legacy=on"
expect bridge pc "$bridge" -device "$balloon,bus=one,addr=3"
expect two_bridges_1 pc "$bridge" -device pci-bridge,id=two,bus=one,addr=2,chassis_nr=2 \
	-device "$balloon,bus=two,addr=3,disable-legacy=on"
expect q35 q35 -device "$balloon"
expect q35_root_port q35 -device pcie-root-port,id=one -device "$balloon,bus=one"
expect q35_root_port_1 q35 -device pcie-root-port,id=one \
	-device "$balloon,bus=one,disable-legacy=on,iommu_platform=on,deflate-on-oom=on"
expect q35_iommu q35 -machine kernel-irqchip=split -device intel-iommu \
	-device pcie-root-port,id=one -device "$balloon,bus=one,disable-legacy=on,iommu_platform=on"
expect q35_bridge q35 -device pcie-pci-bridge,id=one -device "$balloon,bus=one,addr=2"
expect memory_1_iommu_platform microvm -global virtio-mmio.force-legacy=false \
	"$memory,iommu_platform=on,deflate-on-oom=on"
expect bridge_second_function_1 pc "$bridge" \
	-device virtio-rng-pci,bus=one,addr=3.0,multifunction=on \
	-device "$balloon,bus=one,addr=3.1,disable-legacy=on"
exit $failed
