#!/bin/bash
# SPDX-License-Identifier: MIT
#
# The form of the sources: clang-format, a licence line, comments, the length of
# functions and of lines.

. "$(dirname "$0")/lint.sh"

cd "$ROOT" || exit 2
mapfile -t c_files < <(lint_files '*.c' '*.h' '*.cc')
mapfile -t other_files < <(lint_files '*.S' '*.ld' '*.sh' '*.py' '*.gdb' '*.mk' Makefile)
mapfile -t pages < <(lint_files '*.md')

clang_format()
{
	if ! command -v clang-format >/dev/null; then
		echo "clang-format is missing: run 'make setup-test'"
		return
	fi
	clang-format --dry-run -Werror "${c_files[@]}" 2>&1 |
		sed -nE 's/^([^:]+:[0-9]+):.*error:.*/\1: not as clang-format would have it/p' |
		awk -F: '!seen[$1]++'
}

licence()
{
	local file

	for file in "${c_files[@]}"; do
		[ "$(head -n 1 "$file")" = '/* SPDX-License-Identifier: MIT */' ] ||
			echo "$file: no SPDX line first"
	done
	for file in "${other_files[@]}"; do
		head -n 2 "$file" | grep -q 'SPDX-License-Identifier: MIT' ||
			echo "$file: no SPDX line among the first two"
	done
	for file in "${pages[@]}"; do
		[ "$(head -n 1 "$file")" = '<!-- SPDX-License-Identifier: MIT -->' ] ||
			echo "$file: no SPDX line first"
	done
}

comments()
{
	grep -HnE '(^|[[:space:];{}])//' "${c_files[@]}"
}

long_functions()
{
	awk -v most=60 '
		FNR == 1 { start = 0 }
		/^\{/ { start = FNR }
		/^}/ && start {
			if (FNR - start - 1 >= most)
				print FILENAME ":" start ": a function of " FNR - start - 1 " lines"
			start = 0
		}' "${c_files[@]}"
}

trailing_space()
{
	grep -HnE '[[:space:]]$' "${c_files[@]}" "${other_files[@]}" |
		sed 's/:[^:]*$/: space at the end/'
}

long_lines()
{
	awk -v most=100 '
		{
			n = split($0, part, "\t")
			width = 0
			for (i = 1; i < n; i++) {
				width += length(part[i])
				width += 8 - width % 8
			}
			width += length(part[n])
			if (width > most)
				print FILENAME ":" FNR ": " width " columns"
		}' "${c_files[@]}" "${other_files[@]}"
}

lint_report clang-format "$(clang_format)"
lint_report licence-lines "$(licence)"
lint_report no-line-comments "$(comments)"
lint_report short-functions "$(long_functions)"
lint_report no-trailing-space "$(trailing_space)"
lint_report short-lines "$(long_lines)"
lint_finish
