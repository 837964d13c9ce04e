#!/bin/bash
# SPDX-License-Identifier: MIT
#
# What malloc and free cost in the shared library: how many instructions, and
# that none of them is atomic, a call, or a system call.
#
#	tests/fastpath/check.sh LIBRARY
#
# Instructions are counted by callgrind in a program that is linked with the
# library: the difference of 2N and N pairs, by N, so that what is paid once,
# such as the dynamic linker's work, is not in it.

here=$(cd "$(dirname "$0")" && pwd)
library=${1:?usage: $0 LIBRARY}
cc=${CC:-gcc}
pairs=20000
most_malloc=16
most_free=20
! readelf -p .comment "$library" 2>/dev/null | grep -q clang || most_free=22
status=0
scratch=$(mktemp -d) || exit 2
trap 'rm -rf "$scratch"' EXIT

fail()
{
	echo "FAIL $*"
	status=1
}

for tool in objdump objcopy valgrind callgrind_annotate "$cc"; do
	if ! command -v "$tool" >/dev/null; then
		fail "fastpath: $tool is missing: run 'make setup-test'"
		exit 1
	fi
done

# forbidden LIBRARY FUNCTION: the instructions of it that do not belong there
forbidden()
{
	local start size # by address: a function may have several names

	read -r start size < <(nm -DS --defined-only "$1" | awk -v name="$2" '
		{ sub(/@.*/, "", $4) } $4 == name { print "0x" $1, "0x" $2 }')
	objdump -d --no-show-raw-insn --start-address="${start:-0}" \
		--stop-address="$((${start:-0} + ${size:-0}))" "$1" 2>/dev/null | awk -F '\t' '
		/^ +[0-9a-f]+:/ && NF > 1 {
			n++
			if ($2 ~ /(^| )lock |^x(chg|add|begin)|cmpxchg|fence|(^| )call|^(sys|int)/)
				if ($2 !~ /^xchg +%[a-z0-9]+,%[a-z0-9]+ *$/)
					print $2
		}
		END { if (!n) print "no such function" }'
}

# forbidden_case NAME FUNCTION EXPECTED: the check finds what it is there to find
forbidden_case()
{
	if forbidden "$scratch/bad.so" "$2" | grep -qE "$3"; then
		echo "ok finds-$1"
	else
		fail "finds-$1: not found in $2"
	fi
}

test_finds_forbidden()
{
	$cc -w -O1 -shared -fPIC -x c - -o "$scratch/bad.so" <<-'END'
		int word, other(void);
		void add(void) { __sync_fetch_and_add(&word, 1); }
		int swap(int new) { return __atomic_exchange_n(&word, new, 5); }
		int calls(void) { return other() + 1; }
		void enters(void) { __asm__ volatile("syscall"); }
		int good(int x) { __asm__("xchg %0, %%ecx" : "+a"(x)); return x + word; }
	END
	forbidden_case lock add '^lock '
	forbidden_case exchange swap '^xchg '
	forbidden_case call calls '^call '
	forbidden_case system-call enters '^syscall'
	forbidden_case missing-function nowhere 'no such function'
	if [ -z "$(forbidden "$scratch/bad.so" good)" ]; then
		echo "ok accepts-good-instructions"
	else
		fail "accepts-good-instructions: $(forbidden "$scratch/bad.so" good)"
	fi
}

test_instructions()
{
	local function found

	for function in malloc free hak_malloc hak_free; do
		found=$(forbidden "$library" $function)
		if [ -z "$found" ]; then
			echo "ok instructions-of-$function"
		else
			fail "instructions-of-$function: ${found//$'\n'/; }"
		fi
	done
}

# counts NAME SIZE PAIRS FUNCTION ...: all instructions under each function
counts()
{
	local name=$1 size=$2 n=$3 function

	shift 3
	valgrind --tool=callgrind --callgrind-out-file="$scratch/profile" \
		"$scratch/pairs" "$name" "$size" "$n" >"$scratch/log" 2>&1 || return
	callgrind_annotate --inclusive=yes --threshold=100 "$scratch/profile" >"$scratch/report"
	for function in "$@"; do
		awk -v name="$function" '
			{ line = $0; sub(/ \[.*$/, "", line); sub(/^.*:/, "", line) }
			line == name { gsub(/,/, "", $1); if ($1 + 0 > most) most = $1 + 0 }
			END { printf "%d ", most }' "$scratch/report"
	done
}

# budget_case LABEL MOST ONCE TWICE
budget_case()
{
	local hundredths=$((($4 - $3) * 100 / pairs)) text

	text=$(printf '%d.%02d' $((hundredths / 100)) $((hundredths % 100)))
	if [ "$3" -eq 0 ] || [ $hundredths -lt 300 ]; then
		fail "$1: $text instructions: that cannot be"
	elif [ $hundredths -gt $(($2 * 100)) ]; then
		fail "$1: $text instructions, more than $2"
	else
		echo "ok $1 ($text instructions)"
	fi
}

test_budget()
{
	local prefix size once twice

	# Without line numbers, by which callgrind would split functions.
	objcopy --strip-debug "$library" "$scratch/libhakmem.so" &&
		ln -s libhakmem.so "$scratch/libhakmem.so.1" &&
		$cc -O2 -fno-builtin -I"$here/../../include" "$here/pairs.c" -o "$scratch/pairs" \
			-L"$scratch" -lhakmem -Wl,-rpath,"$scratch" || {
		fail "budget: the program does not build"
		return
	}
	for prefix in '' hak_; do
		for size in 16 64; do
			read -ra once < <(counts ${prefix}malloc $size $pairs \
				${prefix}malloc ${prefix}free)
			read -ra twice < <(counts ${prefix}malloc $size $((2 * pairs)) \
				${prefix}malloc ${prefix}free)
			budget_case ${prefix}malloc-$size $most_malloc "${once[0]:-0}" \
				"${twice[0]:-0}"
			budget_case ${prefix}free-$size $most_free "${once[1]:-0}" "${twice[1]:-0}"
		done
	done
}

test_finds_forbidden
test_instructions
test_budget
exit $status
