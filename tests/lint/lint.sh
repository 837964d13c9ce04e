#!/bin/bash
# SPDX-License-Identifier: MIT
#
# What the checks of this directory have in common; they source it. A check
# looks at the tree $ROOT, which is this one unless a test of the checks says
# otherwise, and ends with lint_finish.

ROOT=${ROOT:-$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)}
lint_failures=0

# lint_fail NAME: WHY
lint_fail()
{
	echo "FAIL $*"
	lint_failures=$((lint_failures + 1))
}

# lint_report NAME TEXT: the lines of TEXT are what is wrong; none: ok
lint_report()
{
	local name=$1 line

	if [ -z "$2" ]; then
		echo "ok $name"
		return
	fi
	while IFS= read -r line; do
		lint_fail "$name: $line"
	done <<<"$2"
}

# Source files of the tree with these name patterns, relative to it.
lint_files()
{
	local pattern args=()

	for pattern in "$@"; do
		args+=(-o -name "$pattern")
	done
	(cd "$ROOT" && find . \( -name .git -o -path ./build \) -prune -o \
		-type f \( "${args[@]:1}" \) -print | sed 's|^\./||' | sort)
}

# lint_split code|comments FILE ...: what of each line of the files is code, where
# a string is "", or what is comment, as FILE:LINE:TEXT
lint_split()
{
	local want=$1

	shift
	[ $# -gt 0 ] || return
	awk -v want="$want" '
		BEGIN { token = "/[*]|\"([^\"\\\\]|\\\\.)*\"|\047([^\047\\\\]|\\\\.)*\047" }
		FNR == 1 { inside = 0 }
		{
			rest = $0
			code = comments = ""
			while (rest != "") {
				if (inside) {
					end = index(rest, "*/")
					inside = !end
					comments = comments (end ? substr(rest, 1, end - 1) : rest)
					rest = end ? substr(rest, end + 2) : ""
				} else if (match(rest, token)) {
					inside = substr(rest, RSTART, 1) == "/"
					code = code substr(rest, 1, RSTART - 1)
					code = code (inside ? " " : "\"\"")
					rest = substr(rest, RSTART + RLENGTH)
				} else {
					code = code rest
					rest = ""
				}
			}
			print FILENAME ":" FNR ":" (want == "code" ? code : comments)
		}' "$@"
}

lint_finish()
{
	[ "$lint_failures" -eq 0 ]
	exit
}
