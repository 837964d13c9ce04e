#!/bin/bash
# SPDX-License-Identifier: MIT
#
# One word for one idea: the words that were given up, each with the one that took
# its place, in identifiers and in prose; and one name for one function.

. "$(dirname "$0")/lint.sh"

cd "$ROOT" || exit 2

# Parts of identifiers, as _ divides them: where (all; core alone; or inner, which is
# core without cache/, where blocks are taken from others), the word, and what is said
# instead. A word with ^ or $ is a pattern for _identifier_; one with
# ( is for functions only.
identifiers='
	all	look		scan
	all	looks		scans
	all	looking		scanning
	all	ripe		idle
	all	ripening	idle
	all	unseen		changed
	all	^_seen_[a-z]	scan_
	core	bare		unbacked
	core	filled		backed
	all	withheld	unbacked
	all	withhold	unback
	all	fresh		untouched
	core	clean		unbacked
	core	tail		slack (of a span), or end (of a chain)
	core	tails		slack
	core	spare		slack
	all	closed		seized
	all	surplus		excess
	core	room		budget
	all	swing		burst budget
	all	furnish		remap
	all	bypass		uncached
	all	class_heap	slab_class
	core	^_heap_		arena
	inner	take(		alloc
	core	put(		free
	all	lock_release	lock_unlock
	all	cache_release	unlock
	all	lock_word_release	lock_word_unlock
	all	lock_fork_release	lock_fork_unlock
	all	_acquire_$	lock
'
public='memory_order_acquire|__atomic_acquire|sanitizer_acquire|__tsan_acquire'

# In comments, pages, manuals and scripts.
phrases='
	for want of		say without
	by and by		say later, or in pieces
	whoever			say who it is
	that is what it is	say what it is
	nobody looks		say what is not read
	ripe			say idle
	ripening		say idle
	withheld		say unbacked
	furnish			say remap
	furnishes		say remaps
	furnished		say remapped
	bypass			say uncached
	bypasses		say uncached
	bypassed		say uncached
	a look			say a scan
	the look		say the scan
	looks at		say scans, or reads
	surplus			say excess
	in order to		say to
	utilise			say use
	utilize			say use
	obviously		say it without
	of course		say it without
	basically		say it without
	henceforth		say from now on
	whilst			say while
	thereof			say of it
	heretofore		say so far
	vice versa		say it twice
	and so forth		say what else
'

old_identifiers()
{
	local files

	mapfile -t files < <(lint_files '*.[ch]' '*.cc' | grep -E '^(core|platform|include|tests)/')
	awk -v public="^($public)\$" '
		function judge(id, core, padded, i, word)
		{
			padded = "_" tolower(id) "_"
			sub(/\(_$/, "_", padded)
			if (substr(padded, 2, length(padded) - 2) ~ public)
				return ""
			for (i = 1; i <= n; i++) {
				word = words[i]
				if (scope[i] == "core" && !core || scope[i] == "inner" && core != 2)
					continue
				if (word ~ /\($/ && id !~ /\($/)
					continue
				sub(/\($/, "", word)
				if (word ~ /[$^]/ ? padded ~ word : index(padded, "_" word "_")) {
					sub(/\($/, "", id)
					sub(/^\^?_|_?\$$|_\[.*|_$/, "", word)
					return "\047" id "\047: for \047" word "\047 say " say[i]
				}
			}
			return ""
		}
		FILENAME != "-" {
			if (NF > 2) {
				scope[++n] = $1
				words[n] = $2
				sub(/^[ \t]*[^ \t]+[ \t]+[^ \t]+[ \t]+/, "")
				say[n] = $0
			}
			next
		}
		{
			match($0, /^[^:]*:[0-9]*:/)
			where = substr($0, 1, RLENGTH)
			rest = substr($0, RLENGTH + 1)
			core = where ~ /^core\/cache\// ? 1 : where ~ /^core\// ? 2 : 0
			while (match(rest, /[A-Za-z_][A-Za-z_0-9]*\(?/)) {
				id = substr(rest, RSTART, RLENGTH)
				rest = substr(rest, RSTART + RLENGTH)
				if (!((core, id) in verdict))
					verdict[core, id] = judge(id, core)
				if (verdict[core, id])
					print where " " verdict[core, id]
			}
		}' <(echo "$identifiers") - < <(lint_split code "${files[@]}")
}

# Also those that a line break divides.
old_phrases()
{
	local files pages

	mapfile -t files < <(lint_files '*.[chS]' '*.cc')
	mapfile -t pages < <(lint_files '*.md' '*.[1-9]' '*.py' Makefile '*.mk' '*.sh' '*.awk' |
		grep -v '^tests/lint/')
	awk '
		FILENAME != "-" {
			if (split($0, part, /\t+/) == 3) {
				phrases[++n] = " " part[2] " "
				say[n] = part[3]
			}
			next
		}
		{
			match($0, /^[^:]*:[0-9]*:/)
			where = substr($0, 1, RLENGTH)
			text = tolower(substr($0, RLENGTH + 1))
			gsub(/[^a-z0-9_()]+/, " ", text)
			text = text ~ /[a-z]/ ? " " text " " : ""
			gsub(/  +/, " ", text)
			both = before substr(text, 2)
			for (i = 1; i <= n; i++)
				if (index(text, phrases[i]) ||
				    (index(both, phrases[i]) && !index(before, phrases[i]))) {
					gsub(/^ | $/, "", phrases[i])
					print where " \047" phrases[i] "\047: " say[i]
					phrases[i] = " " phrases[i] " "
				}
			before = text
		}' <(echo "$phrases") - < <(
		lint_split comments "${files[@]}"
		[ ${#pages[@]} -eq 0 ] || grep -Hn '' "${pages[@]}"
	)
}

# A static function has no namesake in another file: where there would be one,
# its name starts with that of its file. The platform.h of each
# platform is its own affair, and so is the hak_cpu.h of a port.
twins()
{
	local files

	mapfile -t files < <(lint_files '*.[ch]' | grep -E '^(core|platform)/')
	lint_split code "${files[@]}" | awk '
		{
			match($0, /^[^:]*:[0-9]*:/)
			file = $0
			sub(/:.*/, "", file)
			line = substr($0, RLENGTH + 1)
			gsub(/__attribute__\(\([^)]*(\([^)]*\))?\)\)/, "", line)
			if (file ~ /^platform\/.*\/(platform|hak_cpu).h$/)
				next
		}
		line ~ /^typedef|^return/ { next }
		match(line, /^[a-zA-Z][A-Za-z0-9_ *]*[ *][a-z0-9][a-z0-9_]*\(/) {
			name = substr(line, 1, RLENGTH - 1)
			sub(/.*[ *]/, "", name)
			if (line ~ /(^| )static /)
				is_static[name, file] = 1
			if (!((name, file) in known)) {
				known[name, file] = 1
				files[name] = files[name] " " file
				count[name]++
			}
		}
		END {
			for (name in count) {
				if (count[name] == 1)
					continue
				n = split(files[name], file_of, " ")
				for (i = 1; i <= n; i++)
					if ((name, file_of[i]) in is_static) {
						print name "() stands in" files[name]
						break
					}
			}
		}' | sort
}

lint_report old-identifiers "$(old_identifiers)"
lint_report old-phrases "$(old_phrases)"
lint_report namesakes "$(twins)"
lint_finish
