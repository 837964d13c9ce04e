#!/bin/bash
# SPDX-License-Identifier: MIT
#
# What `make dist` packs is all that is needed: it is unpacked, built, installed, used and
# uninstalled; and it packs itself again, to the same bytes. What is built of it elsewhere has
# the same bytes as what was built here, and no path of either place in it.
#
#	tests/install/dist.sh [TARBALL]	which is made if it is not given

root=$(cd "$(dirname "$0")/../.." && pwd)
scratch=$(mktemp -d) || exit 2
built=$(cd "$root" && cd "${O:-build}" && pwd) || exit 2
trap 'rm -rf "$scratch"' EXIT
unset MAKEFLAGS MAKELEVEL MFLAGS LD_PRELOAD LD_LIBRARY_PATH O PREFIX DESTDIR BINDIR LIBDIR \
	INCLUDEDIR MANDIR SOURCE_DATE_EPOCH
failed=0
verdict_prefix=dist-
. "$(dirname "$0")/../verdict.sh"

tarball=${1:-}
if [ -z "$tarball" ]; then
	check packs make -s -C "$root" O="$scratch/made" dist
	tarball=$(echo "$scratch"/made/*.tar.gz)
fi
tarball=$(realpath "$tarball")
name=${tarball##*/} && name=${name%.tar.gz}
check unpacks tar -xzf "$tarball" -C "$scratch"
sources=$scratch/$name
check has-the-pages test -r "$sources/README.md" -a -r "$sources/LICENSE"
check has-nothing-built test ! -e "$sources/build" -a ! -e "$sources/.git"

check builds make -s -j2 -C "$sources" linux baremetal
for file in linux/libhakmem.so linux/libhakmem.a baremetal/libhakmem.a; do
	check "same-$file" cmp "$built/$file" "$sources/build/$file"
	check "no-path-in-$file" test -z "$(strings "$built/$file" "$sources/build/$file" |
		grep -F -e "$root" -e "$scratch")"
done
check installs make -s -C "$sources" install PREFIX="$scratch/prefix"
check runs bash -c "'$scratch/prefix/bin/hakmem-run' cat /proc/self/maps |
	grep -q '$scratch/prefix/lib/libhakmem.so'"
check uninstalls make -s -C "$sources" uninstall PREFIX="$scratch/prefix"
check leaves-nothing test -z "$(find "$scratch/prefix" ! -type d)"
check packs-again make -s -C "$sources" dist
check same-bytes cmp "$tarball" "$sources/build/$name.tar.gz"
check cleans make -s -C "$sources" distclean
check sources-as-they-were test -z "$(cd "$scratch" && tar -dzf "$tarball" 2>&1 |
	grep -v 'Uid differs\|Gid differs\|Mode differs')"
check no-more-files diff <(tar -tzf "$tarball" | sort) \
	<(cd "$scratch" && find "$name" ! -type d | sort)
exit $failed
