#!/bin/bash
# SPDX-License-Identifier: MIT
#
# The tests of what counts tests: that tests/run.sh sees every way in which a
# suite can fail, and that each check of this directory finds what it is for.

. "$(dirname "$0")/lint.sh"

here=$ROOT/tests/lint
scratch=$(mktemp -d) || exit 2
trap 'rm -rf "$scratch"' EXIT
unset ROOT

# run_case NAME EXPECTED-LAST-LINE EXPECTED-TEXT SUITE ...
run_case()
{
	local name=$1 last=$2 text=$3 output status expected=0

	shift 3
	output=$("$here/../run.sh" -d "$scratch/logs" -t 2 "$@" 2>&1)
	status=$?
	[[ $last == *' 0 failed' ]] || expected=1
	if [ "$(tail -n 1 <<<"$output")" != "$last" ] || [ $status -ne $expected ] ||
		! grep -qF -- "$text" <<<"$output"; then
		lint_fail "run-$name: status $status, output: ${output//$'\n'/ | }"
	else
		echo "ok run-$name"
	fi
}

test_runner()
{
	local both='passes: echo ok one; echo ok two'

	run_case passes '2 passed, 0 failed' 'passes' "$both"
	run_case fails '3 passed, 1 failed' 'bad: FAIL three: why' "$both" \
		'bad: echo ok one; echo FAIL three: why; exit 1'
	run_case fails-with-status-0 '0 passed, 1 failed' 'bad: FAIL x: why' \
		'bad: echo FAIL x: why'
	run_case status '1 passed, 1 failed' 'bad: FAIL bad: exit status 3' \
		'bad: echo ok one; exit 3'
	run_case crash '1 passed, 1 failed' 'bad: FAIL bad: exit status 134' \
		'bad: echo ok one; kill -ABRT $$'
	run_case silent '0 passed, 1 failed' 'bad: FAIL bad: no test was run' 'bad: true'
	run_case missing '0 passed, 1 failed' 'bad: FAIL bad: exit status 127' \
		'bad: ./there-is-no-such-file'
	run_case hang '1 passed, 1 failed' 'bad: FAIL bad: took more than 2 s' \
		'bad: echo ok one; sleep 60'
	run_case hang-and-fail '0 passed, 2 failed' 'bad: FAIL bad: took more than 1 s' \
		'bad 1: echo FAIL three: why; sleep 60'
	# an image that hangs, in a QEMU that is none: the limit of the image is told
	printf '#!/bin/sh\nexec sleep 60\n' >"$scratch/qemu"
	chmod +x "$scratch/qemu"
	run_case image-hang '0 passed, 1 failed' \
		"bad: FAIL bad: run.sh: $scratch/qemu: did not end within 4 s" \
		"bad 4: QEMU=$scratch/qemu $here/../../qemu/run.sh $scratch/qemu"
	run_case carriage-return '1 passed, 1 failed' 'bad: FAIL y: why' \
		"bad: printf 'ok x\\r\\nFAIL y: why\\r\\n'"
	run_case no-suite '0 passed, 1 failed' 'FAIL no suite was given' </dev/null
	run_case input '2 passed, 1 failed' 'b: FAIL b: exit status 1' <<-'END'
		# a comment

		a: echo ok one; echo ok two
		b: false
	END
	run_case parallel '2 passed, 1 failed' 'b: FAIL b: exit status 1' -j 2 \
		'a: sleep 0.3; echo ok one' 'b: false' 'c: echo ok two'
}

# tree_case NAME CHECK EXPECTED-FAILURE: the check fails for the tree prepared in $tree
tree=$scratch/tree
tree_case()
{
	local name=$1 check=$2 text=$3 output

	output=$(ROOT=$tree "$here/$check" 2>&1) && text='(a failure)'
	echo "$output" >"$scratch/output"
	if ! grep -qF -- "FAIL $text" <<<"$output"; then
		lint_fail "finds-$name: ${output//$'\n'/ | }"
	else
		echo "ok finds-$name"
	fi
}

# add FILE TEXT: the file of the tree, after a line with its licence
add()
{
	mkdir -p "$tree/$(dirname "$1")"
	printf '/* SPDX-License-Identifier: MIT */\n%s' "${2:+$2$'\n'}" >"$tree/$1"
}

# A new tree of two good files: $1 is appended to its core/pages/meta.c.
prepare()
{
	rm -rf "$tree"
	add core/pages/meta.c '#include "pages/pages.h"'
	[ -z "$1" ] || echo "$1" >>"$tree/core/pages/meta.c"
	add core/pages/pages.h 'int pages(void);'
	add include/hakmem/hakmem.h 'int pages(void);'
	cp "$here/../../.clang-format" "$tree/"
}

# accepts NAME CHECK: the check passes for the tree
accepts()
{
	local output

	if output=$(ROOT=$tree "$here/$2" 2>&1); then
		echo "ok accepts-$1"
	else
		lint_fail "accepts-$1: ${output//$'\n'/ | }"
	fi
}

test_trees()
{
	local check

	prepare ''
	for check in include-graph.sh no-if.sh format.sh; do
		accepts "good-files-$check" $check
	done
	prepare 'void slab_put(unsigned class);'
	tree_case declaration include-graph.sh 'declarations-in-headers: core/pages/meta.c:3:'
	prepare '#ifdef CONFIG_HAK_DEBUG'
	tree_case conditional no-if.sh 'no-conditionals-in-core: core/pages/meta.c:3:'
	prepare '# if 0'
	tree_case spaced-conditional no-if.sh 'no-conditionals-in-core: core/pages/meta.c:3:'
	prepare 'int x = __linux__;'
	tree_case platform-name no-if.sh 'no-platform-names-in-core: core/pages/meta.c:3:'
	prepare '#include <limits.h>'
	tree_case system-header no-if.sh 'freestanding-headers: core/pages/meta.c:3:'
}

# include_case NAME FILE HEADER WHY: a file that may not include the header
include_case()
{
	prepare ''
	add "core/$2" "#  include \"$3\""
	tree_case "$1" include-graph.sh "include-graph: core/$2 $4"
}

test_includes()
{
	include_case include-upwards pages/meta.c slab/slab.h \
		'includes slab/slab.h: slab is not below pages'
	include_case include-sideways reclaim/scan.c diag/stats.h \
		'includes diag/stats.h: diag is not below reclaim'
	include_case include-above pages/pages.h pages/meta.h \
		'includes pages/meta.h, which is above it'
	include_case include-without-folder pages/meta.c pages.h \
		'includes pages.h without its folder'
	include_case include-without-place pages/meta.c pages/bitmaps.h \
		'includes pages/bitmaps.h, which has no place'
	include_case file-without-place pages/new.c pages/pages.h 'has no place'
	include_case file-without-folder meta.c pages/pages.h 'has no place'
	prepare ''
	add core/diag/stats.c '#include "diag/stats.h"'
	add core/api/malloc.c "$(printf '#include "%s"\n' diag/check.h reclaim/scan.h api/fork.h)"
	accepts includes-downwards include-graph.sh
}

test_style()
{
	prepare 'int  x;'
	tree_case format format.sh 'clang-format: core/pages/meta.c:3'
	prepare 'int x; // no'
	tree_case line-comment format.sh 'no-line-comments: core/pages/meta.c:3:'
	prepare "$(printf 'int f(void)\n{\n'; printf '\tg(%d);\n' {1..60}; echo '}')"
	tree_case long-function format.sh \
		'short-functions: core/pages/meta.c:4: a function of 60 lines'
	prepare ''
	echo 'int x;' >"$tree/core/pages.c"
	tree_case no-licence format.sh 'licence-lines: core/pages.c: no SPDX line first'
	printf '#!/bin/sh\n#\n# SPDX-License-Identifier: MIT\n' >"$tree/x.sh"
	tree_case late-licence format.sh 'licence-lines: x.sh: no SPDX line'
	printf 'x \n' >"$tree/x.sh"
	tree_case trailing-space format.sh 'no-trailing-space: x.sh:1: space at the end'
}

# A manual that is right, and what is missing when a line of it is not there.
prepare_manual()
{
	prepare ''
	mkdir -p "$tree/platform/linux/man"
	echo '	.name = "HAKMEM_ONE", "HAKMEM_",' >"$tree/platform/linux/options.c"
	echo 'HAK_API void *hak_one(int x);' | tee "$tree/include/hakmem/stats.h" \
		>"$tree/include/hakmem/hakmem.h"
	echo '.It Ev HAKMEM_ONE' >"$tree/platform/linux/man/hakmem.7"
	printf '.Nm hak_one ,\n.Fn hak_one "int x"\n' >"$tree/platform/linux/man/hakmem.3"
}

test_manual()
{
	local pages=platform/linux/man

	prepare_manual
	accepts good-manual man.sh
	echo '.It Ev HAKMEM_TWO' >"$tree/$pages/hakmem.7"
	tree_case undocumented-option man.sh \
		"options-in-manual: $pages/hakmem.7: there is no .It Ev HAKMEM_ONE"
	tree_case imaginary-option man.sh \
		"options-in-manual: $pages/hakmem.7: HAKMEM_TWO is not in the table"
	sed -i /Nm/d "$tree/$pages/hakmem.3"
	tree_case unnamed-function man.sh \
		"functions-in-manual: $pages/hakmem.3: there is no .Nm hak_one"
	prepare_manual
	sed -i /Fn/d "$tree/$pages/hakmem.3"
	tree_case undocumented-function man.sh \
		"functions-in-manual: $pages/hakmem.3: there is no .Fn hak_one"
	: >"$tree/platform/linux/options.c"
	tree_case no-option man.sh \
		'options-in-manual: platform/linux/options.c: no option was found'
}

test_undefined()
{
	local name expected

	for name in printf hak_host_wait memcpy slab_take; do
		printf 'void %s(void);\nvoid f(void);\nvoid f(void)\n{\n\t%s();\n}\n' $name $name |
			${CC:-gcc} -w -fno-builtin -c -x c - -o "$scratch/object.o"
		expected=1
		case $name in hak_host_wait | memcpy) expected=0 ;; esac
		"$here/undefined.sh" linux "$scratch/object.o" >"$scratch/output" 2>&1
		if [ $? -eq $expected ] &&
			{ [ $expected -eq 0 ] || grep -q "$name" "$scratch/output"; }; then
			echo "ok undefined-$name"
		else
			lint_fail "undefined-$name: $(head -n 1 "$scratch/output")"
		fi
	done
}

test_runner
test_trees
test_includes
test_style
test_manual
test_undefined
lint_finish
