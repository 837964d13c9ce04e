/* SPDX-License-Identifier: MIT */
/*
 * Groups of spans. A span that is a page longer than a unit would leave most of its second unit
 * unused. So the spans of some classes lie side by side in groups. A group is a run of units of one
 * SuperSlab, which its spans fill but for a sixteenth at most: see GROUP_UNITS().
 *
 * Each unit of a group has the class of the spans in the page map, and @bucket says how far behind
 * the first unit it lies. The descriptor of the first one has a bit for each span, which is 1 if
 * the span is free. The pages of a free span are slack of their units: the scan purges them, and
 * no span there is allocated meanwhile (claim.c).
 *
 *	on the list of its class  <=>  a span is free, and one is in use
 *	slack of the units	  ==   pages of free spans, and those behind the last span
 *
 * Lock: that of the arena.
 *
 * Failure: group_alloc() returns 0 if there is no memory for another group.
 */
#include "superslab/group.h"

#include "pages/pagemap.h"
#include "superslab/arena.h"

/* Of each class: its groups in which a span is free, and how many groups there are. */
static PLATFORM_SPARSE struct {
	struct list_node *partial;
	_Atomic size_t number;
} groups[NR_SPAN_CLASSES + 1];

static unsigned pages_of(unsigned class)
{
	return size_class[class].size / PAGE_SIZE;
}

/* The pages of a span in a unit of its group, as bits. */
static unsigned pages_in(unsigned class, unsigned index, unsigned unit)
{
	unsigned first = index * pages_of(class), end = first + pages_of(class);
	unsigned from = MAX(first, unit * PAGES_PER_UNIT), to = (unit + 1) * PAGES_PER_UNIT;

	to = MIN(end, to);
	return from < to ? (unsigned)bit_run(from % PAGES_PER_UNIT, to - from) : 0;
}

/* The units in which a span lies. */
#define for_each_unit(i, class, index)                                                             \
	for (unsigned i = (index)*pages_of(class) / PAGES_PER_UNIT;                                \
	     i <= (((index) + 1) * pages_of(class) - 1) / PAGES_PER_UNIT; i++)

/* Allocate a span, unless a scan is at its units. */
static bool alloc_span(struct slab *head, unsigned class, unsigned index)
{
	for_each_unit(i, class, index)
	{
		if (slab_is_claimed(&head[i]))
			return false;
	}
	for_each_unit(i, class, index)
	{
		unsigned pages = pages_in(class, index, i);

		superslab_set_slack(&head[i], pages, head[i].slack & ~pages);
	}
	head->inline_bits[0] ^= (uint64_t)1 << index;
	if (!head->inline_bits[0])
		list_del(&head->node);
	if (PLATFORM_SCANS)
		hak_arena.taken.now += DIV_ROUND_UP(pages_of(class), PAGES_PER_UNIT);
	return true;
}

/* Allocate the first span that is free. Returns its address, or 0. */
static uintptr_t alloc_partial(unsigned class)
{
	struct list_node *node = groups[class - CLASS_SPAN_FIRST].partial;

	for (; node; node = node->next) {
		struct slab *head = list_entry(node, struct slab, node);

		for (uint64_t free = head->inline_bits[0]; free; free &= free - 1)
			if (alloc_span(head, class, lowest_bit(free)))
				return slab_base(head) +
				       (size_t)lowest_bit(free) * size_class[class].size;
	}
	return 0;
}

/* Units that were allocated become a group, all of whose spans are free. */
static void group_init(struct slab *head, unsigned class)
{
	for (unsigned i = 0; i < size_class[class].units; i++) {
		head[i].bucket = (uint8_t)i;
		superslab_set_slack(&head[i], 0, UNIT_PAGES);
	}
	head->class = (uint8_t) class;
	head->inline_bits[0] = bit_run(0, size_class[class].blocks);
	list_add(&groups[class - CLASS_SPAN_FIRST].partial, &head->node);
	groups[class - CLASS_SPAN_FIRST].number++;
}

/* Allocate a span of a class that has groups. Returns its address, or 0. */
uintptr_t group_alloc(unsigned class, enum alloc_which which)
{
	unsigned units = size_class[class].units;
	uintptr_t span, base;
	bool backed;

	arena_lock();
	span = alloc_partial(class);
	arena_unlock();
	if (span)
		return span;
	base = superslab_alloc(units, UNIT_PAGES, UNIT_SIZE, which, &backed);
	if (!base)
		return 0;
	pagemap_set_class(base, units, class);
	arena_lock();
	group_init(address_to_slab(base), class);
	span = alloc_partial(class); /* a scan can have claimed nothing but the last unit */
	arena_unlock();
	hak_assert(span);
	return span;
}

/* No span of a group is in use any more. Returns false if a scan is at one of its units. */
static bool group_end(struct slab *head, unsigned class)
{
	bool claimed = false;

	list_del(&head->node);
	head->class = CLASS_NONE;
	groups[class - CLASS_SPAN_FIRST].number--;
	for (unsigned i = 0; i < size_class[class].units; i++) {
		claimed |= slab_is_claimed(&head[i]);
		head[i].slack = 0; /* so no other unit can be claimed */
	}
	return !claimed;
}

/* The first unit of the group in which an address lies; NULL if it is gone. */
static struct slab *group_head(uintptr_t address)
{
	struct slab *unit = address_to_slab(address);

	return unit ? unit - MIN(unit->bucket, unit->index) : NULL;
}

/* Free a span that group_inspect() found sound. */
void group_free(unsigned class, uintptr_t span)
{
	struct slab *head = group_head(span);
	uintptr_t base = slab_base(head);
	unsigned index = (unsigned)((span - base) / size_class[class].size);
	unsigned units = size_class[class].units, n = 0;

	arena_lock();
	for_each_unit(i, class, index)
	{
		superslab_set_slack(&head[i], 0, head[i].slack | pages_in(class, index, i));
	}
	if (!head->inline_bits[0])
		list_add(&groups[class - CLASS_SPAN_FIRST].partial, &head->node);
	head->inline_bits[0] |= (uint64_t)1 << index;
	if (head->inline_bits[0] == bit_run(0, size_class[class].blocks))
		n = group_end(head, class) ? units : 1;
	arena_unlock();
	for (unsigned i = 0; n && i < units; i += n)
		superslab_free(base + i * UNIT_SIZE, n);
}

/*
 * What is wrong with freeing a span? See span_inspect(). Racy: others change the bits of other
 * spans meanwhile.
 */
NO_SANITIZE_THREAD enum hak_bug_code group_inspect(unsigned class, uintptr_t address,
						   size_t *detail)
{
	const struct slab *head = group_head(address);
	size_t size = size_class[class].size, last = size_class[class].blocks - 1;
	size_t offset = head ? address - slab_base(head) : 0, index = MIN(offset / size, last);

	*detail = offset - index * size;
	if (*detail)
		return HAK_BUG_INTERIOR;
	if (!head || head->class != class || READ_ONCE(head->inline_bits[0]) >> index & 1)
		return HAK_BUG_DOUBLE_FREE;
	return HAK_BUG_NONE;
}

/* How many units do the groups of a class take? */
size_t group_units(unsigned class)
{
	return groups[class - CLASS_SPAN_FIRST].number * size_class[class].units;
}

/* How many spans of a group are in use? */
unsigned group_outstanding(const struct slab *head)
{
	return size_class[head->class].blocks - count_bits(head->inline_bits[0]);
}

/* How many spans in use lie in a unit of a group, wholly or in part? Sets @first, unless none. */
unsigned group_spans_in(unsigned class, const struct slab *unit, uintptr_t *first)
{
	const struct slab *head = unit - unit->bucket;
	unsigned n = 0;

	for (unsigned i = size_class[class].blocks; i--;) {
		if (head->inline_bits[0] >> i & 1 || !pages_in(class, i, unit->bucket))
			continue;
		*first = slab_base(head) + (size_t)i * size_class[class].size;
		n++;
	}
	return n;
}

/* What does not fit? NULL if all does. */
const char *group_check(const struct slab *head)
{
	unsigned class = head->class;

	if (!head->inline_bits[0] == list_has(&head->node))
		return "group: on the list";
	for (unsigned i = 0; i < size_class[class].units; i++) {
		const struct slab *unit = &head[i];
		unsigned used = 0;

		if (pagemap_class(slab_base(unit)) != class || unit->bucket != i)
			return "page map: class of a group";
		for (unsigned span = 0; span < size_class[class].blocks; span++)
			if (!(head->inline_bits[0] >> span & 1))
				used |= pages_in(class, span, i);
		if (unit->slack != (UNIT_PAGES & ~used) || unit->unbacked & used)
			return "group: slack";
	}
	return NULL;
}

void group_fini(void)
{
	__builtin_memset(groups, 0, sizeof(groups));
}
