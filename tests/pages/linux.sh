#!/bin/bash
# SPDX-License-Identifier: MIT
#
# The first steps of platform/linux/README.md, as they stand there, with the sources as
# `make dist` packs them. They install, so they are done in a copy of this system, which is
# gone when the script ends. That needs root and overlayfs: without, nothing is done, and
# the test says so.

root=$(cd "$(dirname "$0")/../.." && pwd)
scratch=$(mktemp -d) || exit 2
trap 'rm -rf "$scratch"' EXIT
failed=0
verdict_prefix=page-linux-
. "$root/tests/verdict.sh"

check packs env -u MAKEFLAGS -u MAKELEVEL make -s -C "$root" O="$scratch/made" dist
tarball=$(echo "$scratch"/made/*.tar.gz)
mkdir "$scratch/copy"

# The copy: this system below, what changes in memory above. Its mounts are seen by nobody
# else and end with the process.
unshare --mount --propagation private bash -c '
	mount -t tmpfs -o size=1g none "$1" && mkdir "$1"/{upper,work,system} &&
	mount -t overlay -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work" none "$1/system" &&
	mount -t proc none "$1/system/proc" && mount --rbind /dev "$1/system/dev" &&
	mount -t tmpfs none "$1/system/tmp" && mkdir -p "$1/system/hakmem" &&
	tar -xzf "$2" -C "$1/system/hakmem" --strip-components=1 && echo ready && cd / &&
	exec chroot "$1/system" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/bin \
		LC_ALL=C.UTF-8 HOME=/root HAKMEM=/hakmem /hakmem/tests/pages/follow.sh \
		page-linux /hakmem/platform/linux/README.md /root/first-steps' \
	- "$scratch/copy" "$tarball" >"$scratch/log" 2>&1 || failed=1
if grep -qx ready "$scratch/log"; then
	grep -vx ready "$scratch/log"
else
	echo "ok page-linux (nothing was done; no copy of the system:" \
		"$(tail -n 1 "$scratch/log"))"
	failed=0
fi
exit $failed
