#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Install the Debian packages given as arguments, those that are missing.
# Nothing else is installed, from nowhere else.

missing=
for package; do
	case $(dpkg-query -W -f '${Status}' "$package" 2>/dev/null) in
	*' installed') ;;
	*) missing="$missing $package" ;;
	esac
done
if [ -z "$missing" ]; then
	echo "setup: nothing to install"
	exit 0
fi

fail()
{
	echo "setup: $1; install by hand:$missing" >&2
	exit 1
}

command -v apt-get >/dev/null || fail "this is not Debian (there is no apt-get)"
as_root=
if [ "$(id -u)" -ne 0 ]; then
	sudo -n true 2>/dev/null || fail "needs root to install packages"
	as_root='sudo -n'
fi

echo "setup: installing$missing"
log=$(mktemp) || exit 1
trap 'rm -f "$log"' EXIT
export DEBIAN_FRONTEND=noninteractive
$as_root apt-get update -qq >"$log" 2>&1
# shellcheck disable=SC2086 # a list of words
if ! $as_root apt-get install -qq -y --no-install-recommends $missing >>"$log" 2>&1; then
	tail -n 3 "$log" >&2
	fail "apt-get failed (no network?)"
fi
