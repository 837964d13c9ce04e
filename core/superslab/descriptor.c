/* SPDX-License-Identifier: MIT */
/*
 * New SuperSlabs: memory from the provider, and all the records that they need. A caller gets
 * both or nothing.
 *
 * Lock: none. What is mapped here is the caller's alone.
 *
 * Failure: descriptor_map() returns NULL, and everything is as it was.
 */
#include "superslab/descriptor.h"

#include <cpu.h>

#include "base/policy.h"
#include "base/sizeclass.h"
#include "pages/meta.h"
#include "pages/pagemap.h"
#include "pages/pages.h"

uintptr_t slab_base(const struct slab *slab)
{
	return slab_superslab(slab)->base + slab->index * UNIT_SIZE;
}

/*
 * The slab or span that an address lies in; NULL if it is in no SuperSlab. Where units are pages,
 * an address that lies in a span, or is unused, may lead to a descriptor that is not initialised.
 */
struct slab *address_to_slab(uintptr_t address)
{
	struct superslab *superslab = pagemap_superslab(address);

	return superslab ? superslab_slab(superslab, address) : NULL;
}

/* The window that an address of a SuperSlab lies in. */
struct window *superslab_window_at(uintptr_t address)
{
	return superslab_window(pagemap_superslab(address), address);
}

/*
 * A unit, which knows its index, becomes the first of a run, a slab or a span. Its descriptor is
 * initialised, unless what is noted of its pages must stay.
 */
struct slab *superslab_describe(struct slab *unit)
{
	uint16_t index = unit->index;

	if (!superslab_has_pages(slab_superslab(unit)))
		cpu_clear(unit, sizeof(*unit));
	unit->index = index;
	return unit;
}

/* The slab or span that begins at a unit, as the page map says; NULL if none does. */
const struct slab *superslab_first(const struct superslab *superslab, unsigned index)
{
	bool is_first = !superslab_is_unused(superslab, index) && superslab_has(superslab, index) &&
			!superslab_back(superslab, index) &&
			pagemap_class(superslab->base + index * UNIT_SIZE) != CLASS_SPAN_REST;

	return is_first ? &superslab->slab[index] : NULL;
}

/* The part of the units from @base on that lies in one window, as bits. Sets @n to how many. */
unit_mask superslab_part(uintptr_t base, size_t units, unsigned *n)
{
	unsigned first = (unsigned)(base / UNIT_SIZE % UNITS_PER_WINDOW);
	size_t rest = UNITS_PER_WINDOW - first;

	*n = (unsigned)MIN(units, rest);
	return (unit_mask)bit_run(first, *n);
}

/* Make sure that the page map has leaves for @size bytes from @base on. */
bool descriptor_reserve_leaves(uintptr_t base, size_t size)
{
	uintptr_t step = (uintptr_t)1 << HAK_LEAF_BITS;

	for (uintptr_t address = base; address < base + size;
	     address = (address | (step - 1)) + 1) {
		struct pagemap_leaf *leaf;

		if (pagemap_leaf(address))
			continue;
		leaf = meta_alloc(META_LEAF, sizeof(*leaf));
		if (!leaf)
			return false;
		if (!pagemap_add_leaf(address, leaf))
			meta_free(META_LEAF, leaf);
	}
	return true;
}

void descriptor_free(struct list_node *chain)
{
	for (struct list_node *next; chain; chain = next) {
		next = chain->next;
		meta_free(META_SUPERSLAB, list_entry(chain, struct superslab, node));
	}
}

/* Give back the memory of those that nobody needs, where it can go. */
void descriptor_trim(void)
{
	meta_trim(sizeof(struct superslab));
}

/* Clear a new one, or one that is used again: all but the units that come last. */
void descriptor_clear(struct superslab *superslab)
{
	size_t size = offsetof(struct superslab, slab);

	cpu_clear(superslab, size ? size : sizeof(*superslab));
}

/* A chain of @count descriptors through node.next; NULL if there are too few. */
static struct list_node *alloc_descriptors(size_t count)
{
	struct list_node *chain = NULL;

	while (count--) {
		struct superslab *superslab = meta_alloc(META_SUPERSLAB, sizeof(*superslab));

		if (!superslab) {
			descriptor_free(chain);
			return NULL;
		}
		descriptor_clear(superslab);
		superslab->node.next = chain;
		chain = &superslab->node;
	}
	return chain;
}

/* The descriptors of the units, where something is noted of their pages. */
static void init_units(struct superslab *superslab)
{
	/* if pages cannot be purged, all of them count as backed */
	uint16_t unbacked = superslab->purgeable ? UNIT_PAGES : 0;

	for (unsigned i = 0; i < UNITS_PER_SUPERSLAB; i++)
		superslab->slab[i] = (struct slab){ .index = (uint16_t)i,
						    .unbacked = unbacked,
						    .untouched = unbacked };
}

/* Initialise a chain of descriptors for the SuperSlabs of a mapping. */
static void init_superslabs(struct list_node *chain, const struct hak_mapping *mapping,
			    bool metadata)
{
	uintptr_t base = (uintptr_t)mapping->base;

	hak_assert(base % SUPERSLAB_SIZE == 0);
	for (; chain; chain = chain->next, base += SUPERSLAB_SIZE) {
		struct superslab *superslab = list_entry(chain, struct superslab, node);

		superslab->base = base;
		superslab->metadata = metadata;
		superslab->units = UNITS_PER_SUPERSLAB - 2 * superslab_is_metadata(superslab);
		if (HAS_PARTS)
			superslab->described = UNITS_PER_SUPERSLAB;
		/* what cannot be purged, and need not read zero, is as good as backed */
		for (unsigned i = 0; i < NR_WINDOWS && (NR_WINDOWS == 1 || mapping->flags); i++)
			superslab->window[i].unbacked = superslab_units(superslab);
		superslab->zero = mapping->flags & HAK_PAGES_ZERO;
		superslab->purgeable = mapping->flags & HAK_PAGES_PURGE;
		if (superslab_has_pages(superslab))
			init_units(superslab);
	}
}

/*
 * Map @count SuperSlabs and make all the records for them. NULL if there is no memory for one
 * of these. Descriptors are made first, because some providers take no memory back. If there
 * are many they are made last, because the memory of records may stay theirs.
 */
struct list_node *descriptor_map(size_t count, size_t align, bool metadata)
{
	enum hak_want want = HAK_METADATA_APART && metadata ? HAK_WANT_META : HAK_WANT_HEAP;
	size_t size = count * SUPERSLAB_SIZE;
	bool early = count <= POLICY_EARLY_DESCRIPTORS;
	struct list_node *chain = early ? alloc_descriptors(count) : NULL;
	struct hak_mapping mapping;

	if ((early && !chain) || !pages_map(size, MAX(align, SUPERSLAB_SIZE), want, &mapping)) {
		descriptor_free(chain);
		return NULL;
	}
	if (!early)
		chain = alloc_descriptors(count);
	if (chain && descriptor_reserve_leaves((uintptr_t)mapping.base, size)) {
		init_superslabs(chain, &mapping, metadata);
		if (IS_ENABLED(CONFIG_HAK_HARDENED) && want == HAK_WANT_HEAP &&
		    !(mapping.flags & HAK_PAGES_ZERO)) /* free memory is zero there */
			__builtin_memset(mapping.base, 0, size);
		return chain;
	}
	pages_unmap(mapping.base, size);
	descriptor_free(chain);
	return NULL;
}

/* Get the memory of new SuperSlabs, before they are entered. All of it counts as backed then. */
void descriptor_populate(struct list_node *chain)
{
	for (; chain; chain = chain->next) {
		struct superslab *superslab = list_entry(chain, struct superslab, node);

		pages_populate((void *)superslab->base, SUPERSLAB_SIZE);
		superslab_note_backed(superslab);
	}
}
