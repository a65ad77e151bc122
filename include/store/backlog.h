/*
 * store/backlog.h - what is unfinished, in groups, for the operator: one pass
 * over the index of unfinished recipients, which hinders nobody.
 */
#ifndef STORE_BACKLOG_H
#define STORE_BACKLOG_H

#include "store/pg.h"

enum store_backlog_by {
	BACKLOG_PROVIDER, /* hash lanes together are "others" */
	BACKLOG_LANE,	  /* "pool/lane" */
	BACKLOG_ACCOUNT,
	BACKLOG_DOMAIN, /* of recipients */
};

struct store_backlog {
	struct slice name;
	int64_t waiting;    /* all that is unfinished */
	int64_t later;	    /* of that: next attempt is in the future */
	int64_t held;	    /* of that: on hold by domain or account */
	struct slice holds; /* their numbers, each once or more often, between
			     * blanks; ptr NULL: none */
	/* "pool/lane" of those that are due and not on hold, between blanks,
	 * the largest first, some more than once; ptr NULL: none. */
	struct slice lanes;
	int64_t oldest_ms;
	/* The last reply to the newest of them that was tried; code 0, texts
	 * with ptr NULL: none. */
	int code;
	struct slice reply, mx;
};
typedef void store_backlog_got(void *ctx, const struct store_backlog *row,
    size_t count, const struct error *err);
/* The largest groups first, at most limit. */
struct pg_tx *store_backlog_list(struct pg *pg, enum store_backlog_by by,
    int64_t now_ms, size_t limit, store_backlog_got *done, void *ctx);

/* What was said last to the newest unfinished recipient that was tried, of all
 * that have the domain of an address. */
struct store_last_reply {
	int code; /* 0: it said nothing */
	struct slice reply, mx;
	int64_t at_ms;
};
typedef void store_last_reply_got(void *ctx, const struct store_last_reply *row,
    size_t count, const struct error *err);
/* One row, or none when nobody was tried. */
struct pg_tx *store_backlog_last(struct pg *pg, struct slice address,
    store_last_reply_got *done, void *ctx);

#endif
