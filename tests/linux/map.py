# SPDX-License-Identifier: MIT
"""
What map.sh has to know of a picture of hakmem-map.

    map.py used FILE N SIZE     blocks of SIZE bytes that are in use in the Nth dump of a file
    map.py large FILE N         of the largest block: bytes, and bytes without memory
    map.py page HTML            complain of what is not as it should be
    map.py cells HTML TEXT      how many cells have this in what hovering shows
    map.py size HTML            height of the picture
    map.py pixels HTML PNG      complain of cells that have another colour in a screenshot
"""

import html.parser
import json
import re
import struct
import sys
import zlib


def dump(path, number):
    with open(path, encoding="ascii") as file:
        texts = re.findall(r'^\{"hakmem_dump".*?^\]\}', file.read(), re.M | re.S)
    return json.loads(texts[int(number) - 1])


def cells_of(path, number):
    return [c for s in dump(path, number)["superslabs"] for c in s["cells"]]


class Picture(html.parser.HTMLParser):
    """The rectangles, with what hovering shows; the words of all tags."""

    EMPTY = ("meta",)

    def __init__(self, path):
        super().__init__()
        self.rects = []
        self.titles = []
        self.open = []
        self.wrong = []
        self.svg = {}
        with open(path, encoding="utf-8") as file:
            self.feed(file.read())
        if self.open:
            self.wrong.append("not closed: %s" % self.open)

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        if tag in ("script", "link", "img", "iframe", "object", "a", "image", "use"):
            self.wrong.append("a <%s>" % tag)
        for name, value in attrs.items():
            if name in ("src", "href", "xlink:href") or (
                    name != "xmlns" and re.search(r"(https?:)?//|url\((?!#)", value or "")):
                self.wrong.append("%s=%s" % (name, value))
        if tag == "svg":
            self.svg = attrs
        if tag not in self.EMPTY:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        attrs = dict(attrs)
        if tag == "rect":
            place = tuple(float(attrs[n]) for n in ("x", "y", "width", "height"))
            title = self.titles[-1] if "g" in self.open else ""
            self.rects.append((attrs.get("class"), place, attrs["fill"], title))

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.wrong.append("a wrong </%s>" % tag)

    def handle_data(self, data):
        if self.open and self.open[-1] == "title":
            self.titles.append(data)
        if self.open and self.open[-1] == "style" and re.search(r"@import|url\(", data):
            self.wrong.append("a style from elsewhere")


def pixels(path):
    """The rows of a PNG of 8 bits, RGB or RGBA, not interlaced; and bytes per pixel."""
    with open(path, "rb") as file:
        data = file.read()
    at, packed = 8, b""
    while at < len(data):
        length, kind = struct.unpack(">I4s", data[at:at + 8])
        body = data[at + 8:at + 8 + length]
        if kind == b"IHDR":
            width, _, depth, colours, _, _, interlaced = struct.unpack(">IIBBBBB", body)
        elif kind == b"IDAT":
            packed += body
        at += 12 + length
    if depth != 8 or colours not in (2, 6) or interlaced:
        sys.exit("a PNG of an unknown kind")
    each = 3 if colours == 2 else 4
    flat = zlib.decompress(packed)
    rows, before = [], bytes(width * each)
    for start in range(0, len(flat), width * each + 1):
        kind, row = flat[start], bytearray(flat[start + 1:start + 1 + width * each])
        for i, value in enumerate(row):
            left = row[i - each] if i >= each else 0
            corner = before[i - each] if i >= each else 0
            guess = (0, left, before[i], (left + before[i]) // 2,
                     by_neighbours(left, before[i], corner))[kind]
            row[i] = (value + guess) & 255
        rows.append(bytes(row))
        before = row
    return rows, each


def by_neighbours(left, up, corner):
    guess = left + up - corner
    return min((abs(guess - left), 0, left), (abs(guess - up), 1, up),
               (abs(guess - corner), 2, corner))[2]


def close(a, b):
    return all(abs(x - y) < 24 for x, y in zip(a, b))


def check_pixels(picture, path):
    """The middle of what is filled has its colour; what is hatched is not of one colour."""
    rows, each = pixels(path)
    rects = picture.rects
    seen = 0
    for i, (kind, (x, y, width, height), fill, title) in enumerate(rects):
        if y + height > len(rows):
            continue
        covered = any(k == "unbacked" and px <= x + 4 and py <= y + height and py + h >= y and
                      px + w > x + 2 for k, (px, py, w, h), _, _ in rects[i + 1:i + 3])
        if kind == "use" and width >= 6 and height >= 6 and not covered:
            at = (int(x + 3), int(y + height - 3))
            got = rows[at[1]][at[0] * each:at[0] * each + 3]
            want = bytes.fromhex(fill[1:])
            if not close(got, want):
                print("at %s is #%s instead of %s: %s" % (at, got.hex(), fill, title))
            seen += 1
        elif kind == "unbacked" and width >= 12:
            part = set(rows[row][column * each:column * each + 3]
                       for row in range(int(y) + 1, int(y + height) - 1)
                       for column in range(int(x) + 2, int(x) + 10))
            if len(part) < 2:
                print("nothing is hatched at %d %d: %s" % (x, y, title))
            seen += 1
    if seen < 20:
        print("only %d places could be compared" % seen)


def main(what, path, *rest):
    if what == "used":
        print(sum(c["used"] for c in cells_of(path, rest[0])
                  if c["kind"] == "slab" and c["block_bytes"] == int(rest[1])))
    elif what == "large":
        found = cells_of(path, rest[0])
        most = max([c["block_bytes"] for c in found if c["kind"] == "large"] or [0])
        print(most, 4096 * sum(c["unbacked"] for c in found if c["kind"] in ("large", "rest")))
    elif what == "page":
        picture = Picture(path)
        print("\n".join(picture.wrong), end="")
        if not picture.rects:
            print("no cells")
    elif what == "cells":
        print(sum(kind == "cell" and rest[0] in title
                  for kind, _, _, title in Picture(path).rects))
    elif what == "size":
        print(Picture(path).svg["height"])
    else:
        check_pixels(Picture(path), rest[0])


main(*sys.argv[1:])
