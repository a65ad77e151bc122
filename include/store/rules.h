/*
 * store/rules.h - holds and cancels of all mail to a domain, of an account,
 * with a tag, or from a source. Maps rows; what a rule is about is told by
 * queue/rules.h.
 */
#ifndef STORE_RULES_H
#define STORE_RULES_H

#include "store/pg.h"

#define STORE_RULES_MAX 1000 /* every read of a job looks at all of them */

enum store_rule_kind {
	RULE_HOLD,
	RULE_CANCEL, /* of what was accepted before it was issued */
};

enum store_rule_scope {
	RULE_DOMAIN,  /* of the recipient */
	RULE_ACCOUNT, /* value: its name */
	RULE_TAG,     /* "name", or "name=value" */
	RULE_SOURCE,  /* holds only: an address to send from */
};

const char *store_rule_kind_name(enum store_rule_kind k);
const char *store_rule_scope_name(enum store_rule_scope s);
bool store_rule_scope_parse(struct slice text, enum store_rule_scope *out);

struct store_rule {
	int number; /* a hold's: the score of what is parked for it */
	struct id id;
	enum store_rule_kind kind;
	enum store_rule_scope scope;
	struct slice value;
	int account; /* 0: of any; always set for RULE_ACCOUNT */
	struct slice reason;
	int64_t issued_at_ms;
	int64_t expires_at_ms; /* 0: never */
};

struct arena;

/* A copy that outlives the callback, in the arena. */
struct store_rule *store_rules_copy(struct arena *arena,
    const struct store_rule *rule, size_t count);

/* generation: what a claim is to carry whose job was looked at with these. */
typedef void store_rules_got(void *ctx, const struct store_rule *rule,
    size_t count, int generation, const struct error *err);
/* Those in force at now_ms, oldest first. */
struct pg_tx *store_rule_list(struct pg *pg, int64_t now_ms,
    store_rules_got *done, void *ctx);
/*
 * number is not read. A hold that is there already gets the new reason and end.
 * ERR_LIMIT: there are STORE_RULES_MAX.
 */
struct pg_tx *store_rule_add(struct pg *pg, const struct store_rule *rule,
    store_done *done, void *ctx);
/* Removes a hold by scope, value and account. ERR_NOTFOUND: there is none. */
struct pg_tx *store_rule_release(struct pg *pg, enum store_rule_scope scope,
    struct slice value, int account, store_done *done, void *ctx);
/* Removes holds that are over, and cancels that have nothing left to do. */
struct pg_tx *store_rule_trim(struct pg *pg, int64_t now_ms, store_done *done,
    void *ctx);

#endif
