/* mail_world.h - what the tests of the tables of mail share. */
#ifndef MAIL_WORLD_H
#define MAIL_WORLD_H

#include "base/mem.h"
#include "model/status.h"
#include "store/accept.h"
#include "store/attempts.h"
#include "store/emails.h"
#include "store/outcomes.h"
#include "store/suppressions.h"
#include "tests/integration/servers.h"

#define ACCOUNT 7
#define OTHER 8

static struct pg *pg;

struct mail {
	struct store_accept_item item;
	struct store_accept_recipient recipient[3];
	char address[3][40];
};

static inline int
setup(void **state)
{
	test_log_setup_(state);
	pg = servers_pg();
	SQL_NUMBER(pg,
	    "INSERT INTO accounts (number, id, name, created_at) "
	    "OVERRIDING SYSTEM VALUE VALUES "
	    "(7, gen_random_uuid(), 'seven', now()), "
	    "(8, gen_random_uuid(), 'eight', now()) "
	    "ON CONFLICT DO NOTHING");
	servers_domain(pg);
	return 0;
}

static inline int
teardown(void **state)
{
	pg_free(&pg);
	return test_log_teardown_(state);
}

static inline int64_t
in_ms(int64_t ms)
{
	return clock_now_ms() + ms;
}

/* An email to count recipients named <name>-1@example.org and so on. */
static inline void
mail_init(struct mail *m, const char *name, size_t count)
{
	*m = (struct mail){ 0 };
	m->item = (struct store_accept_item){
		.email = id_new_email(clock_now_ms()),
		.account = ACCOUNT,
		.domain = 1,
		.head = SLICE("head"),
		.content = SLICE("the content"),
		.expires_at_ms = in_ms(72 * 3600000),
		.count = count,
		.recipient = m->recipient,
		.endpoint = 1,
		.key = SLICE(""),
		.key_expires_at_ms = in_ms(86400000),
	};
	for (size_t i = 0; i < count; i++) {
		snprintf(m->address[i], sizeof(m->address[i]),
		    "%s-%zu@example.org", name, i + 1);
		m->recipient[i] = (struct store_accept_recipient){
			.address = slice_of(m->address[i]),
			.key = slice_of(m->address[i]),
			.pool = 1,
			.lane = SLICE("h3"),
			.flags = 0x31,
		};
	}
}

static inline void
accept_all(struct mail *mails, size_t n)
{
	struct store_accept_item *items[200];
	struct outcome_seen seen = { 0 };

	assert_true(n <= ARRAY_LEN(items));
	for (size_t i = 0; i < n; i++)
		items[i] = &mails[i].item;
	store_accept_start(pg, clock_now_ms(), items, n, servers_done, &seen);
	servers_ok(&seen);
}

static inline void
suppressed(void *ctx, const struct store_suppression *row, size_t count,
    bool has_more, const struct error *err)
{
	(void)row;
	(void)count;
	(void)has_more;
	servers_done(ctx, err);
}

static inline void
suppress(int account, const char *address, int64_t expires_at_ms)
{
	struct outcome_seen seen = { 0 };
	struct store_suppression s = {
		.id = id_new(clock_now_ms()),
		.account = account,
		.address = slice_of(address),
		.scope = -1,
		.origin = SLICE("manual"),
		.created_at_ms = clock_now_ms(),
		.expires_at_ms = expires_at_ms,
	};

	store_suppression_add(pg, &s, suppressed, &seen);
	servers_ok(&seen);
}

struct email_seen {
	bool done;
	struct error err;
	struct store_email email;
	struct store_recipient recipient[3];
	char reason;	   /* the first letter of the first one's */
	char end_data[32]; /* of the first one */
	char content[64];
};

static inline void
on_email(void *ctx, const struct store_email *email, size_t count,
    bool has_more, const struct error *err)
{
	struct email_seen *seen = ctx;

	(void)has_more;
	seen->done = true;
	if (err != NULL) {
		seen->err = *err;
		return;
	}
	assert_int_equal(count, 1);
	seen->email = *email;
	for (size_t i = 0; i < email->count; i++)
		seen->recipient[i] = email->recipient[i];
	if (email->count > 0 && email->recipient[0].reason.len > 0)
		seen->reason = email->recipient[0].reason.ptr[0];
	if (email->count > 0)
		snprintf(seen->end_data, sizeof(seen->end_data), "%.*s",
		    SLICE_FMT(email->recipient[0].end_data));
	snprintf(seen->content, sizeof(seen->content), "%.*s",
	    SLICE_FMT(email->content));
}

static inline struct email_seen
find(struct id id)
{
	struct email_seen seen = { 0 };

	store_email_find(pg, ACCOUNT, id, on_email, &seen);
	servers_until(&seen.done);
	return seen;
}

struct events_seen {
	bool done;
	char text[256]; /* "1.1 8.2 ": kind.recipient, in order of time */
};

static inline void
on_events(void *ctx, const struct store_event *event, size_t count,
    const struct error *err)
{
	struct events_seen *seen = ctx;
	size_t len = 0;

	assert_null(err);
	seen->done = true;
	for (size_t i = 0; i < count; i++)
		len += (size_t)snprintf(seen->text + len,
		    sizeof(seen->text) - len, "%d.%u ", event[i].kind,
		    id_recipient_number(event[i].recipient));
}

static inline struct events_seen
events(struct id email)
{
	struct events_seen seen = { 0 };

	store_event_list(pg, email, on_events, &seen);
	servers_until(&seen.done);
	return seen;
}

static inline struct id
rcpt(const struct mail *m, unsigned int n)
{
	return id_of_recipient(m->item.email, n);
}

static inline struct store_claim
claim_of(const struct mail *m, unsigned int n, int attempt)
{
	return (struct store_claim){
		.id = rcpt(m, n),
		.n = attempt,
		.account = ACCOUNT,
		.key = m->recipient[n - 1].key,
	};
}

static inline enum store_claim_result
claim(int worker, struct store_claim *c, bool anyway)
{
	struct outcome_seen seen = { 0 };

	store_claim_start(pg, worker, clock_now_ms(), anyway, c, 1,
	    servers_done, &seen);
	servers_ok(&seen);
	return c->result;
}

static inline void
write_outcome(const struct store_outcome *o, size_t n)
{
	struct outcome_seen seen = { 0 };

	store_outcomes_write(pg, clock_now_ms(), o, n, servers_done, &seen);
	servers_ok(&seen);
}

#endif
