#!/bin/bash
# SPDX-License-Identifier: MIT
#
# All checks of this directory, one after another.

cd "$(dirname "$0")" || exit 2
status=0
for check in include-graph no-if format undefined man selftest; do
	"./$check.sh" || status=1
done
exit $status
