#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Tests of the benchmarks, so that they do not rot: every workload runs once, and
# tiny; bad peers, missing tools and interrupts leave rows and a report; and the
# report of rows that are known says what follows from them.
#
#	tests/bench/selftest.sh DIRECTORY	where libhakmem.so and bench/ are

here=$(cd "$(dirname "$0")" && pwd)
directory=$(cd "${1:?usage: $0 DIRECTORY}" && pwd) || exit 2
programs=$directory/bench
library=$directory/libhakmem.so
status=0
scratch=$(mktemp -d) || exit 2
trap 'rm -rf "$scratch"' EXIT
unset PEERS LIST QUICK ONLY TURNS LIMIT BRIEF LIB
mkdir -p "$scratch/o"
ln -s "$directory" "$scratch/o/linux"

fail()
{
	echo "FAIL $*"
	status=1
}

# check NAME WHY COMMAND ...: the command succeeds
check()
{
	local name=$1 why=$2

	shift 2
	if "$@"; then
		echo "ok $name"
	else
		fail "$name: $why"
	fi
}

# has NAME FILE EXPRESSION: a line of FILE matches
has()
{
	check "$1" "no line like '$3' in ${2##*/}: $(head -c 300 "$2" | tr '\n' ';')" \
		grep -qE -e "$3" "$2"
}

lacks()
{
	check "$1" "there is '$3' in ${2##*/}" not grep -qE -e "$3" "$2"
}

not()
{
	! "$@"
}

# Every command of the bench, but shorter.
test_workloads()
{
	local workload line words last='ns=[0-9.]+ ops=[1-9][0-9]* peak_kib=[1-9][0-9]*( |$)'

	O=$scratch/o QUICK=1 LIST=1 "$here/bench.sh" >"$scratch/list" 2>"$scratch/output"
	while read -ra words; do
		case ${words[*]} in
		*larson* | *exchange*) words+=(ops=40000) ;;
		memory*) words+=(mib=32) ;;
		*" live=64 "*) words+=(ms=2) ;;
		*) words+=(ms=2 live=1000) ;;
		esac
		line=$(LD_PRELOAD=$library timeout 60 "$programs/${words[0]}" "${words[@]:1}" 2>&1)
		check "workload ${words[*]}" "says '$line'" grep -qE "$last" <<<"$line"
	done < <(sed -nE 's/^.*: ((bench|memory) .*)/\1/p' "$scratch/list")
	for workload in $("$programs/bench" | sed -n 's/^workloads: //p'); do
		has "bench-runs-$workload" "$scratch/list" ": bench $workload( |$)"
	done
	line=$(LD_PRELOAD=$library "$programs/bench" replace ops=5000 live=10)
	check counts-operations "5000 were asked for: $line" grep -q ' ops=5000 ' <<<"$line"
	line=$("$programs/bench" nonsense)
	check refuses-unknown-workload "status $?" [ $? -eq 2 ]
	line=$("$programs/bench" pair size=x)
	check refuses-bad-number "status $?" [ $? -eq 2 ]
	line=$("$programs/bench" pair least=10 most=5)
	check refuses-no-sizes "status $?" [ $? -eq 2 ]
}

# Mallocs as they should not be.
make_bad_libraries()
{
	local cc="${CC:-gcc} -w -O1 -shared -fPIC -fno-builtin -x c - -o"

	echo 'void *malloc(unsigned long n) { __builtin_trap(); }' | $cc "$scratch/crash.so"
	echo 'void *malloc(unsigned long n) { for (;;); }' | $cc "$scratch/hang.so"
	$cc "$scratch/dirty.so" <<-'END'
		static char memory[1 << 28];
		static unsigned long used;
		void *malloc(unsigned long n)
		{
			char *block = memory + used;
			used += n + 15 & ~15ul;
			return used < sizeof(memory) ? block : 0;
		}
		void free(void *block) { }
		void *calloc(unsigned long n, unsigned long size)
		{
			char *block = malloc(n * size);
			if (block && n * size)
				*block = 1;
			return block;
		}
	END
}

test_bad_peers()
{
	local o=$scratch/o results=$scratch/o/bench/results.csv ended

	make_bad_libraries
	O=$o TURNS=2 LIMIT=1 ONLY='^(pair 16|calloc 16..1024)$' QUICK=1 \
		PEERS="crash=$scratch/crash.so hang=$scratch/hang.so dirty=$scratch/dirty.so \
		gone=$scratch/gone.so nonsense" \
		PATH=$scratch/path "$here/bench.sh" >"$scratch/output" 2>&1
	ended=$?
	check bad-peers-are-no-failure "status $ended: $(tail -n 1 "$scratch/output")" \
		[ $ended -eq 0 ]
	check runs-in-turns "$(sed -n '2,4p;$p' "$results")" \
		[ "$(sed -nE 's/^[12],pair 16,(hakmem|glibc|crash),.*/\1/p' "$results" |
			tr '\n' ' ')" = "hakmem glibc crash glibc crash hakmem " ]
	has crash-is-a-row "$results" '^2,pair 16,crash,crashes \(signal 4\),,,,$'
	has hang-is-a-row "$results" '^1,pair 16,hang,hangs,'
	has wrong-calloc-is-a-row "$results" '^1,calloc 16..1024,dirty,fails \(1\),'
	has good-row "$results" '^1,pair 16,hakmem,ok,[0-9.]+,[0-9]+,[0-9]+,'
	has missing-peer "$scratch/output" '^bench: no gone '
	has bad-peer "$scratch/output" '^bench: PEERS: nonsense is not NAME=/PATH.so'
	has no-valgrind "$scratch/output" "^bench: no valgrind.*make setup-bench"
	has no-gnuplot "$scratch/output" "^bench: no gnuplot.*make setup-bench"
	has report-of-failures "$o/bench/results.md" \
		'^- pair 16: crash crashes \(signal 4\) in turn 1$'
	has report-of-missing "$o/bench/results.md" '^- no gnuplot'
	check no-charts "there is one" test "$(echo "$o/bench/"*.svg)" = "$o/bench/summary.svg"
	O=$o TURNS=x "$here/bench.sh" 2>"$scratch/output"
	check refuses-bad-turns "status $?" [ $? -eq 2 ]
	O=$o ONLY=nothing-like-it "$here/bench.sh" 2>"$scratch/output"
	check refuses-no-workload "status $?" [ $? -eq 2 ]
}

# All programs of this machine, but not those that may be missing.
make_path()
{
	local place

	mkdir -p "$scratch/path"
	IFS=: read -ra places <<<"$PATH"
	for place in "${places[@]}"; do
		[ -d "$place" ] && cp -rs --update=none "$place/." "$scratch/path" 2>/dev/null ||
			cp -rsn "$place/." "$scratch/path" 2>/dev/null
	done
	rm -f "$scratch/path/"{valgrind,gnuplot,redis-server,sqlite3}
}

test_interrupt()
{
	local o=$scratch/o bench tries rows

	O=$o TURNS=1000 ONLY='^pair' QUICK=1 "$here/bench.sh" >"$scratch/output" 2>&1 &
	bench=$!
	for ((tries = 0; tries < 100; tries++)); do
		rows=$(wc -l <"$o/bench/results.csv")
		grep -qs '^1,pair 64,glibc' "$o/bench/results.csv" && break
		sleep 0.1
	done
	kill -TERM $bench
	wait $bench
	check interrupt-is-told "status $?" [ $? -ne 0 ]
	check interrupt-keeps-rows "$rows rows became fewer" \
		[ "$(wc -l <"$o/bench/results.csv")" -ge "$rows" ]
	lacks interrupt-is-no-failure "$o/bench/results.csv" '(fails|crashes)'
	has interrupt-has-report "$o/bench/results.md" '^\| pair 16 \| .*[0-9]'
	has interrupt-is-in-report "$o/bench/results.md" '^- the run was interrupted'
}

# Rows whose medians and ratios can be seen.
canned_rows()
{
	echo "turn,workload,peer,status,ns,ops,peak_kib,more"
	cat <<-'END'
		1,pair 16,hakmem,ok,5,100,2048,
		1,pair 16,glibc,ok,10,100,1024,
		1,pair 16,jemalloc,ok,8,100,4096,
		2,pair 16,hakmem,ok,4,100,2048,
		2,pair 16,glibc,ok,12,100,1024,
		2,pair 16,jemalloc,ok,8,100,4096,
		3,pair 16,hakmem,ok,99,100,2048,own_kib=515
		3,pair 16,glibc,ok,11,100,1024,own_kib=500
		3,pair 16,jemalloc,ok,8,100,4096,own_kib=3000
		0,pair 16,jemalloc,fails under callgrind,,,,
		1,larson 8 threads,hakmem,ok,32,100,1024,locks_per_1000=12.5
		1,larson 8 threads,glibc,crashes (signal 11),,,,
		1,larson 8 threads,jemalloc,ok,20,100,4096,
		1,latency 100000,hakmem,ok,900,100,1024,malloc_p99.99=300 free_p99.99=500
		1,latency 100000,glibc,ok,100,100,1024,malloc_p99.99=400 free_p99.99=400
		0,pair 16,hakmem,ok,,,,instructions=45.02
		0,pair 16,glibc,ok,,,,instructions=139.00
	END
}

test_report()
{
	local out=$scratch/canned report=$scratch/canned/results.md

	mkdir -p "$out"
	canned_rows >"$out/results.csv"
	printf '%s\n' 'workload,peer,ms,kib' 'over time: x,hakmem,0,1' 'over time: x,hakmem,50,9' \
		'memory over time: all freed,hakmem,0,1000' \
		'memory over time: all freed,hakmem,50,99999' \
		'memory over time: all freed,hakmem,100,5096' \
		'memory over time: all freed,glibc,0,1000' \
		'memory over time: all freed,glibc,100,513000' >"$out/trace.csv"
	printf '%s\n' '| a | required | hakmem | met |' '|---|---|---|---|' \
		'| b | <= 1 | 2 | no |' '| c | <= 1 | - | - |' >"$out/memory.md"
	echo "machine: of cardboard" >"$out/machine.txt"
	"$here/report.sh" "$out" >"$scratch/output"
	check report-is-made "status $?" [ $? -eq 0 ]
	check report-begins "$(sed -n '3,7p' "$report")" diff - <(sed -n '3,9p' "$report") <<-'END'
		![hakmem beside other mallocs](summary.svg)

		| | hakmem | glibc | jemalloc |
		| --- | ---: | ---: | ---: |
		| Time of 2 workloads, hakmem = 1 | 1.00 | 2.20 | 1.00 |
		| Peak memory of these, hakmem = 1 | 1.00 | 0.50 | 2.83 |
		| MiB that stay when 8 threads have freed all | 4 | 500 | - |
	END
	check report-picture "$(head -c 200 "$out/summary.svg")" \
		test "$(grep -c '<rect' "$out/summary.svg") $(tail -n 1 "$out/summary.svg")" = \
		'10 </svg>'
	has report-picture-figure "$out/summary.svg" '>500</text>$'
	has report-machine "$report" '^- machine: of cardboard$'
	has report-median "$report" \
		'^\| pair 16 \| \*\*5\.0 ±1900%\*\* \| 11\.0 ±18% \| 8\.0 ±0% \| 0\.62 \|$'
	has report-failure-in-table "$report" \
		'^\| larson 8 threads \| 32\.0 ±0% \| fails \| \*\*20\.0 ±0%\*\* \| 1\.60 \|$'
	has report-mean "$report" '^\| \*\*all\*\* \| 1 \| 0\.45 \| 1\.00 \| 1\.00 \|$'
	has report-mean-required "$report" \
		'geometric mean \| at most 0\.85 \| 1\.00 \(2 workloads\) \| \*\*no\*\* \|'
	has report-single-peer "$report" 'single peer.* 1\.00 \(jemalloc\) \| \*\*no\*\* \|'
	has report-worst "$report" 'slowest workload.* 1\.60 \(larson 8 threads\) \| \*\*no\*\* \|'
	has report-instructions "$report" 'pair 16 B, instructions.* at most 46 \| 45\.0 \| yes \|'
	has report-memory "$report" '^\| pair 16 \| 2\.0 \| \*\*1\.0\*\* \| 4\.0 \| 2\.00 \|$'
	has report-own-memory "$report" '^\| pair 16 \| 0\.5 \| \*\*0\.5\*\* \| 2\.9 \| 1\.03 \|$'
	has report-own-required "$report" 'pages of files.* 1\.03 \(1 workloads\) \| yes \|'
	has report-p99.99-met "$report" 'p99\.99 of malloc.* at most 1\.00 \| 0\.75 \| yes \|'
	has report-p99.99-not-met "$report" 'p99\.99 of free.* 1\.25 \| \*\*no\*\* \|'
	has report-locks "$report" 'Larson.* 12\.5 .*\*\*no\*\* \|'
	has report-not-measured "$report" '^\| producer/consumer.* not measured \| - \|$'
	lacks report-judges-no-times "$report" '^\|[^|]*\<(ns|us|ms|s)\>[^|]*\| at most'
	has report-promises "$report" '^\| memory promises.* 1\.00 \(1 of 2\) \| \*\*no\*\* \|$'
	has report-failures "$report" '^- larson 8 threads: glibc crashes \(signal 11\) in turn 1$'
	if command -v gnuplot >/dev/null; then
		has chart-of-time "$out/time.svg" '</svg>'
		has chart-of-memory "$out/memory.svg" '</svg>'
		has chart-over-time "$out/over-time-x.svg" '</svg>'
		has charts-in-report "$report" '^!\[over time: x\]\(over-time-x\.svg\)$'
	fi
	: >"$out/results.csv"
	"$here/report.sh" "$out" 2>/dev/null
	check report-needs-rows "status $?" [ $? -ne 0 ]
}

test_programs()
{
	local line name

	line=$("$programs/program" "$library" sh -c 'kill -SEGV $$')
	check program-crash "status $?" [ $? -eq 139 ]
	line=$("$programs/program" "$library" sh -c 'exit 3')
	check program-fails "status $?, '$line'" [ "$?$line" = 3 ]
	line=$("$programs/program" "$library" sh -c 'echo "$LD_PRELOAD" >&2; echo noise' 2>&1)
	check program-preloads "'$line'" grep -qx "$library" <<<"$line"
	check program-line "'$line'" grep -qE '^ns=[0-9]+ ops=1 peak_kib=[0-9]+$' <<<"$line"
	for name in redis python sqlite gcc abc; do
		"$here/programs.sh" prepare $name "$scratch/programs" quick || continue
		line=$(timeout 60 "$here/programs.sh" run $name "$scratch/programs" "$library" \
			"$programs/program" 2>&1)
		check "program-$name" "says '$line'" \
			grep -qE '^ns=[1-9][0-9]* ops=1 peak_kib=[1-9][0-9]*$' <<<"$line"
	done
}

test_memory_trace()
{
	LD_PRELOAD=$library "$programs/memory" spike scattered mib=16 settle=100 trace=20 \
		>"$scratch/output" 2>&1
	check memory-trace "status $?" [ $? -eq 0 ]
	has memory-line "$scratch/output" \
		'^spike scattered .* ns=[0-9.]+ ops=[0-9]+ peak_kib=[0-9]+ '
	has memory-trace-lines "$scratch/output" '^trace [0-9]+ [1-9][0-9]*$'
}

make_path
test_workloads
test_programs
test_memory_trace
test_bad_peers
test_interrupt
test_report
exit $status
