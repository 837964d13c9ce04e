#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Words that are misspelt, in sources, pages and scripts, by codespell. What it takes for
# English and is not: names of the machine, of mdoc and of tests.

. "$(dirname "$0")/lint.sh"
cd "$ROOT" || exit 2

not_english=ist,nd,hasnt,fro

misspelt()
{
	local files

	if ! command -v codespell >/dev/null; then
		echo "no codespell: run 'make setup-test'"
		return
	fi
	mapfile -t files < <(lint_files '*.[chS1-9]' '*.cc' '*.md' '*.sh' '*.py' '*.mk' '*.awk' \
		'*.in' Makefile changelog control)
	codespell -L "$not_english" "${files[@]}" 2>&1
}

lint_report spelling "$(misspelt)"
lint_finish
