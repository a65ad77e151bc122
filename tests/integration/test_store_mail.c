/* The tables of mail: accept, read, walk, keep; against a real server. */
#include "tests/unit/test.h"

#include "store/jobs.h"
#include "store/partitions.h"
#include "store/walks.h"
#include "tests/integration/mail_world.h"

/* Accept. ----------------------------------------------------------------- */

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
mail_from_a_domain_that_was_removed_is_refused(void **state)
{
	struct mail m[3];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(m); i++)
		mail_init(&m[i], "nowhere", 1);
	m[1].item.domain = 999;
	m[2].item.domain = 999;
	m[2].item.key = SLICE("nowhere-key");
	accept_all(m, ARRAY_LEN(m));
	assert_int_equal(m[0].item.result, STORE_ACCEPT_OK);
	assert_int_equal(m[1].item.result, STORE_ACCEPT_NO_DOMAIN);
	assert_int_equal(m[2].item.result, STORE_ACCEPT_NO_DOMAIN);
	assert_true(SQL_NUMBER(pg,
			"SELECT count(*) FROM recipients WHERE address "
			"LIKE 'nowhere-%'") == 1);
	assert_true(SQL_NUMBER(pg,
			"SELECT count(*) FROM idempotency_keys WHERE key = "
			"'nowhere-key'") == 0);
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

/* Reading. --------------------------------------------------------------- */

struct jobs_seen {
	bool done;
	size_t count;
};

struct contents_seen {
	bool done;
	char *kept[3];
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
	}
}

static void
on_contents(void *ctx, struct store_content *content, size_t n,
    const struct error *err)
{
	struct contents_seen *seen = ctx;

	assert_null(err);
	assert_int_equal(n, 3);
	seen->done = true;
	for (size_t i = 0; i < n; i++) {
		seen->kept[i] = content[i].content;
		content[i].content = NULL;
	}
}

static void
jobs_come_with_their_emails(void **state)
{
	struct mail m[2];
	struct id ids[4];
	struct jobs_seen seen = { 0 };

	(void)state;
	mail_init(&m[0], "job", 2);
	mail_init(&m[1], "job", 1);
	accept_all(m, 2);
	ids[0] = rcpt(&m[1], 1);
	ids[1] = rcpt(&m[0], 2);
	ids[2] = rcpt(&m[0], 1);
	ids[3] = id_of_recipient(id_new_email(clock_now_ms()), 1);
	store_jobs_read(pg, ids, 4, on_jobs, &seen);
	servers_until(&seen.done);
	assert_int_equal(seen.count, 3);
}

static void
contents_are_whole_or_absent(void **state)
{
	struct mail m[2];
	struct contents_seen seen = { 0 };
	struct store_content want[3] = { 0 };
	char *big = xmalloc(16001);

	(void)state;
	mail_init(&m[0], "job", 1);
	mail_init(&m[1], "job", 1);
	for (size_t i = 0; i < 16001; i++)
		big[i] = (char)('a' + i % 26);
	m[1].item.content = slice_mem(big, 16001);
	accept_all(m, 2);
	want[0].email = m[1].item.email;
	want[0].bytes = 16001;
	want[1].email = m[0].item.email;
	want[1].bytes = m[0].item.content.len + 1; /* one octet is missing */
	want[2].email = id_new_email(clock_now_ms());
	want[2].bytes = 5;
	store_contents_read(pg, want, 3, on_contents, &seen);
	servers_until(&seen.done);
	assert_memory_equal(seen.kept[0], big, 16001);
	assert_null(seen.kept[1]);
	assert_null(seen.kept[2]);
	free(seen.kept[0]);
	/* As many as no memory has, if a row says so. */
	seen = (struct contents_seen){ 0 };
	want[0].bytes = SIZE_MAX - 16001;
	store_contents_read(pg, want, 3, on_contents, &seen);
	servers_until(&seen.done);
	assert_null(seen.kept[0]);
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
	store_email_list(pg, 99, 2, none, none, false, on_list, &seen);
	servers_until(&seen.done);
	assert_int_equal(seen.count, 2);
	assert_true(seen.has_more);
	assert_int_equal(id_cmp(seen.id[0], m[4].item.email), 0);
	assert_int_equal(id_cmp(seen.id[1], m[3].item.email), 0);
	seen = (struct list_seen){ 0 };
	store_email_list(pg, 99, 3, m[3].item.email, none, false, on_list,
	    &seen);
	servers_until(&seen.done);
	assert_int_equal(seen.count, 3);
	assert_false(seen.has_more);
	assert_int_equal(id_cmp(seen.id[2], m[0].item.email), 0);
	seen = (struct list_seen){ 0 };
	store_email_list(pg, 99, 2, none, m[1].item.email, false, on_list,
	    &seen);
	servers_until(&seen.done);
	assert_int_equal(seen.count, 2);
	assert_true(seen.has_more);
	assert_int_equal(id_cmp(seen.id[0], m[3].item.email), 0);
	assert_int_equal(id_cmp(seen.id[1], m[2].item.email), 0);
}

struct listed_recipients {
	struct list_seen list;
	char text[200]; /* the addresses of each email; '*': claimed */
};

static void
on_list_recipients(void *ctx, const struct store_email *email, size_t count,
    bool has_more, const struct error *err)
{
	struct listed_recipients *seen = ctx;
	size_t at = 0;

	on_list(&seen->list, email, count, has_more, err);
	for (size_t i = 0; i < count; i++) {
		for (size_t k = 0; k < email[i].count; k++) {
			const struct store_recipient *r =
			    &email[i].recipient[k];

			at += (size_t)snprintf(seen->text + at,
			    sizeof(seen->text) - at, "%.*s%s ",
			    SLICE_FMT(slice_first(r->address, 3)),
			    r->is_claimed ? "*" : "");
			assert_int_equal(r->status, STATUS_QUEUED);
			assert_int_equal(r->finished_at_ms, 0);
		}
		at += (size_t)snprintf(seen->text + at, sizeof(seen->text) - at,
		    "| ");
	}
}

static void
a_list_has_the_recipients_of_each_email_if_wanted(void **state)
{
	const struct id none = { { 0 } };
	struct mail m[4];
	struct store_claim c;
	struct listed_recipients seen = { 0 };

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		mail_init(&m[i], (const char *[]){ "a", "b", "c", "d" }[i],
		    (size_t[]){ 3, 1, 2, 2 }[i]);
		m[i].item.account = 98;
	}
	accept_all(m, 4);
	c = claim_of(&m[2], 2, 1);
	assert_int_equal(claim(1, &c, false), STORE_CLAIM_MINE);
	store_email_list(pg, 98, 3, none, none, true, on_list_recipients,
	    &seen);
	servers_until(&seen.list.done);
	assert_string_equal(seen.text, "d-1 d-2 | c-1 c-2* | b-1 | ");
	seen = (struct listed_recipients){ 0 };
	store_email_list(pg, 98, 2, none, m[0].item.email, true,
	    on_list_recipients, &seen);
	servers_until(&seen.list.done);
	assert_string_equal(seen.text, "c-1 c-2* | b-1 | ");
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

struct attempts_seen {
	bool done;
	struct error err;
	size_t count;
	int n[4], class[4];
	char transcript[4][32], address[32], source[32];
};

static void
on_attempts(void *ctx, const struct store_attempt *a, size_t count,
    const struct error *err)
{
	struct attempts_seen *seen = ctx;

	seen->done = true;
	seen->count = count;
	if (err != NULL)
		seen->err = *err;
	for (size_t i = 0; i < count; i++) {
		assert_int_equal(a[i].outcome, 2);
		seen->n[i] = a[i].n;
		seen->class[i] = a[i].class;
		snprintf(seen->transcript[i], sizeof(seen->transcript[i]),
		    "%.*s", SLICE_FMT(a[i].transcript));
		snprintf(seen->address, sizeof(seen->address), "%.*s",
		    SLICE_FMT(a[i].address));
		snprintf(seen->source, sizeof(seen->source), "%.*s",
		    SLICE_FMT(a[i].source_address));
	}
}

static struct attempts_seen
attempts(int account, struct id id, size_t limit)
{
	struct attempts_seen seen = { 0 };

	store_attempt_list(pg, account, id, limit, on_attempts, &seen);
	servers_until(&seen.done);
	return seen;
}

/* It has to have a claim, as everything that ends a recipient. */
static void
an_end_that_nobody_tried_is_no_attempt(void **state)
{
	struct mail m;
	struct store_claim c;
	struct store_outcome o;
	struct email_seen seen;

	(void)state;
	mail_init(&m, "untried", 1);
	accept_all(&m, 1);
	c = claim_of(&m, 1, 1);
	assert_int_equal(claim(5, &c, false), STORE_CLAIM_MINE);
	o = (struct store_outcome){ .id = c.id,
		.account = ACCOUNT,
		.n = 1,
		.worker = 5,
		.outcome = 2,
		.code = 451,
		.raise_to = STATUS_DEFERRED };
	write_outcome(&o, 1);
	c.n = 2;
	assert_int_equal(claim(6, &c, true), STORE_CLAIM_MINE);
	o = (struct store_outcome){ .id = c.id,
		.account = ACCOUNT,
		.n = 2,
		.worker = 6,
		.outcome = STORE_NOT_TRIED,
		.raise_to = STATUS_CANCELED,
		.finish = true,
		.event_count = 1,
		.event = { { EVENT_CANCELED, 0, SLICE("{\"by\":\"x\"}") } } };
	write_outcome(&o, 1);
	write_outcome(&o, 1);
	seen = find(m.item.email);
	assert_int_equal(seen.recipient[0].status, STATUS_CANCELED);
	assert_int_equal(seen.recipient[0].attempts, 1);
	assert_int_equal(seen.recipient[0].last.n, 1);
	assert_int_equal(seen.recipient[0].last.code, 451);
	assert_string_equal(seen.end_data, "{\"by\":\"x\"}");
	assert_int_not_equal(seen.recipient[0].end_at_ms, 0);
	assert_int_equal(attempts(ACCOUNT, m.item.email, 10).count, 1);
	/* Whoever asked before it ended meets the claim. */
	assert_true(
	    SQL_NUMBER(pg,
		"SELECT count(*) FROM attempts WHERE outcome = 20") == 1);
	c.n = 2;
	assert_int_equal(claim(7, &c, true), STORE_CLAIM_FINISHED);
}

static void
attempts_are_listed_for_an_email_or_for_a_recipient(void **state)
{
	static const struct {
		unsigned int recipient;
		int n, class;
		bool only_open; /* another statement */
		const char *transcript;
	} rows[] = {
		{ 1, 1, 1, false, "> EHLO\n" },
		{ 1, 2, 0, false, "" },
		{ 2, 1, 8, true, "< 451 x\n" },
	};
	struct attempts_seen seen;
	struct mail m;

	(void)state;
	mail_init(&m, "listed", 2);
	accept_all(&m, 1);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct store_claim c =
		    claim_of(&m, rows[i].recipient, rows[i].n);
		struct store_outcome o = { .id = c.id,
			.account = ACCOUNT,
			.n = c.n,
			.worker = 5,
			.outcome = 2,
			.only_open = rows[i].only_open,
			.class = rows[i].class,
			.transcript = slice_of(rows[i].transcript),
			.raise_to = STATUS_DEFERRED };

		c.source = 3; /* removed since: its number is left */
		assert_int_equal(claim(5, &c, true), STORE_CLAIM_MINE);
		write_outcome(&o, 1);
	}
	seen = attempts(ACCOUNT, m.item.email, 10);
	assert_int_equal(seen.count, ARRAY_LEN(rows));
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		assert_int_equal(seen.n[i], rows[i].n);
		assert_int_equal(seen.class[i], rows[i].class);
		assert_string_equal(seen.transcript[i], rows[i].transcript);
	}
	assert_int_equal(attempts(0, m.item.email, 2).count, 2);
	seen = attempts(ACCOUNT, rcpt(&m, 2), 10);
	assert_int_equal(seen.count, 1);
	assert_string_equal(seen.address, "listed-2@example.org");
	assert_string_equal(seen.source, "#3");
	assert_int_equal(attempts(ACCOUNT + 1, m.item.email, 10).err.kind,
	    ERR_NOTFOUND);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

SERVERS_MAIN(true, CASE(an_accepted_batch_is_there_with_all_that_belongs_to_it),
    CASE(suppression_is_decided_in_the_insert),
    CASE(a_poison_item_hurts_nobody_else),
    CASE(mail_from_a_domain_that_was_removed_is_refused),
    CASE(an_idempotency_key_is_worth_one_email),
    CASE(jobs_come_with_their_emails), CASE(contents_are_whole_or_absent),
    CASE(emails_are_listed_newest_first_in_pages),
    CASE(a_list_has_the_recipients_of_each_email_if_wanted),
    CASE(the_walk_sees_what_is_unfinished),
    CASE(attempts_are_listed_for_an_email_or_for_a_recipient),
    CASE(an_end_that_nobody_tried_is_no_attempt),
    CASE(days_are_made_ahead_and_dropped_when_all_is_finished))
