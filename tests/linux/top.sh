#!/bin/bash
# SPDX-License-Identifier: MIT
#
# HAKMEM_TOP=1 and hakmem-top, which reads the page of another process. See top.c for the programs.
#
#	tests/linux/top.sh DIRECTORY	where libhakmem.so and .a are

here=$(cd "$(dirname "$0")" && pwd)
directory=$(cd "${1:?usage: $0 DIRECTORY}" && pwd) || exit 2
scratch=$(mktemp -d) || exit 2
trap 'rm -rf "$scratch"' EXIT
for name in ${!HAKMEM_@}; do unset "$name"; done
verdict_prefix=top-
failed=0
. "$here/../verdict.sh"
cd "$scratch" || exit 2
mkdir folder
export XDG_RUNTIME_DIR=$scratch/folder HAKMEM_TOP=1

build()
{
	${CC:-gcc} -std=gnu11 -O1 -w -fno-builtin -pthread -I"$here/../../include" "$here/top.c" \
		-o "$1" "${@:2}" || exit 2
}
build program -L"$directory" -Wl,-rpath,"$directory" -lhakmem
build static -static "$directory/libhakmem.a"
sed 's/@VERSION@/1.2.3/' "$here/../../platform/linux/hakmem-top.in" >hakmem-top
top() { timeout 300 python3 ./hakmem-top "$@" 9>&-; }

# begin PROGRAM ARGUMENT...: it runs as $pid, and ends when descriptor 9 is closed
begin()
{
	rm -f pipe
	mkfifo pipe
	"$@" <pipe >said 2>&1 &
	pid=$!
	exec 9>pipe
}

end()
{
	exec 9>&-
	wait "$pid" 2>/dev/null
}

# within_time COMMAND...: it succeeds within a minute or more
within_time()
{
	for ((i = 0; i < 600; i++)); do
		"$@" >/dev/null 2>&1 && return
		sleep 0.1
	done
	return 1
}

# shows PATTERN [ARGUMENT...]: a line of the table matches
shows()
{
	local pattern=$1

	shift
	top -1 "$@" "$pid" | grep -qE -- "$pattern"
}

test_figures()
{
	check equal env HAKMEM_PURGE_DELAY_MS=-1 ./program equal "$scratch/folder"
	begin ./program stay
	check shows within_time shows '^ +112 +1000 +[0-9]+% +[0-9]+ +[0-9]+ +[0-9]+% +10[0-9]+ '
	check shows-total shows '^ +total +10[0-9][0-9] '
	check sorted shows '^ +size ' -s size
	verdict sort-by-size "$(top -1 -s size "$pid" | awk 'NR > 2 && $1 ~ /^[0-9]+$/ {
		if ($1 < last) print $1 " is behind " last; last = $1 }')"
	verdict mode "$(stat -c %a folder/hakmem-top.$pid | grep -vx 600)"
	python3 ./hakmem-top -d 0.5 "$pid" >rates 2>&1 9>&- &
	verdict rates "$(within_time grep -q 'allocated/s' rates || tail -n 3 rates)"
	kill $!
	top -d 0.2 "$pid" >live 2>&1 9>&- &
	within_time grep -q total live
	end
	wait
	verdict end-is-said "$(tail -n 1 live |
		grep -vx "hakmem-top: process $pid (program) has ended")"
	verdict removed-at-exit "$(ls folder)"
	refuses ended 'there is no process [0-9]+: it has ended' top "$pid"
	begin ./static stay
	check static within_time shows '^ +112 +1000 '
	end
	begin env HAKMEM_PURGE_DELAY_MS=-1 ./program stay
	check never-scans within_time shows '^ +112 +1000 '
	end
}

test_fork()
{
	local parent child

	begin ./program fork
	within_time grep -q . said
	parent=$pid
	child=$(cat said)
	pid=$child
	check child within_time shows '^ +112 +1000 '
	pid=$parent
	check parent bash -c "! python3 ./hakmem-top -1 $pid | grep -qE '^ +112 +1000 '"
	verdict two-pages "$([ "$(ls folder | wc -l)" = 2 ] || ls folder)"
	end
	verdict both-removed "$(within_time eval '[ -z "$(ls folder)" ]' || ls folder)"
}

test_other_ends()
{
	begin ./program stay
	within_time shows '^ +112 +1000 '
	kill -9 "$pid"
	end
	verdict left-behind "$([ -e folder/hakmem-top.$pid ] || echo 'no page')"
	refuses killed 'there is no process' top -1 "$pid"
	verdict then-removed "$(ls folder)"
	refuses no-page "process $$ \(.*\) publishes nothing: start it with HAKMEM_TOP=1" top $$
	# a link that lies there already
	begin sh -c 'ln -s ../victim folder/hakmem-top.$$ && exec ./program stay'
	check link within_time shows '^ +112 +1000 '
	verdict link-is-not-followed "$([ ! -e victim ] || echo 'it is')"
	end
	rm -f folder/*
	# a file of the same number
	begin sh -c 'echo old >folder/hakmem-top.$$ && exec ./program stay'
	check old-file within_time shows '^ +112 +1000 '
	end
	begin env XDG_RUNTIME_DIR=/no/such ./program stay
	check other-folder within_time shows '^ +112 +1000 '
	verdict in-shm "$([ -e /dev/shm/hakmem-top.$pid ] || echo 'no page')"
	end
	begin sh -c 'ulimit -f 0; exec ./program stay 2>/dev/null'
	sleep 0.5
	refuses no-files 'publishes nothing' top -1 "$pid"
	end
}

test_options()
{
	check version top --version
	verdict version-is-filled-in "$(grep -vx 'hakmem 1.2.3' output)"
	check help top --help
	top nobody >line 2>&1
	verdict no-number "$([ $? = 2 ] && tail -n 1 line | grep -v 'is no number of a process')"
}

test_figures
test_fork
test_other_ends
test_options
exit $failed
