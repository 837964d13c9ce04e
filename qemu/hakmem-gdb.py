# SPDX-License-Identifier: MIT
"""
What GDB can tell about the heap of a stopped image (or process, or core dump).

    (gdb) source qemu/hakmem-gdb.py
    (gdb) hak heap            classes and SuperSlabs
    (gdb) hak block ADDRESS   what lies there
    (gdb) hak leaks           live blocks that nothing points to

It reads memory and calls nothing, so it works wherever the image was stopped,
over QEMU's stub too. It needs the debug information of the library (built with
-g, as it is by default), from which it takes all it knows of the structures.
"""

import array
import collections

import gdb

SLAB = 64 << 10
PAGE = 4096
SLABS = 32
SUPERSLAB = SLAB * SLABS

# Variables of the library whose numbers may look like addresses of blocks.
COUNTERS = ("pages_counters", "hak_arena", "hak_spans", "'diag/stats.c'::failures")


def value(expression):
    """The value of a variable or constant of the library, read at once."""
    try:
        result = gdb.parse_and_eval(expression)
    except gdb.error as error:
        raise gdb.GdbError("hak: no %s here: is this an image with hakmem, and with debug "
                           "information? (%s)" % (expression, error))
    result.fetch_lazy()
    return result


def listed(head, struct, member):
    """The structs on a list, through their struct list_node @member."""
    kind = gdb.lookup_type("struct " + struct)
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
    """@size bytes of memory as numbers of 8 bytes; those that cannot be read are left out."""
    try:
        data = gdb.selected_inferior().read_memory(address, size).tobytes()
    except gdb.MemoryError:
        return array.array("Q")
    return array.array("Q", data[:len(data) // 8 * 8])


class Slab:
    """
    One slab in use, or all those of a large block: which of its blocks are free.
    """

    def __init__(self, heap, base, record):
        self.base = base
        self.klass = int(record["class"])
        self.internal = heap.bitmap_512 <= self.klass <= heap.bitmap_1024
        self.is_span = self.klass > heap.slab_last and not self.internal
        self.pages = int(record["span_pages"]) if self.is_span else 16
        if self.is_span:
            self.size = self.pages * PAGE
            self.count = 1
            self.rest = set()
            return
        self.size, self.count = heap.classes[self.klass]
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
        self.slab_last = int(value("CLASS_SLAB_LAST"))
        self.bitmap_512 = int(value("CLASS_BITMAP_512"))
        self.bitmap_1024 = int(value("CLASS_BITMAP_1024"))
        table = value("size_class")
        first, last = table.type.range()
        self.classes = [(int(table[i]["size"]), int(table[i]["blocks"]))
                        for i in range(first, last + 1)]
        self.superslabs = list(listed(value("hak_arena")["all"], "superslab", "all"))
        self.slabs = {}  # by the address of each slab
        for superslab in self.superslabs:
            self.add_slabs(superslab)
        self.add_rests()
        self.cached = self.read_magazines()  # block -> number of the cache

    def add_slabs(self, superslab):
        base, unused = int(superslab["base"]), int(superslab["unused"])
        records = superslab["slab"]
        for i in range(SLABS):
            if not unused >> i & 1 and int(records[i]["class"]):
                slab = Slab(self, base + i * SLAB, records[i])
                self.slabs[slab.base] = slab

    def add_rests(self):
        for slab in [s for s in self.slabs.values() if s.is_span]:
            for at in range(slab.base + SLAB, slab.base + slab.size, SLAB):
                self.slabs[at] = slab

    def distinct(self):
        return [slab for base, slab in sorted(self.slabs.items()) if base == slab.base]

    def read_magazines(self):
        blocks = {}
        caches = listed(value("'cache/cache.c'::registry")["caches"], "cache_cold", "node")
        for number, cold in enumerate(caches):
            cache = cold["cache"].dereference()
            cache.fetch_lazy()
            first, last = cold["magazine"].type.range()
            slot = int(cache["slot"].address)
            for klass in range(first, last + 1):
                magazine = cold["magazine"][klass]
                base, top = int(magazine["base"]), int(cache["magazine"][klass]["top"])
                if not base:
                    continue
                held = int(magazine["kept"]) if int(magazine["seized_top"]) else top - base
                found = words_of(slot + (base + 1) * 8, held * 8) if held > 0 else []
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
        slab = self.slabs.get(address & ~(SLAB - 1))
        if not slab:
            return None, None
        index = (address - slab.base) // slab.size
        if index >= slab.count:
            return slab, None
        return slab, slab.base + slab.extent(index)[0] * slab.size

    def length(self, block):
        """Of a block that find() has found, in bytes."""
        slab = self.slabs[block & ~(SLAB - 1)]
        return slab.extent((block - slab.base) // slab.size)[1]


def plural(n, what):
    return "%d %s%s" % (n, what, "" if n == 1 else "s")


class Hak(gdb.Command):
    """The heap of hakmem: hak heap, hak block ADDRESS, hak leaks."""

    def __init__(self):
        super().__init__("hak", gdb.COMMAND_DATA, gdb.COMPLETE_NONE, True)


class HakHeap(gdb.Command):
    """Show the heap: a line for each size of blocks, and one for each SuperSlab.

Of a SuperSlab: its slabs that are used, that are free and backed by memory, and
that are free and unbacked; and the unbacked pages of those that are used."""

    def __init__(self):
        super().__init__("hak heap", gdb.COMMAND_DATA)

    def invoke(self, argument, from_tty):
        heap = Heap()
        rows = collections.defaultdict(lambda: [0, 0, 0])
        for slab in heap.distinct():
            if slab.internal:
                continue
            row = rows[slab.size]
            row[2] += (slab.pages + 15) // 16
            live = (1 if slab.is_span else slab.count - slab.nr_free)
            row[0] += live
        for block in heap.cached:
            slab, _ = heap.find(block)
            if slab:
                rows[slab.size][0] -= 1
                rows[slab.size][1] += 1
        print("%10s %10s %8s %8s" % ("size", "live", "cached", "slabs"))
        for size in sorted(rows):
            print("%10d %10d %8d %8d" % ((size,) + tuple(rows[size])))
        print("%18s %5s %5s %7s %6s" % ("SuperSlab", "used", "free", "purged", "pages"))
        for superslab in heap.superslabs:
            unused, unbacked = int(superslab["unused"]), int(superslab["unbacked"])
            pages = sum(bits(int(superslab["slab"][i]["unbacked"])) for i in range(SLABS)
                        if not unused >> i & 1)
            print("0x%016x %5d %5d %7d %6d" % (int(superslab["base"]), SLABS - bits(unused),
                                               bits(unused & ~unbacked), bits(unbacked), pages))


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
            bases = [int(superslab["base"]) for superslab in heap.superslabs]
            inside = address & ~(SUPERSLAB - 1) in bases
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

A block is reachable if its address, or one inside it that is a multiple of 8 (so
not an entry of a page table), stands at a multiple of 8 bytes in the writable
sections of the program, in a register of any CPU or thread, in another reachable
block, or between a START and an END (for stacks that are elsewhere). What is left
out of the list may still be lost, if a stale copy of its address is around; what
is on it is lost, unless its address is kept in some other form, or in memory that
was not searched."""

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
        ranges = list(self.without_counters(self.sections())) + list(zip(limits[::2], limits[1::2]))
        self.report(heap, live, self.reachable(heap, live, ranges))

    @staticmethod
    def sections():
        """Writable sections of the program."""
        found = []
        for line in gdb.execute("maintenance info sections", to_string=True).splitlines():
            fields = line.split()
            if "ALLOC" in fields and "READONLY" not in fields and "->" in line:
                limits = next(f for f in fields if "->" in f).split("->")
                found.append((int(limits[0], 16), int(limits[1], 16)))
        return found

    @staticmethod
    def without_counters(ranges):
        """The same ranges but for the library's counters."""
        holes = []
        for name in COUNTERS:
            try:
                variable = gdb.parse_and_eval(name)
                holes.append((int(variable.address), variable.type.sizeof))
            except gdb.error:
                pass  # the linker left it out
        for start, end in ranges:
            for hole, size in sorted(holes):
                if start <= hole < end:
                    yield start, hole
                    start = hole + size
            yield start, end

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
        low, high = min(heap.slabs), max(heap.slabs) + SLAB
        contents = {}  # of slabs: many small blocks are read at once
        found = set()
        work = []

        def follow(words):
            for word in words:
                if low <= word < high and not word & 7:
                    block = heap.find(word)[1]
                    if block in live and block not in found:
                        found.add(block)
                        work.append(block)

        def words_of_block(block, slab):
            if slab.is_span:
                return words_of(block, slab.size)
            if slab.base not in contents:
                contents[slab.base] = words_of(slab.base, SLAB)
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
HakLeaks()
