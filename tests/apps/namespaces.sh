#!/bin/bash
# SPDX-License-Identifier: MIT
#
# unshare and bwrap: a program that enters namespaces has one thread, or the kernel
# refuses. What the machine does not allow is skipped.
#
# for a program that the kernel lets do less as soon as it has a second thread
# needs unshare bwrap python3
# probe unshare --help
# probe bwrap --version

# Allocates enough for the library to do all that it ever does, then enters a namespace.
cat >late.py <<'END'
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
blocks = [bytearray(3000 + i % 5000) for i in range(20000)]
del blocks[::2]
if libc.unshare(0x10000000): # CLONE_NEWUSER
    sys.exit("unshare: " + os.strerror(ctypes.get_errno()))
print("entered", len(os.listdir("/proc/self/task")), "thread,",
      sum(map(len, blocks)), "bytes")
END

# A sandbox in which there is all that is here, and a new /proc.
sandbox="bwrap --unshare-all --die-with-parent --new-session --ro-bind / / --proc /proc --dev /dev"

work='import hashlib, os
text = b"".join(bytes([i & 255]) * (i % 3000) for i in range(20000))
child = os.fork()
if not child: os._exit(len([bytearray(i) for i in range(20000)]) % 200)
print(hashlib.sha256(text).hexdigest()[:16], os.waitpid(child, 0)[1], os.getpid())'

# inside NAME COMMAND ...: whether the machine allows it is asked without the library
inside()
{
	local name=$1 status

	shift
	if ! env -u LD_PRELOAD timeout 60 "$@" >probe 2>&1 </dev/null; then
		echo "skipped $name $(tail -n 1 probe)"
		return
	fi
	timeout 60 "$@" >out 2>errors </dev/null
	status=$?
	cat errors >&2
	# a name of a process is a number that differs, but for those of a new namespace
	echo "result $name status $status $(cat out)"
}

inside unshare-r unshare -r true
inside unshare-rm unshare -rm true
inside unshare-rn unshare -rn true
inside unshare-ru unshare -ru sh -c 'hostname inside && hostname'
inside unshare-rpf unshare -rpf --mount-proc python3 -c "$work"
inside unshare-id unshare -r id -u
inside unshare-late python3 late.py
inside unshare-late-malloc env PYTHONMALLOC=malloc python3 late.py
# shellcheck disable=SC2086 # a list of words
inside bwrap $sandbox true
# shellcheck disable=SC2086
inside bwrap-python $sandbox python3 -c "$work"
# shellcheck disable=SC2086
inside bwrap-bwrap $sandbox bwrap --unshare-user --ro-bind / / --dev /dev true
# shellcheck disable=SC2086
inside bwrap-no-capabilities $sandbox --cap-drop ALL sh -c 'grep Cap /proc/self/status | tr -d "\n"'
