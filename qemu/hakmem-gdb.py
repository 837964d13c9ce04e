# SPDX-License-Identifier: MIT
"""
What GDB can tell about the heap of a stopped image (or process, or core dump).

    (gdb) source qemu/hakmem-gdb.py
    (gdb) hak heap            classes and SuperSlabs
    (gdb) hak block ADDRESS   what lies there
    (gdb) hak leaks           live blocks that nothing points to
    (gdb) hak map FILE        where everything lies, for hakmem-map

It reads memory and calls nothing, so it works wherever the image was stopped,
over QEMU's stub too. It needs the debug information of the library (built with
-g, as it is by default), from which it takes all it knows of the structures. A
field that it does not find there is an error that names it. `hak heap` prints
what hak_dump() prints (core/diag/dump.c), and `hak map` writes what hak_dump_json() does
(core/diag/dump_json.c); tests/qemu/check-debug.sh compares them.
"""

import array
import collections
import itertools
import json
import re

import gdb

PAGE = 4096
SUPERSLAB = 2 << 20
SLAB = 64 << 10
SMALL_MAX = 1024
SLAB_OF_POOL = 0xffff

# What is read of the structures: if a version of the library has other fields, the first
# command says so.
FIELDS = {
    "arena": "all",
    "superslab": "slab all base window metadata back described pages purgeable",
    "window": "unused unbacked",
    "slab": "bitmap span_pages blocks free unbacked_blocks unbacked class gaps units",
    "cache_cold": "cache node magazine",
    "magazine_cold": "base seized_top kept",
    "hak_cache": "magazine slot",
    "magazine": "top",
    "slab_class": "allocated freed units",
    "spans": "allocated freed live_pages live_units",
    "size_class": "size",
    "pagemap": "absent root",
}

# The same of the frame provider, where there is one.
FRAMES_FIELDS = {
    "frames": "root end known free",
    "split": "child frame known free",
}

# Variables of the library whose numbers may look like addresses of blocks.
COUNTERS = ("pages_counters", "hak_arena", "hak_frames_state", "hak_spans",
            "'diag/stats.c'::failures")


def value(expression):
    """The value of a variable or constant of the library, read at once."""
    try:
        result = gdb.parse_and_eval(expression)
    except gdb.error as error:
        raise gdb.GdbError("hak: no %s here: is this an image with hakmem, and with debug "
                           "information? (%s)" % (expression, error))
    result.fetch_lazy()
    return result


def library_type(struct):
    """A struct of the library, which the program may have one of the same name beside."""
    for symbol in gdb.lookup_static_symbols(struct, gdb.SYMBOL_STRUCT_DOMAIN):
        if re.search(r"(^|/)(core|platform)/\w+/\w+\.[ch]$", symbol.symtab.filename):
            return symbol.type
    return gdb.lookup_type("struct " + struct)


def window():
    """Where the heap may begin: 0, unless the library was built with CONFIG_HAK_WINDOW."""
    try:
        return int(gdb.parse_and_eval("hak_window_base"))
    except gdb.error:
        return 0  # a library that knows of none


def field_names(kind):
    """The fields of a struct, those of unnamed structs and unions in it among them."""
    for field in kind.fields():
        if field.name:
            yield field.name
        else:
            yield from field_names(field.type.strip_typedefs())


def check_fields(fields):
    for struct, wanted in fields.items():
        try:
            names = set(field_names(library_type(struct)))
        except gdb.error:
            names = set()
        for name in wanted.split():
            if name not in names:
                raise gdb.GdbError("hak: struct %s has no field %s: is this an image with hakmem, "
                                   "of the same version as this script?" % (struct, name))


def length_of(array_type):
    first, last = array_type.strip_typedefs().range()
    return last - first + 1


def listed(head, struct, member):
    """The structs on a list, through their struct list_node @member."""
    kind = library_type(struct)
    offset = next(f.bitpos // 8 for f in kind.fields() if f.name == member)
    node = head
    seen = set()
    while int(node):
        if int(node) in seen:
            raise gdb.GdbError("hak: a list of struct %s runs in a circle" % struct)
        seen.add(int(node))
        record = (node.cast(gdb.lookup_type("char").pointer()) - offset).cast(kind.pointer())
        record = record.dereference()
        record.fetch_lazy()
        yield record
        node = record[member]["next"]


def bits(number):
    return bin(number).count("1")


def words_of(address, size):
    """@size bytes of memory as numbers of 8 bytes; pages that cannot be read are left out."""
    words = array.array("Q")
    end = address + size
    while address < end:
        piece = min(1 << 20, end - address)
        try:
            data = gdb.selected_inferior().read_memory(address, piece).tobytes()
        except gdb.MemoryError:
            piece = min(piece, PAGE - address % PAGE)
            try:
                data = gdb.selected_inferior().read_memory(address, piece).tobytes()
            except gdb.MemoryError:
                data = b""
        words.frombytes(data[:len(data) // 8 * 8])
        address += piece
    return words


class Slab:
    """
    One slab in use, or all those of a large block: which of its blocks are free.
    """

    def __init__(self, heap, base, record):
        self.base = base
        self.klass = int(record["class"])
        self.internal = heap.bitmap_512 <= self.klass <= heap.bitmap_1024
        self.is_span = self.klass > heap.slab_last and not self.internal
        self.units = 1 if heap.unit_size == SLAB or self.is_span else int(record["units"])
        self.pages = int(record["span_pages"]) if self.is_span else \
            self.units * heap.unit_size // PAGE
        if self.is_span:
            self.size = self.pages * PAGE
            self.count = 1
            self.rest = set()
            return
        self.size = heap.classes[self.klass]
        self.count = int(record["blocks"])
        self.bitmap = int(record["bitmap"])
        self.unbacked = int(record["unbacked"])
        self.nr_free = int(record["free"]) + int(record["unbacked_blocks"])
        self.rest = self.set_bits(1) if int(record["gaps"]) else set()

    def set_bits(self, bitmap):
        """The numbers of the bits that are set in the first bitmap, 0, or the second, 1."""
        length = (self.count + 63) // 64 * 8
        words = words_of(self.bitmap + bitmap * length, length)
        return set(w * 64 + b for w, word in enumerate(words) if word
                   for b in range(64) if word >> b & 1)

    def extent(self, index):
        """The first block, and the length in bytes, of the gap block that a block is part of."""
        if self.is_span:
            return 0, self.size
        last = index + 1
        while index in self.rest:
            index -= 1
        while last in self.rest:
            last += 1
        return index, (last - index) * self.size

    def free_blocks(self):
        """Their numbers, as their slab sees it: what lies in magazines is not among them."""
        if self.is_span:
            return set()
        free = self.set_bits(0)
        if self.unbacked:
            free.update(i for i in range(self.count) if self.is_unbacked(i))
        return free

    def is_unbacked(self, index):
        first = index * self.size // PAGE
        last = ((index + 1) * self.size - 1) // PAGE
        return any(self.unbacked >> page & 1 for page in range(first, last + 1))

    def name(self):
        return "a large block" if self.is_span else "blocks of %d bytes" % self.size


class Heap:
    def __init__(self):
        check_fields(FIELDS)
        self.slab_last = int(value("CLASS_SLAB_LAST"))
        self.bitmap_512 = int(value("CLASS_BITMAP_512"))
        self.bitmap_1024 = int(value("CLASS_BITMAP_1024"))
        self.span_first = int(value("CLASS_SPAN_FIRST"))
        self.span = int(value("CLASS_SPAN"))
        self.span_rest = int(value("CLASS_SPAN_REST"))
        self.mixed = int(value("CLASS_MIXED"))
        table = value("size_class")
        self.classes = [int(table[i]["size"]) for i in range(length_of(table.type))]
        kind = library_type("superslab")
        self.units_each = length_of(kind["slab"].type)
        self.unit_size = SUPERSLAB // self.units_each
        self.window_units = self.units_each // length_of(kind["window"].type)
        self.superslabs = list(listed(value("hak_arena")["all"], "superslab", "all"))
        self.slabs = {}  # by the address of each unit
        for superslab in self.superslabs:
            self.add_slabs(superslab)
        self.add_rests()
        self.cached_by_class = collections.Counter()
        self.cached = self.read_magazines()  # block -> number of the cache

    def bit(self, superslab, name, index):
        """Of a unit, in its window."""
        window = superslab["window"][index // self.window_units]
        return int(window[name]) >> index % self.window_units & 1

    def units(self, superslab):
        """Those that have a descriptor: all, but for a part of 2 MiB."""
        return range(int(superslab["described"]) if int(superslab["pages"]) else self.units_each)

    def has(self, superslab, index):
        """Is the unit there, or does a part lack it?"""
        page = (int(superslab["base"]) % SUPERSLAB) // PAGE + index
        return not int(superslab["pages"]) or int(superslab["pages"][page // 64]) >> page % 64 & 1

    def ranges(self):
        """The memory of all SuperSlabs."""
        for superslab in self.superslabs:
            base = int(superslab["base"])
            if not int(superslab["pages"]):
                yield base, base + SUPERSLAB
                continue
            for i in self.units(superslab):
                if self.has(superslab, i):
                    yield base + i * self.unit_size, base + (i + 1) * self.unit_size

    def has_pages(self, superslab):
        """Is anything noted of the pages of each unit? As superslab_has_pages() in the core."""
        return self.unit_size > PAGE or int(superslab["purgeable"])

    def first_units(self, superslab):
        """The units in use that have a descriptor of their own."""
        back = superslab["back"] if length_of(superslab["back"].type) > 1 else None
        all_have = self.has_pages(superslab)
        return [i for i in self.units(superslab) if not self.bit(superslab, "unused", i)
                and self.has(superslab, i) and not (back and int(back[i]))
                and (all_have or self.class_at(int(superslab["base"]) + i * self.unit_size)
                     != self.span_rest)]

    def add_slabs(self, superslab):
        for i in self.first_units(superslab):
            record = superslab["slab"][i]
            if int(record["class"]):
                slab = Slab(self, int(superslab["base"]) + i * self.unit_size, record)
                self.slabs[slab.base] = slab

    def add_rests(self):
        for slab in list(self.slabs.values()):
            end = slab.base + slab.pages * PAGE
            for at in range(slab.base + self.unit_size, end, self.unit_size):
                self.slabs[at] = slab

    def distinct(self):
        return [slab for base, slab in sorted(self.slabs.items()) if base == slab.base]

    def class_at(self, address):
        """What the page map says of a unit."""
        pagemap = value("&pagemap").dereference()
        absent = pagemap["absent"]
        units = length_of(absent.type)
        number = (address - window()) // self.unit_size
        at = int(absent.address) + int(pagemap["root"][number // units]) + number % units
        return gdb.selected_inferior().read_memory(at, 1).tobytes()[0]

    def letters(self, superslab):
        """One for each 64 KiB, as core/diag/dump.c has it."""
        all_units = [self.letter(superslab, i) for i in self.units(superslab)]
        each = SLAB // self.unit_size
        groups = [set(all_units[i:i + each]) for i in range(0, len(all_units), each)]
        letters = "".join(group.pop() if len(group) == 1 else "+" for group in groups)
        return letters.ljust(SUPERSLAB // SLAB)

    def letter(self, superslab, index):
        klass = self.class_at(int(superslab["base"]) + index * self.unit_size)
        if not self.has(superslab, index):
            return " "
        if self.is_guard(superslab, index):
            return "|"
        if self.bit(superslab, "unused", index):
            return "." if self.bit(superslab, "unbacked", index) else "-"
        if klass == self.span_rest:
            return "="
        if klass == self.mixed:
            return "g"
        if klass in (self.bitmap_512, self.bitmap_1024):
            return "b"
        if 0 < klass <= self.slab_last:
            return "s" if self.classes[klass] <= SMALL_MAX else "m"
        return "#" if klass else "?"

    def is_guard(self, superslab, index):
        return bool(superslab["metadata"]) and index in (0, self.units_each - 1)

    def rows(self):
        """Of each class of the users': size or "larger", live, cached, slabs, live bytes."""
        slab_classes = value("'slab/class.c'::slab_classes")
        spans = value("hak_spans")
        for klass in range(1, self.slab_last + 1):
            counters = slab_classes[klass]
            if int(counters):
                counters = counters.dereference()
                yield self.row(klass, int(counters["allocated"]) - int(counters["freed"]),
                               int(counters["units"]))
        for klass in range(self.span_first, self.span + 1):
            row = klass - self.span_first
            live = int(spans["allocated"][row]) - int(spans["freed"][row])
            if klass == self.span:
                yield ("larger", live, 0, int(spans["live_units"]),
                       int(spans["live_pages"]) * PAGE)
            else:
                units = -(-self.classes[klass] // self.unit_size)
                yield self.row(klass, live, live * units)

    def row(self, klass, outstanding, slabs):
        size = self.classes[klass]
        cached = self.cached_by_class[klass]
        live = max(outstanding - cached, 0)
        return (size, live, cached, slabs, live * size)

    def read_magazines(self):
        blocks = {}
        caches = listed(value("'cache/cache.c'::registry")["caches"], "cache_cold", "node")
        for number, cold in enumerate(caches):
            cache = cold["cache"].dereference()
            cache.fetch_lazy()
            slot = int(cache["slot"].address)
            for klass in range(length_of(cold["magazine"].type)):
                magazine = cold["magazine"][klass]
                base, top = int(magazine["base"]), int(cache["magazine"][klass]["top"])
                if not base:
                    continue
                held = int(magazine["kept"]) if int(magazine["seized_top"]) else top - base
                found = list(words_of(slot + (base + 1) * 8, held * 8)) if held > 0 else []
                if int(magazine["seized_top"]) and top == 2:
                    found += words_of(slot + 2 * 8, 8)  # of a free that came too late
                self.cached_by_class[klass] += len(found)
                blocks.update((block, number) for block in found)
        return blocks

    def live(self, slab):
        """The addresses of its live blocks."""
        free = slab.free_blocks()
        addresses = (slab.base + i * slab.size for i in range(slab.count)
                     if i not in free and i not in slab.rest)
        return [a for a in addresses if a not in self.cached]

    def find(self, address):
        """The slab at an address, and the block there, or None for either."""
        slab = self.slabs.get(address & ~(self.unit_size - 1))
        if not slab:
            return None, None
        index = (address - slab.base) // slab.size
        if index >= slab.count:
            return slab, None
        return slab, slab.base + slab.extent(index)[0] * slab.size

    def length(self, block):
        """Of a block that find() has found, in bytes."""
        slab = self.slabs[block & ~(self.unit_size - 1)]
        return slab.extent((block - slab.base) // slab.size)[1]


def pagemap_number(address):
    """Which 2 MiB an address lies in, for the page map."""
    return address // SUPERSLAB


def plural(n, what):
    return "%d %s%s" % (n, what, "" if n == 1 else "s")


def without(ranges, holes):
    """The parts of ranges, each once, that lie in none of the holes."""
    found = []
    done = 0
    holes = sorted(holes) + [(1 << 64, 1 << 64)]
    for start, end in sorted(ranges):
        start = max(start, done)
        for hole, behind in holes:
            if hole >= end:
                break
            if start < hole:
                found.append((start, hole))
            start = max(start, behind)
        if start < end:
            found.append((start, end))
        done = max(done, end)
    return found


def page_tables():
    """Where the tables lie that this CPU uses, if memory is mapped one to one."""
    try:
        root = int(gdb.parse_and_eval("$cr3")) & 0xffffffffff000
    except (gdb.error, TypeError):
        return set()  # a process
    found = set()
    work = [(root, 4)]
    while work:
        table, level = work.pop()
        if table in found:
            continue
        found.add(table)
        for entry in words_of(table, PAGE) if level > 1 else []:
            if entry & 0x81 == 1:  # present, and not a page itself
                work.append((entry & 0xffffffffff000, level - 1))
    return found


class Hak(gdb.Command):
    """The heap of hakmem: hak heap, hak block ADDRESS, hak leaks, hak map FILE."""

    def __init__(self):
        super().__init__("hak", gdb.COMMAND_DATA, gdb.COMPLETE_NONE, True)


class HakHeap(gdb.Command):
    """Show the heap as hak_dump() does: a line for each size of blocks, and one for
each SuperSlab.

Of a SuperSlab: its slabs that are used, that are free and backed by memory, and
that are free and unbacked; the unbacked pages of those that are used; and a letter
for each slab."""

    def __init__(self):
        super().__init__("hak heap", gdb.COMMAND_DATA)

    def invoke(self, argument, from_tty):
        heap = Heap()
        print("%10s %10s %8s %8s %6s" % ("size", "live", "cached", "slabs", "used"))
        for size, live, cached, slabs, used in heap.rows():
            if slabs:
                print("%10s %10d %8d %8d %5d%%" % (size, live, cached, slabs,
                                                   used * 100 // (slabs * heap.unit_size)))
        print("%18s  used free purged  pages  (s m: blocks up to and above %d bytes, "
              "g: several sizes, +: several of these, b: bitmaps, |: guards, "
              "#=: large blocks, -: free, .: purged)"
              % ("SuperSlab", SMALL_MAX))
        for superslab in heap.superslabs:
            self.print_superslab(heap, superslab)

    @staticmethod
    def print_superslab(heap, superslab):
        units = [i for i in heap.units(superslab)
                 if heap.has(superslab, i) and not heap.is_guard(superslab, i)]
        unused = [i for i in units if heap.bit(superslab, "unused", i)]
        unbacked = sum(heap.bit(superslab, "unbacked", i) for i in unused)
        pages = sum(bits(int(superslab["slab"][i]["unbacked"]))
                    for i in heap.first_units(superslab)) if heap.has_pages(superslab) else 0
        print("0x%016x  %4d %4d %6d %6d  %s" % (
            int(superslab["base"]), len(units) - len(unused), len(unused) - unbacked, unbacked,
            pages, heap.letters(superslab)))


class HakMap(gdb.Command):
    """Write where everything lies, as hak_dump_json() does: hak map FILE. The program
hakmem-map draws it.

Of a process, the system is not asked how much of large blocks is backed by memory."""

    def __init__(self):
        super().__init__("hak map", gdb.COMMAND_DATA, gdb.COMPLETE_FILENAME)

    def invoke(self, argument, from_tty):
        if not argument:
            raise gdb.GdbError("hak map: to which FILE?")
        heap = Heap()
        magazines = collections.Counter(pagemap_number(block) for block in heap.cached)
        lines = []
        for superslab in heap.superslabs:
            base = int(superslab["base"])
            lines.append(self.text({
                "base": hex(base), "in_magazines": magazines[pagemap_number(base)],
                "cells": list(self.cells(heap, superslab))}) + "\n")
        head = self.text({"hakmem_dump": 1, "unit_bytes": heap.unit_size, "page_bytes": PAGE,
                          "superslabs": []})
        try:
            with open(argument, "w", encoding="ascii") as file:
                file.write(head[:-2] + "\n" + ",".join(lines) + "]}\n")
        except OSError as error:
            raise gdb.GdbError("hak map: %s: %s" % (argument, error.strerror))

    @staticmethod
    def text(record):
        return json.dumps(record, separators=(",", ":"))

    def cells(self, heap, superslab):
        units = heap.units(superslab)
        at = 0
        while at < len(units):
            kind = self.unused(heap, superslab, at)
            cell = {"at": at, "units": 0, "kind": kind or "busy", "pages": 0, "unbacked": 0}
            if kind:
                each = self.unbacked(superslab, at)
                alike = itertools.takewhile(
                    lambda i: self.unused(heap, superslab, i) == kind
                    and self.unbacked(superslab, i) == each, units[at:])
                whole = each in (0, heap.unit_size // PAGE)
                cell["units"] = len(list(alike)) if whole else 1
                cell["unbacked"] = each * cell["units"]
            else:
                self.used(heap, superslab, cell)
            cell["pages"] = cell["units"] * heap.unit_size // PAGE
            yield cell
            at += cell["units"]

    @staticmethod
    def unbacked(superslab, at):
        return bits(int(superslab["slab"][at]["unbacked"]))

    @staticmethod
    def unused(heap, superslab, at):
        if not heap.has(superslab, at):
            return "absent"
        if heap.is_guard(superslab, at):
            return "guard"
        return "free" if heap.bit(superslab, "unused", at) else None

    def used(self, heap, superslab, cell):
        """What begins with a unit in use."""
        at = cell["at"]
        base = int(superslab["base"])
        record = superslab["slab"][at]
        klass = heap.class_at(base + at * heap.unit_size)
        slab_class = int(record["class"])
        units = 1 if heap.unit_size == SLAB else int(record["units"])
        large = heap.span_first <= slab_class <= heap.span
        if klass == heap.mixed and large:
            cell["kind"] = "samples"
            cell["units"] = -(-int(record["span_pages"]) * PAGE // heap.unit_size)
        elif klass == heap.mixed or 0 < klass <= heap.slab_last or \
                heap.bitmap_512 <= klass <= heap.bitmap_1024:
            bitmaps = heap.bitmap_512 <= klass <= heap.bitmap_1024
            cell["kind"] = "bitmaps" if bitmaps else "slab"
            cell["units"] = units
        elif heap.span_first <= klass <= heap.span:
            cell["kind"] = "large"
        elif klass == heap.span_rest:
            cell["kind"] = "rest"
        elif int(record["gaps"]) == SLAB_OF_POOL:
            cell["kind"] = "pool"
            cell["units"] = units
        cell["unbacked"] = self.unbacked(superslab, at)
        if not cell["units"]:
            end = at + 1
            while end < len(heap.units(superslab)) and not self.unused(heap, superslab, end) \
                    and heap.class_at(base + end * heap.unit_size) == heap.span_rest:
                cell["unbacked"] += self.unbacked(superslab, end)
                end += 1
            cell["units"] = end - at
        if cell["kind"] == "large":
            cell["block_bytes"] = int(record["span_pages"]) * PAGE
        if cell["kind"] in ("slab", "bitmaps"):
            cell["block_bytes"] = heap.classes[slab_class]
            cell["blocks"] = int(record["blocks"])
            cell["used"] = cell["blocks"] - int(record["free"]) - int(record["unbacked_blocks"])


class HakBlock(gdb.Command):
    """Tell what lies at an address: hak block ADDRESS (any expression)."""

    def __init__(self):
        super().__init__("hak block", gdb.COMMAND_DATA, gdb.COMPLETE_EXPRESSION)

    def invoke(self, argument, from_tty):
        if not argument:
            raise gdb.GdbError("hak block: which ADDRESS?")
        address = int(gdb.parse_and_eval(argument)) & (1 << 64) - 1
        print("0x%x: %s" % (address, self.describe(Heap(), address)))

    def describe(self, heap, address):
        slab, block = heap.find(address)
        if not slab:
            inside = any(start <= address < end for start, end in heap.ranges())
            return "a slab of the heap that is not in use" if inside else "not of the heap"
        where = "slab 0x%x of %s" % (slab.base, slab.name())
        if slab.internal:
            return "bitmaps of the heap itself, " + where
        if block is None:
            return "behind the last block, " + where
        what = "%d bytes into the block 0x%x" % (address - block, block) if address != block \
            else "a block"
        if block in heap.cached:
            state = "free, in the magazine of cache %d" % heap.cached[block]
        elif (block - slab.base) // slab.size in slab.free_blocks():
            state = "free"
        else:
            state = "live"
        return "%s of %d bytes, %s; %s" % (what, heap.length(block), state, where)


class HakLeaks(gdb.Command):
    """List live blocks that nothing points to: hak leaks [START END]...

A block is reachable if its address, or one inside it, stands at a multiple of 8 bytes
in another reachable block, in a register of any CPU or thread, or in memory that is
not the heap's: the writable sections of the program; all that the library's frames
gave out, as for stacks and a kernel's own pages; of a process all that it has mapped;
and what lies between a START and an END, for a kernel with pages of its own.

What is left out of the list may still be lost, if a stale copy of its address is
around, or a number that looks like it. What is on it is lost, unless its address is
kept in some other form, or in memory that was not searched."""

    def __init__(self):
        super().__init__("hak leaks", gdb.COMMAND_DATA)

    def invoke(self, argument, from_tty):
        limits = [int(gdb.parse_and_eval(a)) for a in gdb.string_to_argv(argument)]
        if len(limits) % 2:
            raise gdb.GdbError("hak leaks: a START without an END")
        heap = Heap()
        live = {}
        for slab in heap.distinct():
            if not slab.internal:
                live.update((block, slab) for block in heap.live(slab))
        ranges = self.sections() + self.mappings() + list(self.frames())
        ranges = without(ranges, self.not_searched(heap)) + list(zip(limits[::2], limits[1::2]))
        self.report(heap, live, self.reachable(heap, live, ranges))

    @staticmethod
    def sections():
        """Writable sections of the program, and of a core file."""
        found = []
        for line in gdb.execute("maintenance info sections", to_string=True).splitlines():
            fields = line.split()
            if "ALLOC" in fields and "READONLY" not in fields and "->" in line:
                limits = next(f for f in fields if "->" in f).split("->")
                found.append((int(limits[0], 16), int(limits[1], 16)))
        return found

    @staticmethod
    def mappings():
        """What a process can write to; nothing if this is an image."""
        found = []
        try:
            lines = gdb.execute("info proc mappings", to_string=True).splitlines()
        except gdb.error:
            return found
        for line in lines:
            fields = line.split()
            if len(fields) > 4 and fields[0].startswith("0x") and "w" in fields[4]:
                found.append((int(fields[0], 16), int(fields[1], 16)))
        return found

    @staticmethod
    def frames():
        """What frames.c gave out: whole frames, and pages of those that are split."""
        try:
            gdb.parse_and_eval("&hak_frames_provider")
        except gdb.error:
            return  # another provider, or a process
        check_fields(FRAMES_FIELDS)
        frames = value("&hak_frames_state").cast(library_type("frames").pointer()).dereference()
        first = window()
        end = int(frames["end"])
        known = words_of(int(frames["known"].address), -(-end // 64) * 8)
        free = words_of(int(frames["free"].address), -(-end // 64) * 8)
        splits = {}
        work = [frames["root"]]
        while work:
            split = work.pop()
            if int(split):
                splits[int(split["frame"])] = split
                work += [split["child"][0], split["child"][1]]
        for frame in range(end):
            if frame in splits:
                yield from HakLeaks.pages_of(splits[frame], first + frame * SUPERSLAB)
            elif (known[frame // 64] & ~free[frame // 64]) >> frame % 64 & 1:
                yield first + frame * SUPERSLAB, first + (frame + 1) * SUPERSLAB

    @staticmethod
    def pages_of(split, base):
        record = (int(split) - base) // PAGE
        for page in range(SUPERSLAB // PAGE):
            used = int(split["known"][page // 64]) & ~int(split["free"][page // 64])
            if used >> page % 64 & 1 and page != record:
                yield base + page * PAGE, base + (page + 1) * PAGE

    @staticmethod
    def not_searched(heap):
        """The heap itself, its records and counters, and page tables."""
        holes = list(heap.ranges())
        chunk = value("'pages/meta.c'::meta")["chunks"]
        while int(chunk):
            holes.append((int(chunk), int(chunk) + int(chunk["size"])))
            chunk = chunk["next"]
        for superslab in heap.superslabs:
            size = superslab.type.sizeof
            holes.append((int(superslab.address), int(superslab.address) + size))
        for name in COUNTERS:
            try:
                variable = gdb.parse_and_eval(name)
                holes.append((int(variable.address), int(variable.address) + variable.type.sizeof))
            except gdb.error:
                pass  # the linker left it out
        return holes + [(table, table + PAGE) for table in page_tables()]

    @staticmethod
    def registers():
        """General registers of all threads: over a stub, those of all CPUs."""
        selected = gdb.selected_thread()
        numbers = []
        for thread in gdb.selected_inferior().threads():
            thread.switch()
            frame = gdb.newest_frame()
            for register in frame.architecture().registers("general"):
                try:
                    numbers.append(int(frame.read_register(register)) & (1 << 64) - 1)
                except (gdb.error, TypeError, ValueError):
                    pass
        if selected:
            selected.switch()
        return numbers

    def reachable(self, heap, live, ranges):
        if not heap.slabs:
            return set()
        low, high = min(heap.slabs), max(heap.slabs) + heap.unit_size
        contents = {}  # of slabs: many small blocks are read at once
        found = set()
        work = []

        def follow(words):
            for word in words:
                if low <= word < high:
                    block = heap.find(word)[1]
                    if block in live and block not in found:
                        found.add(block)
                        work.append(block)

        def words_of_block(block, slab):
            if slab.is_span:
                return words_of(block, slab.size)
            if slab.base not in contents:
                contents[slab.base] = words_of(slab.base, slab.pages * PAGE)
            first = (block - slab.base) // 8
            return contents[slab.base][first:first + heap.length(block) // 8]

        for start, end in ranges:
            follow(words_of(start, end - start))
        follow(self.registers())
        while work:
            block = work.pop()
            follow(words_of_block(block, live[block]))
        return found

    @staticmethod
    def report(heap, live, reachable):
        lost = collections.defaultdict(list)
        for block in sorted(live):
            if block not in reachable:
                lost[heap.length(block)].append(block)
        count = sum(len(blocks) for blocks in lost.values())
        total = sum(size * len(blocks) for size, blocks in lost.items())
        print("%s of %d live are lost, %d bytes" % (plural(count, "block"), len(live), total))
        for size in sorted(lost):
            blocks = lost[size]
            some = " ".join("0x%x" % block for block in blocks[:4])
            print("%10d bytes: %s: %s%s" % (size, plural(len(blocks), "block"), some,
                                            " ..." if len(blocks) > 4 else ""))


Hak()
HakHeap()
HakBlock()
HakMap()
HakLeaks()
