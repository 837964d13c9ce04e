#!/bin/bash
# SPDX-License-Identifier: MIT
#
# The manual says all that there is: each option of the table in hakmem(7), and
# none that is not in it; each function of the headers in hakmem(3).

. "$(dirname "$0")/lint.sh"
cd "$ROOT" || exit 2

pages=platform/linux/man
options=$(grep -o '"HAKMEM_[A-Z_]*"' platform/linux/options.c | tr -d '"' | grep -v '_$' | sort -u)
documented=$(sed -n 's/^\.It Ev \(HAKMEM_[A-Z_]*\).*/\1/p' $pages/hakmem.7 | sort -u)

undocumented()
{
	local name

	for name in $(comm -23 <(echo "$options") <(echo "$documented")); do
		echo "$pages/hakmem.7: there is no .It Ev $name"
	done
	for name in $(comm -13 <(echo "$options") <(echo "$documented")); do
		echo "$pages/hakmem.7: $name is not in the table of options"
	done
	[ -n "$options" ] || echo 'platform/linux/options.c: no option was found'
}

# Both at the head of the page, where whatis looks, and with its arguments.
functions()
{
	local header name

	for header in include/hakmem/{hakmem,pool,samples,stats}.h; do
		grep -q '^HAK_API ' $header || echo "$header: no function was found"
		for name in $(sed -n 's/^HAK_API .*[ *]\(hak_[a-z_]*\)(.*/\1/p' $header); do
			grep -q "^\.Nm $name\( ,\)\?\$" $pages/hakmem.3 ||
				echo "$pages/hakmem.3: there is no .Nm $name"
			grep -q "^\.Fn $name " $pages/hakmem.3 ||
				echo "$pages/hakmem.3: there is no .Fn $name"
		done
	done
}

lint_report options-in-manual "$(undocumented)"
lint_report functions-in-manual "$(functions)"
lint_finish
