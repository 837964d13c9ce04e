/* SPDX-License-Identifier: MIT */
/*
 * The program: C as anywhere. It sorts numbers in a tree, frees it, and
 * prints what the heap has and what the kernel got back.
 */
#include "kernel.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <hakmem/hakmem.h>

#define NR_NODES 200000

struct node {
	struct node *left, *right;
	unsigned value;
	char *text;
};

static struct node *insert(struct node *tree, struct node *node)
{
	struct node **link = &tree;

	while (*link)
		link = node->value < (*link)->value ? &(*link)->left : &(*link)->right;
	*link = node;
	return tree;
}

static struct node *new_node(unsigned value)
{
	struct node *node = calloc(1, sizeof(*node));
	char text[32];

	snprintf(text, sizeof(text), "number %u", value);
	if (node) {
		node->value = value;
		node->text = strdup(text);
	}
	return node;
}

/* Frees the tree, and returns how many nodes came in order. */
static unsigned take_down(struct node *node, unsigned *last)
{
	unsigned in_order = 0;

	if (!node)
		return 0;
	in_order += take_down(node->left, last);
	in_order += node->value >= *last && strtoul(node->text + 7, NULL, 10) == node->value;
	*last = node->value;
	in_order += take_down(node->right, last);
	free(node->text);
	free(node);
	return in_order;
}

int main(void)
{
	struct node *tree = NULL;
	unsigned random = 1, last = 0, in_order;
	size_t most;
	const char *broken;

	printf("hello from a unikernel\n");
	for (unsigned i = 0; i < NR_NODES; i++) {
		random = random * 1664525 + 1013904223;
		tree = insert(tree, new_node(random));
	}
	most = pages_used();
	in_order = take_down(tree, &last);
	hak_trim(HAK_TRIM_ALL);
	broken = hak_check();
	/* newlib is mostly built without %zu */
	printf("%u of %u numbers in order; %lu KiB at most, %lu KiB are left\n", in_order, NR_NODES,
	       (unsigned long)most * KERNEL_PAGE / 1024,
	       (unsigned long)pages_used() * KERNEL_PAGE / 1024);
	if (broken)
		printf("the heap is broken: %s\n", broken);
	return broken || in_order != NR_NODES;
}
