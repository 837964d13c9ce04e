/* SPDX-License-Identifier: MIT */
/*
 * Doubly linked lists. All of it is in this header; there is no list.c.
 *
 * The head of a list is one pointer, which is NULL when the list is empty, so that a static
 * head needs no initialisation. An object that goes on lists contains a list_node for each
 * list that it may be on at a time. A node points back to the pointer that points to it,
 * head or node, so an object is taken off a list without a walk, and without the head.
 *
 *	on a list  ==>	*node->link == node
 *	on no list ==>	node->link == NULL
 *
 * Some files thread objects that are on no list into a chain: by @next alone, and NULL at
 * its end.
 *
 * Lock: that of the owner of the list.
 */
#ifndef HAKMEM_BASE_LIST_H
#define HAKMEM_BASE_LIST_H

#include "base/base.h"

struct list_node {
	struct list_node *next;
	struct list_node **link; /* what points to this node; NULL if it is on no list */
};

/* The object of @type whose @member is *@node. */
#define list_entry(node, type, member) ((type *)((char *)(node)-offsetof(type, member)))

static inline bool list_has(const struct list_node *node)
{
	return node->link != NULL;
}

/* Put @node, which is on no list, at the front of a list. */
static inline void list_add(struct list_node **head, struct list_node *node)
{
	hak_assert(!list_has(node));
	node->next = *head;
	node->link = head;
	if (node->next)
		node->next->link = &node->next;
	*head = node;
}

/* Take @node off the list that it is on. @next stays, for a walk that goes on from it. */
static inline void list_del(struct list_node *node)
{
	hak_assert(list_has(node) && *node->link == node);
	*node->link = node->next;
	if (node->next)
		node->next->link = node->link;
	node->link = NULL;
}

#endif
