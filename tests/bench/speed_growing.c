/* SPDX-License-Identifier: MIT */
/*
 * One thread, a heap that grows or shrinks. What the first touch of a page costs
 * is part of it.
 *
 * scaling: a million blocks of one size, allocated and freed in that order: what
 * blocks cost when there are many, in time and, above all, in memory.
 *
 * realloc: a vector that grows from 16 bytes to the size given, by a quarter each
 * time, as containers of many languages do. An operation is such a vector.
 *
 * buffers: 64 buffers to which text is appended at random, up to 1 MiB each: the
 * blocks of one are in the way of another. An operation is what is appended: 16
 * to 4096 bytes, three times in a hundred with a realloc.
 */
#include <string.h>

#include "speed.h"

#define BUFFERS	    64u
#define BUFFER_MOST MIB
#define APPENDS	    1000u

static void **blocks;

static void scaling_prepare(void)
{
	blocks = map_resident(parameters.live * sizeof(*blocks));
}

static uint64_t scaling_step(void)
{
	for (uint64_t i = 0; i < parameters.live; i++)
		blocks[i] = allocate_touched(parameters.size);
	for (uint64_t i = 0; i < parameters.live; i++)
		free(blocks[i]);
	return parameters.live;
}

static void nothing(void)
{
}

/* One more element, and room for a quarter more, until all are there. */
static uint64_t realloc_step(void)
{
	size_t size = 16, larger;
	unsigned char *block = allocate_touched(size);

	for (; size < parameters.size; size = larger) {
		larger = (size + size / 4 + 15) & ~(size_t)15;
		block = realloc(block, larger);
		if (!block)
			fail("bench: no memory for %zu bytes\n", larger);
		touch(block + size, larger - size);
	}
	free(block);
	return 1;
}

/* All are being filled, at random. */
static struct buffer {
	unsigned char *base;
	size_t used, room;
} buffers[BUFFERS];

static uint64_t randomness;

static void buffers_prepare(void)
{
	randomness = random_seed(0);
}

static void buffer_append(struct buffer *buffer, size_t n)
{
	if (buffer->used + n > buffer->room) {
		buffer->room = (buffer->used + n) * 3 / 2;
		buffer->base = realloc(buffer->base, buffer->room);
		if (!buffer->base)
			fail("bench: no memory for %zu bytes\n", buffer->room);
	}
	touch(buffer->base + buffer->used, n);
	buffer->used += n;
	if (buffer->used > BUFFER_MOST) {
		free(buffer->base);
		*buffer = (struct buffer){ NULL, 0, 0 };
	}
}

static uint64_t buffers_step(void)
{
	uint64_t state = randomness;

	for (unsigned i = 0; i < APPENDS; i++) {
		uint64_t random = random_next(&state);

		buffer_append(&buffers[random % BUFFERS], 16 + random / BUFFERS % 4081);
	}
	randomness = state;
	return APPENDS;
}

const struct workload growing_workloads[] = {
	{ "scaling", scaling_prepare, scaling_step, ONCE, NULL },
	{ "realloc", nothing, realloc_step, ONCE, NULL },
	{ "buffers", buffers_prepare, buffers_step, STEADY, NULL },
	{ NULL, NULL, NULL, ONCE, NULL },
};
