#!/bin/bash
# SPDX-License-Identifier: MIT
#
# nginx: a master and two workers on a unix socket; files, compression and itself as
# upstream, for clients in parallel; new workers by SIGHUP, then the end by SIGQUIT.
#
# for a server that forks its workers, and more of them while it runs
# needs nginx python3
# probe nginx -v

mkdir -p files/many logs
for i in {1..40}; do
	seq "$i" $((i * 331)) >"files/many/$i.txt"
done
[ "$(id -u)" -ne 0 ] || user='user root;'
cat >nginx.conf <<END
$user
worker_processes 2;
daemon off;
pid $PWD/pid;
error_log $PWD/logs/error.log info;
events { worker_connections 128; }
http {
	access_log $PWD/logs/access.log;
	client_body_temp_path $PWD/body;
	proxy_temp_path $PWD/proxy;
	fastcgi_temp_path $PWD/fastcgi;
	uwsgi_temp_path $PWD/uwsgi;
	scgi_temp_path $PWD/scgi;
	default_type text/plain;
	gzip on;
	gzip_min_length 100;
	gzip_types text/plain;
	aio threads;
	upstream self { server unix:$PWD/socket; keepalive 4; }
	server {
		listen unix:$PWD/socket;
		root $PWD/files;
		location /self/ { proxy_pass http://self/; proxy_buffers 8 4k; }
		location /gone { return 410; }
	}
}
END
cat >client.py <<'END'
import concurrent.futures, gzip, hashlib, http.client, socket

class Connection(http.client.HTTPConnection):
    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(60)
        self.sock.connect("socket")

def client(n):
    connection, seen = Connection("localhost"), []
    for i in range(60):
        path = ("/many/%d.txt", "/self/many/%d.txt", "/gone%d", "/nothing%d")[i % 4] \
            % ((i * 7 + n) % 40 + 1)
        packed = i % 3 == 0
        connection.request("GET", path, headers={"Accept-Encoding": "gzip"} if packed else {})
        reply = connection.getresponse()
        body = reply.read()
        if reply.getheader("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        seen.append("%s %d %s" % (path, reply.status, hashlib.sha256(body).hexdigest()))
    connection.close()
    return seen

with concurrent.futures.ThreadPoolExecutor(8) as pool:
    lines = sorted(sum(pool.map(client, range(16)), []))
print(len(lines), hashlib.sha256("\n".join(lines).encode()).hexdigest()[:32])
END

nginx -e logs/error.log -p "$PWD" -c "$PWD/nginx.conf" &
master=$!
trap 'kill -9 $(cat pid 2>/dev/null) $(workers) 2>/dev/null' EXIT
workers() { ps --ppid "$master" -o pid=,args= | awk '/worker process$/ { print $1 }'; }

# settled OLD: two workers, none of them one of OLD
settled()
{
	local i now

	for i in {1..200}; do
		now=$(workers)
		[ "$(wc -w <<<"$now")" -eq 2 ] &&
			! grep -qxF "${1:-none}" <<<"$now" && [ -S socket ] && break
		sleep 0.1
	done
	wc -w <<<"$now"
}

running=$(settled)
echo "result workers $running"
[ "$running" -eq 2 ] || exit 1
echo "result served $(python3 client.py)"
for round in 1 2 3; do
	old=$(workers)
	kill -HUP $master
	echo "result workers-$round $(settled "$old")"
	echo "result served-$round $(python3 client.py)"
done
kill -QUIT $master
for i in {1..200}; do
	kill -0 $master 2>/dev/null || break
	sleep 0.1
done
echo "result left $(workers | wc -w)"
kill -9 $master $(workers) 2>/dev/null
wait $master
status=$?
trap - EXIT
echo "result status $status"
echo "result lines $(wc -l <logs/access.log)"
bad='exited on signal|exited with (code [^0]|fatal)|\[(alert|emerg|crit)\]'
echo "result died $(grep -cE "$bad" logs/error.log)"
