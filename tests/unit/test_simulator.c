/*
 * The simulator over loopback sockets. Its store is made of this file's own
 * functions; where its DSNs go is a second simulator.
 */
#include "talk.h"

#include "mail/dsn.h"
#include "simulator/simulator.h"
#include "store/simulator.h"

#define MAILS_MAX 300

static struct {
	struct loop *loop;
	struct {
		char *from, *to, *outcome, *raw;
	} mail[MAILS_MAX];
	size_t count, batches, trims, keep;
	bool away, held;
	struct loop_call call;
	store_done *done;
	void *ctx;
} store;

static void
say_added(void *ctx)
{
	struct error err = { .kind = ERR_STORE, .text = "away" };

	(void)ctx;
	store.done(store.ctx, store.away ? &err : NULL);
}

struct pg_tx *
store_simulator_add(struct pg *pg, const struct store_simulator_mail *mails,
    size_t n, store_done *done, void *ctx)
{
	(void)pg;
	store.batches++;
	for (size_t i = 0; i < n && !store.away; i++) {
		assert_in_range(store.count, 0, MAILS_MAX - 1);
		store.mail[store.count].from = slice_dup(mails[i].mail_from);
		store.mail[store.count].to = slice_dup(mails[i].rcpt_to);
		store.mail[store.count].outcome = slice_dup(mails[i].outcome);
		store.mail[store.count].raw = slice_dup(mails[i].raw);
		store.count++;
	}
	store.done = done;
	store.ctx = ctx;
	if (!store.held)
		loop_call_schedule(store.loop, &store.call, say_added, NULL);
	return (struct pg_tx *)&store;
}

struct pg_tx *
store_simulator_trim(struct pg *pg, size_t keep, store_done *done, void *ctx)
{
	(void)pg;
	(void)done;
	(void)ctx;
	store.trims++;
	store.keep = keep;
	return (struct pg_tx *)&store;
}

void
pg_tx_cancel(struct pg_tx **tx)
{
	loop_call_cancel(&store.call);
	*tx = NULL;
}

struct world {
	struct simulator *sim, *home; /* home: where DSNs go */
	struct net_addr at, home_at;
	int fd, home_fd;
	struct talk talk;
};

static void
begin(struct world *w, struct simulator_options opt)
{
	struct simulator_options home = { .hostname = "home.invalid",
		.listen_count = 1 };

	memset(&store, 0, sizeof(store));
	memset(w, 0, sizeof(*w));
	store.loop = loop_new();
	w->fd = talk_listen(&w->at);
	w->home_fd = talk_listen(&w->home_at);
	opt.loop = home.loop = store.loop;
	/* Only handed through to the functions above. */
	opt.pg = home.pg = (struct pg *)&store;
	opt.listen_fds = &w->fd;
	opt.listen_count = 1;
	opt.hostname = "sim.invalid";
	opt.bounce_to = w->home_at;
	home.listen_fds = &w->home_fd;
	w->sim = simulator_new(&opt);
	w->home = simulator_new(&home);
	talk_open(&w->talk, store.loop, &w->at);
}

static void
end(struct world *w)
{
	talk_close(&w->talk);
	simulator_free(&w->sim);
	simulator_free(&w->home);
	close(w->fd);
	close(w->home_fd);
	loop_free(&store.loop);
	for (size_t i = 0; i < store.count; i++) {
		free(store.mail[i].from);
		free(store.mail[i].to);
		free(store.mail[i].outcome);
		free(store.mail[i].raw);
	}
}

static bool
has_mails(void *ctx)
{
	return store.count >= *(size_t *)ctx;
}

static void
wait_mails(size_t n)
{
	talk_until(store.loop, has_mails, &n);
	assert_int_equal(store.count, n);
}

static void
set_flag(void *ctx)
{
	*(bool *)ctx = true;
}

static bool
flag_is_set(void *ctx)
{
	return *(bool *)ctx;
}

#define HELLO                                                                  \
	"< 220 sim.invalid\n> EHLO me\n< 250-sim.invalid\n< 250-\n< 250-\n"    \
	"< 250-\n< 250-\n< 250 \n"
#define FROM "> MAIL FROM:<b-1@rp.example>\n< 250\n"
#define TO(who) "> RCPT TO:<" who "@any.example>\n"
#define REST "> DATA\n< 354\n> Subject: x\n> \n> hello\n> .\n"

static const struct {
	const char *who, *talk, *outcome; /* outcome NULL: nothing is kept */
} cases[] = {
	{ "delivered", TO("delivered") "< 250\n" REST "< 250\n", "delivered" },
	{ "anybody", TO("anybody") "< 250\n" REST "< 250\n", "delivered" },
	{ "bounced", TO("bounced") "< 550 5.1.1\n", NULL },
	{ "rejected", TO("rejected") "< 250\n" REST "< 554 5.6.0\n",
	    "rejected" },
	{ "full", TO("full") "< 452 4.2.2\n", NULL },
	{ "code", TO("code-552-5.3.4+a") "< 552 5.3.4\n", NULL },
	{ "code-data", TO("code-data-450-4.2.1") "< 250\n" REST "< 450 4.2.1\n",
	    "rejected" },
	{ "deferred",
	    TO("deferred") "< 451 4.3.0\n" TO("deferred") "< 250\n" REST
							  "< 250\n",
	    "deferred at first" },
	{ "disconnect", TO("disconnect") "< 250\n" REST "< EOF\n",
	    "disconnected" },
	{ "talks no more", TO("ann") "< 250\n" REST "!\n< 250\n< EOF\n",
	    "delivered" },
	{ "one of two is refused",
	    TO("ann") "< 250\n" TO("bounced") "< 550\n" REST "< 250\n",
	    "delivered" },
};

static void
acts_out_what_the_name_says(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct world w;

		print_message("-- %s\n", cases[i].who);
		begin(&w, (struct simulator_options){ 0 });
		talk_run(&w.talk, HELLO FROM);
		talk_run(&w.talk, cases[i].talk);
		if (cases[i].outcome != NULL) {
			wait_mails(1);
			assert_string_equal(store.mail[0].outcome,
			    cases[i].outcome);
			assert_string_equal(store.mail[0].raw,
			    "Subject: x\r\n\r\nhello\r\n");
			assert_string_equal(store.mail[0].from,
			    "b-1@rp.example");
		}
		end(&w);
	}
}

static void
many_bounces_do_not_end_a_session(void **state)
{
	struct world w;

	(void)state;
	begin(&w, (struct simulator_options){ 0 });
	talk_run(&w.talk, HELLO);
	for (int i = 0; i < 100; i++)
		talk_run(&w.talk, FROM TO("bounced") "< 550\n> RSET\n< 250\n");
	end(&w);
}

static void
a_dsn_comes_to_the_return_path(void **state)
{
	struct world w;
	struct arena arena;
	struct error err = { 0 };
	struct slice raw, fields;
	static struct dsn dsn;

	(void)state;
	begin(&w, (struct simulator_options){ .bounce_delay_ms = 20 });
	talk_run(&w.talk,
	    HELLO FROM TO("bounced-later+7") "< 250\n" REST "< 250\n");
	wait_mails(2);
	assert_string_equal(store.mail[0].outcome, "bounced later");
	assert_string_equal(store.mail[1].from, "");
	assert_string_equal(store.mail[1].to, "b-1@rp.example");
	raw = slice_of(store.mail[1].raw);
	assert_true(slice_find(raw,
			SLICE("\r\nAuto-Submitted: auto-replied"
			      "\r\n")) < raw.len);
	assert_true(slice_find(raw, SLICE("\r\nSubject: x\r\n")) < raw.len);
	fields = slice_from(raw,
	    slice_find(raw, SLICE("message/delivery-status\r\n\r\n")) + 27);
	fields = slice_first(fields, slice_find(fields, SLICE("\r\n--")));
	arena_init(&arena);
	assert_int_equal(dsn_parse(&arena, fields, &dsn, &err), 0);
	assert_int_equal(dsn.count, 1);
	assert_int_equal(dsn.recipient[0].action, DSN_FAILED);
	assert_true(mail_status_is(dsn.recipient[0].status, 5, 1, 1));
	assert_true(slice_eq_text(dsn.recipient[0].final_recipient,
	    "bounced-later+7@any.example"));
	assert_int_equal(dsn.recipient[0].reply_code, 550);
	arena_fini(&arena);
	end(&w);
}

static void
the_null_path_gets_no_dsn(void **state)
{
	struct world w;
	bool drained = false;

	(void)state;
	begin(&w, (struct simulator_options){ 0 });
	talk_run(&w.talk,
	    HELLO "> MAIL FROM:<>\n< 250\n" TO(
		"bounced-later") "< 250\n" REST
				 "< 250\n" FROM TO(
				     "bounced-later") "< 250\n" REST "< 250\n");
	wait_mails(3);
	assert_string_equal(store.mail[2].to, "b-1@rp.example");
	/* Nor is one still to come. */
	simulator_drain(w.sim, TALK_MS, set_flag, &drained);
	talk_until(store.loop, flag_is_set, &drained);
	assert_int_equal(store.count, 3);
	end(&w);
}

static void
many_dsns_are_carried(void **state)
{
	struct world w;

	(void)state;
	begin(&w, (struct simulator_options){ 0 });
	talk_run(&w.talk, HELLO);
	for (int i = 0; i < 100; i++)
		talk_run(&w.talk,
		    FROM TO("asyncbounce") "< 250\n" REST "< 250\n");
	wait_mails(200);
	end(&w);
}

static void
captures_gather_while_a_batch_is_committed(void **state)
{
	struct world w;

	(void)state;
	begin(&w, (struct simulator_options){ 0 });
	store.held = true;
	talk_run(&w.talk, HELLO);
	for (int i = 0; i < 20; i++)
		talk_run(&w.talk, FROM TO("ann") "< 250\n" REST "< 250\n");
	assert_int_equal(store.batches, 1);
	store.held = false;
	say_added(NULL);
	wait_mails(20);
	assert_int_equal(store.batches, 2);
	end(&w);
}

static void
a_store_that_is_away_holds_up_nobody(void **state)
{
	struct world w;

	(void)state;
	begin(&w, (struct simulator_options){ 0 });
	store.away = true;
	test_log_expect(1);
	talk_run(&w.talk, HELLO FROM TO("ann") "< 250\n" REST "< 250\n");
	while (store.batches == 0)
		loop_turn(store.loop, 10);
	loop_turn(store.loop, 0);
	store.away = false;
	talk_run(&w.talk, FROM TO("ann") "< 250\n" REST "< 250\n");
	wait_mails(1);
	end(&w);
}

static void
what_is_kept_is_bounded(void **state)
{
	struct world w;

	(void)state;
	begin(&w, (struct simulator_options){ .capture_bytes = 4 });
	talk_run(&w.talk, HELLO FROM TO("ann") "< 250\n" REST "< 250\n");
	wait_mails(1);
	assert_string_equal(store.mail[0].raw, "Subj");
	end(&w);
}

static void
too_many_connections_are_turned_away(void **state)
{
	struct world w;
	struct talk second;

	(void)state;
	begin(&w, (struct simulator_options){ .connections_max = 1 });
	talk_run(&w.talk, "< 220\n");
	talk_open(&second, store.loop, &w.at);
	talk_run(&second, "< 421 4.7.0\n< EOF\n");
	talk_close(&second);
	end(&w);
}

static void
a_drain_sends_what_is_owed(void **state)
{
	struct world w;
	bool drained = false;

	(void)state;
	begin(&w, (struct simulator_options){ .bounce_delay_ms = 3600000 });
	talk_run(&w.talk,
	    HELLO FROM TO("bounced-later") "< 250\n" REST "< 250\n");
	simulator_drain(w.sim, TALK_MS, set_flag, &drained);
	talk_run(&w.talk, "< 421 4.3.2\n< EOF\n");
	talk_until(store.loop, flag_is_set, &drained);
	wait_mails(2);
	assert_string_equal(store.mail[1].to, "b-1@rp.example");
	end(&w);
}

static void
nobody_to_take_a_dsn_is_no_end(void **state)
{
	struct world w;
	bool drained = false;

	(void)state;
	begin(&w, (struct simulator_options){ 0 });
	/* Closed by its listener, the port refuses. */
	simulator_free(&w.home);
	close(w.home_fd);
	w.home_fd = dup(0);
	talk_run(&w.talk,
	    HELLO FROM TO("bounced-later") "< 250\n" REST "< 250\n");
	wait_mails(1);
	simulator_drain(w.sim, 100, set_flag, &drained);
	talk_until(store.loop, flag_is_set, &drained);
	end(&w);
}

TEST_MAIN(cmocka_unit_test(acts_out_what_the_name_says),
    cmocka_unit_test(many_bounces_do_not_end_a_session),
    cmocka_unit_test(a_dsn_comes_to_the_return_path),
    cmocka_unit_test(the_null_path_gets_no_dsn),
    cmocka_unit_test(many_dsns_are_carried),
    cmocka_unit_test(captures_gather_while_a_batch_is_committed),
    cmocka_unit_test(a_store_that_is_away_holds_up_nobody),
    cmocka_unit_test(what_is_kept_is_bounded),
    cmocka_unit_test(too_many_connections_are_turned_away),
    cmocka_unit_test(a_drain_sends_what_is_owed),
    cmocka_unit_test(nobody_to_take_a_dsn_is_no_end))
