#!/bin/bash
# SPDX-License-Identifier: MIT
#
# HAKMEM_DUMP at exit and by a signal, and hakmem-map, which draws it: the figures of the dump, the
# parts of the page, and, where chromium is installed, the colours of a screenshot. See map.c for
# the programs.
#
#	tests/linux/map.sh DIRECTORY	where libhakmem.so is

here=$(cd "$(dirname "$0")" && pwd)
directory=$(cd "${1:?usage: $0 DIRECTORY}" && pwd) || exit 2
scratch=$(mktemp -d) || exit 2
trap 'rm -rf "$scratch"' EXIT
for name in ${!HAKMEM_@}; do unset "$name"; done
verdict_prefix=map-
failed=0
. "$here/../verdict.sh"
cd "$scratch" || exit 2

${CC:-gcc} -std=gnu11 -O1 -w -fno-builtin -pthread "$here/map.c" -o program -L"$directory" \
	-Wl,-rpath,"$directory" -lhakmem || exit 2
sed 's/@VERSION@/1.2.3/' "$here/../../platform/linux/hakmem-map.in" >hakmem-map
map() { timeout 300 python3 ./hakmem-map "$@"; }
look() { timeout 300 python3 "$here/map.py" "$@" 2>&1; }

# same NAME EXPECTED GOT
same()
{
	verdict "$1" "$([ "$2" = "$3" ] || echo "$3 instead of $2")"
}

# within NAME LEAST MOST GOT
within()
{
	verdict "$1" "$([ "$4" -ge "$2" ] && [ "$4" -le "$3" ] || echo "$4: not from $2 to $3")"
}

test_dumps()
{
	local large unbacked

	check runs env HAKMEM_DUMP=heap.%p HAKMEM_DUMP_SIGNAL=10 ./program known
	mv heap.[0-9]* heap
	same two-dumps 2 "$(grep -c '^{"hakmem_dump":1,' heap)"
	# what is in magazines counts as used
	within used-by-signal 3000 3600 "$(look used heap 1 112)"
	within used-at-exit 1000 2000 "$(look used heap 2 112)"
	read -r large unbacked <<<"$(look large heap 1)"
	same large $((16 << 20)) "$large"
	within half-of-it-is-touched $((4 << 20)) $((33 << 18)) "$unbacked"
	check busy timeout 300 env HAKMEM_DUMP=busy HAKMEM_DUMP_SIGNAL=10 ./program busy
	verdict busy-dumps "$([ "$(grep -c '^{"hakmem_dump":1,' busy)" -gt 10 ] || echo too few)"
	for number in 1 5 9; do
		check "busy-$number" map -n $number busy
	done
	check never-scans timeout 300 env HAKMEM_PURGE_DELAY_MS=-1 HAKMEM_DUMP=never \
		HAKMEM_DUMP_SIGNAL=10 ./program busy
	check default-name env HAKMEM_DUMP=1 ./program known
	verdict default-file "$(ls hakmem.[0-9]*.dump 2>&1 >/dev/null)"
	HAKMEM_DUMP=/no/such ./program known 2>said
	verdict unwritable "$(grep -q '^hakmem: .*cannot append the dump to /no/such' said ||
		cat said)"
	HAKMEM_DUMP_SIGNAL=10 ./program known 2>said
	verdict signal-alone "$(grep -q 'does nothing without HAKMEM_DUMP' said || cat said)"
}

test_pages()
{
	check map map -n 1 heap
	cp "$scratch/output" heap.html
	same page '' "$(look page heap.html)"
	within cells 10 1000 "$(look cells heap.html 'blocks of ')"
	same cell-of-large 1 "$(look cells heap.html "large block of $((16 << 20)) bytes")"
	check map-last map heap
	cp "$scratch/output" last.html
	check map-standard-input bash -c "python3 ./hakmem-map - <heap | cmp - last.html"
	check difference map -n 1 heap heap
	cp "$scratch/output" difference.html
	same difference-page '' "$(look page difference.html)"
	within difference-cells 10 10000 "$(look cells difference.html 'was: ')"
	check difference-none map heap heap
	cp "$scratch/output" none.html
	same nothing-changed 0 "$(grep -c 'class="use"' none.html)"
	check rows map --rows 1 -n 1 heap
	verdict rows-are-named "$(grep -q 'the first 1 are shown' "$scratch/output" || echo no)"
	sed 's/^/[    1.5] /; s/$/\r/; 3i\another line ]} of the console' heap >console
	check console map -n 1 console
	cp "$scratch/output" console.html
	check console-is-the-same cmp heap.html console.html
}

test_bad_input()
{
	refuses no-file 'hakmem-map: nothing: No such file' map nothing
	refuses no-dump 'hakmem-map: said: there is no dump' map said
	head -n 4 heap >short
	refuses cut-off 'hakmem-map: short: the last dump has no end' map short
	sed 's/"units":1,/"units":99999,/' heap >large
	refuses too-many 'hakmem-map: large: the dump is damaged' map large
	sed 's/"kind":"slab"/"kind":"<b>"/' heap >kind
	refuses unknown-kind 'hakmem-map: kind: the dump is damaged' map kind
	sed 's/"at":[0-9]*,/"at":"x",/' heap >at
	refuses no-number 'hakmem-map: at: the dump is damaged' map at
	sed 's/"hakmem_dump":1/"hakmem_dump":2/' heap >newer
	refuses other-form 'hakmem-map: newer: a dump of form 2' map newer
	refuses no-such-dump 'hakmem-map: heap: there is no dump 9' map -n 9 heap
	sed 's/"unit_bytes":65536/"unit_bytes":4096/' heap >units
	refuses other-units 'of different machines' map heap units
	check version map --version
	same version-is-filled-in 'hakmem 1.2.3' "$(cat "$scratch/output")"
	check help map --help
}

# A screenshot, compared by its parts.
test_browser()
{
	local browser page

	for browser in chromium chromium-browser google-chrome; do
		command -v $browser >/dev/null && break
	done
	command -v $browser >/dev/null || {
		echo "# map-browser: there is no chromium: skipped"
		return
	}
	for page in heap difference; do
		HOME=$scratch timeout 300 $browser --headless --no-sandbox --disable-gpu \
			--force-device-scale-factor=1 --hide-scrollbars --window-size=1300,600 \
			--screenshot="$scratch/$page.png" "file://$scratch/$page.html" >said 2>&1
		[ -s $page.png ] || {
			verdict "browser-$page" "no screenshot: $(tail -n 1 said)"
			continue
		}
		same "browser-$page" '' "$(look pixels $page.html $page.png | head -n 3)"
	done
}

test_dumps
test_pages
test_bad_input
test_browser
exit $failed
