#!/bin/bash
# SPDX-License-Identifier: MIT
#
# The core is one program: no conditional compilation in its .c files, and no
# header but its own, the public ones, and those that every freestanding
# compiler brings along.

. "$(dirname "$0")/lint.sh"

cd "$ROOT" || exit 2

conditionals()
{
	grep -rHnE '^[[:space:]]*#[[:space:]]*(if|ifdef|ifndef|elif|else|endif)\b' \
		core --include='*.c'
}

platform_names()
{
	grep -rHnE '__linux__|__unix__|__gnu_linux__|_WIN32' core --include='*.[ch]'
}

# platform.h and cpu.h: what a platform and a CPU lend the core when it is built.
system_headers()
{
	local allowed='stdalign|stdarg|stdatomic|stdbool|stddef|stdint|hakmem/[a-z]+|platform|cpu'

	grep -rHnE '^[[:space:]]*#[[:space:]]*include[[:space:]]*<' \
		core include/hakmem --include='*.[ch]' |
		grep -vE "<($allowed)\.h>"
}

lint_report no-conditionals-in-core "$(conditionals)"
lint_report no-platform-names-in-core "$(platform_names)"
lint_report freestanding-headers "$(system_headers)"
lint_finish
