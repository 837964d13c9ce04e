#!/bin/bash
# SPDX-License-Identifier: MIT
#
# What people set by the environment, and what they then read.
#
#	tests/linux/options.sh DIRECTORY [archive]	where libhakmem.so and .a are; programs are
#							linked with the archive

stats_h=$(cd "$(dirname "$0")/../.." && pwd)/include/hakmem/stats.h
directory=$(cd "${1:?usage: $0 DIRECTORY}" && pwd) || exit 2
library=$directory/libhakmem.so
archive=${2:+$directory/libhakmem.a}
preloaded=
[ -n "$archive" ] || preloaded=$library
cc=${CC:-gcc}
status=0
scratch=$(mktemp -d) || exit 2
trap 'rm -rf "$scratch"' EXIT
for name in ${!HAKMEM_@}; do unset "$name"; done
ulimit -S -c 0

fail()
{
	echo "FAIL $*"
	status=1
}

# with NAME=VALUE ... -- COMMAND: the command with the library; errors in $scratch/errors
with()
{
	local settings=()

	while [ "$1" != -- ]; do
		settings+=("$1")
		shift
	done
	shift
	env "${settings[@]}" LD_PRELOAD="$preloaded" "$@" >"$scratch/output" 2>"$scratch/errors"
}

# expect NAME LINES PATTERN: so many lines on stderr, one of which matches
expect()
{
	local lines

	lines=$(wc -l <"$scratch/errors")
	if { [ "$2" != some ] && [ "$lines" -ne "$2" ]; } ||
		{ [ -n "$3" ] && ! grep -qE -- "$3" "$scratch/errors"; }; then
		fail "$1: $lines lines: $(head -n 2 "$scratch/errors" | tr '\n' ' ')"
	else
		echo "ok $1"
	fi
}

# "hakmem: NAME[PID]: ", of a program called probe
who='^hakmem: probe\[[0-9]+\]: '
runs="${who}version [0-9.]+ runs with"

build_probe()
{
	$cc -w -fno-builtin -pthread -o "$scratch/probe" -x c - \
		${archive:+-x none "$archive"} <<-'END'
		#define _GNU_SOURCE
		#include <fcntl.h>
		#include <stdio.h>
		#include <stdlib.h>
		#include <string.h>
		#include <unistd.h>
		static void *block[400];
		int main(int argc, char **argv)
		{
			char text[100000], *at = text;
			int file = open("/proc/self/smaps", O_RDONLY), n, huge = 0, not = 0;

			if (argc > 1 && !strcmp(argv[1], "bad"))
				free(argv);
			if (argc > 1 && !strcmp(argv[1], "exit"))
				_exit(0);
			if (argc > 1 && !strcmp(argv[1], "close"))
				fclose(stderr);
			if (argc > 2) {
				closefrom(3);
				while ((file = open(argv[2], O_RDWR | O_CREAT, 0600)) < 200)
					;
			}
			for (int i = 0; i < 400; i++)
				if ((block[i] = malloc(30000)))
					memset(block[i], 1, 30000);
			while ((n = read(file, at, text + sizeof(text) - 1 - at)) > 0)
				at += n;
			*at = 0;
			for (at = text; (at = strstr(at, "VmFlags:")); at++) {
				char *end = strchr(at, '\n');

				*end = 0;
				huge |= !!strstr(at, " hg");
				not |= !!strstr(at, " nh");
				*end = ' ';
			}
			printf("%d %d %d\n", huge, not, getpid());
			return 0;
		}
	END
}

test_table()
{
	local name

	with HAKMEM_HELP=1 -- "$scratch/probe"
	expect help 15 "${who}options by environment"
	for name in DEBUG DUMP DUMP_SIGNAL GUARD HELP LEAKS PROFILE PROFILE_SIGNAL PURGE_DELAY_MS \
		REAPER STATS THP TOP VERBOSE; do
		grep -qE "^  HAKMEM_$name +[^ ]+ +[^ ]+ +[^ ]" "$scratch/errors" ||
			fail "help-$name: not in the table"
	done
	with HAKMEM_HELP=0 -- "$scratch/probe"
	expect no-help 0
	with -- "$scratch/probe"
	expect silence 0
}

test_values()
{
	local value

	for value in '' x 1x 2 -1 99999999999; do
		with HAKMEM_REAPER="$value" -- "$scratch/probe"
		expect "reaper-is-not-'$value'" 1 \
			"${who}HAKMEM_REAPER may be auto\|1\|0: using auto, not \"$value\"$"
	done
	for value in -2 60001 1.5 five; do
		with HAKMEM_PURGE_DELAY_MS="$value" -- "$scratch/probe"
		expect "delay-is-not-$value" 1 "_MS may be -1\.\.60000: using 500, not \"$value\"$"
	done
	with HAKMEM_THP=sometimes -- "$scratch/probe"
	expect thp-is-not-sometimes 1 \
		"${who}HAKMEM_THP may be default\|never\|always: using default, not \"sometimes\"$"
	for value in auto 0 1; do
		with HAKMEM_REAPER="$value" HAKMEM_PURGE_DELAY_MS=-1 HAKMEM_THP=default -- \
			"$scratch/probe"
		expect "good-values-$value" 0
	done
	with HAKMEM_FOO=1 HAKMEM_REAPR=0 -- "$scratch/probe"
	expect unknown 1 "${who}unknown option( HAKMEM_FOO| HAKMEM_REAPR){2}; HAKMEM_HELP=1 lists"
	with HAKMEM_REAPER=0 HAKMEM_VERBOSE=1 -- "$scratch/probe"
	expect verbose 1 \
		"$runs DEBUG=- DUMP=0 .* PURGE_DELAY_MS=500 REAPER=0 STATS=0 THP=default TOP=0 VER"
	with HAKMEM_VERBOSE=1 -- "$scratch/probe"
	expect verbose-about-no-thread 1 "$runs DEBUG=- DUMP=0 .* REAPER=auto "
	with HAKMEM_VERBOSE=1 HAKMEM_REAPER=1 -- "$scratch/probe"
	expect verbose-about-thread 2 "${who}a thread gives memory back$"
	(ulimit -v 12000 && with HAKMEM_VERBOSE=1 HAKMEM_REAPER=0 -- "$scratch/probe")
	expect verbose-about-refusals 2 "${who}the system refuses to map 2048 KiB \(errno 12\)$"
}

# thp VALUE HUGE NOT: is any memory marked for huge pages, or for none?
thp()
{
	with HAKMEM_REAPER=0 HAKMEM_THP="$1" -- "$scratch/probe"
	if [ "$(cut -d' ' -f1,2 "$scratch/output")" = "$2 $3" ]; then
		echo "ok thp-$1"
	else
		fail "thp-$1: huge, not huge: $(cat "$scratch/output")"
	fi
}

test_thp()
{
	thp default 0 1
	thp never 0 1
	thp always 1 0
}

test_stats()
{
	local runs

	with HAKMEM_STATS=1 -- "$scratch/probe"
	expect stats some "${who}statistics at exit$"
	expect stats-have-the-heap some '^SuperSlabs: [1-9]'
	with HAKMEM_STATS=0 -- "$scratch/probe"
	expect no-stats 0
	with HAKMEM_STATS=1 -- "$scratch/probe" exit
	expect no-stats-of-_exit 0
	with HAKMEM_STATS=1 -- "$scratch/probe" close
	expect stats-after-stderr some "${who}statistics at exit$"
	with HAKMEM_STATS=1 -- "$scratch/probe" close "$scratch/others"
	expect no-stats-into-others 0
	[ -e "$scratch/others" ] && [ ! -s "$scratch/others" ] ||
		fail "no-stats-into-others: $(head -n 1 "$scratch/others")"
	with HAKMEM_STATS="$scratch/stats" -- "$scratch/probe"
	expect stats-in-file 0
	with HAKMEM_STATS="$scratch/stats" -- "$scratch/probe"
	runs=$(grep -cE "${who}statistics at exit" "$scratch/stats")
	[ "$runs" -eq 2 ] && echo "ok stats-are-appended" || fail "stats-are-appended: $runs runs"
	with HAKMEM_STATS="json:$scratch/json" -- "$scratch/probe"
	expect stats-as-json 0
	with HAKMEM_STATS="json:$scratch/json" -- "$scratch/probe"
	runs=$(grep -cE '^\{"version":[0-9]+,.*"classes":\[.*\]\}$' "$scratch/json")
	[ "$runs $(wc -l <"$scratch/json")" = '2 2' ] && echo "ok stats-as-json-lines" ||
		fail "stats-as-json-lines: $runs runs"
	undocumented=$(grep -o '"[a-z_]*":' "$scratch/json" | sort -u | tr -d '":' |
		grep -vxE 'version|total|spans|classes' | while read -r key; do
		grep -qP "\s$key;\s+/\*" "$stats_h" ||
			echo "$key"
	done)
	[ -z "$undocumented" ] && echo "ok stats-keys-are-documented" ||
		fail "stats-keys-are-documented: not " $undocumented
	with HAKMEM_STATS=json: -- "$scratch/probe"
	expect stats-as-json-nowhere 1 "${who}cannot append to  \(errno 2\)$"
	with HAKMEM_STATS="$scratch/no/such/file" -- "$scratch/probe"
	expect stats-nowhere 1 "${who}cannot append to $scratch/no/such/file \(errno 2\)$"
	with HAKMEM_STATS="$scratch/no/such/file" -- "$scratch/probe" close
	expect stats-nowhere-after-close 1 "${who}cannot append to .*file \(errno 2\)$"
	with HAKMEM_STATS="$scratch/%p.stats.%p%" -- "$scratch/probe"
	runs=$(cut -d' ' -f3 "$scratch/output")
	[ -s "$scratch/$runs.stats.$runs%" ] && echo "ok stats-by-pid" ||
		fail "stats-by-pid: $(ls "$scratch")"
	mkfifo "$scratch/fifo"
	with HAKMEM_STATS="$scratch/fifo" -- timeout 300 "$scratch/probe"
	expect stats-without-reader some "${who}cannot append to $scratch/fifo \(errno 6\)$"
	with HAKMEM_STATS=/dev/full -- "$scratch/probe"
	expect stats-into-full-device 0
	test_stats_links
}

# A link of the user's own is followed, one of another user is not, nor is a folder of such.
test_stats_links()
{
	ln -s real "$scratch/link"
	with HAKMEM_STATS="$scratch/link" -- "$scratch/probe"
	expect stats-through-link 0
	[ -s "$scratch/real" ] || fail "stats-through-link: nothing is there"
	if [ "$(id -u)" -ne 0 ] || ! command -v setpriv >/dev/null; then
		echo "not root: links of other users are not tried"
		return
	fi
	mkdir -m 777 "$scratch/nobodys" && ln -s "$scratch/target" "$scratch/nobodys/file" &&
		ln -s "$scratch" "$scratch/nobodys/folder" &&
		chown -h nobody "$scratch/nobodys/file" "$scratch/nobodys/folder"
	with HAKMEM_STATS="$scratch/nobodys/file" -- "$scratch/probe"
	expect stats-not-through-others-link 1 "${who}cannot append to .* \(errno 40\)$"
	with HAKMEM_STATS="$scratch/nobodys/folder/target" -- "$scratch/probe"
	expect stats-not-through-others-folder 1 "${who}cannot append to .* \(errno 40\)$"
	[ ! -e "$scratch/target" ] || fail "stats-not-through-others-link: the file is there"
}

# The line of a crime; and that the system, which is told by a signal, can write a core.
test_bad_input()
{
	{ with -- "$scratch/probe" bad; } 2>/dev/null
	[ $? -eq 134 ] && echo "ok bad-aborts" || fail "bad-aborts: another status"
	expect bad-names-process 1 "${who}free\(0x[0-9a-f]+\): not from this heap \(mapped by"
	(cd "$scratch" && ulimit -c unlimited && mkdir core.d && cd core.d &&
		bash -c "LD_PRELOAD=$preloaded ../probe bad" 2>/dev/null)
	case $(cat /proc/sys/kernel/core_pattern) in
	*/* | '|'*) echo "cores go elsewhere here: not looked for" ;;
	*)
		if [ -n "$(ls -A "$scratch/core.d")" ]; then
			echo "ok bad-leaves-a-core"
		else
			fail "bad-leaves-a-core: there is none"
		fi
		;;
	esac
}

# A copy that runs as its owner, not as its caller. The library is linked, as LD_PRELOAD
# is ignored there.
test_setuid()
{
	local dir other=nobody

	if [ "$(id -u)" -ne 0 ] || ! command -v setpriv >/dev/null; then
		echo "not root: programs with setuid are not tried"
		return
	fi
	dir=$(mktemp -d /var/tmp/hakmem.XXXXXX) && chmod 755 "$dir" || return
	cp "$library" "$dir/libhakmem.so.1" && chmod 644 "$dir/libhakmem.so.1" &&
		$cc -w -fno-builtin -pthread -x c - -o "$dir/probe" -x none \
			"${archive:-$library}" -Wl,-rpath,"$dir" <<-'END'
			#include <stdio.h>
			#include <stdlib.h>
			int main(void) { return printf("%p\n", malloc(1)) < 0; }
		END
	for mode in 755 4755; do
		chown root "$dir/probe" && chmod $mode "$dir/probe"
		HAKMEM_VERBOSE=1 HAKMEM_STATS=1 HAKMEM_HELP=1 HAKMEM_FOO=1 setpriv --reuid=$other \
			--clear-groups "$dir/probe" >"$scratch/output" 2>"$scratch/errors" ||
			fail "setuid-$mode: $(cat "$scratch/errors")"
		[ $mode = 755 ] && expect not-setuid some "$runs"
		[ $mode = 4755 ] && expect setuid-ignores-all 0
	done
	rm -r "$dir"
}

build_probe || {
	fail "probe-builds"
	exit 1
}
test_table
test_values
test_thp
test_stats
test_bad_input
test_setuid
exit $status
