#!/bin/bash
# SPDX-License-Identifier: MIT
#
# stress-ng's malloc stressor: it verifies its blocks. Bounded in operations; with
# threads, with touched pages, and with much at once.
#
# for a load that does nothing but malloc and free, and verifies its blocks
# needs stress-ng
# probe stress-ng --version

# stress NAME OPTION ...
stress()
{
	local name=$1 status

	shift
	stress-ng --verify --metrics-brief --timeout 60 --temp-path . "$@" >log 2>&1
	status=$?
	cat log >&2
	echo "result $name status $status, $(grep -ci fail log) failures, $(
		grep -o 'successful run' log)"
}

stress small --malloc 2 --malloc-ops 500000 --malloc-bytes 2K
stress threads --malloc 2 --malloc-ops 100000 --malloc-pthreads 4 --malloc-bytes 16K
stress touched --malloc 2 --malloc-ops 20000 --malloc-touch --malloc-bytes 256K --malloc-max 2000
stress large --malloc 1 --malloc-ops 5000 --malloc-bytes 32M --malloc-max 64
