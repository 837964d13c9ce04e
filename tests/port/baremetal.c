/* SPDX-License-Identifier: MIT */
/*
 * What tests need of the bare machine.
 */
#include <frames.h>
#include <machine.h>

#include "../test.h"

void port_write(const char *text, size_t length)
{
	hak_console_write(text, length);
}

void *port_map(size_t size)
{
	struct hak_mapping mapping;

	if (hak_frames_provider.map(NULL, size, HAK_SUPERSLAB_SIZE, HAK_WANT_HEAP, &mapping))
		return NULL;
	__builtin_memset(mapping.base, 0, size);
	return mapping.base;
}

void port_unmap(void *base, size_t size)
{
	hak_frames_provider.unmap(NULL, base, size);
}

const struct hak_provider *port_provider(void)
{
	return &hak_frames_provider;
}

/* Frames that somebody has. */
uint64_t port_resident(void)
{
	return (hak_frames_total() - hak_frames_free()) * HAK_SUPERSLAB_SIZE;
}

bool port_counts_pages(void)
{
	return false;
}

const char *port_name(void)
{
	return "bare metal";
}
