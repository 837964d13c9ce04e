#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Packs the sources as they are here: the files that git knows, or will; without git all but
# DIRECTORY. The same files make the same bytes: their time is that of the last commit, or,
# where they were unpacked, the one that they have.
#
#	platform/linux/dist.sh DIRECTORY VERSION

set -e
cd "$(dirname "$0")/../.."
directory=$1 name=hakmem-${2:?usage: $0 DIRECTORY VERSION}
files=$(mktemp)
trap 'rm -f "$files"' EXIT

if git ls-files --error-unmatch Makefile >/dev/null 2>&1; then
	git ls-files --cached --others --exclude-standard >"$files"
	time=$(git log -1 --format=%ct)
else
	find . -path "./${directory#./}" -prune -o ! -type d -print | sed 's|^\./||' >"$files"
	time=$(stat -c %Y Makefile)
fi
LC_ALL=C sort "$files" | tar -c --no-recursion --format=ustar --owner=0 --group=0 \
	--numeric-owner --mode=u+w,go-w,a+rX --mtime="@${SOURCE_DATE_EPOCH:-$time}" \
	--transform "s|^|$name/|" --verbatim-files-from -T - >"$directory/$name.tar"
gzip -9nf "$directory/$name.tar"
