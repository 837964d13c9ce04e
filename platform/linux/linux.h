/* SPDX-License-Identifier: MIT */
/*
 * Between the files of this platform.
 */
#ifndef HAKMEM_LINUX_H
#define HAKMEM_LINUX_H

#include <hakmem/provider.h>

extern const struct hak_provider hak_linux_provider;

void hak_reaper_thread_ended(void);
void hak_reaper_after_fork(void);

#endif
