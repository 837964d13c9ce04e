#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Installs the Debian packages into a copy of this system, which is gone when the
# script ends, uses what they have, and removes them. Ends with
# "N passed, N failed".
#
#	tests/install/deb.sh DIRECTORY	where the packages are; needs root

directory=$(cd "${1:?usage: $0 DIRECTORY}" && pwd) || exit 2
here=$(cd "$(dirname "$0")" && pwd)
scratch=$(mktemp -d) || exit 2
trap 'rm -rf "$scratch"' EXIT

# The copy: this system below, what changes in memory above. Its mounts are seen
# by nobody else and end with the process.
copy()
{
	unshare --mount --propagation private bash -c '
		mount -t tmpfs -o size=1g none "$1" && mkdir "$1"/{upper,work,system} &&
		mount -t overlay -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work" \
			none "$1/system" &&
		mount -t proc none "$1/system/proc" && mount --rbind /dev "$1/system/dev" &&
		mkdir -p "$1/system/packages" && cp "$2"/*.deb "$3/user.c" "$1/system/packages/" &&
		mkdir -p "$1/system/packages/tests/install" &&
		cp "$3/user.c" "$1/system/packages/tests/install/" &&
		cp -r "$3/../../platform/linux/debian/tests" "$1/system/packages/autopkgtest" &&
		echo ready && cd / && exec chroot "$1/system" bash -s' \
		- "$scratch" "$directory" "$here"
}

copy >"$scratch.log" 2>&1 <<'EOF_SYSTEM' || echo 'FAIL the system ended early' >>"$scratch.log"
cd /packages
unset LD_PRELOAD
export PATH=/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8

check()
{
	local name=$1

	shift
	if "$@" >output 2>&1 </dev/null; then
		echo "ok $name"
	else
		echo "FAIL $name: $(tail -n 3 output | tr '\n' '|')"
	fi
}

# All files with our name but those that dpkg and ldconfig keep about packages.
files()
{
	find / -xdev \( -path /packages -o -path /proc -o -path /dev -o -path /sys -o -path /tmp \
		-o -path /var/lib/dpkg -o -path /var/log -o -path /var/cache \) -prune -o \
		-name '*hakmem*' -print 2>/dev/null | sort
}

packages='hakmem libhakmem1 libhakmem-hardened1 libhakmem-dev'
before=$(files)
check clean-before test "$(dpkg-query -W $packages 2>/dev/null | wc -l)" -eq 0
check installs dpkg -i hakmem_*.deb libhakmem1_*.deb libhakmem-hardened1_*.deb libhakmem-dev_*.deb
check configured test "$(dpkg-query -W -f '${Status}\n' $packages | sort -u)" = \
	'install ok installed'
check verifies dpkg --verify $packages
check in-cache bash -c 'ldconfig -p | grep -q "libhakmem.so.1 "'
check runs bash -c 'hakmem-run cat /proc/self/maps | grep -q "/usr/lib/.*/libhakmem.so"'
check runs-hardened bash -c \
	'hakmem-run --hardened cat /proc/self/maps | grep -q "/usr/lib/.*/libhakmem-hardened.so"'
check runs-by-name bash -c 'LD_PRELOAD=libhakmem.so.1 cat /proc/self/maps | grep -q libhakmem.so'
check refuses-nothing bash -c 'hakmem-run 2>&1 | grep -q "no program given"'
check builds bash -c 'gcc user.c $(pkg-config --cflags --libs hakmem) -o user'
check links ./user
check builds-static bash -c \
	'gcc -static user.c $(pkg-config --static --cflags --libs hakmem) -o user'
check links-static ./user
# As autopkgtest runs them, from where the sources are.
for test in preload links; do
	check "autopkgtest-$test" autopkgtest/$test
done
for page in 1,hakmem-run 3,hakmem 7,hakmem; do
	check "manual-$page" bash -c "man ${page%,*} ${page#*,} | grep -q 'SEE ALSO'"
done
check reinstalls dpkg -i hakmem_*.deb libhakmem1_*.deb libhakmem-hardened1_*.deb libhakmem-dev_*.deb
check needs-library bash -c '! dpkg -r libhakmem1'
check removes dpkg -r hakmem libhakmem-dev libhakmem-hardened1 libhakmem1
check purges dpkg -P $packages
check nothing-known test -z "$(dpkg-query -W -f '${Status} ${Package}\n' $packages 2>/dev/null |
	grep -v ' not-installed ')"
check nothing-left test "$(files)" = "$before"
check not-in-cache bash -c '! ldconfig -p | grep -q libhakmem'
EOF_SYSTEM

if ! grep -qx ready "$scratch.log"; then
	echo "FAIL no system to install into (needs root and overlayfs):" \
		"$(tail -n 1 "$scratch.log")"
	echo FAIL >>"$scratch.log"
else
	grep -v '^ready$' "$scratch.log"
fi
passed=$(grep -c '^ok ' "$scratch.log")
failed=$(grep -c '^FAIL' "$scratch.log")
rm -f "$scratch.log"
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
