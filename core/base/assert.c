/* SPDX-License-Identifier: MIT */
/*
 * The end of a debug build whose assertion has failed. The line is built on the stack, since
 * the allocator has just been found to be in disorder.
 *
 * Lock: any may be held, as host.h says of hak_host_panic().
 */
#include "base/base.h"

#include <hakmem/host.h>

#include "base/format.h"

_Noreturn void hak_assert_failed(const char *what)
{
	struct hak_line line = { 0 };

	hak_format(hak_line_append, &line, "hakmem: assertion failed: %s", what);
	hak_host_panic(line.text);
}
