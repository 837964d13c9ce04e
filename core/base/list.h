/* SPDX-License-Identifier: MIT */
/*
 * Doubly linked lists whose head is one pointer, NULL when empty, so that a
 * static head needs no initialisation. Any object on a list starts with, or
 * contains, a list_node.
 */
#ifndef HAKMEM_BASE_LIST_H
#define HAKMEM_BASE_LIST_H

#include "base/base.h"

struct list_node {
	struct list_node *next;
	struct list_node **link; /* what points to this node; NULL: on no list */
};

#define list_entry(node, type, member) ((type *)((char *)(node)-offsetof(type, member)))

static inline void list_add(struct list_node **head, struct list_node *node)
{
	node->next = *head;
	node->link = head;
	if (node->next)
		node->next->link = &node->next;
	*head = node;
}

static inline void list_del(struct list_node *node)
{
	*node->link = node->next;
	if (node->next)
		node->next->link = node->link;
	node->link = NULL;
}

static inline bool list_has(const struct list_node *node)
{
	return node->link != NULL;
}

#endif
