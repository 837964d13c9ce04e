# SPDX-License-Identifier: MIT
"""What Python programs do all day, so many rounds of it: tests/bench/programs.sh
runs it with every object allocated by malloc. The kinds of work are those of the
usual suites (pyperformance): json, pickle, regular expressions, text, sorting,
objects, big numbers, trees. Each part checks its result."""

import json
import pickle
import random
import re
import sys


def json_and_pickle(rng):
    table = [{"id": i, "name": "n%d" % i, "tags": [str(rng.random()) for _ in range(5)],
              "nested": {"a": [i] * (i % 7), "b": None}} for i in range(1500)]
    assert json.loads(json.dumps(table)) == table
    assert pickle.loads(pickle.dumps(table)) == table


def text(rng):
    words = ["".join(rng.choices("abcdefghij", k=rng.randrange(2, 12))) for _ in range(8000)]
    page = " ".join(words)
    counts = {}
    for word in re.findall(r"\w+", page):
        counts[word] = counts.get(word, 0) + 1
    assert sum(counts.values()) == len(words)
    page = re.sub(r"(a)(b+)", lambda match: match.group(2) + match.group(1), page)
    assert len(page.upper().split()) == len(words)
    lines = []
    for i in range(0, len(words), 8):
        lines.append("%d: " % i + ", ".join(words[i:i + 8]))
    assert "\n".join(lines).count("\n") == len(lines) - 1


class Account:
    def __init__(self, name, amount):
        self.name = name
        self.amount = amount
        self.history = []

    def pay(self, other, amount):
        self.amount -= amount
        other.amount += amount
        self.history.append((other.name, -amount))
        other.history.append((self.name, amount))
        if len(other.history) > 20:
            del other.history[:10]


def objects(rng):
    accounts = [Account("account %d" % i, 1000) for i in range(1000)]
    for _ in range(15000):
        rng.choice(accounts).pay(rng.choice(accounts), rng.randrange(100))
    assert sum(account.amount for account in accounts) == 1000000
    accounts.sort(key=lambda account: (account.amount, account.name))


def numbers(_):
    a, b = 0, 1
    for _ in range(4000):
        a, b = b, a + b
    assert len(str(a)) == 836
    product = 1
    for i in range(1, 701):
        product *= i
    assert product % 701 == 700


def tree(depth):
    return (tree(depth - 1), tree(depth - 1)) if depth else ()


def nodes(node):
    return 1 + sum(nodes(child) for child in node)


def trees(_):
    assert nodes(tree(13)) == 2 ** 14 - 1


def main():
    if sys.getallocatedblocks():
        sys.exit("suite.py: Python has objects in pools of its own: set PYTHONMALLOC=malloc")
    rng = random.Random(1)
    for _ in range(int(sys.argv[1])):
        for part in json_and_pickle, text, objects, numbers, trees:
            part(rng)


main()
