#include "test.h"

#include <stdlib.h>

#include "bounce/report.h"

static void
make_report(struct bounce_report *r)
{
	*r = (struct bounce_report){
		.kind = BOUNCE_FAILED,
		.subject = SLICE("Returned mail"),
		.dsn = { .reporting_mta = SLICE("mx.example.com"), .count = 2 },
	};
	r->dsn.recipient[0] = (struct dsn_recipient){
		.action = DSN_DELAYED,
		.status = { { 4, 4, 1 } },
		.final_recipient = SLICE("a@example.com"),
	};
	r->dsn.recipient[1] = (struct dsn_recipient){
		.action = DSN_FAILED,
		.status = { { 5, 1, 10 } },
		.final_recipient = SLICE("b@example.com"),
		.original_recipient = SLICE("c@example.com"),
		.remote_mta = SLICE("mx2"),
		.diagnostic = SLICE("550 5.1.10 no"),
		.reply_code = 550,
	};
}

static void
an_answer_reads_as_it_was_written(void **state)
{
	struct strbuf answer = STRBUF_INIT;
	struct arena arena = ARENA_INIT;
	struct bounce_report a, b;
	struct error err;

	(void)state;
	make_report(&a);
	bounce_report_encode(&a, &answer);
	assert_int_equal(bounce_report_decode(&arena, strbuf_slice(&answer), &b,
			     &err),
	    0);
	assert_int_equal(b.kind, BOUNCE_FAILED);
	assert_true(slice_eq(a.subject, b.subject));
	assert_true(slice_eq(a.dsn.reporting_mta, b.dsn.reporting_mta));
	assert_int_equal(b.dsn.count, 2);
	for (size_t i = 0; i < 2; i++) {
		const struct dsn_recipient *x = &a.dsn.recipient[i];
		const struct dsn_recipient *y = &b.dsn.recipient[i];

		assert_int_equal(x->action, y->action);
		assert_memory_equal(&x->status, &y->status, sizeof(x->status));
		assert_true(slice_eq(x->final_recipient, y->final_recipient));
		assert_true(
		    slice_eq(x->original_recipient, y->original_recipient));
		assert_true(slice_eq(x->diagnostic, y->diagnostic));
		assert_int_equal(x->reply_code, y->reply_code);
	}
	strbuf_fini(&answer);
	arena_fini(&arena);
}

/* The parser may have been taken over: nothing it says harms us. */
static void
hostile_answers_are_refused_or_bounded(void **state)
{
	struct strbuf answer = STRBUF_INIT;
	struct bounce_report a, b;
	struct error err;

	(void)state;
	make_report(&a);
	bounce_report_encode(&a, &answer);
	for (size_t n = 0; n < answer.len; n++) {
		struct arena arena = ARENA_INIT;
		char *cut = slice_dup(slice_first(strbuf_slice(&answer), n));

		(void)!bounce_report_decode(&arena, slice_mem(cut, n), &b,
		    &err);
		free(cut);
		for (int v = 0; v < 256; v += 5) {
			char was = answer.ptr[n];

			answer.ptr[n] = (char)v;
			if (bounce_report_decode(&arena, strbuf_slice(&answer),
				&b, &err) == 0) {
				assert_true(b.kind < BOUNCE_KIND_COUNT);
				assert_true(b.dsn.count <= DSN_RECIPIENTS_MAX);
				assert_true(b.subject.len <= BOUNCE_TEXT_MAX);
			}
			answer.ptr[n] = was;
		}
		arena_fini(&arena);
	}
	strbuf_fini(&answer);
}

static void
too_many_recipients_are_refused(void **state)
{
	struct strbuf answer = STRBUF_INIT;
	struct arena arena = ARENA_INIT;
	struct bounce_report a, b;
	struct slice fields;
	struct error err;

	(void)state;
	make_report(&a);
	bounce_report_encode(&a, &answer);
	fields = arena_slice(&arena, slice_from(strbuf_slice(&answer), 1));
	for (int i = 0; i < 100; i++)
		strbuf_add_slice(&answer, fields);
	assert_int_equal(bounce_report_decode(&arena, strbuf_slice(&answer), &b,
			     &err),
	    -1);
	strbuf_fini(&answer);
	arena_fini(&arena);
}

static void
the_block_of_the_recipient_is_picked_else_the_worst(void **state)
{
	struct bounce_report r;

	(void)state;
	make_report(&r);
	assert_ptr_equal(bounce_report_pick(&r, SLICE("A@EXAMPLE.com")),
	    &r.dsn.recipient[0]);
	assert_ptr_equal(bounce_report_pick(&r, SLICE("c@example.com")),
	    &r.dsn.recipient[1]);
	assert_ptr_equal(bounce_report_pick(&r, SLICE("x@example.com")),
	    &r.dsn.recipient[1]);
	assert_ptr_equal(bounce_report_pick(&r, SLICE("")),
	    &r.dsn.recipient[1]);
	r.dsn.count = 0;
	assert_null(bounce_report_pick(&r, SLICE("a@example.com")));
}

TEST_MAIN(cmocka_unit_test(an_answer_reads_as_it_was_written),
    cmocka_unit_test(hostile_answers_are_refused_or_bounded),
    cmocka_unit_test(too_many_recipients_are_refused),
    cmocka_unit_test(the_block_of_the_recipient_is_picked_else_the_worst))
