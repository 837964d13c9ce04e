/* SPDX-License-Identifier: MIT */
/* See README.md. */
#ifndef HAKMEM_STDBOOL_H
#define HAKMEM_STDBOOL_H

#ifndef __cplusplus
#define bool _Bool
#define true 1
#define false 0
#endif

#endif
