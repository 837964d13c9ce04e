#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Each lock of the core has one place, where it is defined; each file takes the
# lock of one place at most; and each field of a structure that locks guard says
# which. Files that take all of them are named below.

. "$(dirname "$0")/lint.sh"

cd "$ROOT" || exit 2

# Where locks are defined, and their rank there. Others take such a lock by a
# function of that place whose name ends in _lock. Claims have no rank: they are
# taken with lock_word_*(), in cache/ alone.
locks='
	reclaim/scan	LOCK_SCAN
	slab/class	LOCK_CLASS
	superslab/arena	LOCK_ARENA
	pages/meta	LOCK_META
	cache/cache	LOCK_META
	diag/trace	LOCK_META
	cache/layout	claim
	pool/layout	LOCK_CLASS
	pool/registry	LOCK_CLASS
'
exempt='^(base/lock|api/fork|diag/.*)$'

# Structures of headers whose fields say their lock, besides those that have a
# struct lock in them, and what a field may say at the end of its comment, in
# brackets: one of these words, or some with commas in between.
structures='superslab slab slab_class'
tags='scan|class|arena|meta|list|claim|pool|owner|const|atomic'

mapfile -t sources < <(find core -name '*.[ch]' | sort)
mapfile -t headers < <(find core -name '*.h' | sort)

one_lock()
{
	awk -v exempt="$exempt" '
		BEGIN {
			call = "(^|[^a-z_])lock_(try|un)?lock\\("
			object = "(^|[^a-z_])struct lock [a-z_]+(\\[.*\\])?( =|;)"
			function_head = "^[a-zA-Z].*[ *][a-z0-9_]+_(try)?lock\\("
		}
		FILENAME != "-" {
			if (NF == 2)
				rank[$1] = $2
			next
		}
		{
			match($0, /^[^:]*:[0-9]*:/)
			where[++n] = substr($0, 1, RLENGTH - 1)
			text[n] = substr($0, RLENGTH + 1)
			unit[n] = $0
			sub(/^core\//, "", unit[n])
			sub(/\.[ch]:.*/, "", unit[n])
			if (unit[n] in rank && match(text[n], function_head)) {
				name = substr(text[n], 1, RLENGTH - 1)
				sub(/.*[ *]/, "", name)
				owner[name] = unit[n]
			}
		}
		function complain(i, why)
		{
			print where[i] ": " why
		}
		function takes(i, lock, file)
		{
			file = where[i]
			sub(/:.*/, "", file)
			if (!((file, lock) in taken)) {
				taken[file, lock] = 1
				all[file] = all[file] (all[file] ? " and " : "") lock
				count[file]++
			}
		}
		# @word: as it stands in line i, with the parenthesis of a call
		function check_word(i, word)
		{
			if (word ~ /^LOCK_[A-Z]+$/ && text[i] ~ call) {
				if (rank[unit[i]] == word)
					takes(i, unit[i])
				else
					complain(i, word " is named outside its place")
			} else if (word ~ /^lock_word_[a-z]+\($/ && unit[i] !~ /^cache\//) {
				complain(i, "a claim is taken in cache/ alone")
			} else if (word ~ /_(try)?lock\($/ && word !~ /^lock_|_fork_lock/) {
				sub(/\(/, "", word)
				if (word in owner)
					takes(i, owner[word])
				else
					complain(i, word "() is of no place that has a lock")
			}
		}
		END {
			for (i = 1; i <= n; i++) {
				own = unit[i] in rank || unit[i] == "base/lock"
				if (text[i] ~ object && !own)
					complain(i, "locks.sh has no lock here")
				if (unit[i] ~ exempt)
					continue
				for (rest = text[i]; match(rest, /[A-Za-z0-9_]+\(?/); ) {
					word = substr(rest, RSTART, RLENGTH)
					rest = substr(rest, RSTART + RLENGTH)
					check_word(i, word)
				}
			}
			for (file in count)
				if (count[file] > 1)
					print file ": takes the locks of " all[file]
		}' <(echo "$locks") - < <(lint_split code "${sources[@]}")
}

# The comment of a field: in its line or above it, or at @field: of the comment
# before the structure.
fields()
{
	[ ${#headers[@]} -eq 0 ] || awk -v listed=" $structures " -v tags="$tags" '
		function end_of_structure(i, ok)
		{
			if (index(listed, " " name " ") || has_lock)
				for (i = 1; i <= n; i++) {
					ok = "\\[(" tags ")(, (" tags "))*\\][. ]*$"
					if (inline[i] !~ ok && doc[field[i]] !~ ok)
						print place[i] ": field " field[i] " of struct " \
						      name " does not say its lock"
				}
			name = ""
		}
		FNR == 1 {
			name = entry = ""
			in_comment = 0
		}
		# kernel-doc: entries run until the next one, or the end
		/^ \* @[a-z_0-9]+:/ {
			entry = $2
			gsub(/[@:]/, "", entry)
			doc[entry] = ""
		}
		/^\/\*\*/ {
			for (entry in doc)
				delete doc[entry]
			entry = ""
		}
		/^ \*\// || /^ \*$/ { entry = "" }
		/^ \*[ \t]/ && entry { doc[entry] = doc[entry] " " $0 }

		match($0, /^[a-z_A-Z ]*struct [a-z_]+ \{/) {
			name = substr($0, 1, RLENGTH - 2)
			sub(/.* /, "", name)
			n = has_lock = 0
			first = 1
			above = ""
			next
		}
		!name { next }
		/^}/ {
			end_of_structure()
			next
		}
		{
			line = comment = $0
			sub(/\/\*.*/, "", line)
			if (in_comment)
				line = ""
			else if (!sub(/^[^\/]*\/\*/, "", comment))
				comment = ""
			if (line ~ /struct lock [a-z_]+;/) {
				has_lock = 1
			} else if (line ~ /;/ && line !~ /^[ \t]*};/) {
				sub(/;.*/, "", line)
				gsub(/\[[^\]]*\]|:.*/, "", line)
				first = n + 1
				for (i = split(line, names, ","); i > 0; i--) {
					sub(/[ \t]*$/, "", names[i])
					sub(/.*[ \t*]/, "", names[i])
					field[++n] = names[i]
					place[n] = FILENAME ":" FNR
					inline[n] = above
				}
				above = ""
			}
			if (comment) {
				in_comment = !sub(/[ \t]*\*\/.*/, "", comment)
				for (i = first; i <= n; i++)
					inline[i] = inline[i] comment
				if (first > n)
					above = above comment
			}
			if (!in_comment)
				first = n + 1
		}' "${headers[@]}"
}

lint_report one-lock "$(one_lock)"
lint_report fields-say-their-lock "$(fields)"
lint_finish
