/*
 * outcome/bounced.h - what was said when a recipient bounced: read from the
 * data of its event, and told from there by the API and verpost queue show. It
 * may come long after the mail was taken, in a report (DSN). Pure.
 */
#ifndef OUTCOME_BOUNCED_H
#define OUTCOME_BOUNCED_H

#include "base/arena.h"
#include "base/strbuf.h"
#include "store/emails.h"

struct bounced {
	int64_t at_ms; /* when it was learnt */
	bool by_dsn;   /* a report said so, after the mail had been taken */
	int code;      /* 0: none */
	struct slice status, text; /* ptr NULL: none */
	struct slice mx; /* who said it, or reported it; ptr NULL: not known */
};

/* False: it has not bounced. Texts are in the arena. */
bool bounced_read(struct arena *arena, const struct store_recipient *r,
    struct bounced *out);
/* "bounced at 2026-01-01T00:00:00.000Z: 550 5.1.1 no such user, reported by
 * mx1.example.com" */
void bounced_add_text(struct strbuf *out, const struct bounced *b);

#endif
