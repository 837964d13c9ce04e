/* SPDX-License-Identifier: MIT */
/*
 * Between samples and the platform. Where it links them, it defines hak_profile_start() and
 * hak_guard_start(), which call those below, and the slow paths that api/sampled.h tells of.
 */
#ifndef HAKMEM_DIAG_SAMPLED_H
#define HAKMEM_DIAG_SAMPLED_H

#include "base/format.h"

bool hak_sampled_profile(size_t bytes);
bool hak_sampled_guard(size_t one_in);

/* Of the platform: more about the address of an instruction than its number, to be appended. */
void hak_sampled_name(struct hak_line *line, void *frame);

/* Of the platform: a sink for reports that nobody has asked for; @ctx is NULL. */
void hak_sampled_print(void *ctx, const char *text, size_t length);

#endif
