#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Every workload with this library and with every other malloc found, in turns:
# A B C, B C A, ..., each run in a fresh process, so that what the machine does
# meanwhile, and what the run before leaves behind, hits all alike. Figures are no
# failures: the status tells whether the bench itself could do its work.
#
# Each turn has copies of the libraries of its own. Where the kernel has put the pages
# of a file stays the same as long as it is cached, and the caches of the machine are
# indexed by that: with two copies of one library, replacing 1000 blocks takes 11.5 ns
# with the one and 14 with the other, again and again.
#
#	tests/bench/bench.sh		`make bench` builds what it needs
#
# Environment:
#	O	where everything is built, default build; results go to $O/bench:
#		results.csv, every single run; trace.csv, memory over time;
#		results.md and *.svg, made of these by report.sh
#	LIB	the library, default $O/linux/libhakmem.so
#	PEERS	more libraries to compare with, as "NAME=/PATH.so ..."
#	QUICK	if set, 3 turns instead of 9, and shorter runs
#	ONLY	if set, an extended regular expression: only workloads that match
#	TURNS	how many turns, if not as above
#	LIST	if set, the workloads and their commands are listed, and nothing is run
#	LIMIT	seconds after which a run counts as hanging, default 180
#
# A row is written when its run ends. An interrupted run has what was measured so
# far, and the report of it.

here=$(cd "$(dirname "$0")" && pwd)
O=${O:-build}
LIB=${LIB:-$O/linux/libhakmem.so}
out=$O/bench
programs=$O/linux/bench
results=$out/results.csv
trace=$out/trace.csv
turns=${TURNS:-${QUICK:+3}}
turns=${turns:-9}
limit=${LIMIT:-180}

case $turns,$limit in
*[!0-9,]* | 0,* | *,0) echo "bench.sh: TURNS and LIMIT are to be numbers from 1" >&2; exit 2 ;;
esac
for file in "$LIB" "$programs/bench" "$programs/memory" "$programs/program"; do
	[ -r "$file" ] || { echo "bench.sh: no $file: run 'make bench'" >&2; exit 2; }
done
mkdir -p "$out" || exit 2

. "$here/peers.sh"
find_peers "$programs/bench"
find_debian_peers
find_more_peers
[ ${#names[@]} -gt 2 ] || missing+=("no peers but glibc: run 'make setup-bench'")

# ------------------------------------------------------------------- workloads

# Of each workload: the command, what one run costs in ms (for the time that is
# left), and with how many operations instructions are counted (0: not at all).
workloads=()
declare -A command=() cost=() counted=()

# add NAME COST COUNTED COMMAND: a workload, unless ONLY leaves it out
add()
{
	[[ $1 =~ ${ONLY:-} ]] || return
	workloads+=("$1")
	cost[$1]=$2
	counted[$1]=$3
	command[$1]=$4
}

# steady NAME COUNTED ARGUMENTS: one that runs for as long as it is told
steady()
{
	add "$1" $((ms * 12 / 10 + 20)) "$2" "bench $3 ms=$ms"
}

add_pairs_and_batches()
{
	local size order

	for size in 16 64 256 1024 4096 16384 65536 262144 1048576; do
		steady "pair $size" 20000 "pair size=$size"
	done
	for order in fifo lifo random; do
		for size in 16 64 256 1024 4096 16384; do
			steady "batch-$order $size" 20000 "batch-$order size=$size"
		done
	done
}

add_replaces()
{
	local live

	for live in 1000 10000 100000; do
		steady "replace $live 16..1024" $((live > 10000 ? 0 : 20000)) "replace live=$live"
		steady "replace $live 16..32768" $((live > 10000 ? 0 : 20000)) \
			"replace live=$live most=32768"
	done
	if [ -n "$QUICK" ]; then
		missing+=("no replace with 1000000 blocks: QUICK leaves it out")
		return
	fi
	add "replace 1000000 16..1024" $((ms * 12 / 10 + 1000)) 0 \
		"bench replace live=1000000 ms=$ms"
	if [ "$(awk '/MemAvailable/ { print int($2 / 1048576) }' /proc/meminfo)" -ge 8 ]; then
		slow="replace 1000000 16..32768"
		[ $turns -le $turns_of_slow ] ||
			missing+=("$slow has $turns_of_slow turns, since it is slow")
		add "$slow" $(((ms + 8000) * turns_of_slow / turns)) 0 \
			"bench replace live=1000000 most=32768 ms=$ms"
	else
		missing+=("no replace 1000000 16..32768: it needs 8 GiB of free memory")
	fi
}

add_others()
{
	local spike saw

	spike="memory spike settle=0 mib=$([ -n "$QUICK" ] && echo 128 || echo 320)"

	steady "calloc 16..1024" 20000 "calloc"
	steady "calloc 65536..1048576" 0 "calloc live=64 least=65536 most=1048576"
	if [ -n "$QUICK" ]; then
		add "realloc 8 MiB" 150 0 "bench realloc size=8388608"
	else
		add "realloc 64 MiB" 1200 0 "bench realloc size=67108864"
	fi
	steady "buffers 64" 5000 "buffers"
	steady "large 65536..8388608" 0 "large"
	steady "trees 14" 100000 "trees"
	steady "bignum 64" 20000 "bignum"
	add "scaling 1000000 x 16" 150 0 "bench scaling live=1000000"
	steady "larson 2 threads" 0 "larson threads=2 least=10 most=500"
	steady "larson 2 threads 8..1000" 0 "larson threads=2 least=8 most=1000"
	steady "larson 8 threads" 0 "larson threads=8 least=10 most=500"
	steady "larson 256 threads" 0 "larson threads=256 least=10 most=500"
	steady "exchange 1 to 1" 0 "exchange threads=2 most=512"
	steady "exchange 4 to 4" 0 "exchange threads=8 most=512"
	steady "churn 2" 0 "churn"
	add "spike all" $spike_cost 0 "${spike/spike/spike all}"
	add "spike neighbour" $spike_cost 0 "${spike/spike/spike neighbour}"
	saw=$([ -n "$QUICK" ] && echo "mib=64 teeth=5" || echo "teeth=5")
	add "sawtooth" $([ -n "$QUICK" ] && echo 400 || echo 1500) 0 \
		"memory sawtooth stack sample=0 pause=0 delay=0 $saw"
	steady "latency 100000" 0 "latency live=100000"
}

# Blocks that are written and read as a whole.
add_filled()
{
	local live threads

	for threads in 1 2; do
		steady "filled 260000 threads $threads" 0 "filled live=260000 threads=$threads"
		for live in 25 100 400 1600; do
			steady "halves $live threads $threads" 0 \
				"halves size=128 live=$live threads=$threads"
		done
	done
	steady "passed 16..16000" 0 "passed live=1000 most=16000"
}

add_programs()
{
	local name

	for name in redis python sqlite gcc abc; do
		[[ "program $name" =~ ${ONLY:-} ]] || continue
		if ! "$here/programs.sh" prepare $name "$out/programs" ${QUICK:+quick}; then
			missing+=("no $name: run 'make setup-bench'")
			continue
		fi
		# once for nothing: what runs first reads its files from the disk
		timeout -k 1 $limit "$here/programs.sh" run $name "$out/programs" "" \
			"$programs/program" >/dev/null 2>&1
		add "program $name" $([ -n "$QUICK" ] && echo 400 || echo 2000) 0 "program $name"
	done
}

# ------------------------------------------------------------------------- runs

# row TURN WORKLOAD PEER STATUS LINE: LINE is "ns=N ops=N peak_kib=N KEY=VALUE ..."
row()
{
	local field ns= ops= peak= more=

	for field in $5; do
		case $field in
		ns=*) ns=${field#*=} ;;
		ops=*) ops=${field#*=} ;;
		peak_kib=*) peak=${field#*=} ;;
		*=*) more="$more${more:+ }$field" ;;
		esac
	done
	echo "$1,$2,$3,$4,$ns,$ops,$peak,$more" >>"$results"
}

# What became of a command that ended with this status.
status_name()
{
	case $1 in
	0) echo ok ;;
	124 | 137) echo "hangs" ;;
	*) [ "$1" -gt 128 ] && echo "crashes (signal $(($1 - 128)))" || echo "fails ($1)" ;;
	esac
}

# run_command WORKLOAD PEER: prints what it says of itself
run_command()
{
	local words file=${copy[$2]}

	read -ra words <<<"${command[$1]}"
	case ${words[0]} in
	bench | memory) timeout -k 1 $limit env LD_PRELOAD="$file" "$programs/${words[0]}" \
		"${words[@]:1}" ;;
	program) timeout -k 1 $limit "$here/programs.sh" run "${words[1]}" "$out/programs" \
		"$file" "$programs/program" ;;
	esac
}

measure()
{
	local turn=$1 workload=$2 peer=$3 line status

	line=$(run_command "$workload" "$peer" 2>>"$out/errors.txt")
	status=$?
	[ -n "$interrupted" ] || row "$turn" "$workload" "$peer" "$(status_name $status)" "$line"
}

progress()
{
	[ -n "$interrupted" ] && return
	local left=$((done_cost > 0 ? (SECONDS - started) * (all_cost - done_cost) / done_cost : \
		all_cost / 1000))
	local text="bench: $1, $((left / 60)) min $((left % 60)) s left"

	if [ -t 2 ]; then
		printf '\r\033[K%s' "$text" >&2
	elif [ "$text" != "$last_text" ] && [ $((SECONDS - last_report)) -ge 10 ]; then
		echo "$text" >&2
		last_report=$SECONDS
	fi
	last_text=$text
}

copy_libraries()
{
	local peer directory

	rm -rf "$out/libraries"
	mkdir "$out/libraries" && directory=$(realpath "$out/libraries") || exit 2
	for peer in "${names[@]}"; do
		[ -n "${library[$peer]}" ] || continue
		copy[$peer]=$directory/$peer.so
		cp "${library[$peer]}" "${copy[$peer]}" || exit 2
	done
}

run_turns()
{
	local turn workload peer order=("${names[@]}")
	declare -A copy=()

	for ((turn = 1; turn <= turns; turn++)); do
		copy_libraries
		for workload in "${workloads[@]}"; do
			for peer in "${order[@]}"; do
				[ -n "$interrupted" ] && return
				if [ "$workload" != "$slow" ] || [ $turn -le $turns_of_slow ]; then
					progress "turn $turn of $turns, $workload, $peer"
					measure $turn "$workload" "$peer"
				fi
				done_cost=$((done_cost + cost[$workload]))
			done
		done
		order=("${order[@]:1}" "${order[0]}")
	done
}

# ----------------------------------------------------------------- instructions

# Only what is measured is counted, warm-up and preparation are not.
count_one()
{
	local workload=$1 peer=$2 words counts ops

	read -ra words <<<"${command[$workload]}"
	counts=$(LD_PRELOAD=${library[$peer]} timeout -k 1 $((2 * limit)) \
		valgrind --tool=callgrind --callgrind-out-file=/dev/null --collect-atstart=no \
		--toggle-collect=measured "$programs/bench" "${words[@]:1}" \
		ops="${counted[$workload]}" 2>&1)
	ops=$(sed -nE 's/^ns=[^ ]+ ops=([0-9]+) .*/\1/p' <<<"$counts")
	counts=$(sed -nE 's/.*Collected *: *([0-9]+).*/\1/p' <<<"$counts")
	if [ -n "$counts" ] && [ "${ops:-0}" -gt 0 ]; then
		row 0 "$workload" "$peer" ok "$(awk -v n="$counts" -v ops="$ops" \
			'BEGIN { printf "instructions=%.2f", n / ops }')"
	else
		row 0 "$workload" "$peer" "fails under callgrind" ""
	fi
}

# Are instructions of this workload counted?
is_counted()
{
	[ "${counted[$1]}" -gt 0 ] && { [ -z "$QUICK" ] || [[ $1 =~ $quick_counts ]]; }
}

# One after another on each CPU: they do not disturb what they count.
count_instructions()
{
	local workload peer running=0 cpus

	cpus=$(nproc)
	for workload in "${workloads[@]}"; do
		is_counted "$workload" || continue
		for peer in "${names[@]}"; do
			[ $running -lt "$cpus" ] || { wait -n; running=$((running - 1)); }
			[ -z "$interrupted" ] || break 2
			progress "instructions of $workload, $peer"
			count_one "$workload" "$peer" &
			running=$((running + 1))
			done_cost=$((done_cost + count_cost))
		done
	done
	wait
}

# ------------------------------------------------------------- memory over time

trace_one()
{
	local workload=$1 peer=$2 line status=0

	shift 2
	line=$(LD_PRELOAD=${library[$peer]} timeout -k 1 $limit "$programs/memory" "$@" trace=50 \
		2>>"$out/errors.txt") || status=$?
	awk -v who="$workload,$peer" '$1 == "trace" { print who "," $2 "," $3 }' \
		<<<"$line" >>"$trace"
	[ $status -eq 0 ] || [ -n "$interrupted" ] ||
		row 0 "$workload" "$peer" "$(status_name $status)" ""
}

run_traces()
{
	local peer mib=1280 settle=3000

	[ -z "$QUICK" ] || { mib=256; settle=1500; }
	for peer in "${names[@]}"; do
		[ -n "$interrupted" ] && return
		progress "memory over time, $peer"
		trace_one "memory over time: all freed" "$peer" \
			spike all light=1 mib=$mib settle=$settle
		[ -n "$QUICK" ] || trace_one "memory over time: 1 of 16 survives" "$peer" \
			spike scattered light=1 mib=$mib settle=$settle
		[ -n "$QUICK" ] || trace_one "memory over time: sawtooth" "$peer" \
			sawtooth stack teeth=5 pause=300 sample=0
		done_cost=$((done_cost + trace_cost))
	done
}

# The memory promises, in this same build and run; of hakmem alone (with QUICK, a
# part of them). With all peers it would take as long as all the rest.
run_memory()
{
	[ -n "$interrupted" ] && return
	progress "what goes back (make bench-memory)"
	if ! O=$O LIB=$LIB ALONE=1 BRIEF=$QUICK QUICK='' "$here/memory.sh" \
		>"$out/memory.log" 2>&1 && [ -z "$interrupted" ]; then
		rm -f "$out/memory.md"
		missing+=("no memory promises: a workload failed, see $out/memory.log")
	fi
	done_cost=$((done_cost + memory_cost))
}

# ------------------------------------------------------------------- the machine

version_of()
{
	dpkg-query -W -f '${Version}' "$1" 2>/dev/null || echo "version unknown"
}

describe_machine()
{
	local thp=/sys/kernel/mm/transparent_hugepage/enabled name

	echo "date: $(date -u '+%Y-%m-%d %H:%M UTC')"
	echo "machine: $(sed -nE 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)," \
		"$(nproc) CPUs," \
		"$(awk '/MemTotal/ { printf "%.0f GiB", $2 / 1048576 }' /proc/meminfo)"
	echo "kernel: $(uname -sr)"
	echo "transparent huge pages: $(sed -nE 's/.*\[(.*)\].*/\1/p' $thp 2>/dev/null)"
	echo "load before: $(cut -d ' ' -f 1 /proc/loadavg)"
	echo "compiler: $(${CC:-gcc} --version | head -n 1)"
	echo "hakmem: $(git -C "$here" describe --always --dirty 2>/dev/null ||
		echo "version unknown")"
	for name in glibc:libc6 mimalloc:libmimalloc2.0 jemalloc:libjemalloc2 \
		tcmalloc:libtcmalloc-minimal4; do
		[ -z "${library[${name%%:*}]}" ] ||
			echo "${name%%:*}: $(version_of "${name#*:}")"
	done
	for name in "${names[@]}"; do
		case $name in
		hakmem | glibc | mimalloc | jemalloc | tcmalloc) ;;
		*) echo "$name: ${library[$name]##*/}" ;;
		esac
	done
	echo "turns: $turns${QUICK:+ (QUICK)}, of $ms ms where a workload has no end of its own"
}

# -------------------------------------------------------------------------- main

ms=$([ -n "$QUICK" ] && echo 60 || echo 250)
turns_of_slow=3
quick_counts='^(pair (16|64|1048576)|batch-random 64|replace 10000 16..1024)$'
count_cost=600
spike_cost=$([ -n "$QUICK" ] && echo 600 || echo 1500)
trace_cost=$([ -n "$QUICK" ] && echo 3000 || echo 18000)
memory_cost=$([ -n "$QUICK" ] && echo 26000 || echo 270000)

interrupted=
trap 'interrupted=yes' INT TERM
add_pairs_and_batches
add_replaces
add_others
add_filled
add_programs
[ ${#workloads[@]} -gt 0 ] || { echo "bench.sh: no workload matches ONLY=$ONLY" >&2; exit 2; }
if [ -n "$LIST" ]; then
	for workload in "${workloads[@]}"; do
		echo "$workload: ${command[$workload]}"
	done
	exit
fi

echo "turn,workload,peer,status,ns,ops,peak_kib,more" >"$results"
echo "workload,peer,ms,kib" >"$trace"
: >"$out/errors.txt"
rm -f "$out"/*.svg "$out/memory.md"
describe_machine >"$out/machine.txt"

all_cost=0
done_cost=0
for workload in "${workloads[@]}"; do
	all_cost=$((all_cost + cost[$workload] * turns * ${#names[@]}))
	! is_counted "$workload" || all_cost=$((all_cost + count_cost * ${#names[@]}))
done
[ -n "$ONLY" ] || all_cost=$((all_cost + trace_cost * ${#names[@]} + memory_cost))
started=$SECONDS

run_turns
rm -rf "$out/libraries"
if command -v valgrind >/dev/null; then
	count_instructions
else
	missing+=("no valgrind, which counts instructions: run 'make setup-bench'")
fi
if [ -z "$ONLY" ]; then
	run_traces
	run_memory
fi
[ -t 2 ] && printf '\r\033[K' >&2
[ -z "$interrupted" ] || missing+=("the run was interrupted: there is no more than this")
command -v gnuplot >/dev/null || missing+=("no gnuplot, which draws: run 'make setup-bench'")
printf '%s\n' "${missing[@]}" | sed '/^$/d' >"$out/missing.txt"
"$here/report.sh" "$out" || exit
[ -z "$interrupted" ]
