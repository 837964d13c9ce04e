#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Runs test suites and adds up what they print.
#
#	tests/run.sh [-d DIRECTORY] [-j N] [-t SECONDS] [-x TIMES] ["NAME [SECONDS]: COMMAND" ...]
#
# Suites come as arguments, or one per line on standard input, where empty lines
# and those that start with # are skipped. The output of a suite goes to
# DIRECTORY/NAME.log; N suites run at once (default: 1).
#
# SECONDS, before the colon or else by -t, is how long a suite may take, or so
# many TIMES as long (default: once). The command finds that in TIMEOUT, which is
# where qemu/run.sh looks for the limit of an image. The runner ends a suite a
# quarter later, so that qemu/run.sh can say first which image did not end.
#
# A suite prints "ok NAME" or "FAIL NAME: WHY" for each test, as tests/test.c
# does. One that prints no test, or ends with another status than 0 without
# having said why, counts as a failed test of its own. The last line is
# "N passed, N failed".

directory=
jobs=1
default_limit=600
times=1

while getopts d:j:t:x: option; do
	case $option in
	d) directory=$OPTARG ;;
	j) jobs=$OPTARG ;;
	t) default_limit=$OPTARG ;;
	x) times=$OPTARG ;;
	*) exit 2 ;;
	esac
done
shift $((OPTIND - 1))

temporary=
if [ -z "$directory" ]; then
	temporary=$(mktemp -d) || exit 2
	directory=$temporary
fi
mkdir -p "$directory" || exit 2

# Run one suite for $2 seconds at most; $1.log gets its output, $1.result the
# counts, $1.failures why.
run_suite()
{
	local base=$1 limit=$2 command=$3 start=$SECONDS status passed failed reason

	TIMEOUT=$limit timeout --kill-after=10 $((limit + limit / 4 + 1)) \
		bash -c "$command" </dev/null 2>&1 | tr -d '\r' >"$base.log"
	status=${PIPESTATUS[0]}
	grep -a '^FAIL ' "$base.log" >"$base.failures"
	passed=$(grep -a -c '^ok ' "$base.log")
	failed=$(wc -l <"$base.failures")
	reason=
	if [ "$status" -eq 124 ]; then # as qemu/run.sh gives it
		reason=$(grep -a 'did not end within [0-9]* s$' "$base.log" |
			grep -v '^FAIL ' | tail -n 1)
	fi
	case $status in
	124 | 137) # the second if it had to be killed
		[ $((SECONDS - start)) -lt "$limit" ] || : "${reason:=took more than $limit s}" ;;
	esac
	if [ -n "$reason" ]; then
		echo "FAIL ${base##*/}: $reason" >>"$base.failures"
	elif [ "$failed" -eq 0 ] && [ "$status" -ne 0 ]; then
		echo "FAIL ${base##*/}: exit status $status" >"$base.failures"
	elif [ "$failed" -eq 0 ] && [ "$passed" -eq 0 ]; then
		echo "FAIL ${base##*/}: no test was run" >"$base.failures"
	fi
	failed=$(wc -l <"$base.failures")
	echo "$passed $failed $((SECONDS - start))" >"$base.result"
}

# One line for a suite that has ended, and all there is to know if it failed.
report_suite()
{
	local base=$1 passed failed seconds

	if ! read -r passed failed seconds <"$base.result"; then
		echo "FAIL ${base##*/}: could not be run" | tee "$base.failures"
		total_failed=$((total_failed + 1))
		return
	fi
	printf '%-28s %6d passed %4d failed %5d s\n' "${base##*/}" "$passed" "$failed" "$seconds"
	if [ "$failed" -gt 0 ]; then
		cat "$base.failures"
		tail -n 40 "$base.log" | grep -a -v -e '^ok ' -e '^FAIL ' | sed 's/^/    | /'
	fi
	total_passed=$((total_passed + passed))
	total_failed=$((total_failed + failed))
}

suites=()
if [ $# -gt 0 ]; then
	suites=("$@")
else
	while IFS= read -r line || [ -n "$line" ]; do
		case $line in
		'' | '#'*) ;;
		*) suites+=("$line") ;;
		esac
	done
fi

bases=()
limits=()
for suite in "${suites[@]}"; do
	head=${suite%%:*}
	name=${head%% *}
	limit=${head#"$name"}
	limit=${limit# }
	[ "$head" != "$suite" ] || name=
	case $name:${limit:=$default_limit} in
	:* | */* | *:*[!0-9]*)
		echo "tests/run.sh: not \"NAME [SECONDS]: COMMAND\": $suite" >&2
		exit 2
		;;
	esac
	for other in "${bases[@]}"; do
		if [ "$other" = "$directory/$name" ]; then
			echo "tests/run.sh: two suites are named $name" >&2
			exit 2
		fi
	done
	bases+=("$directory/$name")
	limits+=($((limit * times)))
	rm -f "$directory/$name".{log,result,failures}
done

# Reports come in the order of the suites, each as soon as it can.
total_passed=0
total_failed=0
reported=0
running=0
report_ready()
{
	while [ "$reported" -lt "${#bases[@]}" ] && [ -s "${bases[$reported]}.result" ]; do
		report_suite "${bases[$reported]}"
		reported=$((reported + 1))
	done
}

for i in "${!suites[@]}"; do
	if [ "$running" -ge "$jobs" ]; then
		wait -n
		running=$((running - 1))
		report_ready
	fi
	run_suite "${bases[$i]}" "${limits[$i]}" "${suites[$i]#*:}" &
	running=$((running + 1))
done
while [ "$running" -gt 0 ]; do
	wait -n
	running=$((running - 1))
	report_ready
done
while [ "$reported" -lt "${#bases[@]}" ]; do
	report_suite "${bases[$reported]}"
	reported=$((reported + 1))
done

if [ "$total_failed" -gt 0 ]; then
	echo
	for base in "${bases[@]}"; do
		[ -s "$base.failures" ] && sed "s|^|${base##*/}: |" "$base.failures"
	done
elif [ "$total_passed" -eq 0 ]; then
	echo "FAIL no suite was given"
	total_failed=1
fi
if [ -n "$temporary" ]; then
	if [ "$total_failed" -eq 0 ]; then
		rm -r "$temporary"
	else
		echo "logs: $temporary"
	fi
fi
echo "$total_passed passed, $total_failed failed"
[ "$total_failed" -eq 0 ]
