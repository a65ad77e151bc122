/* The tables of mail: accept, claim, outcome, walks, against a real server. */
#include "tests/unit/test.h"

#include "base/mem.h"
#include "model/status.h"
#include "store/accept.h"
#include "store/attempts.h"
#include "store/emails.h"
#include "store/jobs.h"
#include "store/outcomes.h"
#include "store/partitions.h"
#include "store/suppressions.h"
#include "store/walks.h"
#include "tests/integration/servers.h"

#define ACCOUNT 7
#define OTHER 8

/* Fixtures. ---------------------------------------------------------------- */

static struct pg *pg;

struct mail {
	struct store_accept_item item;
	struct store_accept_recipient recipient[3];
	char address[3][40];
};

static int
setup(void **state)
{
	test_log_setup_(state);
	pg = servers_pg();
	return 0;
}

static int
teardown(void **state)
{
	pg_free(&pg);
	return test_log_teardown_(state);
}

static int64_t
in_ms(int64_t ms)
{
	return clock_now_ms() + ms;
}

/* An email to count recipients named <name>-1@example.org and so on. */
static void
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

static void
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

static void
suppressed(void *ctx, const struct store_suppression *row, size_t count,
    bool has_more, const struct error *err)
{
	(void)row;
	(void)count;
	(void)has_more;
	servers_done(ctx, err);
}

static void
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
	char reason; /* the first letter of the first one's */
	char content[64];
};

static void
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
	snprintf(seen->content, sizeof(seen->content), "%.*s",
	    SLICE_FMT(email->content));
}

static struct email_seen
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

static void
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

static struct events_seen
events(struct id email)
{
	struct events_seen seen = { 0 };

	store_event_list(pg, email, on_events, &seen);
	servers_until(&seen.done);
	return seen;
}

static struct id
rcpt(const struct mail *m, unsigned int n)
{
	return id_of_recipient(m->item.email, n);
}

/* Accept. --------------------------------------------------------------------
 */

static void
an_accepted_batch_is_there_with_all_that_belongs_to_it(void **state)
{
	struct mail m[2];
	struct email_seen seen;
	char *big = xmalloc(20001);

	(void)state;
	mail_init(&m[0], "batch", 2);
	mail_init(&m[1], "big", 1);
	memset(big, 'b', 20001);
	m[1].item.content = slice_mem(big, 20001);
	m[1].item.message_id = SLICE("<own@example.org>");
	accept_all(m, 2);
	assert_int_equal(m[0].item.result, STORE_ACCEPT_OK);
	assert_int_equal(m[1].item.result, STORE_ACCEPT_OK);

	seen = find(m[0].item.email);
	assert_int_equal(seen.err.kind, ERR_NONE);
	assert_int_equal(seen.email.count, 2);
	assert_int_equal(seen.recipient[0].status, STATUS_QUEUED);
	assert_int_equal(seen.email.status_bits,
	    status_event_bit(STATUS_QUEUED));
	assert_string_equal(seen.content, "the content");
	assert_string_equal(events(m[0].item.email).text, "1.1 1.2 ");
	seen = find(m[1].item.email);
	assert_int_equal(seen.email.content.len, 20001);
	assert_true(SQL_NUMBER(pg,
			"SELECT count(*) FROM email_contents "
			"WHERE octet_length(chunk) = 8000") == 2);
	seen = find(id_new_email(clock_now_ms()));
	assert_int_equal(seen.err.kind, ERR_NOTFOUND);
	free(big);
}

static void
suppression_is_decided_in_the_insert(void **state)
{
	struct mail m;
	struct email_seen seen;

	(void)state;
	SQL_NUMBER(pg,
	    "INSERT INTO accounts (number, id, name, created_at) "
	    "OVERRIDING SYSTEM VALUE VALUES "
	    "(7, gen_random_uuid(), 'seven', now()), "
	    "(8, gen_random_uuid(), 'eight', now())");
	SQL_NUMBER(pg,
	    "INSERT INTO webhooks (id, account, url, events, "
	    "secret, created_at) VALUES (gen_random_uuid(), 7, "
	    "'http://h', (1 << 8) | (1 << 4), '', now())");
	mail_init(&m, "sup", 3);
	suppress(ACCOUNT, m.address[1], 0);
	suppress(OTHER, m.address[0], 0);
	suppress(ACCOUNT, m.address[2], in_ms(-1000)); /* over */
	accept_all(&m, 1);
	assert_int_equal(m.item.result, STORE_ACCEPT_OK);
	assert_false(m.recipient[0].suppressed);
	assert_true(m.recipient[1].suppressed);
	assert_false(m.recipient[2].suppressed);
	seen = find(m.item.email);
	assert_int_equal(seen.recipient[1].status, STATUS_SUPPRESSED);
	assert_true(seen.recipient[1].finished_at_ms > 0);
	assert_true(seen.recipient[0].finished_at_ms == 0);
	assert_string_equal(events(m.item.email).text, "1.1 1.3 8.2 ");
	/* One delivery is owed: suppressed is wanted, queued never told. */
	assert_true(SQL_NUMBER(pg,
			"SELECT count(*) FROM webhook_deliveries "
			"WHERE kind = 8 AND next_at IS NOT NULL") == 1);
	assert_true(
	    SQL_NUMBER(pg, "SELECT count(*) FROM webhook_deliveries") == 1);
}

static void
a_poison_item_hurts_nobody_else(void **state)
{
	struct mail m[50];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(m); i++)
		mail_init(&m[i], "poison", 1);
	m[17].recipient[0].address = slice_mem("a\0b@x", 5); /* 22021 */
	m[33].recipient[0].address = SLICE("\xff\xfe@x");
	m[34].item.key = SLICE("poison-key");
	accept_all(m, ARRAY_LEN(m));
	for (size_t i = 0; i < ARRAY_LEN(m); i++)
		assert_int_equal(m[i].item.result,
		    i == 17 || i == 33 ? STORE_ACCEPT_REFUSED
				       : STORE_ACCEPT_OK);
	assert_int_not_equal(m[17].item.refused.kind, ERR_NONE);
	assert_true(SQL_NUMBER(pg,
			"SELECT count(*) FROM recipients WHERE address "
			"LIKE 'poison-%'") == 48);
	assert_int_equal(find(m[17].item.email).err.kind, ERR_NOTFOUND);
}

static void
an_idempotency_key_is_worth_one_email(void **state)
{
	struct mail a[4], b[3];

	(void)state;
	for (size_t i = 0; i < 4; i++)
		mail_init(&a[i], "idem", 1);
	a[0].item.key = SLICE("key-0");
	a[1].item.key = SLICE("key-1");
	/* The same key twice in one batch: the first wins. */
	a[2].item.key = SLICE("key-0");
	a[2].item.body_hash[0] = 1;
	accept_all(a, 4);
	assert_int_equal(a[0].item.result, STORE_ACCEPT_OK);
	assert_int_equal(a[1].item.result, STORE_ACCEPT_OK);
	assert_int_equal(a[2].item.result, STORE_ACCEPT_MISMATCH);
	assert_int_equal(a[3].item.result, STORE_ACCEPT_OK);
	assert_int_equal(find(a[2].item.email).err.kind, ERR_NOTFOUND);

	for (size_t i = 0; i < 3; i++) {
		mail_init(&b[i], "idem", 1);
		b[i].item.key = i == 2 ? SLICE("key-2") : SLICE("key-0");
	}
	b[1].item.body_hash[5] = 9;
	accept_all(b, 3);
	assert_int_equal(b[0].item.result, STORE_ACCEPT_REPLAY);
	assert_int_equal(id_cmp(b[0].item.replay, a[0].item.email), 0);
	assert_int_equal(b[1].item.result, STORE_ACCEPT_MISMATCH);
	assert_int_equal(b[2].item.result, STORE_ACCEPT_OK);
	assert_true(SQL_NUMBER(pg,
			"SELECT count(*) FROM recipients WHERE address "
			"LIKE 'idem-%'") == 4);

	/* Over: the key is free again. */
	SQL_NUMBER(pg,
	    "UPDATE idempotency_keys SET expires_at = now() - "
	    "interval '1 s' WHERE key = 'key-0'");
	mail_init(&b[0], "idem", 1);
	b[0].item.key = SLICE("key-0");
	accept_all(b, 1);
	assert_int_equal(b[0].item.result, STORE_ACCEPT_OK);
}

/* Claims. -------------------------------------------------------------------
 */

static struct store_claim
claim_of(const struct mail *m, unsigned int n, int attempt)
{
	return (struct store_claim){
		.id = rcpt(m, n),
		.n = attempt,
		.account = ACCOUNT,
		.key = m->recipient[n - 1].key,
	};
}

static enum store_claim_result
claim(int worker, struct store_claim *c, bool anyway)
{
	struct outcome_seen seen = { 0 };

	store_claim_start(pg, worker, clock_now_ms(), anyway, c, 1,
	    servers_done, &seen);
	servers_ok(&seen);
	return c->result;
}

static void
of_two_claims_one_wins(void **state)
{
	struct pg *second = servers_pg();
	struct mail m[40];
	struct store_claim c[2][40];
	struct outcome_seen seen[2] = { { 0 } };
	unsigned int won[2] = { 0 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(m); i++)
		mail_init(&m[i], "race", 1);
	accept_all(m, ARRAY_LEN(m));
	for (size_t i = 0; i < ARRAY_LEN(m); i++) {
		c[0][i] = claim_of(&m[i], 1, 1);
		c[1][i] = c[0][i];
	}
	store_claim_start(pg, 101, clock_now_ms(), false, c[0], 40,
	    servers_done, &seen[0]);
	store_claim_start(second, 102, clock_now_ms(), false, c[1], 40,
	    servers_done, &seen[1]);
	servers_ok(&seen[0]);
	servers_ok(&seen[1]);
	for (size_t i = 0; i < ARRAY_LEN(m); i++) {
		bool a = c[0][i].result == STORE_CLAIM_MINE;
		bool b = c[1][i].result == STORE_CLAIM_MINE;
		const struct store_claim *loser = a ? &c[1][i] : &c[0][i];

		assert_true(a != b);
		assert_int_equal(loser->result, STORE_CLAIM_OPEN);
		assert_int_equal(loser->holder, a ? 101 : 102);
		assert_int_equal(loser->open_n, 1);
		assert_true(loser->claimed_at_ms > in_ms(-60000));
		won[b]++;
	}
	assert_int_equal(won[0] + won[1], 40);
	pg_free(&second);
}

static void
a_claim_that_is_refused_says_why(void **state)
{
	struct mail m;
	struct store_claim c;
	struct outcome_seen seen = { 0 };
	struct store_outcome o;

	(void)state;
	mail_init(&m, "why", 3);
	accept_all(&m, 1);
	c = claim_of(&m, 1, 1);
	assert_int_equal(claim(1, &c, false), STORE_CLAIM_MINE);
	/* The answer was lost: asked again, it is still mine. */
	assert_int_equal(claim(1, &c, false), STORE_CLAIM_MINE);
	/* Given back: somebody else's. */
	store_claim_release(pg, 1, &c, 1, servers_done, &seen);
	servers_ok(&seen);
	assert_int_equal(claim(2, &c, false), STORE_CLAIM_MINE);
	store_claim_renew(pg, 2, clock_now_ms(), &c, 1, servers_done, &seen);
	servers_ok(&seen);
	assert_int_equal(c.result, STORE_CLAIM_MINE);
	store_claim_renew(pg, 1, clock_now_ms(), &c, 1, servers_done, &seen);
	servers_ok(&seen);
	assert_int_equal(c.result, STORE_CLAIM_MOVED);

	o = (struct store_outcome){ .id = c.id,
		.account = ACCOUNT,
		.n = 1,
		.worker = 2,
		.outcome = 2,
		.raise_to = STATUS_DEFERRED,
		.retry_at_ms = in_ms(60000) };
	store_outcomes_write(pg, clock_now_ms(), &o, 1, servers_done, &seen);
	servers_ok(&seen);
	assert_int_equal(claim(1, &c, false), STORE_CLAIM_MOVED);
	c.n = 2;
	assert_int_equal(claim(1, &c, false), STORE_CLAIM_NOT_DUE);
	assert_true(c.retry_at_ms == o.retry_at_ms);
	/* To finish it, the due time does not matter. */
	assert_int_equal(claim(1, &c, true), STORE_CLAIM_MINE);
	o = (struct store_outcome){ .id = c.id,
		.account = ACCOUNT,
		.n = 2,
		.worker = 1,
		.outcome = 3,
		.raise_to = STATUS_FAILED,
		.finish = true,
		.reason = SLICE(FAIL_EXPIRED) };
	store_outcomes_write(pg, clock_now_ms(), &o, 1, servers_done, &seen);
	servers_ok(&seen);
	c.n = 3;
	assert_int_equal(claim(1, &c, true), STORE_CLAIM_FINISHED);

	c = claim_of(&m, 2, 1);
	suppress(ACCOUNT, m.address[1], 0);
	assert_int_equal(claim(1, &c, false), STORE_CLAIM_SUPPRESSED);
	assert_int_equal(claim(1, &c, true), STORE_CLAIM_MINE);
	c.id = id_of_recipient(m.item.email, 9);
	assert_int_equal(claim(1, &c, false), STORE_CLAIM_GONE);
}

/* Outcomes. -----------------------------------------------------------------
 */

static void
write_outcome(const struct store_outcome *o, size_t n)
{
	struct outcome_seen seen = { 0 };

	store_outcomes_write(pg, clock_now_ms(), o, n, servers_done, &seen);
	servers_ok(&seen);
}

static void
an_outcome_can_be_repeated(void **state)
{
	struct mail m;
	struct store_claim c;
	struct store_outcome o;
	struct email_seen first, again;

	(void)state;
	mail_init(&m, "repeat", 1);
	accept_all(&m, 1);
	c = claim_of(&m, 1, 1);
	assert_int_equal(claim(5, &c, false), STORE_CLAIM_MINE);
	o = (struct store_outcome){ .id = c.id,
		.account = ACCOUNT,
		.n = 1,
		.worker = 5,
		.outcome = 1,
		.stage = 6,
		.code = 250,
		.status = SLICE("2.0.0"),
		.reply = SLICE("queued as X"),
		.mx = SLICE("mx [192.0.2.1]"),
		.raise_to = STATUS_DELIVERED,
		.finish = true,
		.event_count = 2,
		.event = { { EVENT_SENT, 0, { NULL, 0 } },
		    { EVENT_DELIVERED, 0, SLICE("{\"a\":1}") } } };
	write_outcome(&o, 1);
	first = find(m.item.email);
	write_outcome(&o, 1);
	again = find(m.item.email);
	assert_int_equal(first.recipient[0].status, STATUS_DELIVERED);
	assert_int_equal(first.recipient[0].last.n, 1);
	assert_int_equal(first.recipient[0].last.code, 250);
	assert_int_equal(first.recipient[0].attempts, 1);
	assert_true(first.recipient[0].finished_at_ms ==
	    again.recipient[0].finished_at_ms);
	assert_string_equal(events(m.item.email).text, "1.1 3.1 4.1 ");
	/* The webhook of the earlier test wants 4: owed once. */
	assert_true(SQL_NUMBER(pg,
			"SELECT count(*) FROM webhook_deliveries "
			"WHERE kind = 4") == 1);
}

static void
statuses_only_rise_in_whatever_order_they_come(void **state)
{
	static const enum status all[] = { STATUS_DEFERRED, STATUS_SENT,
		STATUS_CANCELED, STATUS_SUPPRESSED, STATUS_FAILED,
		STATUS_DELIVERED, STATUS_BOUNCED, STATUS_COMPLAINED };
	struct mail m[ARRAY_LEN(all) * ARRAY_LEN(all)];
	size_t n = 0;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(m); i++)
		mail_init(&m[i], "rank", 1);
	accept_all(m, ARRAY_LEN(m));
	for (size_t a = 0; a < ARRAY_LEN(all); a++)
		for (size_t b = 0; b < ARRAY_LEN(all); b++, n++) {
			struct store_outcome o[2] = {
				{ .id = rcpt(&m[n], 1),
				    .account = ACCOUNT,
				    .raise_to = all[a],
				    .finish = status_is_final(all[a]),
				    .reason = SLICE("a") },
				{ .id = rcpt(&m[n], 1),
				    .account = ACCOUNT,
				    .raise_to = all[b],
				    .finish = status_is_final(all[b]),
				    .reason = SLICE("b") },
			};
			struct email_seen seen;

			/* In two transactions, or twice in one batch. */
			if (a % 2 == 0) {
				write_outcome(&o[0], 1);
				write_outcome(&o[1], 1);
			} else {
				write_outcome(o, 2);
			}
			seen = find(m[n].item.email);
			assert_int_equal(seen.recipient[0].status,
			    MAX(all[a], all[b]));
			assert_true((seen.recipient[0].finished_at_ms > 0) ==
			    (status_is_final(all[a]) ||
				status_is_final(all[b])));
			assert_int_equal(seen.reason,
			    all[b] > all[a] ? 'b' : 'a');
		}
}

static void
unknown_is_only_written_where_nothing_else_is(void **state)
{
	struct mail m;
	struct store_claim c[2];
	struct store_outcome real, unknown[2];
	struct email_seen seen;

	(void)state;
	mail_init(&m, "unknown", 2);
	accept_all(&m, 1);
	for (unsigned int i = 0; i < 2; i++) {
		c[i] = claim_of(&m, i + 1, 1);
		assert_int_equal(claim(5, &c[i], false), STORE_CLAIM_MINE);
		unknown[i] = (struct store_outcome){ .id = c[i].id,
			.account = ACCOUNT,
			.n = 1,
			.worker = 5,
			.only_open = true,
			.outcome = 9,
			.raise_to = STATUS_DEFERRED,
			.retry_at_ms = in_ms(1),
			.event_count = 1,
			.event = {
			    { EVENT_DELIVERY_DELAYED, 1, { NULL, 0 } } } };
	}
	/* The owner was faster for the first one. */
	real = (struct store_outcome){ .id = c[0].id,
		.account = ACCOUNT,
		.n = 1,
		.worker = 5,
		.outcome = 2,
		.raise_to = STATUS_DEFERRED,
		.retry_at_ms = in_ms(600000) };
	write_outcome(&real, 1);
	write_outcome(unknown, 2);
	seen = find(m.item.email);
	assert_int_equal(seen.recipient[0].last.outcome, 2);
	assert_true(seen.recipient[0].retry_at_ms == real.retry_at_ms);
	assert_int_equal(seen.recipient[1].last.outcome, 9);
	assert_int_equal(seen.recipient[1].attempts, 1);
	assert_string_equal(events(m.item.email).text, "1.1 1.2 5.2 ");

	/* The reply comes late, after another attempt has begun. */
	c[1].n = 2;
	assert_int_equal(claim(6, &c[1], true), STORE_CLAIM_MINE);
	real = (struct store_outcome){ .id = c[1].id,
		.account = ACCOUNT,
		.n = 2,
		.worker = 6,
		.outcome = 2,
		.raise_to = STATUS_DEFERRED,
		.retry_at_ms = in_ms(777000) };
	write_outcome(&real, 1);
	unknown[1].only_open = false;
	unknown[1].outcome = 2;
	unknown[1].retry_at_ms = in_ms(5);
	write_outcome(&unknown[1], 1);
	seen = find(m.item.email);
	assert_true(seen.recipient[1].retry_at_ms == real.retry_at_ms);
	assert_int_equal(seen.recipient[1].attempts, 2);
}

static void
an_outcome_can_suppress(void **state)
{
	struct mail m;
	struct store_outcome o[3] = { { .account = ACCOUNT } };

	(void)state;
	mail_init(&m, "bad", 1);
	accept_all(&m, 1);
	for (size_t i = 0; i < 3; i++) {
		o[i] = (struct store_outcome){ .id = rcpt(&m, 1),
			.account = ACCOUNT,
			.raise_to = STATUS_BOUNCED,
			.finish = true };
		o[i].suppress.key = m.recipient[0].key;
		o[i].suppress.origin =
		    i == 1 ? SLICE("complaint") : SLICE("bounce");
		o[i].suppress.expires_at_ms = i == 1 ? 0 : in_ms(1000000);
	}
	write_outcome(o, 1);
	assert_true(SQL_NUMBER(pg,
			"SELECT count(*) FROM suppressions WHERE "
			"address LIKE 'bad-%' AND origin = 'bounce' "
			"AND expires_at IS NOT NULL") == 1);
	write_outcome(o + 1, 2); /* both for one address in a batch */
	assert_true(SQL_NUMBER(pg,
			"SELECT count(*) FROM suppressions WHERE "
			"address LIKE 'bad-%' "
			"AND origin = 'complaint' "
			"AND expires_at IS NULL") == 1);
	write_outcome(o, 1);
	assert_true(SQL_NUMBER(pg,
			"SELECT count(*) FROM suppressions WHERE "
			"address LIKE 'bad-%' "
			"AND origin = 'complaint'") == 1);
}

/* Reading. --------------------------------------------------------------- */

struct jobs_seen {
	bool done;
	size_t count, with_content;
	char *kept;
};

static void
on_jobs(void *ctx, const struct store_job *job, size_t count,
    const struct error *err)
{
	struct jobs_seen *seen = ctx;

	assert_null(err);
	seen->done = true;
	seen->count = count;
	for (size_t i = 0; i < count; i++) {
		assert_int_equal(job[i].email->account, ACCOUNT);
		assert_int_equal(id_cmp(id_email_of(job[i].id),
				     job[i].email->id),
		    0);
		assert_true(slice_eq_text(job[i].lane, "h3"));
		assert_int_equal(job[i].flags, 0x31);
		seen->with_content += job[i].email->content != NULL;
	}
	if (count > 0 && job[0].email->content != NULL) {
		seen->kept = job[0].email->content;
		job[0].email->content = NULL;
	}
}

static void
on_content(void *ctx, char *content, size_t len, const struct error *err)
{
	struct jobs_seen *seen = ctx;

	seen->done = true;
	seen->count = err == NULL ? len : 0;
	seen->kept = content;
}

static void
jobs_come_with_their_emails_and_contents(void **state)
{
	struct mail m[2];
	struct id ids[4];
	struct jobs_seen seen = { 0 };
	char *big = xmalloc(16001);

	(void)state;
	mail_init(&m[0], "job", 2);
	mail_init(&m[1], "job", 1);
	for (size_t i = 0; i < 16001; i++)
		big[i] = (char)('a' + i % 26);
	m[1].item.content = slice_mem(big, 16001);
	accept_all(m, 2);
	ids[0] = rcpt(&m[1], 1);
	ids[1] = rcpt(&m[0], 2);
	ids[2] = rcpt(&m[0], 1);
	ids[3] = id_of_recipient(id_new_email(clock_now_ms()), 1);
	store_jobs_read(pg, ids, 4, 1000000, on_jobs, &seen);
	servers_until(&seen.done);
	assert_int_equal(seen.count, 3);
	assert_int_equal(seen.with_content, 3);
	free(seen.kept);

	seen = (struct jobs_seen){ 0 };
	store_jobs_read(pg, ids, 1, 16001, on_jobs, &seen);
	servers_until(&seen.done);
	assert_non_null(seen.kept);
	assert_memory_equal(seen.kept, big, 16001);
	free(seen.kept);

	seen = (struct jobs_seen){ 0 };
	store_jobs_read(pg, ids, 1, 16000, on_jobs, &seen);
	servers_until(&seen.done);
	assert_int_equal(seen.with_content, 0);
	seen = (struct jobs_seen){ 0 };
	store_content_read(pg, m[1].item.email, on_content, &seen);
	servers_until(&seen.done);
	assert_int_equal(seen.count, 16001);
	assert_memory_equal(seen.kept, big, 16001);
	free(seen.kept);
	free(big);
}

struct list_seen {
	bool done, has_more;
	size_t count;
	struct id id[10];
};

static void
on_list(void *ctx, const struct store_email *email, size_t count, bool has_more,
    const struct error *err)
{
	struct list_seen *seen = ctx;

	assert_null(err);
	seen->done = true;
	seen->has_more = has_more;
	seen->count = count;
	for (size_t i = 0; i < count; i++)
		seen->id[i] = email[i].id;
	for (size_t i = 0; i < count; i++)
		assert_int_equal(email[i].status_bits,
		    status_event_bit(STATUS_QUEUED));
}

static void
emails_are_listed_newest_first_in_pages(void **state)
{
	const struct id none = { { 0 } };
	struct mail m[5];
	struct list_seen seen = { 0 };

	(void)state;
	for (size_t i = 0; i < 5; i++) {
		mail_init(&m[i], "list", 1);
		m[i].item.account = 99;
	}
	accept_all(m, 5);
	store_email_list(pg, 99, 2, none, none, on_list, &seen);
	servers_until(&seen.done);
	assert_int_equal(seen.count, 2);
	assert_true(seen.has_more);
	assert_int_equal(id_cmp(seen.id[0], m[4].item.email), 0);
	assert_int_equal(id_cmp(seen.id[1], m[3].item.email), 0);
	seen = (struct list_seen){ 0 };
	store_email_list(pg, 99, 3, m[3].item.email, none, on_list, &seen);
	servers_until(&seen.done);
	assert_int_equal(seen.count, 3);
	assert_false(seen.has_more);
	assert_int_equal(id_cmp(seen.id[2], m[0].item.email), 0);
	seen = (struct list_seen){ 0 };
	store_email_list(pg, 99, 2, none, m[1].item.email, on_list, &seen);
	servers_until(&seen.done);
	assert_int_equal(seen.count, 2);
	assert_true(seen.has_more);
	assert_int_equal(id_cmp(seen.id[0], m[3].item.email), 0);
	assert_int_equal(id_cmp(seen.id[1], m[2].item.email), 0);
}

struct walk_seen {
	bool done;
	size_t count;
	struct store_unfinished last;
};

static void
on_walk(void *ctx, const struct store_unfinished *row, size_t count,
    const struct error *err)
{
	struct walk_seen *seen = ctx;

	assert_null(err);
	seen->done = true;
	seen->count = count;
	if (count > 0)
		seen->last = row[count - 1];
}

static void
the_walk_sees_what_is_unfinished(void **state)
{
	struct mail m[3];
	struct store_outcome o;
	struct walk_seen seen = { 0 };
	struct id top;

	(void)state;
	for (size_t i = 0; i < 3; i++)
		mail_init(&m[i], "walk", 1);
	accept_all(m, 3);
	o = (struct store_outcome){ .id = rcpt(&m[1], 1),
		.account = ACCOUNT,
		.raise_to = STATUS_CANCELED,
		.finish = true };
	write_outcome(&o, 1);
	memset(&top, 0xff, sizeof(top));
	store_walk_unfinished(pg, m[0].item.email, top, 10, on_walk, &seen);
	servers_until(&seen.done);
	assert_int_equal(seen.count, 2);
	assert_int_equal(id_cmp(seen.last.id, rcpt(&m[2], 1)), 0);
	assert_int_equal(seen.last.flow, ACCOUNT * 2);
	seen = (struct walk_seen){ 0 };
	store_walk_unfinished(pg, m[0].item.email, top, 1, on_walk, &seen);
	servers_until(&seen.done);
	assert_int_equal(seen.count, 1);
	assert_int_equal(id_cmp(seen.last.id, rcpt(&m[0], 1)), 0);
}

struct count_seen {
	bool done;
	size_t count;
};

static void
on_count(void *ctx, size_t count, const struct error *err)
{
	struct count_seen *seen = ctx;

	if (err != NULL)
		fail_msg("%s", err->text);
	seen->done = true;
	seen->count = count;
}

static void
days_are_made_ahead_and_dropped_when_all_is_finished(void **state)
{
	const struct store_retention keep = { 60, 30, 60, 7 };
	struct count_seen seen = { 0 };
	int64_t later_ms = in_ms(100 * INT64_C(86400000));
	struct mail m;
	struct store_outcome o;

	(void)state;
	/* A hundred days on: ten new ones of eight tables. */
	store_partitions_make(pg, later_ms, on_count, &seen);
	servers_until(&seen.done);
	assert_int_equal(seen.count, 80);
	/* Today has unfinished mail: only what nobody waits for goes. */
	seen = (struct count_seen){ 0 };
	store_partitions_drop(pg, later_ms, &keep, on_count, &seen);
	servers_until(&seen.done);
	assert_true(seen.count > 0);
	mail_init(&m, "after", 1);
	m.item.email = id_new_email(clock_now_ms());
	SQL_NUMBER(pg, "UPDATE webhook_deliveries SET next_at = NULL");
	SQL_NUMBER(pg,
	    "UPDATE recipients SET finished_at = now() "
	    "WHERE finished_at IS NULL AND address "
	    "NOT LIKE 'walk-%'");
	assert_true(SQL_NUMBER(pg, "SELECT count(*) FROM recipients") > 0);
	o = (struct store_outcome){ .id = rcpt(&m, 1),
		.account = ACCOUNT,
		.raise_to = STATUS_DELIVERED,
		.finish = true };
	write_outcome(&o, 1); /* no such recipient: no harm */
	SQL_NUMBER(pg,
	    "UPDATE recipients SET finished_at = now() "
	    "WHERE finished_at IS NULL");
	seen = (struct count_seen){ 0 };
	store_partitions_drop(pg, later_ms, &keep, on_count, &seen);
	servers_until(&seen.done);
	assert_int_equal(seen.count, 6);
	assert_true(SQL_NUMBER(pg, "SELECT count(*) FROM recipients") == 0);
	/* No day to put it in: nobody's value is bad. */
	struct store_accept_item *item = &m.item;
	struct outcome_seen out = { 0 };

	store_accept_start(pg, clock_now_ms(), &item, 1, servers_done, &out);
	servers_until(&out.done);
	assert_int_equal(out.err.kind, ERR_STORE);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

SERVERS_MAIN(true, CASE(an_accepted_batch_is_there_with_all_that_belongs_to_it),
    CASE(suppression_is_decided_in_the_insert),
    CASE(a_poison_item_hurts_nobody_else),
    CASE(an_idempotency_key_is_worth_one_email), CASE(of_two_claims_one_wins),
    CASE(a_claim_that_is_refused_says_why), CASE(an_outcome_can_be_repeated),
    CASE(statuses_only_rise_in_whatever_order_they_come),
    CASE(unknown_is_only_written_where_nothing_else_is),
    CASE(an_outcome_can_suppress),
    CASE(jobs_come_with_their_emails_and_contents),
    CASE(emails_are_listed_newest_first_in_pages),
    CASE(the_walk_sees_what_is_unfinished),
    CASE(days_are_made_ahead_and_dropped_when_all_is_finished))
