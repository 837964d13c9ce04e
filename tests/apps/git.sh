#!/bin/bash
# SPDX-License-Identifier: MIT
#
# git on a repository made here: 80 commits, cloned through its own
# protocol, packed again by two threads, checked, its history read.
#
# for a tool of one thread that starts others of itself, maps files and packs with threads
# needs git
# probe git --version

set -e -o pipefail
export GIT_CONFIG_NOSYSTEM=1 GIT_CONFIG_GLOBAL=$PWD/config
export GIT_AUTHOR_DATE='2020-01-01T00:00:00Z' GIT_COMMITTER_DATE='2020-01-01T00:00:00Z'
git config --global user.name x
git config --global user.email x@example.com
git config --global init.defaultBranch main
git config --global pack.threads 2
git config --global gc.auto 0

# A stream for fast-import: texts that change a little from commit to commit.
awk 'BEGIN {
	srand(1)
	for (c = 1; c <= 80; c++) {
		printf "commit refs/heads/%s\ncommitter x <x@example.com> %d +0000\n" \
			"data 4\nc%03d\n", (c % 10 ? "main" : "side" c % 4), 1577836800 + c, c
		for (f = 0; f < 8; f++) {
			text = ""
			for (l = 0; l < 300; l++)
				text = text "line " l " of " int(rand() * 20) \
					" in " c % (l + 1) "\n"
			printf "M 100644 inline d%d/f%d\ndata %d\n%s\n", c % 7, (c * f) % 40,
				length(text), text
		}
	}
}' >stream
git init -q --bare origin.git
git -C origin.git fast-import --quiet <stream
echo "result head $(git -C origin.git rev-parse main)"
git clone -q --no-local origin.git clone
cd clone
echo "result tree $(git ls-tree -r HEAD | sha256sum)"
echo "result log $(git log -p --stat --all | sha256sum)"
git gc -q --aggressive --prune=now
echo "result fsck $(git fsck --full --strict 2>&1 | sha256sum)"
echo "result objects $(git cat-file --batch-all-objects --batch-check | sha256sum)"
git repack -a -d -f -q --depth=50 --window=50
echo "result verify $(git verify-pack .git/objects/pack/*.idx && echo good)"
echo "result grep $(git grep --threads=2 -c 'of 7 in' HEAD | sha256sum)"
echo "result blame $(git blame d1/f8 | sha256sum)"
echo "result merge $(git merge -q --allow-unrelated-histories -s ours -m merge origin/side2 &&
	git rev-parse HEAD)"
echo "result archive $(git archive HEAD | sha256sum)"
