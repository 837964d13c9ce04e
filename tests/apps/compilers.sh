#!/bin/bash
# SPDX-License-Identifier: MIT
#
# gcc and clang compile this project's Linux library, with optimisation and with
# debug information: the objects must be the same, bit by bit. make runs under
# the library too.
#
# for programs that allocate as fast as they can, one after another, and end without freeing
# needs gcc clang make ld.lld llvm-ar llvm-objcopy g++
# probe echo 'int x;' | gcc -c -x c - -o x.o
# probe echo 'int x;' | clang -c -x c - -o x.o
# probe echo 'all: ; echo' | make -f -

set -e -o pipefail

# The sources at one place, for their names are in the objects.
cp -r "$ROOT"/{Makefile,arch,core,include,platform,tests,qemu} .

# compile NAME VARIABLE ...
compile()
{
	make -j2 O=out "${@:2}" linux >&2
	echo "result $1-objects $(find out -name '*.o' | sort | xargs cat | sha256sum)"
	echo "result $1-count $(find out -name '*.o' | wc -l)"
	echo "result $1-library $(sha256sum <out/linux/libhakmem.so)"
	rm -r out
}

compile gcc
compile gcc-debug DEBUG=1
compile clang LLVM=1

# Templates, and whole programs at once.
cat >x.cc <<'END'
#include <algorithm>
#include <functional>
#include <iostream>
#include <map>
#include <regex>
#include <string>
#include <unordered_map>
#include <vector>
int main()
{
	std::map<std::string, std::vector<int>> m;
	std::unordered_map<int, std::function<int(int)>> f;
	for (int i = 0; i < 10000; i++) {
		m["k" + std::to_string(i % 97)].push_back(i);
		f[i] = [i](int x) { return x + i; };
	}
	int sum = 0;
	for (auto &[k, v] : m)
		if (std::regex_match(k, std::regex("k[0-9]*7")))
			sum += f[v.front()](v.back());
	std::cout << sum << "\n";
}
END
for compiler in g++ clang++; do
	$compiler -std=c++17 -O2 -g -c x.cc -o x.o
	echo "result $compiler-object $(sha256sum <x.o)"
	$compiler x.o -o x
	echo "result $compiler-program $(./x)"
done
gcc -flto=2 -O2 -std=gnu11 -w -Iinclude -Icore -Iarch/x86_64 -Iplatform/linux -shared -fPIC \
	-frandom-seed=1 core/*/*.c platform/linux/*.c -o lto.so
echo "result gcc-lto $(nm -D --defined-only lto.so | awk '{ print $2, $3 }' | sha256sum)"
