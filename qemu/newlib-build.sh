#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Build newlib, the C library of the bare-metal tests, from Debian's package
# newlib-source:
#
#	qemu/newlib-build.sh /usr/src/newlib/newlib-3.3.0.tar.xz build/newlib
#
# Leaves OUT/include, OUT/lib and OUT/build.log; takes about a minute, once. OUT
# is this script's own: if it was finished from the same tarball it is left
# alone, if not its contents are made anew.
#
# CROSS_COMPILE is the prefix of gcc and the binutils. newlib is configured for
# x86_64-elf, but any gcc for x86_64 will do: the flags below make it produce
# freestanding code.

set -eu

fail()
{
	echo "newlib-build.sh: $*" >&2
	exit 1
}

[ $# -eq 2 ] || fail "usage: newlib-build.sh TARBALL OUT"
tarball=$1
[ -r "$tarball" ] || fail "no $tarball: run 'make setup-test'\
 (Debian package newlib-source), or give NEWLIB_SOURCE="
mkdir -p "$2"
out=$(cd "$2" && pwd)

prefix=${CROSS_COMPILE-}
compiler=${prefix}gcc
flags="-O2 -ffreestanding -fno-pie -fno-stack-protector -mno-red-zone -U_FORTIFY_SOURCE"
version="$(cksum <"$tarball")|$compiler|$flags"
stamp=$out/stamp
if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$version" ]; then
	exit 0
fi

for tool in "$compiler" "${prefix}as" "${prefix}ar" "${prefix}ranlib" make xz; do
	command -v "$tool" >/dev/null || fail "no $tool: run 'make setup-test'"
done

# The jobs of a make that runs this script are not ours to hand on.
unset MAKEFLAGS MFLAGS MAKELEVEL CC CFLAGS LDFLAGS || true

build()
{
	cd "$out"
	rm -rf work include lib stamp
	mkdir work work/src work/build
	tar xf "$tarball" -C work/src --strip-components=1
	cd work/build
	# MAKEINFO: the manuals are not wanted, and must not be asked for.
	../src/configure --target=x86_64-elf --prefix="$out/work/install" \
		--disable-multilib --disable-libgloss \
		--disable-newlib-supplied-syscalls MAKEINFO=true \
		CC_FOR_TARGET="$compiler" AS_FOR_TARGET="${prefix}as" \
		AR_FOR_TARGET="${prefix}ar" RANLIB_FOR_TARGET="${prefix}ranlib" \
		CFLAGS_FOR_TARGET="$flags"
	make -j"$(nproc 2>/dev/null || echo 2)" all-target-newlib
	make install-target-newlib
	cd "$out"
	mv work/install/x86_64-elf/include work/install/x86_64-elf/lib .
	rm -rf work
	echo "$version" >stamp
}

# A path relative to the caller's directory must survive the cd.
case $tarball in
/*) ;;
*) tarball=$(pwd)/$tarball ;;
esac

log=$out/build.log
# Not "build || ...": that would switch off set -e inside.
set +e
(
	set -ex
	build
) >"$log" 2>&1
status=$?
set -e
if [ $status -ne 0 ]; then
	tail -n 20 "$log" >&2
	fail "newlib did not build; the whole log is $log"
fi
