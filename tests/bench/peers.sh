#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Which mallocs there are to measure; tests/bench/*.sh source it. Sets
#
#	names	of the mallocs, hakmem's first
#	library	of each name: the file to preload
#	missing	lines that say what could not be used, and how to get it
#
# and takes the environment's LIB, the library itself, and PEERS, more to
# compare with, as "NAME=/PATH.so ...".

names=()
missing=()
declare -A library=()

# add_peer NAME FILE PACKAGE
add_peer()
{
	if [ -r "$2" ]; then
		names+=("$1")
		library[$1]=$(realpath "$2")
	else
		missing+=("no $1 ($2)${3:+: run 'make setup-bench',\
 or install the Debian package $3}")
	fi
}

# The C library is preloaded as well: some programs bring a malloc along.
find_glibc()
{
	ldd "$1" | sed -nE 's/^[[:space:]]*libc\.so\.6 => ([^ ]+).*/\1/p'
}

# find_peers PROGRAM: hakmem, and what PROGRAM would have without
find_peers()
{
	add_peer hakmem "$LIB"
	add_peer glibc "$(find_glibc "$1")"
}

find_debian_peers()
{
	local directory

	directory=/usr/lib/$(uname -m)-linux-gnu
	add_peer mimalloc "$directory/libmimalloc.so.2" libmimalloc2.0
	add_peer jemalloc "$directory/libjemalloc.so.2" libjemalloc2
	add_peer tcmalloc "$directory/libtcmalloc_minimal.so.4" libtcmalloc-minimal4
}

find_more_peers()
{
	local peer

	for peer in $PEERS; do
		case $peer in
		[a-zA-Z]*=/*) add_peer "${peer%%=*}" "${peer#*=}" ;;
		*) missing+=("PEERS: $peer is not NAME=/PATH.so") ;;
		esac
	done
}
