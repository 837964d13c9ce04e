/* SPDX-License-Identifier: MIT */
/*
 * What the unit tests have in common; see unit.h.
 */
#include "unit.h"

#include <base/policy.h>
#include <hakmem/hakmem.h>
#include <pages/pagemap.h>
#include <superslab/span.h>

struct fake unit_fake;
struct unit_text unit_text;

static bool is_open;

bool unit_open_aligned(size_t capacity, size_t align, unsigned flags, enum fake_purge purge)
{
	const struct fake_options options = {
		.capacity = capacity,
		.align = align,
		.flags = flags,
		.purge = purge,
	};

	if (is_open) { /* a test has failed */
		policy_set_mode(RELEASE_AT_ONCE);
		hak_fini();
		fake_close(&unit_fake);
		is_open = false;
	}
	if (!fake_open(&unit_fake, &options))
		return false;
	is_open = true;
	return fake_init(&unit_fake);
}

bool unit_open(size_t capacity, unsigned flags, enum fake_purge purge)
{
	return unit_open_aligned(capacity, 0, flags, purge);
}

bool unit_close(void)
{
	bool gone;

	fake_heal(&unit_fake);
	hak_fini();
	gone = unit_fake.options.flags & (FAKE_NO_UNMAP | FAKE_KEEPS) || !unit_fake.outstanding;
	fake_close(&unit_fake);
	is_open = false;
	return gone && !unit_fake.broken;
}

size_t unit_balance(void)
{
	return unit_fake.outstanding;
}

void *unit_span_alloc(size_t size)
{
	bool backed;

	return span_alloc(size, 1, ALLOC_ANY, &backed);
}

/* Eight bytes that depend on where they are. */
static uint64_t pattern(size_t offset, unsigned seed)
{
	return (offset + 1) * 0x9e3779b97f4a7c15u + seed * 0xd1342543de82ef95u;
}

void unit_fill(void *block, size_t size, unsigned seed)
{
	char *bytes = block;

	for (size_t i = 0; i < size; i += 8) {
		uint64_t word = pattern(i, seed);

		__builtin_memcpy(bytes + i, &word, size - i < 8 ? size - i : 8);
	}
}

bool unit_is_filled(const void *block, size_t size, unsigned seed)
{
	const char *bytes = block;

	for (size_t i = 0; i < size; i += 8) {
		uint64_t word = pattern(i, seed);

		if (__builtin_memcmp(bytes + i, &word, size - i < 8 ? size - i : 8) != 0)
			return false;
	}
	return true;
}

bool unit_reads_zero(uintptr_t base, size_t slabs)
{
	unsigned n;

	for (; slabs; slabs--, base += SLAB_SIZE)
		if (superslab_part(base, 1, &n) &
		    ~superslab_window(pagemap_superslab(base), base)->zeros)
			return false;
	return true;
}

bool unit_is_zero(const void *block, size_t size)
{
	const char *bytes = block;
	uint64_t word, any = 0;

	for (size_t i = 0; i < size; i += 8) {
		word = 0;
		__builtin_memcpy(&word, bytes + i, size - i < 8 ? size - i : 8);
		any |= word;
	}
	return !any;
}

void unit_sink(void *ctx, const char *text, size_t length)
{
	struct unit_text *out = ctx;

	while (length--) {
		if (out->length < sizeof(out->text) - 1)
			out->text[out->length] = *text++;
		out->length++;
	}
	if (out->length < sizeof(out->text))
		out->text[out->length] = '\0';
}

bool unit_same(const char *failed, const char *expected)
{
	if (!failed || !expected)
		return failed == expected;
	while (*failed && *failed == *expected) {
		failed++;
		expected++;
	}
	return *failed == *expected;
}

bool unit_text_is(const char *expected)
{
	return unit_same(unit_text.text, expected);
}

const char *unit_text_find(const char *part)
{
	return test_find(unit_text.text, part);
}
