/*
 * A session against a connection and a destination that the test plays: what
 * it notes in the slot file, and when. The SMTP client is the real one.
 */
#include "test.h"

#include <stdio.h>

#include "delivery/delivery_priv.h"

#include "base/mem.h"

static struct {
	struct strbuf log;  /* what happened, in order */
	struct strbuf sent; /* given to the connection */
	size_t pending;	    /* of that: not written yet */
	bool is_written;    /* at once */
	bool wants_written; /* drained is owed */
	struct strbuf in;   /* for the session to read */
	const struct conn_ops *ops;
	void *ctx;
	struct job *next; /* for dest_take */
	bool is_over;
} fake;

static struct mta mta;
static struct dest dest;
static struct route route;
static struct net_addr addr;
static struct list jobs;

static void
note(const char *what)
{
	strbuf_add_text(&fake.log, what);
	strbuf_add_char(&fake.log, ' ');
}

/* ---- The connection -------------------------------------------------------
 */

static char the_conn;

struct conn *
conn_connect(struct loop *l, const struct net_addr *to,
    const struct net_addr *source, const struct net_guard *guard,
    int64_t timeout_ms, const struct conn_ops *ops, void *ctx)
{
	(void)l;
	(void)to;
	(void)source;
	(void)guard;
	(void)timeout_ms;
	fake.ops = ops;
	fake.ctx = ctx;
	return (struct conn *)(void *)&the_conn;
}

void
conn_write(struct conn *c, struct slice data)
{
	(void)c;
	if (slice_find(data, SLICE("\r\n.\r\n")) < data.len)
		note("dot-given");
	strbuf_add_slice(&fake.sent, data);
	if (!fake.is_written)
		fake.pending += data.len;
}

size_t
conn_pending(const struct conn *c)
{
	(void)c;
	return fake.pending;
}

void
conn_tell_written(struct conn *c)
{
	(void)c;
	fake.wants_written = true;
}

struct slice
conn_peek(struct conn *c)
{
	(void)c;
	return strbuf_slice(&fake.in);
}

void
conn_consume(struct conn *c, size_t n)
{
	(void)c;
	strbuf_drop(&fake.in, n);
}

void
conn_close(struct conn **c)
{
	*c = NULL;
}

void
conn_set_deadline(struct conn *c, int64_t after_ms, const char *label)
{
	(void)c;
	(void)after_ms;
	(void)label;
}

void
conn_start_tls(struct conn *c, struct ssl_ctx_st *ctx, bool is_server,
    const char *host, int64_t timeout_ms)
{
	(void)c;
	(void)ctx;
	(void)is_server;
	(void)host;
	(void)timeout_ms;
	fail_msg("nobody offered TLS");
}

bool
conn_is_tls(const struct conn *c)
{
	(void)c;
	return false;
}

void
conn_tls_describe(const struct conn *c, char *out, size_t out_len)
{
	(void)c;
	snprintf(out, out_len, "%s", "");
}

/* ---- The rest of the engine -----------------------------------------------
 */

void
slot_sent(struct slot *s, unsigned int entry, struct slice mx, struct slice tls)
{
	(void)s;
	(void)tls;
	assert_int_equal(entry, 7);
	assert_true(slice_starts(mx, SLICE("mx.example[")));
	note("SENT");
}

void
slot_unsent(struct slot *s, unsigned int entry)
{
	(void)s;
	assert_int_equal(entry, 7);
	note("unsent");
}

void
slot_replied(struct slot *s, unsigned int entry, const struct slot_reply *reply)
{
	char text[64];

	(void)s;
	assert_int_equal(entry, 7);
	snprintf(text, sizeof(text), "REPLIED-%u-%s", reply->code,
	    smtp_stage_name((enum smtp_stage)reply->stage));
	note(text);
}

void
finish_attempt(struct job *j, const struct smtp_outcome *outcome,
    const char *host, const char *tls, struct slice said)
{
	(void)outcome;
	(void)host;
	(void)tls;
	(void)said;
	list_remove(&j->node);
	note("finished");
}

void
finish_aged(struct job *j)
{
	(void)j;
	fail_msg("it is not old");
}

void
finish_local(struct job *j, enum verdict v, const char *reason,
    const char *status, const char *text)
{
	(void)j;
	(void)v;
	(void)reason;
	(void)status;
	fail_msg("%s", text);
}

struct identity *
identity_get(struct mta *m, int domain)
{
	static struct identity it = { .usable = true };

	(void)m;
	(void)domain;
	return &it;
}

int
message_build(struct job *j, struct identity *i, struct error *err)
{
	(void)i;
	(void)err;
	snprintf(j->return_path, sizeof(j->return_path), "b@example.com");
	return 0;
}

bool
owner_is_alive(const struct mta *m)
{
	(void)m;
	return true;
}

struct route *
route_ref(struct route *r)
{
	return r;
}

void
route_unref(struct route *r)
{
	(void)r;
}

void
job_free(struct job *j)
{
	list_remove(&j->node);
}

struct job *
dest_take(struct dest *d)
{
	struct job *j = fake.next;

	(void)d;
	fake.next = NULL;
	return j;
}

void
dest_return(struct job *j)
{
	list_remove(&j->node);
	note("returned");
}

void
dest_session_gone(struct dest *d)
{
	(void)d;
}

void
quotas_give_back(struct job *j)
{
	(void)j;
	note("unspent");
}

void
scopes_mail_begins(struct dest *d)
{
	(void)d;
}

bool
scopes_idle(struct dest *d, struct list *idle_node)
{
	(void)d;
	(void)idle_node;
	return true;
}

int64_t
scopes_connect_ms(struct dest *d)
{
	(void)d;
	return 0;
}

void
dest_renew(struct job *j)
{
	(void)j;
	fail_msg("it is not old");
}

void
renew_under_way(struct job *j)
{
	(void)j;
	fail_msg("it is not old");
}

bool
renew_was_asked(const struct job *j)
{
	(void)j;
	return false;
}

bool
trace_is_asked(const struct mta *m)
{
	(void)m;
	return false;
}

void
trace_line(const struct session *s, const struct job *j, char who,
    struct slice line)
{
	(void)s;
	(void)j;
	(void)who;
	(void)line;
}

void
dest_progress(struct dest *d)
{
	(void)d;
}

bool
dest_may_ride(const struct dest *d)
{
	(void)d;
	return true;
}

void
dest_dot_took(struct dest *d, int64_t ms)
{
	(void)d;
	(void)ms;
}

void
dest_session_over(struct dest *d, const struct session_end *end)
{
	(void)d;
	(void)end;
	fake.is_over = true;
}

void
dest_session_ready(struct dest *d)
{
	(void)d;
}

void
dest_session_unready(struct dest *d)
{
	(void)d;
}

void
dest_session_quits(struct dest *d, bool was_ready)
{
	(void)d;
	(void)was_ready;
}

/* ---- The stage ------------------------------------------------------------
 */

static struct job *
make_job(size_t size)
{
	struct job *j = xmalloc(sizeof(*j));
	struct error err;

	j->magic = JOB_MAGIC;
	j->mta = &mta;
	j->entry = 7;
	j->claimed_at_ms = INT64_MAX / 2; /* never old */
	list_init(&j->node);
	strbuf_init(&j->message, 0);
	for (size_t i = 0; i < size; i++)
		strbuf_add_text(&j->message,
		    (i + 2) % 64 == 0	    ? "\r"
			: (i + 1) % 64 == 0 ? "\n"
					    : "x");
	assert_int_equal(mail_path_parse(&j->arena, SLICE("a@example.com"),
			     &j->address, &err),
	    0);
	return j;
}

static void
free_job(struct job *j)
{
	strbuf_fini(&j->message);
	arena_fini(&j->arena);
	free(j);
}

static int
set_up(void **state)
{
	struct error err;

	test_log_setup_(state);
	memset(&fake, 0, sizeof(fake));
	strbuf_init(&fake.log, 0);
	strbuf_init(&fake.sent, 0);
	strbuf_init(&fake.in, 0);
	fake.is_written = true;
	mta = (struct mta){ .opt = { .loop = loop_new(), .idle_ms = 1000 } };
	list_init(&jobs);
	assert_int_equal(net_addr_parse(SLICE("192.0.2.1"), 25, &addr, &err),
	    0);
	route = (struct route){ .mta = &mta, .host_count = 1 };
	route.host[0] = (struct route_host){ .name = SLICE("mx.example"),
		.addr_count = 1,
		.addr = &addr };
	dest = (struct dest){ .mta = &mta, .route = &route };
	dest.source.addr = addr;
	snprintf(dest.source.helo, sizeof(dest.source.helo), "out.example");
	return 0;
}

static int
tear_down(void **state)
{
	loop_free(&mta.opt.loop);
	strbuf_fini(&fake.log);
	strbuf_fini(&fake.sent);
	strbuf_fini(&fake.in);
	return test_log_teardown_(state);
}

static void
say(const char *lines)
{
	strbuf_add_text(&fake.in, lines);
	fake.ops->readable(fake.ctx);
}

/* The connection has written all it was given. */
static void
write_all(void)
{
	bool tell = fake.wants_written;

	fake.pending = 0;
	fake.wants_written = false;
	if (tell)
		fake.ops->drained(fake.ctx);
}

/* Connected, greeted, and with this mail begun as far as DATA. */
static void
begin(struct job *j)
{
	(void)session_new(&dest);
	fake.next = j;
	fake.ops->ready(fake.ctx);
	say("220 mx\r\n");
	say("250 mx\r\n");
	say("250 ok\r\n");
	say("250 ok\r\n");
	strbuf_reset(&fake.log);
}

static void
expect(const char *what)
{
	assert_string_equal(strbuf_text(&fake.log), what);
	strbuf_reset(&fake.log);
}

static void
lose(void)
{
	struct error why;

	error_set(&why, ERR_NET, "reset");
	fake.ops->closed(fake.ctx, &why);
	loop_turn(mta.opt.loop, 0);
}

static void
quit(void)
{
	lose();
	assert_true(fake.is_over);
}

/* ---- The cases ------------------------------------------------------------
 */

static void
a_dot_is_noted_before_the_connection_has_it(void **state)
{
	struct job *j = make_job(500);

	(void)state;
	begin(j);
	say("354 go on\r\n");
	expect("SENT dot-given ");
	say("250 2.0.0 taken\r\n");
	expect("REPLIED-250-end of data finished ");
	quit();
	free_job(j);
}

static void
a_dot_is_held_back_while_anything_waits(void **state)
{
	struct job *j = make_job(500);

	(void)state;
	begin(j);
	fake.pending = 1;
	fake.is_written = false;
	say("354 go on\r\n");
	expect("");
	assert_true(fake.wants_written);
	/* Told too early, as when it fell below the low water. */
	fake.wants_written = false;
	fake.ops->drained(fake.ctx);
	expect("");
	write_all();
	expect("SENT dot-given ");
	fake.pending = 0;
	quit();
	expect("finished ");
	free_job(j);
}

static void
the_last_piece_of_a_large_message_waits_for_the_others(void **state)
{
	struct job *j = make_job(200000);
	size_t given;

	(void)state;
	begin(j);
	fake.is_written = false;
	say("354 go on\r\n");
	for (int i = 0; i < 3; i++) { /* the second last may fit beside one */
		given = fake.sent.len;
		assert_true(given < 200000);
		expect("");
		fake.pending = 100;
		fake.ops->drained(fake.ctx);
		if (fake.wants_written)
			break;
	}
	expect("");
	write_all();
	expect("SENT dot-given ");
	fake.pending = 0;
	quit();
	expect("finished ");
	free_job(j);
}

static void
a_link_lost_with_the_dot_in_our_buffer_sent_nothing(void **state)
{
	struct job *j = make_job(500);

	(void)state;
	begin(j);
	fake.is_written = false;
	say("354 go on\r\n");
	expect("SENT dot-given ");
	assert_true(fake.pending > 0);
	quit();
	expect("unsent returned ");
	free_job(j);
}

static void
a_link_lost_while_the_dot_was_held_sent_nothing(void **state)
{
	struct job *j = make_job(500);

	(void)state;
	begin(j);
	fake.pending = 1;
	fake.is_written = false;
	say("354 go on\r\n");
	quit();
	expect("unsent returned ");
	free_job(j);
}

static void
a_refusal_before_the_dot_is_noted_as_a_reply(void **state)
{
	struct job *j = make_job(500);

	(void)state;
	begin(j);
	say("554 5.7.1 no\r\n");
	expect("REPLIED-554-DATA finished ");
	quit();
	free_job(j);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

TEST_MAIN(CASE(a_dot_is_noted_before_the_connection_has_it),
    CASE(a_dot_is_held_back_while_anything_waits),
    CASE(the_last_piece_of_a_large_message_waits_for_the_others),
    CASE(a_link_lost_with_the_dot_in_our_buffer_sent_nothing),
    CASE(a_link_lost_while_the_dot_was_held_sent_nothing),
    CASE(a_refusal_before_the_dot_is_noted_as_a_reply))
