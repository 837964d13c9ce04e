#!/bin/bash
# SPDX-License-Identifier: MIT
#
# How the sources look: clang-format, a licence line, comments, the length of
# functions.

. "$(dirname "$0")/lint.sh"

cd "$ROOT" || exit 2
mapfile -t c_files < <(lint_files '*.c' '*.h' '*.cc')
mapfile -t other_files < <(lint_files '*.S' '*.ld' '*.sh' '*.py' '*.gdb' '*.mk' Makefile)

clang_format()
{
	if ! command -v clang-format >/dev/null; then
		echo "clang-format is missing: run \`make setup\`"
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
	grep -HnE '[[:space:]]$' "${c_files[@]}" "${other_files[@]}" | sed 's/:[^:]*$/: space at the end/'
}

lint_report clang-format "$(clang_format)"
lint_report licence-lines "$(licence)"
lint_report no-line-comments "$(comments)"
lint_report short-functions "$(long_functions)"
lint_report no-trailing-space "$(trailing_space)"
lint_finish
