/* SPDX-License-Identifier: MIT */
#ifndef HAKMEM_API_FORK_H
#define HAKMEM_API_FORK_H

/*
 * For a platform that copies processes: take every lock before, drop them all
 * after, in the parent and in the child.
 */
void fork_prepare(void);
void fork_in_child(void);
void fork_done(void);

#endif
