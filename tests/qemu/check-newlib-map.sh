#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Prove from a link map that an image with newlib has one heap: ours.
#
#	check-newlib-map.sh image.map
#
# Fails if any object of newlib's heap was linked, and also if the map could
# not show it: if it is not that of an image with newlib and with our glue.

set -u

fail()
{
	echo "FAIL newlib_map: $map: $*"
	exit 1
}

map=${1-}
if [ $# -ne 1 ] || [ ! -r "$map" ]; then
	echo "usage: check-newlib-map.sh MAPFILE" >&2
	exit 1
fi

grep -q 'libc\.a(.*vfprintf\.o)' "$map" || fail "this image does not print through newlib"
grep -q 'libhakmem\.a(newlib\.o)' "$map" || fail "the library's newlib.o is not linked"

# Of full and of nano newlib: what holds or manages its heap. Wrappers around
# the functions we define (malloc.o, reallocf.o, valloc.o) are not in the list.
heap='malloc|free|cfree|calloc|realloc|mlign|memalign|msize|mallinfo|mallopt|mstats'
members="($heap)r|mallocr[a-z]*|freer|mlock|mstats|sbrkr|sbrk|_sbrk"
found=$(grep -oE "libc\.a\((lib_a-)?(nano-)?($members)\.o\)" "$map" |
	sort -u | tr '\n' ' ')
[ -z "$found" ] || fail "newlib's own heap is linked: $found"

if grep -qE '(^|[[:space:]])_?sbrk(_r)?$' "$map"; then
	fail "something asks for sbrk"
fi
echo "ok newlib_map"
