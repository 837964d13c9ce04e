/* SPDX-License-Identifier: MIT */
/*
 * The copies out of line of what headers define inline: called where code is
 * compiled for size and a call is the shorter way.
 */
#include "base.h"
#include "list.h"
#include "pagemap.h"

extern inline unsigned count_bits(uint64_t x);

extern inline void list_add(struct list_node **head, struct list_node *node);
extern inline void list_del(struct list_node *node);

extern inline size_t pagemap_leaf_index(uintptr_t address);
extern inline struct pagemap_leaf *pagemap_leaf(uintptr_t address);
extern inline struct superslab *pagemap_superslab(uintptr_t address);
