#!/bin/bash
# SPDX-License-Identifier: MIT
#
# A size that is of another class than the block: reported by a library that was
# built with DEBUG=1, let pass by others.
#
#	tests/api/sized.sh DIRECTORY DIRECTORY	where the one is, and the other

debug=$(cd "${1:?usage: $0 DEBUG RELEASE}" && pwd)/libhakmem.so || exit 2
release=$(cd "${2:?usage: $0 DEBUG RELEASE}" && pwd)/libhakmem.so || exit 2
status=0
scratch=$(mktemp -d) || exit 2
trap 'rm -rf "$scratch"' EXIT
ulimit -c 0

compiler="${CXX:-g++} -std=c++17 -w -fno-builtin -fsized-deallocation"
if ! $compiler -x c++ - -o "$scratch/sized" <<-'END'
	#include <cstdlib>
	#include <new>
	extern "C" __attribute__((weak)) void free_sized(void *, size_t);
	extern "C" __attribute__((weak)) void free_aligned_sized(void *, size_t, size_t);
	int main(int argc, char **argv)
	{
		size_t size = argc > 2 ? 48 : 64;
		std::align_val_t align{128};

		switch (*argv[1]) {
		case 'a': ::operator delete(::operator new(64), size); break;
		case 'b': ::operator delete[](::operator new[](64), size); break;
		case 'c': ::operator delete(::operator new(640, align), 10 * size, align); break;
		case 'd':
			::operator delete[](::operator new[](640, align), 10 * size, align);
			break;
		case 'e': free_sized(std::malloc(64), size); break;
		case 'f': free_aligned_sized(std::aligned_alloc(128, 640), 128, 10 * size); break;
		case 'g': free_sized(std::malloc(6400000), 100000 * size); break;
		}
		return 0;
	}
END
then
	echo "FAIL sized-builds"
	exit 1
fi

# run LIBRARY ARGUMENTS
run()
{
	{ LD_PRELOAD=$1 "$scratch/sized" "${@:2}"; } >/dev/null 2>"$scratch/errors"
}

for form in a b c d e f g; do
	if ! run "$debug" $form || ! run "$release" $form || ! run "$release" $form wrong; then
		echo "FAIL sized-$form: $(cat "$scratch/errors")"
		status=1
	elif run "$debug" $form wrong ||
		! grep -qE ': free_(aligned_)?sized\(0x[0-9a-f]+\): size [0-9]+ given for a block' \
			"$scratch/errors"; then
		echo "FAIL sized-$form: not noticed: $(cat "$scratch/errors")"
		status=1
	else
		echo "ok sized-$form"
	fi
done
exit $status
