#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Builds the Debian packages, from what `make dist` packed, with debian/ where Debian wants
# it, and lets lintian look at them.
#
#	platform/linux/deb.sh DIRECTORY VERSION TARBALL

fail()
{
	echo "deb: $*" >&2
	exit 1
}

for tool in dpkg-buildpackage dh lintian fakeroot; do
	command -v $tool >/dev/null || fail "no $tool: run 'make setup-deb'"
done
version=${2:?usage: $0 DIRECTORY VERSION TARBALL}
tarball=$(realpath "${3:?usage: $0 DIRECTORY VERSION TARBALL}")
mkdir -p "$1" && directory=$(cd "$1" && pwd) || exit 1
cd "$(dirname "$0")/../.." || exit 1
unset MAKEFLAGS MAKELEVEL MFLAGS LD_PRELOAD O PREFIX DESTDIR BINDIR LIBDIR INCLUDEDIR MANDIR

packaged=$(dpkg-parsechangelog -l platform/linux/debian/changelog -S Version)
[ "$packaged" = "$version" ] ||
	fail "debian/changelog has version $packaged, the Makefile $version"

source=$directory/hakmem-$version
rm -rf "$source" "$directory"/*.deb "$directory"/*.changes "$directory"/*.buildinfo
tar -xzf "$tarball" -C "$directory" || fail "cannot unpack $tarball"
mv "$source/platform/linux/debian" "$source/debian"

(cd "$source" && dpkg-buildpackage -us -uc -b) >"$directory/log" 2>&1 ||
	{ tail -n 20 "$directory/log" >&2; fail "see $directory/log"; }
rm -r "$source"
lintian --allow-root --fail-on error,warning "$directory"/*.changes ||
	fail "lintian found something"
ls "$directory"/*.deb
