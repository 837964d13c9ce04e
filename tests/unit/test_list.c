/* SPDX-License-Identifier: MIT */
/*
 * core/base/list.h: adding at the front, deleting first, middle, last and only nodes.
 */
#include "unit.h"

#include <base/list.h>

struct item {
	int number;
	struct list_node node;
};

/* Are the numbers on the list the digits of @expected, and all links right? */
static bool has(struct list_node *const *head, const char *expected)
{
	struct list_node *const *link = head;

	for (; *link; link = &(*link)->next, expected++) {
		struct item *item = list_entry(*link, struct item, node);

		if (*expected != '0' + item->number || (*link)->link != link)
			return false;
	}
	return !*expected;
}

static void list_order(void)
{
	struct item item[4] = {
		{ .number = 0 }, { .number = 1 }, { .number = 2 }, { .number = 3 }
	};
	struct list_node *head = NULL;

	for (unsigned i = 0; i < 4; i++) {
		CHECK(!list_has(&item[i].node));
		list_add(&head, &item[i].node);
		CHECK(list_has(&item[i].node));
	}
	CHECK(has(&head, "3210"));
	list_del(&item[2].node); /* in the middle */
	CHECK(has(&head, "310") && !list_has(&item[2].node));
	list_del(&item[3].node); /* the first */
	CHECK(has(&head, "10") && !list_has(&item[3].node));
	list_del(&item[0].node); /* the last */
	CHECK(has(&head, "1") && !list_has(&item[0].node));
	list_add(&head, &item[2].node);
	CHECK(has(&head, "21"));
	list_del(&item[2].node);
	list_del(&item[1].node); /* the only one */
	CHECK(has(&head, "") && !head);
}

void unit_list(void)
{
	TEST_RUN(list_order);
}
