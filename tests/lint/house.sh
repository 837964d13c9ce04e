#!/bin/bash
# SPDX-License-Identifier: MIT
#
# What keeps the tree readable as a whole: files of the core that are not too long,
# assertions in them, and a page in each folder for those who open it. And one version,
# wherever it stands.

. "$(dirname "$0")/lint.sh"

cd "$ROOT" || exit 2

most_lines=450
least_assertions=60

mapfile -t core_files < <(find core -name '*.[ch]' | sort)

long_files()
{
	lint_split code "${core_files[@]}" | awk -F: -v most=$most_lines '
		/^[^:]*:[0-9]*:.*[^ \t]/ { lines[$1]++ }
		END {
			for (file in lines)
				if (lines[file] > most)
					print file ": " lines[file] " lines of code, most are " most
		}' | sort
}

assertions()
{
	local count

	count=$(lint_split code "${core_files[@]}" | grep -v '#define' |
		grep -c '\<hak_assert(')
	[ "$count" -ge $least_assertions ] ||
		echo "core has $count uses of hak_assert(), of at least $least_assertions"
}

# Of the folders that have files of ours: those at the top, and each platform.
readmes()
{
	local folder

	lint_files '*.[chS]' '*.cc' '*.sh' '*.mk' '*.ld' '*.py' |
		sed -nE 's:^([^/.]+)/.*:\1:p' | sort -u |
		while read -r folder; do
			[ -f "$folder/README.md" ] || echo "$folder has no README.md"
		done
	for folder in platform/*/; do
		[ ! -d "$folder" ] || [ -f "$folder/README.md" ] ||
			echo "${folder%/} has no README.md"
	done
}

# That of hakmem.h.
versions()
{
	local version number

	version=$(sed -n 's/^#define HAK_VERSION[ \t]*"\(.*\)"/\1/p' include/hakmem/hakmem.h)
	number=$(sed -n 's/^#define HAK_VERSION_NUMBER[ \t]*//p' include/hakmem/hakmem.h)
	awk -F. -v n="$number" '$1 * 10000 + $2 * 100 + $3 != n {
		print "include/hakmem/hakmem.h: " n " is not the number of " $0 }' <<<"$version"
	[[ $(grep -m 1 '^## ' CHANGELOG.md) =~ ^'## '"$version"' ' ]] ||
		echo "CHANGELOG.md: the first heading is not $version"
	[[ $(head -n 1 platform/linux/debian/changelog) == "hakmem ($version) "* ]] ||
		echo "platform/linux/debian/changelog: the first version is not $version"
	grep -qE "^version +:= $version\$" platform/unikraft/Library.uk ||
		echo "platform/unikraft/Library.uk: the version is not $version"
}

lint_report short-files "$(long_files)"
lint_report assertions "$(assertions)"
lint_report readmes "$(readmes)"
lint_report versions "$(versions)"
lint_finish
