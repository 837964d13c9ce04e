#!/bin/bash
# SPDX-License-Identifier: MIT
#
# qemu-x86_64, which emulates the CPU of one program: threads, a fork, a compiler, an
# interpreter. The emulator itself has the library, too.
#
# for a program whose instructions are emulated, so that they are not what they were
# needs qemu-x86_64 gcc python3 perl sqlite3
# probe qemu-x86_64 --version

set -o pipefail
hash() { sha256sum | cut -c 1-32; }

# emulated NAME COMMAND ...
emulated()
{
	local name=$1 said

	shift
	said=$(timeout 150 qemu-x86_64 "$@" 2>errors </dev/null | hash)
	echo "result $name status $? $said"
	cat errors >&2
}

cat >threads.py <<'END'
import hashlib, os, queue, threading
tasks, results = queue.Queue(), {}

def work():
    while (n := tasks.get()) is not None:
        blocks = [bytes([n & 255]) * (i * 7919 % 5000) for i in range(1500)]
        results[n] = hashlib.sha256(b"".join(blocks[::3])).hexdigest()

if child := os.fork():
    print(os.waitpid(child, 0)[1])
else:
    os._exit(sum(len(bytearray(i)) for i in range(2000)) % 100)
threads = [threading.Thread(target=work) for n in range(6)]
for t in threads: t.start()
for n in range(60): tasks.put(n)
for t in threads: tasks.put(None)
for t in threads: t.join()
print(sorted(results.items()))
END
cat >unit.c <<'END'
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
int main(void) { char *s = strdup("text"); puts(s); free(s); return 0; }
END

export PYTHONHASHSEED=0 PERL_HASH_SEED=0
emulated python /usr/bin/python3 threads.py
PYTHONMALLOC=malloc emulated python-malloc /usr/bin/python3 threads.py
# shellcheck disable=SC2016 # variables of perl
emulated perl /usr/bin/perl -e '$h{$_ * 7919 % 10007} .= "x" x ($_ % 50) for 1 .. 60000;
	print map { "$_ $h{$_}\n" } sort { $a <=> $b } keys %h; print `echo child`'
emulated compiler "$(gcc -print-prog-name=cc1)" -quiet -O2 -o - unit.c
emulated sort /usr/bin/sort --parallel=4 -S 4M -k 2n <(:) "$ROOT/CHANGELOG.md" "$ROOT/README.md"
emulated sqlite /usr/bin/sqlite3 :memory: 'create table t(a, b);
	with recursive n(i) as (select 1 union all select i + 1 from n where i < 20000)
	insert into t select i, printf("%.*c", i % 90, "x") from n;
	select count(*), sum(length(b)), max(a) from t; select * from t where a % 500 = 0;'
