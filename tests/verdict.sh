# SPDX-License-Identifier: MIT
#
# What is said of a test; scripts source this. A test that fails sets `failed` to 1.
#
#	verdict NAME COMPLAINT		the complaint is empty if all is well
#	check NAME COMMAND ...		it succeeds; its output goes to $scratch/output
#	refuses NAME PATTERN COMMAND ...	it fails with one line, which matches
#
# $verdict_prefix goes in front of each name.

verdict()
{
	if [ -z "$2" ]; then
		echo "ok ${verdict_prefix-}$1"
	else
		echo "FAIL ${verdict_prefix-}$1: $2"
		failed=1
	fi
}

check()
{
	local name=$1

	shift
	if "$@" >"$scratch/output" 2>&1; then
		verdict "$name" ""
	else
		verdict "$name" "status $?: $(tail -n 5 "$scratch/output" | tr '\n' '|')"
	fi
}

refuses()
{
	local name=$1 pattern=$2 status

	shift 2
	"$@" >"$scratch/output" 2>"$scratch/said" </dev/null
	status=$?
	verdict "$name" "$([ $status != 0 ] && [ "$(wc -l <"$scratch/said")" = 1 ] &&
		[ ! -s "$scratch/output" ] && grep -qE -- "$pattern" "$scratch/said" ||
		echo "status $status: $(head -n 3 "$scratch/said")")"
}
