/*
 * queue/rules.h - what holds and cancels apply to a recipient.
 *
 * A process that decides about mail keeps the list in memory (struct rules) and
 * reads it again with its heartbeat. It need not be told of changes: a claim
 * made under an old list is refused (store/attempts.h), and the list is then
 * read again.
 */
#ifndef QUEUE_RULES_H
#define QUEUE_RULES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "store/rules.h"

struct arena;
struct rules;

/* What is looked at. All borrowed for the call. */
struct rules_subject {
	int account;
	struct slice address;	/* local@domain, as on the wire */
	struct slice head;	/* record of the email (mail/content.h) */
	int64_t accepted_at_ms; /* id_time_ms of its id */
};

/*
 * The rule that applies to a recipient at now_ms: a cancel before any hold, of
 * holds the oldest; NULL: none. Pure. Holds of sources are not looked at: they
 * are about where mail leaves, not about what leaves.
 */
const struct store_rule *rules_find(const struct store_rule *rules, size_t n,
    const struct rules_subject *what, int64_t now_ms);
/* All that applies, for people. Pure. */
struct rules_found {
	const struct store_rule *first; /* rules_find, or NULL */
	size_t hold_count;		/* 0 when first is a cancel */
	const struct store_rule **hold; /* oldest first, in the arena */
};
struct rules_found rules_find_all(struct arena *arena,
    const struct store_rule *rules, size_t n, const struct rules_subject *what,
    int64_t now_ms);
/* Whether the address may not be sent from at the moment. Pure. */
bool rules_hold_source(const struct store_rule *rules, size_t n,
    struct slice address, int64_t now_ms);
/* Whether head is needed to tell. Pure. */
bool rules_want_heads(const struct store_rule *rules, size_t n);

/* pg is borrowed. Nothing is known before the first refresh is answered. */
struct rules *rules_new(struct pg *pg);
void rules_free(struct rules **r);
/* Reads the list again; one question at a time. */
void rules_refresh(struct rules *r);
/* Of the list; -1: not read yet. Claims carry it. */
int rules_generation(const struct rules *r);
/* Borrowed until the loop turns. */
const struct store_rule *rules_list(const struct rules *r, size_t *n);
/* The one with that number, or NULL: borrowed like the list. */
const struct store_rule *rules_numbered(const struct rules *r, int number);

#endif
