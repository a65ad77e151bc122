#include "test.h"

#include "base/list.h"

struct item {
	int n;
	struct list node;
};

static int
sum_in_order(const struct list *head)
{
	int digits = 0;

	list_each (at, head)
		digits = digits * 10 + list_entry(at, struct item, node)->n;
	return digits;
}

static void
keeps_the_order_of_insertion(void **state)
{
	struct item one = { .n = 1 }, two = { .n = 2 }, three = { .n = 3 };
	struct list head;

	(void)state;
	list_init(&head);
	assert_true(list_is_empty(&head));
	assert_null(list_first(&head));
	assert_null(list_pop(&head));
	list_append(&head, &two.node);
	list_append(&head, &three.node);
	list_prepend(&head, &one.node);
	assert_int_equal(sum_in_order(&head), 123);
	list_remove(&two.node);
	assert_int_equal(sum_in_order(&head), 13);
	list_insert_before(&three.node, &two.node);
	assert_int_equal(sum_in_order(&head), 123);
	assert_ptr_equal(list_pop(&head), &one.node);
	assert_int_equal(sum_in_order(&head), 23);
}

static void
knows_whether_a_node_is_linked(void **state)
{
	struct item item = { 0 };
	struct list head;

	(void)state;
	list_init(&head);
	assert_false(list_is_linked(&item.node));
	list_remove(&item.node); /* zeroed: harmless */
	list_append(&head, &item.node);
	assert_true(list_is_linked(&item.node));
	list_remove(&item.node);
	list_remove(&item.node); /* twice: harmless */
	assert_false(list_is_linked(&item.node));
	assert_true(list_is_empty(&head));
}

static void
lets_the_safe_walk_remove(void **state)
{
	struct item items[4] = { { .n = 1 }, { .n = 2 }, { .n = 3 },
		{ .n = 4 } };
	struct list head;

	(void)state;
	list_init(&head);
	for (size_t i = 0; i < ARRAY_LEN(items); i++)
		list_append(&head, &items[i].node);
	list_each_safe (at, &head)
		if (list_entry(at, struct item, node)->n % 2 == 0)
			list_remove(at);
	assert_int_equal(sum_in_order(&head), 13);
}

TEST_MAIN(cmocka_unit_test(keeps_the_order_of_insertion),
    cmocka_unit_test(knows_whether_a_node_is_linked),
    cmocka_unit_test(lets_the_safe_walk_remove))
