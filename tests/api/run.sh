#!/bin/bash
# SPDX-License-Identifier: MIT
#
# The Linux libraries as programs meet them: preloaded into programs that know
# nothing of them, linked, linked statically, opened while a program runs; what
# they export; and some of the machine's own commands, which must do under
# LD_PRELOAD what they do without.
#
#	tests/api/run.sh DIRECTORY [programs]	where libhakmem.so and libhakmem.a are;
#						of the tests only the programs

here=$(cd "$(dirname "$0")" && pwd)
root=$here/../..
directory=$(cd "${1:?usage: $0 DIRECTORY}" && pwd) || exit 2
library=$directory/libhakmem.so
archive=$directory/libhakmem.a
cc=${CC:-gcc}
cxx=${CXX:-g++}
status=0
scratch=$(mktemp -d) || exit 2
trap 'rm -rf "$scratch"' EXIT

fail()
{
	echo "FAIL $*"
	status=1
}

# build NAME COMPILER ARGUMENTS: a program as its user would build it
build()
{
	local name=$1

	shift
	"$@" -O1 -g -w -fno-builtin -I"$root/include" -pthread -o "$scratch/$name" \
		2>"$scratch/errors" && return
	fail "$name-builds: $(head -n 3 "$scratch/errors" | tr '\n' ' ')"
	return 1
}

# execute NAME VARIABLE=VALUE ...: run the program; one that says a last word has to
execute()
{
	env "${@:2}" "$scratch/$1" "$1" >"$scratch/log" || status=1
	cat "$scratch/log"
	case $1 in
	life*)
		grep -q "^ok $1-last-destructor-allocates" "$scratch/log" ||
			fail "$1-last-destructor-allocates: it did not run"
		;;
	esac
}

# ways NAME COMPILER SOURCE: with the library preloaded, linked, and in an archive
ways()
{
	local name=$1 compile=($2) source=$here/$3

	build "$name" "${compile[@]}" "$source" && execute "$name" LD_PRELOAD="$library"
	build "$name-linked" "${compile[@]}" "$source" -L"$directory" -Wl,-rpath,"$directory" \
		-lhakmem && execute "$name-linked"
	build "$name-archive" "${compile[@]}" "$source" "$archive" && execute "$name-archive"
	build "$name-static" "${compile[@]}" -static "$source" "$archive" && execute "$name-static"
}

# musl NAME SOURCE: a static program of another C library
musl()
{
	build "$1-musl" musl-gcc -std=gnu11 -static "$here/$2" "$archive" && execute "$1-musl"
}

test_programs()
{
	ways api "$cc -std=gnu11" api.c
	ways life "$cc -std=gnu11" lifetime.c
	ways cxx "$cxx -std=c++17 -fsized-deallocation" cxx.cc
	ways replaced "$cxx -std=c++17 -fsized-deallocation" replaced.cc
	ways clearenv "$cc -std=gnu11" clearenv.c
	ways forklocks "$cc -std=gnu11" forklocks.c
	ways output "$cc -std=gnu11" output.c
	ways twice "$cc -std=gnu11" twice.c
	if command -v musl-gcc >/dev/null; then
		musl api api.c
		musl life lifetime.c
		musl clearenv clearenv.c
		musl forklocks forklocks.c
		musl output output.c
		musl twice twice.c
	else
		fail "musl: there is no musl-gcc: run 'make setup-test'"
	fi
}

# A program that opens the library; and one that opens a library linked with it.
test_plugins()
{
	build plugin "$cc" -std=gnu11 "$here/plugin.c" -ldl &&
		{ "$scratch/plugin" "$library" || status=1; }
	build wrapper.so "$cc" -std=gnu11 -shared -fPIC -DWRAPPER "$here/plugin.c" -L"$directory" \
		-Wl,-rpath,"$directory" -lhakmem &&
		{ "$scratch/plugin" "$scratch/wrapper.so" linked || status=1; }
	# its own names come first there: the program keeps its heap
	LD_PRELOAD=$library "$scratch/plugin" "$scratch/wrapper.so" preloaded || status=1
}

# C++ that comes late.
test_late()
{
	build late "$cc" -std=gnu11 "$here/dlopen_cxx.c" -ldl &&
		build liblate.so "$cxx" -std=c++17 -shared -fPIC "$here/dlopened.cc" || return
	LD_PRELOAD=$library "$scratch/late" "$scratch/liblate.so" || fail "late: status $?"
}

# A library that waits for a thread when the process forks.
test_forks()
{
	build libforks.so "$cc" -std=gnu11 -shared -fPIC -DLIBRARY "$here/forks.c" &&
		build forks "$cc" -std=gnu11 "$here/forks.c" -L"$scratch" -Wl,-rpath,"$scratch" \
			-lforks || return
	build forks-linked "$cc" -std=gnu11 "$here/forks.c" -L"$scratch" -Wl,-rpath,"$scratch" \
		-L"$directory" -Wl,-rpath,"$directory" -lhakmem -lforks
	build libforks.o "$cc" -std=gnu11 -c -DLIBRARY "$here/forks.c" &&
		build forks-static "$cc" -std=gnu11 -static "$here/forks.c" "$scratch/libforks.o" \
			"$archive"
	LD_PRELOAD=$library "$scratch/forks" forks || fail "forks: status $?"
	"$scratch/forks-linked" forks-linked || fail "forks-linked: status $?"
	"$scratch/forks-static" forks-static || fail "forks-static: status $?"
}

# How much stack each function needs, with what is there at run time by then.
test_stack()
{
	local flags="-std=gnu11 -Wl,-z,now" HAKMEM_REAPER=0

	export HAKMEM_REAPER
	ways stack "$cc $flags" stack.c
	export -n HAKMEM_REAPER
}

# fork() at each instruction: where threads are made, signals are blocked, traps too.
test_forksteps()
{
	local HAKMEM_REAPER=0

	export HAKMEM_REAPER
	ways forksteps "$cc -std=gnu11 -Wl,-z,now" forksteps.c
	export -n HAKMEM_REAPER
	# and beside scans of another thread
	cp "$scratch/forksteps-archive" "$scratch/forksteps-scans" &&
		execute forksteps-scans HAKMEM_REAPER=1
}

# Without the library the same program is to notice that it is not there.
test_that_it_can_fail()
{
	if "$scratch/api" without >"$scratch/output"; then
		fail "notices-other-malloc: passed with another malloc"
	else
		echo "ok notices-other-malloc"
	fi
}

# What nm tells of symbols that are defined: the names, as the list has them. Their versions
# are for tests/install.
names()
{
	awk 'NF == 3 && $2 ~ /[TDBRVWiu]/ { sub(/@.*/, "", $3); print $3 }' | sort -u
}

# exports_case NAME: standard input is what there is, names.txt what there may be
exports_case()
{
	local strange

	strange=$(diff <(grep -v '^#' "$here/names.txt" | sort -u) <(names) | grep '^[<>]')
	if [ -z "$strange" ]; then
		echo "ok exports-of-$1"
	else
		fail "exports-of-$1: ${strange//$'\n'/ }"
	fi
}

test_exports()
{
	local bytes

	exports_case library < <(nm -D --defined-only "$library")
	# every object of C++ has these, hidden, for the linker to keep a single copy
	# _Fork is the shared library's alone, and what a static fork() calls the archive's
	exports_case archive < <(nm -g --defined-only "$archive" |
		grep -vE ' (DW\.ref\..*|__clang_call_terminate)$' |
		grep -vE ' __malloc_(fork_(un)?lock_(parent|child)|atfork)$'
		echo "0 T _Fork")
	exports_case one-less < <(nm -D --defined-only "$library" | grep -v ' free$') |
		grep -q '^FAIL' && echo "ok notices-missing-export" || fail "notices-missing-export"
	bytes=$(readelf -lW "$library" | awk '$1 == "TLS" { print $6 }')
	if [ -n "$bytes" ] && [ $((bytes)) -gt 0 ] && [ $((bytes)) -le 16 ]; then
		echo "ok static-tls ($((bytes)) bytes)"
	else
		fail "static-tls: $bytes bytes"
	fi
	if readelf -dW "$library" | grep -q NODELETE; then
		echo "ok nodelete"
	else
		fail "nodelete: dlclose() would unload it"
	fi
}

# Functions of libc that allocate, or that need what is not there yet: none of them is called.
test_imports()
{
	local found forbidden

	forbidden='f?printf|v?s?n?printf|fopen|puts|strdup|setenv|getcwd|__tls_get_addr'
	forbidden="$forbidden|_Zn.*|_Zd.*|__cxa_thread_atexit.*|localeconv|strerror"
	# and cancellation points
	forbidden="$forbidden|open(64|at)?|creat|close|read|writev?|poll|fsync|nanosleep|usleep"
	found=$(nm -D --undefined-only "$library" | awk '{ sub(/@.*/, "", $2); print $2 }' |
		grep -xE "$forbidden")
	# the shared library's own _Fork and new are all that asks the dynamic linker
	found=$found$(nm -A --undefined-only "$archive" | grep -wE 'dlsym|dlopen')
	if [ -z "$found" ]; then
		echo "ok imports"
	else
		fail "imports: ${found//$'\n'/ }"
	fi
	if ldd "$library" | grep -q 'stdc++'; then
		fail "needs-no-c++-library"
	else
		echo "ok needs-no-c++-library"
	fi
}

# command NAME COMMAND: output, errors and status do not depend on the library
command_case()
{
	local name=$1 command=$2 expected got

	(cd "$scratch" && bash -c "$command") >"$scratch/expected" 2>&1
	expected=$?
	(cd "$scratch" && LD_PRELOAD=$library bash -c "$command") >"$scratch/got" 2>&1
	got=$?
	if [ ! -s "$scratch/expected" ] || [ $expected -ne 0 ]; then
		fail "$name: status $expected without the library: $(tail -n 1 "$scratch/expected")"
	elif [ $got -ne 0 ] || ! cmp -s "$scratch/expected" "$scratch/got"; then
		fail "$name: status $got: $(diff "$scratch/expected" "$scratch/got" | head -n 3)"
	else
		echo "ok $name"
	fi
}

# optional NAME PROGRAM COMMAND: likewise, if the machine has the program
optional_case()
{
	command -v "$2" >/dev/null && command_case "$1" "$3"
}

test_commands()
{
	local git='git -c user.name=x -c user.email=x@x -c init.defaultBranch=main'

	awk 'BEGIN { srand(1); for (i = 0; i < 400000; i++) print int(rand() * 1e9) }' \
		>"$scratch/numbers"
	export GIT_AUTHOR_DATE='2020-01-01T00:00:00Z' GIT_COMMITTER_DATE='2020-01-01T00:00:00Z'
	export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_SYSTEM=/dev/null
	command_case ls 'ls -lR /usr/share/doc /usr/include | md5sum'
	command_case sort 'sort --parallel=2 -S 64M -n numbers | md5sum'
	command_case awk 'awk "{ s[\$1 % 50021] += \$1 }
		END { for (i in s) n += s[i]; print n }" numbers'
	command_case shell 'for ((i = 0; i < 20000; i++)); do a[i]=$i$i; done; echo "${#a[*]}"'
	command_case tar 'tar cf - --sort=name -C /usr/include . | tar tf - | md5sum'
	command_case make 'printf "all: a b\n\t@echo c\na b:\n\t@echo \$@\n" | make -s -f -'
	optional_case xz xz 'xz -T2 -1 -c numbers | xz -T2 -dc | md5sum'
	optional_case perl perl 'perl -e '\''
		my %h; $h{$_ * 7919 % 100003} .= "x" x ($_ % 90) for 1 .. 300000;
		my $s = 0; $s += length($h{$_}) for sort keys %h; print "$s\n"'\'
	optional_case python python3 'python3 -c '\''
import json, threading
def work(out, n): out[n] = len(json.dumps([{str(i): [i] * (i % 50)} for i in range(20000)]))
out = {}
threads = [threading.Thread(target=work, args=(out, n)) for n in range(4)]
[t.start() for t in threads]; [t.join() for t in threads]
print(sorted(out.items()))'\'
	command_case compiler "$cc -std=gnu11 -O2 -I$root/include -I$root/core \
		-I$root/arch/x86_64 -I$root/platform/linux -c $root/core/slab/class.c -o slab.o &&
		md5sum slab.o"
	optional_case git git "git --version; rm -rf repo; $git init -q repo && cd repo &&
		for i in 1 2 3; do seq \$i 20000 >file; $git add file; $git commit -qm \$i; done;
		$git log -p --stat | md5sum; $git gc -q; $git fsck 2>/dev/null; git log --oneline"
}

# Whether LD_PRELOAD reaches what the cases above run: all of it would fail.
test_preload_matters()
{
	echo '__attribute__((constructor)) static void f(void) { _exit(1); }' |
		$cc -w -shared -fPIC -x c - -o "$scratch/abort.so"
	if (library=$scratch/abort.so && command_case ls 'ls /') | grep -q ^FAIL &&
		LD_PRELOAD=$library grep -qF "$library" /proc/self/maps; then
		echo "ok preload-matters"
	else
		fail "preload-matters: commands do not have the library that is preloaded"
	fi
}

test_programs
test_stack
test_forksteps
[ "$2" = programs ] && exit $status
ways forkbusy "$cc -std=gnu11" forkbusy.c
test_plugins
test_forks
test_late
test_that_it_can_fail
test_exports
test_imports
test_commands
test_preload_matters
exit $status
