/*
 * outcome/canceled.h - who canceled a recipient, and why: written into the data
 * of its event, and told from there by the API, webhooks and verpost queue
 * show. Pure.
 */
#ifndef OUTCOME_CANCELED_H
#define OUTCOME_CANCELED_H

#include "base/arena.h"
#include "base/strbuf.h"
#include "model/id.h"

struct json;
struct json_writer;

struct canceled {
	bool by_operator;	   /* else the sender, through the API */
	struct id rule;		   /* zero: none, or not known any more */
	struct slice scope, value; /* what the rule is about */
	struct slice reason;	   /* in the operator's words, or len 0 */
	int64_t at_ms;		   /* of the command; not written */
};

/* "canceled by the operator: domain example.com (wrong price)" */
void canceled_add_text(struct strbuf *out, const struct canceled *c);
/* The members by, rule, scope, value and reason: those that apply. */
void canceled_write(struct json_writer *w, const struct canceled *c);
/*
 * Reads what canceled_write wrote. data: the object, or NULL; its texts are
 * borrowed. at_ms: when the recipient ended, which is when a sender canceled.
 */
void canceled_read(const struct json *data, int64_t at_ms,
    struct canceled *out);

#endif
