#!/bin/bash
# SPDX-License-Identifier: MIT
#
# What leaves the public headers: names that begin with hak_ or HAK_ and no others, so that
# none is that of a kernel or a program; and no warning, in C11 and in C++.
#
#	public.sh [HEADER ...]
#
# Without arguments: all headers that are installed.

. "$(dirname "$0")/lint.sh"

cd "$ROOT" || exit 2

headers=("$@")
[ $# -gt 0 ] || headers=(include/hakmem/*.h
	$(ls platform/baremetal/{balloon,frames,machine}.h 2>/dev/null))
strict='-pedantic -Wall -Wextra -Wshadow -Werror -fsyntax-only -ffreestanding'

# Preprocessed, with its macros: what comes from these headers and not from the compiler's.
text_of()
{
	${CC:-gcc} -E -dD -std=c11 -ffreestanding -Iinclude -x c "$1" | awk '
		/^# [0-9]+ "/ {
			ours = $3 ~ /^"(include|platform)\// || $3 ~ /\/include\/hakmem\//
			next
		}
		ours'
}

# Macros, and the identifiers outside of braces and parentheses; of enums also those inside.
names_of()
{
	text_of "$1" | awk '
		BEGIN { word = "[A-Za-z_][A-Za-z_0-9]*|[^A-Za-z_0-9 \t]|[0-9][A-Za-z0-9]*" }
		/^#define / { sub(/\(.*/, "", $2); print $2; next }
		/^#/ { next }
		{
			gsub(/"([^"\\]|\\.)*"/, "")
			while (match($0, word)) {
				token = substr($0, RSTART, RLENGTH)
				$0 = substr($0, RSTART + RLENGTH)
				if (token == "enum" && !depth)
					is_enum = 1
				else if (token == ";" && !depth)
					is_enum = 0
				else if (token == "(" || token == "{" && !is_enum)
					depth++
				else if (token == ")" || token == "}" && !is_enum)
					depth--
				else if (token ~ /^[A-Za-z_]/ && !depth)
					print token
			}
		}' | sort -u
}

keywords='_Atomic|_Bool|char|const|enum|extern|inline|int|long|static|struct|typedef|unsigned'
keywords+='|void|volatile'
standard='size_t|bool|u?int(8|16|32|64|ptr)_t'

foreign_names()
{
	local header

	for header in "${headers[@]}"; do
		names_of "$header" | grep -vE "^((hak|HAK|CONFIG_HAK)_|__|($keywords|$standard)$)" |
			sed "s|^|$header: |"
	done
}

no_names()
{
	local header

	for header in "${headers[@]}"; do
		names_of "$header" | grep -qE '^(HAK|CONFIG_HAK)_' ||
			echo "$header: no name was found"
	done
}

# warnings COMPILER LANGUAGE STANDARD...: the first line of what it says of each
warnings()
{
	local compiler=$1 language=$2 standard header output

	shift 2
	command -v "$compiler" >/dev/null || return 0
	for header in "${headers[@]}"; do
		for standard; do
			# shellcheck disable=SC2086
			output=$(printf '#include "%s"\nint hak_unit;\n' "$header" |
				$compiler -x "$language" -std="$standard" $strict -I. -Iinclude - \
				2>&1) ||
				echo "$header, $compiler: $(grep -m 1 error <<<"$output")"
		done
	done
}

lint_report public-names "$(foreign_names; no_names)"
lint_report public-c "$(warnings gcc c c11 gnu17; warnings clang c c11 gnu17)"
lint_report public-c++ "$(warnings g++ c++ c++11 c++20; warnings clang c++ c++11 c++20)"
lint_finish
