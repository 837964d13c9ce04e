# SPDX-License-Identifier: MIT
#
# A figure that is limited; scripts source this.
#
#	at_most NAME VALUE MOST SAYING || status=1
#
# No figure, or 0, is a failure, too: what should have been measured was not.

at_most()
{
	if [ "${2:-0}" -gt 0 ] && [ "$2" -le "$3" ]; then
		echo "ok $1 ($4)"
	else
		echo "FAIL $1: $4"
		return 1
	fi
}
