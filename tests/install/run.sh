#!/bin/bash
# SPDX-License-Identifier: MIT
#
# `make install` into a directory, as who packs it does, and into a prefix, as who
# uses it does; programs that are built and run with what is there; `make
# uninstall`, which leaves no file.

root=$(cd "$(dirname "$0")/../.." && pwd)
here=$root/tests/install
scratch=$(mktemp -d) || exit 2
trap 'rm -rf "$scratch"' EXIT
unset LD_PRELOAD LD_LIBRARY_PATH MAKEFLAGS MAKELEVEL PREFIX DESTDIR BINDIR LIBDIR INCLUDEDIR MANDIR
failed=0
. "$(dirname "$0")/../verdict.sh"
version=$(sed -n 's/^#define HAK_VERSION[ \t]*"\(.*\)"/\1/p' "$root/include/hakmem/hakmem.h")

# same NAME EXPECTED GOT
same()
{
	check "$1" diff <(echo "$2") <(echo "$3")
}

files_in() { (cd "$1" && find . ! -type d | sort | tr '\n' ' '); }

make_here() { make -s -C "$root" O="${O:-build}" "$@"; }

test_destdir()
{
	local staged=$scratch/staged lib=opt/x/lib/some-triplet
	local directories=(DESTDIR="$staged" PREFIX=/opt/x LIBDIR=/$lib MANDIR=/opt/man)

	check destdir-install make_here install "${directories[@]}"
	same destdir-files "./opt/man/man1/hakmem-map.1\
 ./opt/man/man1/hakmem-run.1 ./opt/man/man1/hakmem-top.1\
 ./opt/man/man3/hakmem.3 ./opt/man/man7/hakmem.7\
 ./opt/x/bin/hakmem-map ./opt/x/bin/hakmem-run ./opt/x/bin/hakmem-top\
 ./opt/x/include/hakmem/hakmem.h ./opt/x/include/hakmem/pool.h ./opt/x/include/hakmem/provider.h\
 ./opt/x/include/hakmem/samples.h ./opt/x/include/hakmem/stats.h\
 ./$lib/cmake/hakmem/hakmem-config-version.cmake\
 ./$lib/cmake/hakmem/hakmem-config.cmake ./$lib/libhakmem-$version.debug\
 ./$lib/libhakmem-hardened-$version.debug\
 ./$lib/libhakmem-hardened.so.1 ./$lib/libhakmem-hardened.so.$version\
 ./$lib/libhakmem.a ./$lib/libhakmem.so ./$lib/libhakmem.so.1 ./$lib/libhakmem.so.$version\
 ./$lib/pkgconfig/hakmem.pc " "$(files_in "$staged")"
	check destdir-is-written-nowhere bash -c "! grep -r '$staged' '$staged/opt'"
	check destdir-links cmp "$staged/$lib/libhakmem.so" "$staged/$lib/libhakmem.so.$version"
	same soname libhakmem.so.1 "$(objdump -p "$staged/$lib/libhakmem.so" |
		sed -n 's/ *SONAME *//p')"
	export PKG_CONFIG_SYSROOT_DIR=$staged PKG_CONFIG_LIBDIR=$staged/$lib/pkgconfig
	check destdir-builds bash -c "cc '$here/user.c' \$(pkg-config --cflags --libs hakmem) \
		-o '$scratch/staged-user'"
	same destdir-runs used "$(LD_LIBRARY_PATH=$staged/$lib "$scratch/staged-user")"
	unset PKG_CONFIG_SYSROOT_DIR PKG_CONFIG_LIBDIR
	hakmem_DIR=$staged/$lib/cmake/hakmem test_cmake destdir "$staged/$lib"

	touch "$staged/$lib/other"
	check destdir-uninstall make_here uninstall "${directories[@]}"
	same uninstall-leaves-others "./$lib/other " "$(files_in "$staged")"
	check uninstall-own-directory test ! -e "$staged/opt/x/include/hakmem"
}

# test_cmake NAME DIRECTORY: a project that finds the library by what is in the environment
test_cmake()
{
	local project=$scratch/cmake-$1 asked

	mkdir "$project" && cp "$here/user.c" "$project/"
	cat >"$project/CMakeLists.txt" <<-'END'
		cmake_minimum_required(VERSION 3.13)
		project(user C)
		find_package(hakmem ${ASKED} REQUIRED CONFIG)
		add_executable(shared user.c)
		target_link_libraries(shared hakmem::hakmem)
		add_executable(static user.c)
		target_link_libraries(static hakmem::static)
	END
	check "cmake-$1-finds" cmake -DASKED="$version" -S "$project" -B "$project/build"
	check "cmake-$1-builds" cmake --build "$project/build"
	same "cmake-$1-shared" used "$(LD_LIBRARY_PATH=$2 "$project/build/shared")"
	same "cmake-$1-static" used "$("$project/build/static")"
	for asked in 99.0 "${version%.*}.999"; do
		check "cmake-$1-not-$asked" bash -c "! cmake -DASKED='$asked' -S '$project' \
			-B '$project/build-$asked'"
	done
}

# Names of hakmem.h have a version, those of libc and of C++ none.
test_names()
{
	local library=$1/lib/libhakmem.so debug=libhakmem-$version.debug

	nm -D --defined-only "$library" | awk '$2 != "A" { print $3 }' | LC_ALL=C sort \
		>"$scratch/names"
	same names-without-version '' "$(grep -v '^hak_' "$scratch/names" | grep @)"
	same names-with-version "$(sed -n 's/^HAK_API .*[ *]\(hak_[a-z_]*\)(.*/\1@@HAKMEM_1/p' \
		"$1"/include/hakmem/*.h | LC_ALL=C sort)" "$(grep '^hak_' "$scratch/names")"
	same library-is-stripped '' "$(objdump -h "$library" | grep -o '\.debug_info\|\.symtab')"
	same library-names-debug-file "$debug" \
		"$(readelf --string-dump=.gnu_debuglink "$library" | grep -o 'libhakmem.*debug')"
	check debug-file-has-lines bash -c "objdump -h '$1/lib/$debug' | grep -q '\.debug_line'"
	check gdb-finds-debug-file bash -c "gdb -batch -ex 'list hak_version' '$library' 2>&1 |
		grep -q 'return HAK_VERSION'"
	check archive-says-version bash -c "strings '$1/lib/libhakmem.a' | grep -qx '$version'"
}

test_headers()
{
	local header flags

	for header in hakmem stats provider; do
		for flags in 'gcc -x c -std=c99' 'gcc -x c -std=gnu17' 'g++ -x c++ -std=c++11' \
			'g++ -x c++ -std=c++20'; do
			check "header-$header-${flags##*=}" bash -c \
				"echo '#include <hakmem/$header.h>' |
				$flags -Wall -Wextra -pedantic -Werror \
				-I'$1/include' -fsyntax-only -"
		done
	done
}

test_programs()
{
	local prefix=$1 language

	for language in c c++; do
		check "dynamic-$language-builds" bash -c "gcc -x $language -Wall -Wextra -pedantic \
			-Werror '$here/user.c' -x none \$(pkg-config --cflags --libs hakmem) \
			-o '$scratch/dynamic'"
		same "dynamic-$language-runs" used \
			"$(LD_LIBRARY_PATH=$prefix/lib "$scratch/dynamic")"
		check "static-$language-builds" bash -c "gcc -static -x $language '$here/user.c' \
			-x none \$(pkg-config --static --cflags --libs hakmem) -o '$scratch/static'"
		same "static-$language-runs" used "$("$scratch/static")"
	done
	same needed libhakmem.so.1 "$(objdump -p "$scratch/dynamic" |
		sed -n 's/ *NEEDED *\(libhak.*\)/\1/p')"
	same modversion "$version" "$(pkg-config --modversion hakmem)"
}

# The archive serves dynamic programs of musl, too; the shared library is refused, with the
# line that the page has. Static ones: see tests/api.
test_musl()
{
	check musl-builds musl-gcc -I"$1/include" "$here/user.c" "$1/lib/libhakmem.a" \
		-o "$scratch/musl"
	same musl-runs used "$("$scratch/musl")"
	check musl-refuses-shared bash -c "LD_PRELOAD='$1/lib/libhakmem.so.1' '$scratch/musl' 2>&1 |
		grep -q '^Error relocating .*: __register_atfork: symbol not found'"
}

test_wrapper()
{
	local run=$1/bin/hakmem-run library=$1/lib/libhakmem.so.1 wrong

	same run-preloads "$library" "$($run sh -c 'echo $LD_PRELOAD')"
	check run-malloc bash -c "$run cat /proc/self/maps | grep -q '$1/lib/libhakmem.so'"
	same run-keeps-preload "$library:libc.so.6" \
		"$(LD_PRELOAD=libc.so.6 $run sh -c 'echo $LD_PRELOAD')"
	same run-arguments 'a b|*|' "$($run printf '%s|' 'a b' '*')"
	same run-status 7 "$($run sh -c 'exit 7'; echo $?)"
	same run-stops-at-dashes 'a|' "$($run -- printf '%s|' a)"
	same run-version "hakmem $version" "$($run --version)"
	check run-help bash -c "$run --help | grep -q '^usage: hakmem-run .OPTION'"
	check run-stats bash -c "$run --stats true 2>&1 | grep -q 'statistics at exit'"
	same run-option '0 never' "$($run -o purge-delay-ms=0 -oTHP=never \
		sh -c 'echo $HAKMEM_PURGE_DELAY_MS $HAKMEM_THP')"
	check run-option-reaches-library \
		bash -c "$run -o verbose=1 true 2>&1 | grep -q 'version $version runs with'"
	same run-hardened "$1/lib/libhakmem-hardened.so.1" "$($run --hardened \
		sh -c 'echo $LD_PRELOAD')"
	check run-hardened-says-so bash -c "$run --hardened -o verbose=1 true 2>&1 |
		grep -q 'version $version, hardened, runs with'"
	mv "$1/lib/libhakmem-hardened.so.1" "$1/lib/elsewhere"
	same run-no-hardened 2 "$($run --hardened true 2>"$scratch/error"; echo $?)"
	mv "$1/lib/elsewhere" "$1/lib/libhakmem-hardened.so.1"
	check run-no-hardened-error grep -q 'there is no .*hardened' "$scratch/error"
	for wrong in '--no-such' '-o' '-o thp' '-o =1' '-o a;b=1'; do
		same "run-refuses-$wrong" 2 "$($run $wrong 2>"$scratch/error"; echo $?)"
		same "run-refuses-$wrong-error" 1 "$(grep -c '^hakmem-run: ' "$scratch/error")"
	done
	same run-nothing 2 "$($run 2>"$scratch/error"; echo $?)"
	check run-nothing-error \
		grep -q 'no program given; usage: hakmem-run .*PROGRAM' "$scratch/error"
	same run-unknown 127 "$($run no-such-program 2>"$scratch/error"; echo $?)"
	check run-unknown-error grep -q no-such-program "$scratch/error"
	mv "$1/lib" "$1/elsewhere"
	same run-no-library 2 "$($run true 2>"$scratch/error"; echo $?)"
	check run-no-library-error grep -q "there is no $library" "$scratch/error"
	mv "$1/elsewhere" "$1/lib"
}

# A page that a program refuses has lines on its standard error.
test_manual()
{
	local page name

	for page in "$1"/share/man/man?/*; do
		name=manual-${page##*/}
		check "$name-lint" mandoc -T lint -W warning "$page"
		same "$name-warnings" '' \
			"$(LC_ALL=C.UTF-8 man --warnings -E UTF-8 -l -P cat "$page" \
				2>&1 >"$scratch/page")"
		check "$name-text" grep -q 'SEE ALSO' "$scratch/page"
	done
	sed -n '/^\.Bd -literal/,/^\.Ed/{/^\./!p}' "$1/share/man/man3/hakmem.3" |
		sed 's/\\e/\\/g' >"$scratch/example.c"
	check manual-example-builds bash -c "cc -Wall -Wextra -Werror '$scratch/example.c' \
		\$(pkg-config --cflags --libs hakmem) -o '$scratch/example'"
	check manual-example-runs bash -c "LD_LIBRARY_PATH='$1/lib' '$scratch/example' |
		grep -q '^{.*\"version\"'"
}

# The archive for kernels, and its headers in both languages; it is put nowhere by itself.
test_kernel()
{
	local header

	same kernel-wants-a-prefix 2 "$(make_here install-baremetal DESTDIR="$scratch/no" \
		>"$scratch/error" 2>&1; echo $?)"
	check kernel-wants-a-prefix-error grep -q 'say where to: PREFIX=' "$scratch/error"
	check kernel-install make_here install-baremetal PREFIX="$scratch/kernel"
	same kernel-files "./include/hakmem/balloon.h ./include/hakmem/config.h\
 ./include/hakmem/frames.h ./include/hakmem/hakmem.h ./include/hakmem/host.h\
 ./include/hakmem/machine.h ./include/hakmem/pool.h ./include/hakmem/provider.h\
 ./include/hakmem/samples.h ./include/hakmem/stats.h\
 ./lib/libhakmem.a ./lib/pkgconfig/hakmem-baremetal.pc " "$(files_in "$scratch/kernel")"
	for header in "$scratch"/kernel/include/hakmem/*.h; do
		header=${header##*/}
		check "kernel-c-$header" gcc -x c -std=gnu11 -ffreestanding -Wall -Wextra -Werror \
			-fsyntax-only -I"$scratch/kernel/include" - <<<"#include <hakmem/$header>"
		check "kernel-c++-$header" g++ -x c++ -ffreestanding -Wall -Wextra -Werror \
			-fsyntax-only -I"$scratch/kernel/include" - <<<"#include <hakmem/$header>"
	done
	mv "$scratch/kernel" "$scratch/moved"
	test_kernel_commands "$scratch/moved/lib/pkgconfig"
	touch "$scratch/moved/lib/other"
	same kernel-uninstall-wants-a-prefix 2 "$(make_here uninstall-baremetal \
		>"$scratch/error" 2>&1; echo $?)"
	check kernel-uninstall make_here uninstall-baremetal PREFIX="$scratch/moved"
	same kernel-uninstall-leaves-others "./lib/other " "$(files_in "$scratch/moved")"
	check kernel-uninstall-own-directory test ! -e "$scratch/moved/include/hakmem"
}

# test_kernel_commands PC-DIRECTORY: the commands of platform/baremetal/README.md make a kernel
# of kernel.c, which boots.
test_kernel_commands()
{
	local commands

	commands=$(sed -n '/^    gcc -c start.S/,/^$/p' "$root/platform/baremetal/README.md")
	mkdir "$scratch/commands" && cp "$here/kernel.c" "$scratch/commands/"
	cp "$root"/qemu/example/{start.S,kernel.ld} "$scratch/commands/"
	check kernel-commands-are-there grep -q kernel.elf <<<"$commands"
	check kernel-commands-build env PKG_CONFIG_LIBDIR="$1" \
		bash -ec "cd '$scratch/commands'; $commands"
	same kernel-commands-boot 'a block was allocated' \
		"$("$root/qemu/run.sh" "$scratch/commands/kernel.elf" --memory 64M 2>&1)"
}

# Refused with a reason, and nothing is written.
test_mistakes()
{
	local variable

	for variable in PREFIX=usr 'PREFIX=/a b' LIBDIR= 'DESTDIR=some/place' BINDIR=bin; do
		same "refuses-$variable" 2 "$(make_here install DESTDIR="$scratch/no" "$variable" \
			>"$scratch/error" 2>&1; echo $?)"
		check "refuses-$variable-error" \
			grep -qE 'must begin with /|is empty' "$scratch/error"
	done
	check refusal-writes-nothing test ! -e "$scratch/no"
}

test_destdir
prefix=$scratch/prefix
check prefix-install make_here install PREFIX="$prefix"
export PKG_CONFIG_PATH=$prefix/lib/pkgconfig
test_headers "$prefix"
test_programs "$prefix"
CMAKE_PREFIX_PATH=$prefix test_cmake prefix "$prefix/lib"
test_names "$prefix"
test_wrapper "$prefix"
test_musl "$prefix"
test_manual "$prefix"
check prefix-uninstall make_here uninstall PREFIX="$prefix"
same prefix-nothing-left '' "$(files_in "$prefix")"
check unstripped-install make_here install STRIP= DESTDIR="$scratch/unstripped"
check unstripped-has-lines bash -c \
	"objdump -h '$scratch/unstripped/usr/local/lib/libhakmem.so' | grep -q '\.debug_line'"
test_kernel
test_mistakes
exit $failed
