/*
 * The matcher with a store, an outcome writer and a parser that the test plays.
 * The parser listens on a real socket in the same loop, and hangs up on mail
 * that says POISON.
 */
#include "test.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "bounce/match.h"
#include "bounce/parse.h"
#include "net/conn.h"
#include "net/loop.h"
#include "outcome/outcome.h"
#include "store/jobs.h"
#include "store/returns.h"

#define WAIT_MS 20000
#define DSN(action, status)                                                    \
	"Subject: s\r\nContent-Type: multipart/report; boundary=b\r\n\r\n"     \
	"--b\r\nContent-Type: message/delivery-status\r\n\r\n"                 \
	"Reporting-MTA: dns; mx\r\n\r\n"                                       \
	"Final-Recipient: rfc822; someone@else.example\r\n"                    \
	"Action: " action "\r\nStatus: " status                                \
	"\r\nDiagnostic-Code: smtp; 550 no\r\n\r\n--b--\r\n"

struct row {
	const char *raw;
	unsigned int number; /* of the recipient; 0: none; 99: gone */
	bool claimed;
	char kind[16], detail[64];
};

static struct {
	struct loop *loop;
	struct row rows[40];
	size_t count;
	unsigned int claims;
	bool claim_fails, mark_fails;
	/* what the outcome writer got */
	unsigned int failed, delayed, delivered;
	struct outcome_dsn last;
	char last_key[64];
	/* the parser */
	struct listener *listener;
	struct conn *conn;
	unsigned int mails, hangups;
	char dir[64], path[96];
	struct net_addr addr;
	int listen_fd;
} rig;

/* ---- the store ---- */

struct pg_tx {
	struct loop_call call;
	union {
		store_return_got *rows;
		store_jobs_got *jobs;
		store_done *done;
	};
	void *ctx;
	size_t n;
	struct id ids[16];
};

static struct pg_tx *
later(void (*fn)(void *ctx), void *ctx)
{
	struct pg_tx *tx = xmalloc(sizeof(*tx));

	tx->ctx = ctx;
	loop_call_schedule(rig.loop, &tx->call, fn, tx);
	return tx;
}

void
pg_tx_cancel(struct pg_tx **tx)
{
	if (*tx != NULL)
		loop_call_cancel(&(*tx)->call);
	free(*tx);
	*tx = NULL;
}

/* Row i has the id i + 1 and stands for the email of day 0. */
static struct id
id_of_row(size_t i)
{
	return id_floor((int64_t)i + 1);
}

static struct id
id_of_number(unsigned int n)
{
	return id_of_recipient(id_floor(86400000), n);
}

static void
answer_claim(void *ctx)
{
	struct pg_tx *tx = ctx;
	struct store_return got[16];
	struct error err;
	size_t n = 0;

	rig.claims++;
	if (rig.claim_fails) {
		rig.claim_fails = false;
		error_set(&err, ERR_STORE, "away");
		tx->rows(tx->ctx, NULL, 0, &err);
		free(tx);
		return;
	}
	for (size_t i = 0; i < rig.count && n < tx->n; i++) {
		if (rig.rows[i].claimed)
			continue;
		rig.rows[i].claimed = true;
		got[n] = (struct store_return){ .id = id_of_row(i),
			.tries = 1,
			.raw = slice_of(rig.rows[i].raw) };
		if (rig.rows[i].number > 0)
			got[n].recipient = id_of_number(rig.rows[i].number);
		n++;
	}
	tx->rows(tx->ctx, got, n, NULL);
	free(tx);
}

struct pg_tx *
store_return_claim(struct pg *pg, int64_t now_ms, int64_t lease_ms,
    size_t limit, store_return_got *done, void *ctx)
{
	struct pg_tx *tx = later(answer_claim, ctx);

	(void)pg;
	assert_true(now_ms > 0);
	assert_true(lease_ms >= 60000);
	assert_true(limit <= 16);
	tx->rows = done;
	tx->n = limit;
	return tx;
}

static void
answer_jobs(void *ctx)
{
	struct pg_tx *tx = ctx;
	struct store_job_email email = { .account = 7 };
	struct store_job jobs[16];
	size_t n = 0;

	for (size_t i = 0; i < tx->n; i++)
		if (id_recipient_number(tx->ids[i]) != 99)
			jobs[n++] = (struct store_job){ .id = tx->ids[i],
				.email = &email,
				.address = SLICE("Ann@Example.COM") };
	tx->jobs(tx->ctx, jobs, n, NULL);
	free(tx);
}

struct pg_tx *
store_jobs_read(struct pg *pg, const struct id *ids, size_t n,
    store_jobs_got *done, void *ctx)
{
	struct pg_tx *tx = later(answer_jobs, ctx);

	(void)pg;
	memcpy(tx->ids, ids, n * sizeof(*ids));
	tx->jobs = done;
	tx->n = n;
	return tx;
}

static void
answer_mark(void *ctx)
{
	struct pg_tx *tx = ctx;
	struct error err;

	if (rig.mark_fails)
		error_set(&err, ERR_STORE, "away");
	tx->done(tx->ctx, rig.mark_fails ? &err : NULL);
	rig.mark_fails = false;
	free(tx);
}

struct pg_tx *
store_return_finish(struct pg *pg, int64_t now_ms,
    const struct store_return_result *r, size_t n, store_done *done, void *ctx)
{
	struct pg_tx *tx = later(answer_mark, ctx);
	struct row *row = &rig.rows[id_time_ms(r->id) - 1];

	(void)pg;
	(void)now_ms;
	assert_int_equal(n, 1);
	assert_int_equal(r->again_at_ms, 0);
	assert_string_equal(row->kind, ""); /* marked once */
	snprintf(row->kind, sizeof(row->kind), "%.*s", SLICE_FMT(r->kind));
	snprintf(row->detail, sizeof(row->detail), "%.*s",
	    SLICE_FMT(r->detail));
	tx->done = done;
	return tx;
}

/* ---- the outcome writer ---- */

struct outcome_writer {
	struct pg_tx *tx; /* one at a time is enough here */
};

struct outcome_writer *
outcome_writer_new(struct loop *l, struct pg *pg)
{
	(void)l;
	(void)pg;
	return xmalloc(sizeof(struct outcome_writer));
}

void
outcome_writer_free(struct outcome_writer **w)
{
	free(*w);
	*w = NULL;
}

static void
answer_outcome(void *ctx)
{
	struct pg_tx *tx = ctx;

	tx->done(tx->ctx, NULL);
	free(tx);
}

void
outcome_dsn(struct outcome_writer *w, const struct outcome_dsn *d,
    outcome_done *done, void *ctx)
{
	struct pg_tx *tx = later(answer_outcome, ctx);

	(void)w;
	tx->done = done;
	rig.failed += d->says == OUTCOME_DSN_FAILED;
	rig.delayed += d->says == OUTCOME_DSN_DELAYED;
	rig.delivered += d->says == OUTCOME_DSN_DELIVERED;
	rig.last = *d;
	snprintf(rig.last_key, sizeof(rig.last_key), "%.*s",
	    SLICE_FMT(d->address_key));
}

/* ---- the parser ---- */

static void
on_readable(void *ctx)
{
	struct slice in = conn_peek(rig.conn);
	struct strbuf out = STRBUF_INIT;
	struct arena arena = ARENA_INIT;
	struct bounce_report *r = arena_alloc(&arena, sizeof(*r));
	size_t len;

	(void)ctx;
	if (in.len < 4)
		return;
	len = (size_t)(unsigned char)in.ptr[2] << 8 | (unsigned char)in.ptr[3];
	if (in.len < 4 + len)
		return;
	in = slice_first(slice_from(in, 4), len);
	rig.mails++;
	if (slice_find(in, SLICE("POISON")) < in.len) {
		rig.hangups++;
		conn_close(&rig.conn);
		arena_fini(&arena);
		return;
	}
	bounce_parse(&arena, in, r);
	strbuf_add(&out, "\0\0\0\0", 4);
	bounce_report_encode(r, &out);
	out.ptr[2] = (char)((out.len - 4) >> 8);
	out.ptr[3] = (char)((out.len - 4) & 0xff);
	conn_consume(rig.conn, 4 + len);
	conn_write(rig.conn, strbuf_slice(&out));
	strbuf_fini(&out);
	arena_fini(&arena);
}

static void
on_closed(void *ctx, const struct error *why)
{
	(void)ctx;
	(void)why;
	conn_close(&rig.conn);
}

static void
on_accept(void *ctx, int fd, const struct net_addr *peer)
{
	static const struct conn_ops ops = {
		.readable = on_readable,
		.closed = on_closed,
	};

	(void)ctx;
	(void)peer;
	conn_close(&rig.conn);
	rig.conn = conn_accept(rig.loop, fd, &ops, NULL);
}

/* ---- the tests ---- */

static int
set_up(void **state)
{
	struct error err;
	char url[128];

	test_log_setup_(state);
	memset(&rig, 0, sizeof(rig));
	bounce_parse_init();
	rig.loop = loop_new();
	snprintf(rig.dir, sizeof(rig.dir), "/tmp/verpost-test-XXXXXX");
	assert_non_null(mkdtemp(rig.dir));
	snprintf(rig.path, sizeof(rig.path), "%s/parser", rig.dir);
	snprintf(url, sizeof(url), "unix:%s", rig.path);
	assert_int_equal(net_addr_parse_listen(slice_of(url), &rig.addr, &err),
	    0);
	rig.listen_fd = net_listen(&rig.addr, 16, &err);
	assert_true(rig.listen_fd >= 0);
	rig.listener = listener_new(rig.loop, rig.listen_fd, on_accept, NULL);
	return 0;
}

static int
tear_down(void **state)
{
	conn_close(&rig.conn);
	listener_free(&rig.listener);
	loop_free(&rig.loop);
	close(rig.listen_fd);
	unlink(rig.path);
	rmdir(rig.dir);
	return test_log_teardown_(state);
}

static void
add_row(const char *raw, unsigned int number)
{
	rig.rows[rig.count++] = (struct row){ .raw = raw, .number = number };
}

static bool
all_marked(void)
{
	for (size_t i = 0; i < rig.count; i++)
		if (rig.rows[i].kind[0] == '\0')
			return false;
	return true;
}

static void
turn_until(bool (*is_true)(void))
{
	int64_t until = clock_mono_ms() + WAIT_MS;

	while (!is_true() && clock_mono_ms() < until)
		loop_turn(rig.loop, 20);
	assert_true(is_true());
}

static struct bounce *
new_bounce(int64_t poll_ms)
{
	struct bounce_options opt = { .loop = rig.loop,
		.parser = rig.addr,
		.poll_ms = poll_ms };

	return bounce_new(&opt);
}

static void
a_failure_becomes_an_outcome_of_the_tokens_recipient(void **state)
{
	struct bounce *b = new_bounce(600000);

	(void)state;
	add_row(DSN("failed", "5.1.1"), 3);
	bounce_kick(b);
	turn_until(all_marked);
	assert_string_equal(rig.rows[0].kind, "failed");
	assert_string_equal(rig.rows[0].detail, "550 no");
	assert_int_equal(rig.failed, 1);
	assert_int_equal(id_recipient_number(rig.last.recipient), 3);
	assert_int_equal(rig.last.account, 7);
	assert_string_equal(rig.last_key, "ann@example.com");
	assert_true(mail_status_is(rig.last.status, 5, 1, 1));
	assert_int_equal(rig.last.code, 550);
	bounce_free(&b);
}

static void
each_kind_goes_its_way(void **state)
{
	struct bounce *b = new_bounce(600000);

	(void)state;
	add_row(DSN("delayed", "4.4.1"), 1);
	add_row(DSN("delivered", "2.0.0"), 2);
	add_row("Subject: I am away\r\n\r\nBye\r\n", 3);
	add_row(DSN("failed", "5.1.1"), 0);  /* to postmaster */
	add_row(DSN("failed", "5.1.1"), 99); /* its day was dropped */
	bounce_kick(b);
	turn_until(all_marked);
	assert_string_equal(rig.rows[0].kind, "delayed");
	assert_string_equal(rig.rows[1].kind, "delivered");
	assert_string_equal(rig.rows[2].kind, "none");
	assert_string_equal(rig.rows[2].detail, "no delivery status part");
	assert_string_equal(rig.rows[3].kind, "none");
	assert_string_equal(rig.rows[4].kind, "none");
	assert_int_equal(rig.failed, 0);
	assert_int_equal(rig.delayed, 1);
	assert_int_equal(rig.delivered, 1);
	bounce_free(&b);
}

static void
a_poisonous_mail_is_given_up_after_two_tries(void **state)
{
	struct bounce *b;

	(void)state;
	test_log_expect(3); /* lost, given up, lost again */
	add_row(DSN("failed", "5.1.1"), 1);
	add_row("Subject: POISON\r\n\r\n", 2);
	add_row(DSN("failed", "5.1.1"), 3);
	b = new_bounce(600000);
	bounce_kick(b);
	turn_until(all_marked);
	assert_string_equal(rig.rows[0].kind, "failed");
	assert_string_equal(rig.rows[1].kind, "none");
	assert_string_equal(rig.rows[1].detail, "parser failed");
	assert_string_equal(rig.rows[2].kind, "failed");
	assert_int_equal(rig.hangups, 2);
	assert_int_equal(rig.failed, 2);
	bounce_free(&b);
}

static void
many_rows_take_many_batches_and_one_kick(void **state)
{
	struct bounce *b = new_bounce(600000);

	(void)state;
	for (unsigned int i = 0; i < 40; i++)
		add_row(DSN("failed", "5.1.1"), 1 + i);
	bounce_kick(b);
	turn_until(all_marked);
	assert_int_equal(rig.failed, 40);
	assert_int_equal(rig.mails, 40);
	assert_true(rig.claims >= 3);
	bounce_free(&b);
}

static void
the_poll_finds_what_nobody_kicked_for(void **state)
{
	struct bounce *b;

	(void)state;
	test_log_expect(1);
	rig.claim_fails = true;
	add_row(DSN("failed", "5.1.1"), 1);
	b = new_bounce(20);
	turn_until(all_marked);
	assert_int_equal(rig.failed, 1);
	bounce_free(&b);
}

static bool
was_drained(void)
{
	return rig.rows[39].claimed;
}

static void
on_drained(void *ctx)
{
	*(bool *)ctx = true;
}

static void
draining_ends_what_is_in_hand_and_takes_no_more(void **state)
{
	struct bounce *b = new_bounce(600000);
	bool *drained = &rig.rows[39].claimed;
	int64_t until = clock_mono_ms() + WAIT_MS;

	(void)state;
	add_row(DSN("failed", "5.1.1"), 1);
	bounce_kick(b);
	while (!rig.rows[0].claimed && clock_mono_ms() < until)
		loop_turn(rig.loop, 20);
	bounce_drain(b, WAIT_MS, on_drained, drained);
	assert_false(*drained);
	add_row(DSN("failed", "5.1.1"), 2);
	bounce_kick(b);
	turn_until(was_drained);
	assert_string_equal(rig.rows[0].kind, "failed");
	assert_false(rig.rows[1].claimed);
	bounce_free(&b);
}

static void
it_can_be_freed_at_any_step(void **state)
{
	(void)state;
	for (int turns = 0; turns < 12; turns++) {
		struct bounce *b = new_bounce(600000);

		rig.count = 0;
		add_row(DSN("failed", "5.1.1"), 1);
		add_row(DSN("delivered", "2.0.0"), 2);
		bounce_kick(b);
		for (int i = 0; i < turns; i++)
			loop_turn(rig.loop, 0);
		/* What the played writer still has would call back. */
		for (int i = 0; i < 3 && rig.failed + rig.delivered > 0; i++)
			loop_turn(rig.loop, 0);
		rig.failed = rig.delivered = 0;
		bounce_free(&b);
		assert_null(b);
	}
}

TEST_MAIN(cmocka_unit_test_setup_teardown(
	      a_failure_becomes_an_outcome_of_the_tokens_recipient, set_up,
	      tear_down),
    cmocka_unit_test_setup_teardown(each_kind_goes_its_way, set_up, tear_down),
    cmocka_unit_test_setup_teardown(
	a_poisonous_mail_is_given_up_after_two_tries, set_up, tear_down),
    cmocka_unit_test_setup_teardown(many_rows_take_many_batches_and_one_kick,
	set_up, tear_down),
    cmocka_unit_test_setup_teardown(the_poll_finds_what_nobody_kicked_for,
	set_up, tear_down),
    cmocka_unit_test_setup_teardown(
	draining_ends_what_is_in_hand_and_takes_no_more, set_up, tear_down),
    cmocka_unit_test_setup_teardown(it_can_be_freed_at_any_step, set_up,
	tear_down))
