#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Real programs, run twice, without and with the library preloaded: they must do
# the same.
#
#	tests/apps/run.sh DIRECTORY LOGS [NAME ...]	where libhakmem.so is; default: all
#
# NAME.sh beside this file is a workload. It runs in an empty directory with the
# file descriptors 0 to 2, ends with status 0, and prints
#
#	result NAME VALUE	what has to be the same in both runs; one test each
#	info NAME VALUE		what is only shown
#	skipped NAME REASON	what this machine does not allow, without the library either
#
# All else that it prints goes to LOGS. Lines of its head say
#
#	# for LINE		what kind of program it stands for; one line, which is shown
#	# needs PROGRAM ...	or files; what is not there is named, and the workload not run
#	# probe COMMAND		short; each process of it must have the library's malloc
#
# Shown besides are the time, what of it was spent on a CPU, and peak memory, that
# of the largest process.

here=$(cd "$(dirname "$0")" && pwd)
usage="usage: $0 DIRECTORY LOGS [NAME ...]"
library=$(cd "${1:?$usage}" && pwd)/libhakmem.so || exit 2
mkdir -p "${2:?$usage}" && logs=$(cd "$2" && pwd) || exit 2
shift 2
limit=600
scratch=$(mktemp -d) || exit 2
trap 'rm -rf "$scratch"' EXIT

# Debian's programs, whatever else this machine has; nothing of the caller's.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 TZ=UTC HOME=$scratch
export ROOT=$here/../..
unset LD_PRELOAD MAKEFLAGS MAKELEVEL MFLAGS "${!HAKMEM_@}" "${!PYTHON@}" "${!GIT_@}"

[ -e "$library" ] || { echo "$0: no $library" >&2; exit 2; }
[ -x /usr/bin/time ] || { echo "no /usr/bin/time: run 'make setup-apps'" >&2; exit 2; }

passed=0
failed=0
skipped=0
absent=()

pass() { passed=$((passed + 1)); }

fail()
{
	echo "FAIL $*"
	failed=$((failed + 1))
}

# The words after "# KEY " in the head of a workload.
head_of()
{
	sed -n "s/^# $2 //p" "$here/$1.sh"
}

missing_of()
{
	local need

	for need in $(head_of "$1" needs); do
		[ -e "$need" ] || command -v "$need" >/dev/null || echo -n " $need"
	done
}

# Every process of a short command takes malloc from the library.
probe()
{
	local name=$1 command=$2 log count=0

	rm -rf "$scratch/probe" && mkdir "$scratch/probe"
	# the command is not exec()ed, so that it has a log of its own
	(cd "$scratch/probe" && LD_PRELOAD=$library LD_DEBUG=bindings LD_DEBUG_OUTPUT=debug \
		timeout 20 bash -c "$command"$'\n:' >output 2>&1 </dev/null)
	for log in "$scratch"/probe/debug.*; do
		count=$((count + 1))
		if ! grep -qE "to $library .*symbol .(malloc|calloc|realloc)'" "$log"; then
			fail "$name-probe: another malloc: $(head -n 1 "$log") in: $command"
			return
		fi
	done
	# timeout and bash are two
	[ $count -gt 2 ] && pass || fail "$name-probe: no program was started by: $command"
}

# run NAME HOW [VARIABLE=VALUE]: leaves logs/NAME.HOW, results, info, status, cost
run()
{
	local name=$1 how=$2 base=$logs/$1.$2

	rm -rf "$scratch/work" && mkdir "$scratch/work"
	(cd "$scratch/work" && /usr/bin/time -q -f '%e %U %S %M' -o "$base.cost" \
		timeout --kill-after=10 $limit env "${@:3}" bash "$here/$name.sh" \
		>"$base.log" 2>"$base.errors" </dev/null)
	echo $? >"$base.status"
	grep -a '^result ' "$base.log" >"$base.results"
	grep -a '^info ' "$base.log" >"$base.info"
	grep -a '^skipped ' "$base.log" >"$base.skipped"
}

value()
{
	sed -n "s/^$2 $3 //p" "$logs/$1.info" "$logs/$1.results" 2>/dev/null | sed 's/ *$//'
}

compare_results()
{
	local name=$1 key expected got seen=0

	while read -r _ key expected; do
		seen=$((seen + 1))
		got=$(value "$name.with" result "$key")
		if [ -n "$expected" ] && [ "$expected" = "$got" ]; then
			pass
		else
			fail "$name-$key: without: ${expected:-nothing}; with: ${got:-nothing}"
		fi
	done <"$logs/$name.without.results"
	# what is not allowed without the library may not be allowed with it, and is no test
	while read -r _ key expected; do
		skipped=$((skipped + 1))
		echo "SKIPPED $name-$key: $expected"
	done <"$logs/$name.without.skipped"
	[ $((seen + skipped)) -gt 0 ] || fail "$name: no result without the library"
	[ $seen -ge "$(wc -l <"$logs/$name.with.results")" ] ||
		fail "$name: more results with the library than without"
}

show()
{
	local name=$1 key base

	for base in "$logs/$name.without" "$logs/$name.with"; do
		tail -n 1 "$base.cost" | awk -v what="$name ${base##*.}" '{
			printf "%-24s %8.1f s %8.1f s of CPU %8.1f MiB\n",
				what, $1, $2 + $3, $4 / 1024 }'
	done
	while read -r _ key _; do
		printf '    %-30s %14s %14s\n' "$key" "$(value "$name.without" info "$key")" \
			"$(value "$name.with" info "$key")"
	done <"$logs/$name.without.info"
}

app()
{
	local name=$1 missing how status command

	echo "$name: for $(head_of "$name" for)"
	missing=$(missing_of "$name")
	if [ -n "$missing" ]; then
		absent+=("$name:$missing")
		echo "NOT RUN $name: there is no$missing (make setup-apps)"
		return
	fi
	while IFS= read -r command; do
		probe "$name" "$command"
	done < <(head_of "$name" probe)
	run "$name" without
	run "$name" with LD_PRELOAD="$library"
	for how in without with; do
		status=$(cat "$logs/$name.$how.status")
		[ "$status" -eq 0 ] && pass && continue
		fail "$name: status $status $how the library: $(
			tail -n 3 "$logs/$name.$how.errors" | tr '\n' '|')"
	done
	if grep -aqs '^hakmem: ' "$logs/$name.with.errors"; then
		fail "$name: $(grep -am 1 '^hakmem: ' "$logs/$name.with.errors")"
	fi
	compare_results "$name"
	show "$name"
}

[ $# -gt 0 ] || set -- $(cd "$here" && ls ./*.sh | sed 's|^\./||; s|\.sh$||' | grep -vx run)
for name; do
	[ -e "$here/$name.sh" ] || { echo "$0: there is no $name.sh" >&2; exit 2; }
	[ "$(head_of "$name" for | wc -l)" -eq 1 ] ||
		{ echo "$0: $name.sh does not say what it is for" >&2; exit 2; }
done
for name; do
	app "$name"
done
echo "logs: $logs"
[ ${#absent[@]} -eq 0 ] || printf 'not run: %s\n' "${absent[@]}"
[ $((passed + failed)) -gt 0 ] || fail "nothing could be run"
echo "$passed passed, $failed failed, $skipped skipped"
[ $failed -eq 0 ]
