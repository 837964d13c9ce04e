#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Do what a page says, to the letter, in an empty folder: the parts of it between the lines
# "<!-- follow -->" and "<!-- end -->". A part that begins with "<!-- follow if rustc 1.68 -->"
# is left out, with a line, where there is no such program, or only an older one.
#
#	follow.sh NAME PAGE FOLDER
#
# A block ```c main.c is a file of that name. A block ```sh is what is typed; all of them
# run in one shell, so that folders and variables stay, and the first command that fails
# ends it. A block ```text behind it is what it prints: the words, not the figures, and "..."
# is any end of a line. HAKMEM is the folder of the sources, as the pages say.

name=$1
page=$2
folder=$3
scratch=$(mktemp -d) || exit 2
trap 'rm -rf "$scratch"' EXIT
failed=0
verdict_prefix=$name-
. "$(dirname "$0")/../verdict.sh"

# Is there PROGRAM, of VERSION or later?
has()
{
	local version

	version=$("$1" --version 2>/dev/null | grep -oE '[0-9]+(\.[0-9]+)+' | head -n 1)
	[ -n "$version" ] && printf '%s\n' "$2" "$version" | sort -CV
}

without=
while read -r _ _ _ program version _; do
	has "$program" "$version" && continue
	without="$without $program,$version"
	verdict "without-$program (left out: there is no $program $version)" ''
done < <(grep '^<!-- follow if ' "$page")

# The page as a script. Step N prints to the file N, and should print the file N.expected.
awk -v scratch="$scratch" -v quote="'" -v without="$without " '
	/^<!-- follow( if .*)? -->$/ { marked = 1 }
	/^<!-- end -->$/ { marked = 0 }
	/^```(sh|text|[a-z]+ [^ ]+)$/ && !marked { print $0 " in line " FNR >(scratch "/unmarked") }
	/^<!-- follow -->$/ { following = 1 }
	/^<!-- follow if / { following = !index(without, " " $4 "," $5 " ") }
	/^<!-- end -->$/ { following = 0 }
	!following { next }
	/^```$/ && inside {
		if (inside == "file")
			print "END_OF_FILE"
		if (inside == "sh")
			print "} >" scratch "/" step " 2>&1\necho " step " >" scratch "/done"
		inside = ""
		next
	}
	/^```sh$/ { inside = "sh"; step++; print "{"; next }
	/^```text$/ { inside = "text"; next }
	/^```[a-z]+ [A-Za-z0-9_.-]+$/ {
		inside = "file"
		print "cat >" $2 " <<" quote "END_OF_FILE" quote
		next
	}
	/^```/ { inside = "other" }
	inside == "text" { print >(scratch "/" step ".expected") }
	inside == "sh" || inside == "file"
	END { print step + 0 >(scratch "/steps") }' "$page" >"$scratch/script"
read -r steps <"$scratch/steps"
verdict "has-all-in-marks" "$([ ! -e "$scratch/unmarked" ] || head -n 1 "$scratch/unmarked")"
verdict "has-steps" "$([ "$steps" -gt 0 ] || echo "no block \`\`\`sh in $page")"

mkdir -p "$folder" && cd "$folder" || exit 2
command -v sudo >/dev/null || echo 'sudo() { "$@"; }' >"$scratch/prelude" # for who is root
[ ! -e "$scratch/prelude" ] || cat "$scratch/script" >>"$scratch/prelude"
[ ! -e "$scratch/prelude" ] || mv "$scratch/prelude" "$scratch/script"
echo 0 >"$scratch/done"
env -u MAKEFLAGS -u MAKELEVEL -u MFLAGS -u LD_PRELOAD -u PREFIX -u DESTDIR \
	bash -e "$scratch/script" </dev/null >"$scratch/rest" 2>&1
read -r done <"$scratch/done"

# Words without figures, and with one blank between them.
shape()
{
	tr -d '\r' <"$1" | sed -E 's/0x[0-9a-f]+/N/g; s/[0-9]+(\.[0-9]+)*/N/g; s/[ \t]+/ /g
		s/^ | $//g; /^$/d'
}

# What is expected of step $1 and does not come, line by line.
differs()
{
	awk 'FNR == NR { want[FNR] = $0; n = FNR; next }
		{
			text = want[FNR]
			open = sub(/ ?\.\.\.$/, "", text)
			if (open ? index($0, text) != 1 : $0 != text)
				print "it says \"" $0 "\", the page \"" want[FNR] "\""
			last = FNR
		}
		END { if (last < n) print "it does not say \"" want[last + 1] "\"" }' \
		<(shape "$scratch/$1.expected") <(shape "$scratch/$1")
}

for ((step = 1; step <= steps; step++)); do
	if [ "$step" -gt "$done" ]; then
		verdict "step-$step" "$(tail -n 5 "$scratch/$step" 2>&1 | tr '\n' '|')"
		break
	fi
	verdict "step-$step" "$([ ! -e "$scratch/$step.expected" ] || differs "$step" | head -n 3)"
done
exit $failed
