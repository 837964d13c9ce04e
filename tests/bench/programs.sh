#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Real programs with a malloc preloaded.
#
#	programs.sh prepare NAME DIRECTORY [quick]	whether it can be run here;
#							makes its input in DIRECTORY
#	programs.sh run NAME DIRECTORY LIBRARY STARTER	one run: "ns=N ops=N peak_kib=N"
#
# redis: a server for which a client on the same machine stores, reads, appends
# and deletes values of 300 bytes under random keys; as in redis-benchmark, which
# is the client, and which has this malloc too only if it was linked with it.
# python: tests/bench/suite.py, with each object from malloc (PYTHONMALLOC), not
# from Python's own pools. sqlite: a database in memory; tables, indexes, joins,
# sorting, deletes. gcc: one large C file at -O2; the work is done in the child. abc:
# a logic minimiser, after espresso of the classic malloc traces (Zorn and Grunwald, 1992):
# many small vectors and sets that grow, are copied and freed.
#
# The inputs are made here, of numbers that do not change, so that a run needs no
# network and everybody has the same.

here=$(cd "$(dirname "$0")" && pwd)
# Not a wrapper that somebody may have put before it: a shell would be measured, too.
python=$([ -x /usr/bin/python3 ] && echo /usr/bin/python3 || echo python3)

usage()
{
	echo "usage: programs.sh prepare|run NAME DIRECTORY ..." >&2
	exit 2
}

needs()
{
	local tool

	for tool; do
		command -v "$tool" >/dev/null || exit 1
	done
}

# C with what makes a compiler work: structs, loops, switches, inlined calls.
make_c_file()
{
	awk -v functions="$1" 'BEGIN {
		print "#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>"
		for (i = 0; i < functions; i++) {
			printf "struct s%d { struct s%d *next; int a[%d]; double d; };\n",
				i, i, i % 7 + 2
			printf "static inline int g%d(struct s%d *s, int x)\n{\n", i, i
			printf "\tfor (int i = 0; i < %d; i++)\n\t\ts->a[i] = x * i + %d;\n",
				i % 7 + 2, i
			printf "\ts->d += x;\n\treturn s->a[1] ^ x;\n}\n"
			printf "int f%d(struct s%d *s, const char *text, int x)\n{\n", i, i
			printf "\tint y = 0;\n"
			printf "\tfor (; s; s = s->next) {\n\t\tswitch (x %% 5) {\n"
			for (j = 0; j < 5; j++)
				printf "\t\tcase %d: y += g%d(s, y + %d) * x; break;\n", j, i, j
			printf "\t\t}\n\t\tif (strlen(text) > (size_t)y)\n"
			printf "\t\t\tprintf(\"%%d %%s\\n\", y, text);\n"
			if (i)
				printf "\t\ty += f%d(malloc(sizeof(struct s%d)), text + 1, x);\n",
					i - 1, i - 1
			printf "\t\tx = x * 31 + y;\n\t}\n\treturn y;\n}\n"
		}
	}'
}

make_sql_file()
{
	cat <<-END
		CREATE TABLE person (id INTEGER PRIMARY KEY, name TEXT, town INTEGER, born INTEGER);
		CREATE TABLE town (id INTEGER PRIMARY KEY, name TEXT);
		WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < $1 / 100)
			INSERT INTO town SELECT i, 'town ' || (i * 7919 % 10007) FROM n;
		WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < $1)
			INSERT INTO person SELECT i, printf('%s %d', hex(i * 2654435761 % 1000003),
				i % 97), i * 31 % ($1 / 100) + 1, 1900 + i * 17 % 120 FROM n;
		CREATE INDEX person_name ON person(name);
		CREATE INDEX person_town ON person(town, born);
		SELECT t.name, count(*), avg(p.born), group_concat(substr(p.name, 1, 3))
			FROM person p JOIN town t ON t.id = p.town
			GROUP BY t.name ORDER BY 2 DESC, 1;
		SELECT upper(name) || born AS x FROM person ORDER BY x DESC LIMIT 1000;
		SELECT count(*) FROM person a JOIN person b ON a.name = b.name AND a.id < b.id;
		UPDATE person SET name = name || ' junior' WHERE born > 1990;
		DELETE FROM person WHERE id % 3 = 0;
		SELECT name FROM person WHERE name LIKE '%A1%junior' ORDER BY born, name;
	END
}

# Boolean functions as tables of terms, whose bits are random.
make_pla_file()
{
	awk -v terms="$1" 'BEGIN {
		srand(3)
		split("0 1 -", bit, " ")
		print ".i 14\n.o 6"
		for (; terms; terms--) {
			term = ""
			for (i = 0; i < 14; i++)
				term = term bit[int(rand() * 3) + 1]
			term = term " "
			for (i = 0; i < 6; i++)
				term = term int(rand() * 2)
			print term
		}
		print ".e"
	}'
}

prepare()
{
	local size=$1

	case $name in
	redis)
		needs redis-server redis-benchmark redis-cli
		echo "$((size * 20000))" >"$directory/redis-requests"
		;;
	python)
		needs "$python"
		echo "$size" >"$directory/python-rounds"
		;;
	sqlite)
		needs sqlite3
		make_sql_file $((size * 20000)) >"$directory/sqlite.sql"
		;;
	gcc)
		needs gcc
		make_c_file $((size * 20)) >"$directory/large.c"
		;;
	abc)
		needs berkeley-abc
		make_pla_file $((size * 600)) >"$directory/functions.pla"
		;;
	*) usage ;;
	esac
}

# What a server needs is seen from outside; what it is asked for is timed.
run_redis()
{
	local socket n server start end peak status tries

	# The path of a socket has at most 107 characters.
	socket=$(mktemp -u /tmp/redis-XXXXXX) || exit 1
	n=$(cat "$directory/redis-requests")
	LD_PRELOAD=$library redis-server --port 0 --unixsocket "$socket" --save '' \
		--appendonly no --dir "$directory" --logfile "" >/dev/null &
	server=$!
	trap 'kill $server 2>/dev/null; rm -f "$socket"' EXIT
	for ((tries = 0; tries < 200; tries++)); do
		[ -S "$socket" ] && break
		kill -0 $server 2>/dev/null || break
		sleep 0.02
	done
	start=${EPOCHREALTIME/./}
	redis-benchmark -s "$socket" -q -n "$n" -r 100000 -d 300 -P 16 \
		-t set,get,lpush,rpop,sadd,hset,zadd >/dev/null
	status=$?
	end=${EPOCHREALTIME/./}
	peak=$(awk '/^VmHWM:/ { print $2 }' /proc/$server/status 2>/dev/null)
	redis-cli -s "$socket" shutdown nosave >/dev/null 2>&1
	wait $server || status=$?
	trap - EXIT
	rm -f "$socket"
	[ "$status" -eq 0 ] || exit "$status"
	echo "ns=$(((end - start) * 1000)) ops=1 peak_kib=$peak"
}

run()
{
	library=$1
	starter=$2
	case $name in
	redis) run_redis ;;
	python)
		# not -I, which makes Python ignore all of these
		unset PYTHONPATH PYTHONHOME
		PYTHONMALLOC=malloc PYTHONHASHSEED=1 PYTHONDONTWRITEBYTECODE=1 exec "$starter" \
			"$library" "$python" -s -S "$here/suite.py" \
			"$(cat "$directory/python-rounds")"
		;;
	sqlite)
		exec "$starter" "$library" sqlite3 -bail -init "$directory/sqlite.sql" \
			:memory: .quit
		;;
	gcc) exec "$starter" "$library" gcc -O2 -S -o /dev/null "$directory/large.c" ;;
	abc)
		exec "$starter" "$library" berkeley-abc -q "read_pla $directory/functions.pla;\
 strash; dc2; collapse; sop; fx; strash; dc2; rewrite; refactor"
		;;
	*) usage ;;
	esac
}

[ $# -ge 3 ] || usage
action=$1
name=$2
directory=$3
mkdir -p "$directory" || exit 2
directory=$(cd "$directory" && pwd)
case $action in
prepare)
	case $4 in
	"") prepare 5 ;;
	quick) prepare 1 ;;
	*) usage ;;
	esac
	;;
run) [ $# -eq 5 ] || usage; run "$4" "$5" ;;
*) usage ;;
esac
