#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Programs under what systemd does to a service (confine.c): no new privileges, its
# list of system calls, no memory that is written and executed, no capabilities, limits.
#
# for a system call, a thread or address space that a confined service does not have
# needs gcc python3 perl redis-server redis-cli redis-benchmark
# probe redis-server --version

gcc -std=gnu11 -O1 -Wall -pthread "$ROOT/tests/apps/confine.c" -o confine >&2 || exit

# Threads, processes, large and small blocks; and what the process may still do.
cat >work.py <<'END'
import hashlib, os, subprocess, sys, threading, time

def work(n, results):
    blocks = [bytearray([i & 255]) * (i * 7919 % 9000) for i in range(8000)]
    for i in range(0, len(blocks), 3):
        blocks[i] = bytearray(100)
    big = bytearray()
    for i in range(60):
        big += bytes([n + i & 255]) * 300000
    results[n] = hashlib.sha256(b"".join(blocks) + big).hexdigest()[:16]

results = {}
work(9, results)
print("one thread:", len(os.listdir("/proc/self/task")), results[9])
child = os.fork()
if not child:
    work(1, results)
    os._exit(int(results[1][:2], 16))
print("child:", os.waitpid(child, 0)[1])
threads = [threading.Thread(target=work, args=(n, results)) for n in range(4)]
for t in threads: t.start()
children = [subprocess.run(["perl", "-e", "print join ',', map { 'x' x $_ } 1..900"],
                           capture_output=True) for n in range(5)]
for t in threads: t.join()
print("threads:", *(results[n] for n in range(4)))
print("children:", *(len(c.stdout) + c.returncode for c in children))
time.sleep(1.5)
status = dict(line.split(":\t", 1) for line in open("/proc/self/status") if ":\t" in line)
print("confined:", *(status[k].strip() for k in ("NoNewPrivs", "Seccomp", "CapEff", "CapBnd")))
END

# confined NAME MEASURE ... -- COMMAND: one line; whether the machine allows it is
# asked without the library
confined()
{
	local name=$1 status measures=()

	shift
	for word; do
		[ "$word" != -- ] || break
		measures+=("$word")
	done
	if ! env -u LD_PRELOAD ./confine "${measures[@]}" -- true 2>probe; then
		echo "skipped $name $(tail -n 1 probe)"
		return
	fi
	timeout 100 ./confine "$@" >out 2>errors </dev/null
	status=$?
	cat errors >&2
	echo "result $name status $status $(tr '\n' ' ' <out)"
}

export PYTHONHASHSEED=0
confined list-errno calls=errno -- python3 work.py
confined list-kill calls=kill -- python3 work.py
confined list-kill-malloc calls=kill -- env PYTHONMALLOC=malloc python3 work.py
confined no-write-execute wx -- python3 work.py
confined no-capabilities caps -- python3 work.py
confined little-space as=700 -- python3 work.py
confined all calls=kill wx caps as=1000 -- python3 work.py

# A program that is given 200 MiB of addresses and asks for all of it hears no, and goes on.
cat >greedy.py <<'END'
blocks = []
try:
    while True: blocks.append(bytearray(1 << 20))
except MemoryError:
    full = len(blocks) > 60
    del blocks[::2]
print("refused", full, len([bytearray(50000) for i in range(300)]))
END
confined greedy as=200 -- python3 greedy.py

# As many threads as the limit allows, less one: the library may have a thread, too. How
# many there are of those that are allowed is shown.
for threads in 2 4 16; do
	if [ "$(id -u)" -ne 0 ]; then
		echo "skipped limit-threads-$threads needs root, for a user of its own"
		continue
	fi
	timeout 60 ./confine threads=$threads >out 2>errors
	echo "result limit-threads-$threads status $?"
	echo "info threads-allowed-$threads $(cat out)"
	cat errors >&2
done

# A server that forks to save, with all of it.
./confine calls=kill wx caps as=1000 -- redis-server --port 0 --unixsocket "$PWD/socket" \
	--dir "$PWD" --save '' --io-threads 2 >&2 &
server=$!
trap 'kill $server 2>/dev/null' EXIT
ask() { redis-cli -s "$PWD/socket" "$@"; }
for i in {1..100}; do
	[ "$(ask ping 2>/dev/null)" = PONG ] && break
	sleep 0.1
done
redis-benchmark -s "$PWD/socket" -q -n 5000 -c 10 -P 4 -r 5000 -d 300 -t set,lpush,hset,spop >&2
ask flushall >&2
echo "result redis-filled $(ask eval 'for i = 1, 30000 do
	redis.call("set", "k" .. i, string.rep(tostring(i), i % 60))
end return redis.call("dbsize")' 0)"
echo "result redis-saved $(ask bgsave)"
for i in {1..200}; do
	ask info persistence | grep -q '_in_progress:1' || break
	sleep 0.1
done
echo "result redis-background $(ask info persistence | tr -d '\r' | grep rdb_last_bgsave_status)"
ask shutdown nosave
wait $server
status=$?
trap - EXIT
echo "result redis-status $status"
