/* base/list.h - intrusive doubly linked lists. */
#ifndef BASE_LIST_H
#define BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

#include "base/attr.h"

struct list {
	struct list *next, *prev; /* a head points to itself when empty */
};

static inline void
list_init(struct list *l)
{
	l->next = l->prev = l;
}

static inline bool
list_is_empty(const struct list *l)
{
	return l->next == l;
}

/* Whether a node (not a head) is on some list; it must have been init'ed. */
static inline bool
list_is_linked(const struct list *node)
{
	return node->next != NULL && node->next != node;
}

static inline void
list_insert_before(struct list *at, struct list *node)
{
	node->prev = at->prev;
	node->next = at;
	at->prev->next = node;
	at->prev = node;
}

static inline void
list_append(struct list *head, struct list *node)
{
	list_insert_before(head, node);
}

static inline void
list_prepend(struct list *head, struct list *node)
{
	list_insert_before(head->next, node);
}

/* Takes node off whatever list it is on; harmless when it is on none. */
static inline void
list_remove(struct list *node)
{
	if (node->next != NULL) {
		node->next->prev = node->prev;
		node->prev->next = node->next;
	}
	node->next = node->prev = node;
}

static inline struct list *
list_first(const struct list *head)
{
	return list_is_empty(head) ? NULL : head->next;
}

/* Takes the first node off, or NULL. */
static inline struct list *
list_pop(struct list *head)
{
	struct list *node = list_first(head);

	if (node != NULL)
		list_remove(node);
	return node;
}

#define list_entry(node, type, member) container_of(node, type, member)

/* node must not be removed in the body; the _safe form allows just that. */
#define list_each(node, head)                                                  \
	for (struct list *node = (head)->next; node != (head);                 \
	     node = node->next)
#define list_each_safe(node, head)                                             \
	for (struct list *node = (head)->next, *node##_next_ = node->next;     \
	     node != (head); node = node##_next_, node##_next_ = node->next)

#endif
