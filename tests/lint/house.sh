#!/bin/bash
# SPDX-License-Identifier: MIT
#
# What keeps the tree readable as a whole: files of the core that are not too long,
# assertions in them, and a page in each folder for those who open it.

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

lint_report short-files "$(long_files)"
lint_report assertions "$(assertions)"
lint_report readmes "$(readmes)"
lint_finish
