#!/bin/bash
# SPDX-License-Identifier: MIT
#
# The profile that an image has printed by hak_profile_text(), in the form of a file that
# google-pprof and `go tool pprof` read. If there are several, it is the last one.
#
#	qemu/profile.sh IMAGE <CONSOLE >FILE
#	qemu/run.sh kernel.elf | qemu/profile.sh kernel.elf >kernel.heap
#	go tool pprof -top kernel.elf kernel.heap
#
# IMAGE is the ELF file that ran; READELF= another readelf. Other lines of the console, and what
# stands in front of a line, are left out.

image=${1:?usage: $0 IMAGE <CONSOLE >FILE}

if ! segments=$("${READELF:-readelf}" -lW "$image" 2>&1); then
	echo "$0: $segments" >&2
	exit 1
fi

counts='[0-9]+: [0-9]+ \[[0-9]+: [0-9]+\] @'
profile=$(tr -d '\r' | awk -v counts="$counts" '
	match($0, "heap profile: " counts " heapprofile") {
		text = substr($0, RSTART)
		inside = 1
		next
	}
	inside && match($0, counts "( 0x[0-9a-f]+)*$") { text = text "\n" substr($0, RSTART); next }
	{ inside = 0 }
	END { print text }')
if [ -z "$profile" ]; then
	echo "$0: there is no profile on the console" >&2
	exit 1
fi

# Where the code of the image is: as /proc/PID/maps of Linux says it.
echo "$profile"
echo
echo MAPPED_LIBRARIES:
awk -v image="$(realpath "$image")" '
	$1 == "LOAD" && / R?W?[ ]?E / {
		start = substr($3, 3)
		size = substr($6, 3)
		print start, size, substr($2, 3), image
	}' <<<"$segments" | while read -r start size offset path; do
	printf '%x-%x r-xp %08x 00:00 0 %s\n' "0x$start" $((0x$start + 0x$size)) "0x$offset" "$path"
done
