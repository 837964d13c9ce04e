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
	for check in include-graph.sh locks.sh names.sh no-if.sh format.sh; do
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

# A tree with an arena and its lock, and a structure whose fields say theirs.
prepare_locks()
{
	prepare ''
	add core/superslab/arena.h '
/**
 * struct slab - what it is
 * @node: on a list of its class, or of its
 *	  arena [class, arena]
 */
struct slab {
	struct list_node node;
	size_t size, used; /* in bytes, while it
			      is part of a span [arena] */
	union {
		/* its number [const] */
		unsigned number[2];
	};
};

extern struct arena {
	struct lock lock;
	unsigned maps : 3; /* so far [arena] */
} arena;

struct request {
	size_t size;
};

void arena_lock(void);'
	add core/superslab/arena.c '
void arena_lock(void)
{
	lock_lock(&arena.lock, LOCK_ARENA);
}'
	add core/pages/meta.c '
static struct lock meta;

void meta_lock(void)
{
	lock_lock(&meta, LOCK_META);
}'
	add core/superslab/span.c "
static void f(struct lock *lock)
{
	hak_assert(lock_is_held(lock, LOCK_META)); /* meta_lock() */
	arena_lock();
	$1
}"
}

# lock_case NAME CODE WHY: what a function that has the arena's lock may not do
lock_case()
{
	prepare_locks "$2"
	tree_case "$1" locks.sh "one-lock: core/superslab/span.c$3"
}

# silent_field NAME EDIT: a field that does not say its lock, when its comment is edited
silent_field()
{
	prepare_locks ''
	sed -i "$2" "$tree/core/superslab/arena.h"
	tree_case "silent-field-$1" locks.sh 'fields-say-their-lock: core/superslab/arena.h:'
	grep -q "field $1 of struct" "$scratch/output" || lint_fail "silent-field-$1: which?"
}

test_locks()
{
	local file

	prepare_locks ''
	for file in diag/dump.c api/fork.c; do
		add core/$file "$(printf '\tarena_lock();\n\tmeta_lock();')"
	done
	accepts good-locks locks.sh
	lock_case two-locks 'meta_lock();' ': takes the locks of superslab/arena and pages/meta'
	lock_case unknown-lock 'slab_lock();' ':7: slab_lock() is of no place that has a lock'
	lock_case rank-elsewhere 'lock_lock(x, LOCK_META);' \
		':7: LOCK_META is named outside its place'
	lock_case claim 'lock_word_try(x);' ':7: a claim is taken in cache/ alone'
	lock_case lock-elsewhere 'static struct lock lock;' ':7: locks.sh has no lock here'
	silent_field node 's/class, arena]/class/'
	silent_field size 's/ \[arena\] / /'
	silent_field used 's/ \[arena\] / /'
	silent_field number 's/\[const\]/[none]/'
	silent_field maps 's/ \[arena\] / /'
}

# name_case CODE WORD: an identifier that names an old idea
name_case()
{
	prepare "$1"
	tree_case "name-${2// /-}" \
		names.sh "old-identifiers: core/pages/meta.c:3: '${1//[!a-zA-Z_]/}'"
	grep -qF "say $2" "$scratch/output" || lint_fail "name: '$1' does not say $2"
}

test_names()
{
	name_case 'slab_look()' scan
	name_case 'CACHE_LOOKS_ALL' scans
	name_case 'seen_pages' scan_
	name_case 'heap_first' arena
	name_case 'take_any()' alloc
	name_case 'lock_fork_acquire()' lock
	name_case 'run_bare' unbacked
	name_case 'page_filled' backed
	prepare ''
	add tests/unit/test_meta.c 'int is_withheld;'
	tree_case name-in-test names.sh "old-identifiers: tests/unit/test_meta.c:2: 'is_withheld'"
	prepare 'int lookup, seen, taken, take, my_heap; /* fresh, look() */ char *s = "ripe";
int x = memory_order_acquire + memory_order_release; void __tsan_acquire(void *);'
	add tests/unit/test_meta.c 'int tail = take_pages(room, heap_size), is_filled;'
	add core/cache/seize.c 'int seize_take(int class);'
	accepts other-names names.sh
	prepare '/* It waits for want of memory. */'
	tree_case phrase names.sh "old-phrases: core/pages/meta.c:3: 'for want of': say without"
	prepare "$(printf '/*\n * It waits for\n * want\tof memory.\n */')"
	tree_case divided-phrase names.sh "old-phrases: core/pages/meta.c:5: 'for want of'"
	prepare ''
	printf 'Whoever, reads\n' >"$tree/README.md"
	tree_case phrase-in-page names.sh "old-phrases: README.md:1: 'whoever'"
	prepare ''
	add tests/unit/test_meta.c '/* It notes, in order to free it, a size. */'
	tree_case phrase-in-test names.sh "old-phrases: tests/unit/test_meta.c:2: 'in order to'"
	prepare '/* A fresh clone, stripes, for wanted of, by and large: by itself. */'
	accepts other-phrases names.sh
	prepare '/* It recie''ves memory. */'
	tree_case misspelt spelling.sh 'spelling: core/pages/meta.c:3: recie''ves'
	prepare '/* It receives memory, and has no fro in it. */'
	accepts well-spelt spelling.sh
}

test_namesakes()
{
	prepare "$(printf 'static int put(void)\n{\n}')"
	add core/pages/bug.c "$(printf 'static inline struct bug *put(int x)\n{\n}')"
	tree_case namesakes names.sh 'namesakes: put() stands in core/pages/bug.c core/pages/meta.c'
	add core/pages/bug.c 'void put(void);'
	tree_case namesake-of-global names.sh 'namesakes: put() stands in'
	prepare "$(printf 'static int f(void);\nstatic int f(void)\n{\n\treturn f(1);\n}')"
	add platform/linux/platform.h "$(printf 'static inline int irq(void)\n{\n}')"
	add platform/baremetal/platform.h "$(printf 'static inline int irq(void)\n{\n}')"
	add core/pages/bug.c "$(printf 'int bug(void)\n{\n\tf(irq());\n}')"
	add core/pages/bug.h 'int bug(void);'
	accepts other-functions names.sh
}

# A tree with as few assertions as it may have, and its pages.
prepare_house()
{
	local i

	prepare "$(printf '\thak_assert(%d); /* a */\n' {1..60})"
	for i in core include; do
		: >"$tree/$i/README.md"
	done
	# a version, in four places
	printf '#define HAK_VERSION "2.3.4"\n#define HAK_VERSION_NUMBER 20304\n' \
		>>"$tree/include/hakmem/hakmem.h"
	mkdir -p "$tree/platform/"{linux/debian,unikraft}
	echo '## 2.3.4 (then)' >"$tree/CHANGELOG.md"
	echo 'hakmem (2.3.4) unstable; urgency=medium' >"$tree/platform/linux/debian/changelog"
	echo 'version := 2.3.4' >"$tree/platform/unikraft/Library.uk"
	for i in . linux unikraft; do
		: >"$tree/platform/$i/README.md"
	done
}

test_house()
{
	prepare_house
	add core/pages/bug.c "$(printf '\n/* no\n */\nint x%d;\n' {1..450})"
	accepts good-house house.sh
	echo 'int x;' >>"$tree/core/pages/bug.c"
	tree_case long-file house.sh 'short-files: core/pages/bug.c: 451 lines of code'
	sed -i '/hak_assert/{s//#define &/;:a;n;ba}' "$tree/core/pages/meta.c"
	tree_case few-assertions house.sh 'assertions: core has 59 uses of hak_assert()'
	prepare_house
	echo '## 2.3 (then)' >"$tree/CHANGELOG.md"
	tree_case other-version house.sh 'versions: CHANGELOG.md: the first heading is not 2.3.4'
	sed -i 's/20304/20305/' "$tree/include/hakmem/hakmem.h"
	tree_case other-number house.sh \
		'versions: include/hakmem/hakmem.h: 20305 is not the number of 2.3.4'
	prepare_house
	rm "$tree/platform/linux/README.md"
	tree_case no-readme-of-platform house.sh 'readmes: platform/linux has no README.md'
	rm "$tree/core/README.md"
	tree_case no-readme house.sh 'readmes: core has no README.md'
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
	echo '# SPDX-License-Identifier: MIT' >"$tree/README.md"
	tree_case page-without-licence format.sh 'licence-lines: README.md: no SPDX line first'
	echo 'int x;' >"$tree/core/pages.c"
	tree_case no-licence format.sh 'licence-lines: core/pages.c: no SPDX line first'
	printf '#!/bin/sh\n#\n# SPDX-License-Identifier: MIT\n' >"$tree/x.sh"
	tree_case late-licence format.sh 'licence-lines: x.sh: no SPDX line'
	printf 'x \n' >"$tree/x.sh"
	tree_case trailing-space format.sh 'no-trailing-space: x.sh:1: space at the end'
	printf '# SPDX-License-Identifier: MIT\n#\t%093d\n#%099d\n' 1 2 >"$tree/x.sh"
	tree_case long-line format.sh 'short-lines: x.sh:2: 101 columns'
	grep -q x.sh:3 "$scratch/output" && lint_fail 'long-line: 100 columns are allowed'
}

# A manual that is right, and what is missing when a line of it is not there.
prepare_manual()
{
	prepare ''
	mkdir -p "$tree/platform/linux/man"
	echo '	.name = "HAKMEM_ONE", "HAKMEM_",' >"$tree/platform/linux/options.c"
	echo 'HAK_API void *hak_one(int x);' | tee "$tree"/include/hakmem/{hakmem,pool,samples}.h \
		>"$tree/include/hakmem/stats.h"
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

test_public()
{
	local fn=$'\nstatic inline' good='#define HAK_X 1
enum hak_kind { HAK_ONE };
struct hak_area { int self; };
static inline int hak_one(struct hak_area *area)
{
	return area->self;
}'

	prepare ''
	add include/hakmem/hakmem.h "$good"
	accepts public-names public.sh
	add include/hakmem/hakmem.h "$good"$'\nint this_cpu(int hak_x);'
	tree_case foreign-function public.sh 'public-names: include/hakmem/hakmem.h: this_cpu'
	add include/hakmem/hakmem.h "$good"$'\nenum hak_error { NOMEM };'
	tree_case foreign-enumerator public.sh 'public-names: include/hakmem/hakmem.h: NOMEM'
	add include/hakmem/hakmem.h "$good"$'\n#define PAGE_SIZE 4096'
	tree_case foreign-macro public.sh 'public-names: include/hakmem/hakmem.h: PAGE_SIZE'
	add include/hakmem/hakmem.h "$good$fn int hak_two(int unused) { return 2; }"
	tree_case warning public.sh 'public-c: include/hakmem/hakmem.h'
	add include/hakmem/hakmem.h "$good$fn char *hak_two(void *p) { return p; }"
	tree_case c++ public.sh 'public-c++: include/hakmem/hakmem.h'
}

test_runner
test_trees
test_includes
test_locks
test_names
test_namesakes
test_house
test_style
test_manual
test_undefined
test_public
lint_finish
