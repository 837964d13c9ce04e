#!/bin/bash
# SPDX-License-Identifier: MIT
#
# redis-server on a unix socket: redis-benchmark's traffic, then a data set that
# is the same in every run, saved by a forked child, loaded again, thinned out.
#
# for a server that forks a child with all its data, and defragments
# needs redis-server redis-benchmark redis-cli
# probe redis-server --version
# probe redis-benchmark --version

set -o pipefail
socket=$PWD/socket

redis-server --port 0 --unixsocket "$socket" --dir "$PWD" --save '' --io-threads 2 \
	--enable-debug-command yes --appendonly no >&2 &
server=$!
trap 'kill $server 2>/dev/null; wait $server' EXIT

ask() { redis-cli -s "$socket" "$@"; }

report()
{
	local name

	for name in used_memory_human used_memory_rss_human mem_fragmentation_ratio; do
		echo "info $1:$name $(ask info memory | tr -d '\r' | sed -n "s/^$name://p")"
	done
}

# The digest of all keys and values; its reply is an error if there is none.
digest() { ask debug digest; }

for i in {1..100}; do
	[ "$(ask ping 2>/dev/null)" = PONG ] && break
	sleep 0.1
done

redis-benchmark -s "$socket" -q -n 15000 -c 20 -P 4 -r 20000 -d 200 \
	-t set,get,incr,lpush,rpop,sadd,hset,spop,zadd,lrange_100,mset >benchmark ||
	exit 1
tr '\r' '\n' <benchmark | grep -a 'requests per second' >&2
echo "result benchmark $(tr '\r' '\n' <benchmark | grep -ac 'requests per second')"
ask flushall >&2

ask eval 'for i = 1, 100000 do
	redis.call("set", "k" .. i, string.rep(tostring(i), i % 60))
	if i % 4 == 0 then redis.call("hset", "h" .. i % 999, i, string.rep("v", i % 300)) end
	if i % 5 == 0 then redis.call("zadd", "z" .. i % 99, i * 7919 % 100003, "m" .. i) end
	if i % 7 == 0 then redis.call("rpush", "l" .. i % 49, string.rep("x", i % 500)) end
end
return redis.call("dbsize")' 0 | sed 's/^/result filled /'
echo "result digest-filled $(digest)"
report filled

echo "result saved $(ask save)"
ask bgrewriteaof >&2
ask debug reload >&2
echo "result digest-reloaded $(digest)"
echo "result background-save $(ask bgsave)"
for i in {1..200}; do
	ask info persistence | grep -q '_in_progress:1' || break
	sleep 0.1
done
echo "result background-save-status $(ask info persistence | tr -d '\r' |
	grep -E '^(rdb_last_bgsave|aof_last_bgrewrite)_status' | tr '\n' ' ')"

ask eval 'for i = 1, 100000 do
	if i % 16 ~= 0 then redis.call("del", "k" .. i) end
end
return redis.call("dbsize")' 0 | sed 's/^/result thinned /'
echo "result digest-thinned $(digest)"
sleep 2
report thinned-2s-later
ask shutdown nosave
wait $server
status=$?
trap - EXIT
echo "result server-status $status"
