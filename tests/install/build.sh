#!/bin/bash
# SPDX-License-Identifier: MIT
#
# What the Makefile does with what people give it: switches, flags, directories; and
# that a build leaves the source tree alone.

root=$(cd "$(dirname "$0")/../.." && pwd)
scratch=$(mktemp -d) || exit 2
trap 'rm -rf "$scratch"' EXIT
O_BUILT=${O:-}
for name in MAKEFLAGS MAKELEVEL CC CFLAGS CPPFLAGS CXXFLAGS LDFLAGS PREFIX DESTDIR DEBUG LLVM V W \
	SAN O ${!CONFIG_HAK_@}; do
	unset "$name"
done
status=0

# verdict NAME COMPLAINT: the complaint is empty if all is well
verdict()
{
	if [ -z "$2" ]; then
		echo "ok $1"
	else
		echo "FAIL $1: $(tail -n 3 <<<"$2" | tr '\n' '|' | cut -c 1-300)"
		status=1
	fi
}

here() { make -C "$root" "$@"; }

# commands ARGUMENT...: how one object would be made
commands() { here -n V=1 O="$scratch/out" "$@" "$scratch/out/linux/obj/core/base/lock.o" 2>&1; }

# has NAME TEXT COMPLAINT-IF-MISSING; hasnt: the other way round
has() { verdict "$1" "$(grep -qF -- "$2" <<<"$3" || echo "there is no $2: $(tail -n 1 <<<"$3")")"; }
hasnt() { verdict "$1" "$(grep -F -- "$2" <<<"$3" | head -n 1)"; }

# refuses NAME TEXT ARGUMENT...: with one line that says so
refuses()
{
	local name=$1 text=$2 output

	shift 2
	output=$(here -s "$@" 2>&1) && output="no error: $output"
	grep -qF -- "$text" <<<"$output" && [ "$(wc -l <<<"$output")" -eq 1 ] && output=
	verdict "refuses-$name" "$output"
}

test_switches()
{
	local value

	for value in 0 n no; do
		hasnt "DEBUG=$value" -Og "$(commands DEBUG=$value)"
		hasnt "LLVM=$value" clang "$(commands LLVM=$value)"
		has "CONFIG=$value" -DCONFIG_HAK_MOVE=0 "$(commands CONFIG_HAK_MOVE=$value)"
		has "V=$value" "printf '  " "$(commands V=$value)"
	done
	for value in 1 y yes; do
		has "DEBUG=$value" -Og "$(commands DEBUG=$value)"
		has "LLVM=$value" clang "$(commands LLVM=$value)"
		has "CONFIG=$value" -DCONFIG_HAK_MOVE=1 "$(commands CONFIG_HAK_MOVE=$value)"
	done
	has DEBUG-of-environment -Og "$(DEBUG=1 commands)"
	refuses CONFIG=maybe 'CONFIG_HAK_MOVE=maybe is not yes or no' CONFIG_HAK_MOVE=maybe
	refuses DEBUG=2 'DEBUG=2 is not yes or no' DEBUG=2
	refuses unknown-option 'unknown option CONFIG_HAK_FOO' CONFIG_HAK_FOO=y
	hasnt warnings-are-no-errors -Werror "$(commands)"
	has W=1-makes-them-errors -Werror "$(commands W=1)"
	has W=2-shows-more -Wconversion "$(commands W=2)"
	refuses W=3 'W=3 is unknown' W=3
}

# Defaults, then what is given, then what nothing works without.
test_flags()
{
	local text

	text=$(commands CPPFLAGS=-DGIVEN_1 CFLAGS='-DGIVEN_2 -O3 -fvisibility=default')
	has CPPFLAGS -DGIVEN_1 "$text"
	has CFLAGS-after-defaults ' -O3 ' "$(sed -n 's/.* -O2 \(.*\)/\1/p' <<<"$text")"
	has CFLAGS-before-what-is-needed ' -fvisibility=hidden ' \
		"$(sed -n 's/.*-fvisibility=default\(.*\)/\1/p' <<<"$text")"
	has CFLAGS-of-environment -DGIVEN "$(CFLAGS=-DGIVEN commands)"
	has CC "clang -O2" "$(commands CC=clang)"
	hasnt CC-has-flags-it-knows -fno-tree-slsr "$(commands CC=clang)"
	ln -s "$(command -v gcc)" "$scratch/my-gcc"
	has CC-of-environment "my-gcc -O2" "$(CC=$scratch/my-gcc commands)"
	text=$(here -n V=1 O="$scratch/out" LDFLAGS=-Wl,--given CXXFLAGS=-DGIVEN linux 2>&1)
	has LDFLAGS -Wl,--given "$(grep -- ' -shared ' <<<"$text")"
	has CXXFLAGS -DGIVEN "$(grep -- ' -x c++ ' <<<"$text")"
	text=$(here -n V=1 O="$scratch/out" CFLAGS=-DGIVEN baremetal 2>&1)
	hasnt bare-metal-has-its-own -DGIVEN "$(grep -- ' -ffunction-sections ' <<<"$text")"
}

no_file() { ! [ -e "$1" ] || echo "there is $1"; }

# A folder that is not for building is refused, and stays as it is.
test_directories()
{
	local goal

	mkdir "$scratch/full" && touch "$scratch/full/file"
	ln -s "$root" "$scratch/link"
	for goal in linux clean; do
		refuses "O-space-$goal" 'must be one folder' O="$scratch/a b" $goal
		refuses "O-empty-$goal" 'must be one folder' O= $goal
		refuses "O-colon-$goal" 'must be one folder' O="$scratch/a:b" $goal
		refuses "O-sources-$goal" 'has them in it' O="$root" $goal
		refuses "O-dot-$goal" 'has them in it' O=. $goal
		refuses "O-parent-$goal" 'has them in it' O=.. $goal
		refuses "O-root-$goal" 'has them in it' O=/ $goal
		refuses "O-link-$goal" 'has them in it' O="$scratch/link" $goal
		refuses "O-core-$goal" 'is a folder of the sources' O=core $goal
		refuses "O-below-core-$goal" 'is a folder of the sources' O=core/build $goal
		refuses "O-others-$goal" 'files in it that no build made' O="$scratch/full" $goal
	done
	verdict O-others-stay "$([ -e "$scratch/full/file" ] || echo 'the file is gone')"
	verdict help-makes-no-folder \
		"$(here -s O="$scratch/none" help >/dev/null 2>&1; no_file "$scratch/none")"
	mkdir "$scratch/empty"
	verdict O-empty-folder \
		"$(here -s O="$scratch/empty" "$scratch/empty/linux/obj/core/base/lock.o" 2>&1)"
	verdict clean-removes "$(here -s O="$scratch/empty" clean 2>&1; no_file "$scratch/empty")"
	for goal in install install-baremetal; do
		refuses "PREFIX-space-$goal" 'must begin with / and have no spaces' \
			O="$scratch/out" $goal PREFIX='/a /b'
		refuses "PREFIX-relative-$goal" 'PREFIX=some/place must begin with /' \
			O="$scratch/out" $goal PREFIX=some/place
	done
	mkdir "$scratch/in a folder" && cp "$root/Makefile" "$scratch/in a folder"
	refuses sources-space 'has a space' -C "$scratch/in a folder"
}

# names LIBRARY NM-OPTION
names()
{
	nm "$2" --defined-only "$1" | awk 'NF == 3 && $3 !~ /^__clang_/ { print $3 }' | sort -u
}

# Optimised when linked, the libraries have the same names, and work.
test_lto()
{
	local lto=$scratch/lto/linux built kind

	built=$(cd "$root" && cd "${O_BUILT:-build}/linux" && pwd)
	verdict lto-builds "$(here -s -j2 O="$scratch/lto" CFLAGS=-flto=auto linux 2>&1)"
	verdict lto-shared-names "$(diff <(names "$built/libhakmem.so" -D) \
		<(names "$lto/libhakmem.so" -D))"
	verdict lto-archive-names "$(diff <(names "$built/libhakmem.a" -g) \
		<(names "$lto/libhakmem.a" -g))"
	verdict lto-shared-works \
		"$(LD_PRELOAD=$lto/libhakmem.so sh -c 'seq 100000 | sort -R | sort -n' 2>&1 |
			cmp - <(seq 100000) 2>&1)"
	for kind in '' -static; do
		verdict "lto-archive-works$kind" "$(gcc $kind -I"$root/include" \
			"$root/tests/install/user.c" "$lto/libhakmem.a" -pthread \
			-o "$scratch/user" 2>&1 && "$scratch/user" | grep -vx used)"
	done
}

# Each hint names a target that there is, and that installs the package named beside it.
test_hints()
{
	local target package line packages found=0

	while IFS= read -r line; do
		target=$(sed -E "s/.*run 'make (setup[a-z-]*)'.*/\1/" <<<"$line")
		packages=" $(here -n "$target" 2>&1 | sed -n 's|^tests/setup.sh||p') "
		package=$(sed -nE 's/.*\(Debian package ([a-z0-9-]+)\).*/\1/p' <<<"$line")
		verdict "hint-$((++found))" "$([ "$packages" != '  ' ] || echo "no $target: $line"
			[ -z "$package" ] || [[ $packages == *" $package "* ]] ||
				echo "make $target does not install $package: $line")"
	done < <(cd "$root" && grep -rhA1 "run 'make setup" --include='*.sh' --include='*.mk' \
		--include=Makefile --exclude=build.sh Makefile arch platform qemu tests |
		sed -e ':join' -e '/\\$/{N;s/\\\n//;b join' -e '}' | grep "run 'make setup")
	# the first thing that a newcomer meets, on a machine without a compiler
	mkdir "$scratch/bin"
	for target in sh make sed find mkdir grep wc tail tr cut head; do
		ln -s "$(command -v $target)" "$scratch/bin/"
	done
	PATH=$scratch/bin refuses no-gcc "no gcc: run 'make setup'" O="$scratch/out"
	PATH=$scratch/bin refuses no-clang "no clang: run 'make setup-test'" LLVM=1 O="$scratch/out"
	hasnt setup-before-demo 'no gcc' \
		"$(PATH=$scratch/bin here -n O="$scratch/out" setup demo 2>&1)"
	refuses no-CC 'no no-such-cc: CC, BM_CC or CROSS_COMPILE is wrong' CC=no-such-cc \
		O="$scratch/out"
	verdict hints-found "$([ $found -gt 10 ] || echo "only $found")"
}

# Every target for people, and every variable, is in the help.
test_help()
{
	local help makefiles name inner=' help FORCE linux-programs images INSTALL '

	help=$(here -s help)
	makefiles=$(cd "$root" && cat Makefile ./*/*.mk ./*/*/*.mk |
		sed -e ':join' -e '/\\$/{N;s/\\\n//;b join' -e '}')
	for name in $(sed -nE 's/^\.PHONY://p; s/^([A-Z_]+) +\?=.*/\1/p' <<<"$makefiles"); do
		[[ $name == *-tools || $name == *-builds || $name == *-programs ||
			$inner == *" $name "* ]] || has "help-has-$name" "$name" "$help"
	done
	verdict help-is-narrow "$(grep -E '.{91}' <<<"$help")"
}

test_switches
test_help
test_hints
test_flags
test_directories
test_lto
exit $status
