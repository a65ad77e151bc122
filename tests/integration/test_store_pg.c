/* The connection to PostgreSQL and the migrations, against a real server. */
#include "tests/unit/test.h"

#include "base/arena.h"
#include "tests/integration/servers.h"

static const struct pg_stmt stmt_types = { "t_types",
	"SELECT $1::bool, $2::int2, $3::int4, $4::int8, $5::timestamptz, "
	"$6::uuid, $7::text, $8::bytea, $9::text, $10::timestamptz, "
	"$11::uuid" };
static const struct pg_stmt stmt_arrays = { "t_arrays",
	"SELECT a, b, c, d FROM unnest($1::int4[], $2::text[], $3::uuid[], "
	"$4::timestamptz[]) WITH ORDINALITY AS i(a, b, c, d, n) ORDER BY n" };
static const struct pg_stmt stmt_empty = { "t_empty",
	"SELECT cardinality($1::int4[]), 7::int4" };
static const struct pg_stmt stmt_times = { "t_times",
	"SELECT '-infinity'::timestamptz, 'infinity'::timestamptz, "
	"'294276-12-31'::timestamptz" };
static const struct pg_stmt stmt_one = { "t_one", "SELECT $1::int4 + 1" };
static const struct pg_stmt stmt_divide = { "t_divide",
	"SELECT 10 / $1::int4" };
static const struct pg_stmt stmt_nonsense = { "t_nonsense",
	"SELECT nothing FROM nowhere" };
static const struct pg_stmt stmt_put = { "t_put",
	"INSERT INTO t_pairs (k, v) VALUES ($1::int4, $2::int4)" };
static const struct pg_stmt stmt_sleep = { "t_sleep",
	"SELECT pg_sleep(30)::text" };

struct seen {
	bool done;
	unsigned int calls;
	bool has_reply;
	struct error err;
	int32_t value;
	void (*look)(const struct pg_reply *reply);
	struct pg **free_me;
};

static void
on_done(void *ctx, const struct pg_reply *reply, const struct error *err)
{
	struct seen *seen = ctx;

	assert_true((reply == NULL) != (err == NULL));
	seen->calls++;
	seen->done = true;
	seen->has_reply = reply != NULL;
	seen->err = err != NULL ? *err : (struct error){ 0 };
	if (reply != NULL && seen->look != NULL)
		seen->look(reply);
	else if (reply != NULL && pg_rows(reply, 0) == 1)
		seen->value = pg_get_int4(pg_row(reply, 0, 0), 0);
	if (seen->free_me != NULL)
		pg_free(seen->free_me);
}

static struct pg_tx *
send_int(struct pg *pg, const struct pg_stmt *stmt, int32_t n,
    struct seen *seen)
{
	struct pg_tx *tx = pg_tx_new(pg);

	pg_tx_stmt(tx, stmt);
	pg_tx_int4(tx, n);
	pg_tx_send(tx, on_done, seen);
	return tx;
}

static const struct id some_id = { { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13,
    14, 15, 16 } };

static void
look_at_types(const struct pg_reply *reply)
{
	struct pg_row row = pg_row(reply, 0, 0);

	assert_true(pg_get_bool(row, 0));
	assert_int_equal(pg_get_int2(row, 1), -12345);
	assert_int_equal(pg_get_int4(row, 2), -2000000000);
	assert_true(pg_get_int8(row, 3) == INT64_MIN);
	assert_true(pg_get_time(row, 4) == 946684799999); /* before 2000 */
	assert_int_equal(id_cmp(pg_get_id(row, 5), some_id), 0);
	assert_true(slice_eq_text(pg_get_text(row, 6), "h\xc3\xa9"));
	assert_true(slice_eq(pg_get_text(row, 7), slice_mem("a\0b", 3)));
	for (int col = 8; col < 11; col++)
		assert_true(pg_is_null(row, col));
	assert_null(pg_get_text(row, 8).ptr);
	assert_true(pg_get_time(row, 9) == 0);
	assert_true(id_is_zero(pg_get_id(row, 10)));
}

static void
values_of_every_type_come_back_as_they_went(void **state)
{
	struct pg *pg = servers_pg();
	struct seen seen = { .look = look_at_types };
	struct pg_tx *tx = pg_tx_new(pg);

	(void)state;
	pg_tx_stmt(tx, &stmt_types);
	pg_tx_bool(tx, true);
	pg_tx_int2(tx, -12345);
	pg_tx_int4(tx, -2000000000);
	pg_tx_int8(tx, INT64_MIN);
	pg_tx_time(tx, 946684799999);
	pg_tx_id(tx, some_id);
	pg_tx_text(tx, SLICE("h\xc3\xa9"));
	pg_tx_bytea(tx, slice_mem("a\0b", 3));
	pg_tx_text_or_null(tx, (struct slice){ NULL, 0 });
	pg_tx_time(tx, 0);
	pg_tx_id_or_null(tx, (struct id){ { 0 } });
	pg_tx_send(tx, on_done, &seen);
	servers_until(&seen.done);
	assert_string_equal(seen.err.text, "");
	pg_free(&pg);
}

static void
look_at_times(const struct pg_reply *reply)
{
	struct pg_row row = pg_row(reply, 0, 0);

	assert_true(pg_get_time(row, 0) == INT64_C(-62135596800000));
	assert_true(pg_get_time(row, 1) == INT64_C(253402300799999));
	assert_true(pg_get_time(row, 2) == INT64_C(253402300799999));
}

static void
times_are_of_the_years_that_we_write(void **state)
{
	struct pg *pg = servers_pg();
	struct seen seen = { .look = look_at_times };
	struct pg_tx *tx = pg_tx_new(pg);

	(void)state;
	pg_tx_stmt(tx, &stmt_times);
	pg_tx_send(tx, on_done, &seen);
	servers_until(&seen.done);
	assert_string_equal(seen.err.text, "");
	pg_free(&pg);
}

static void
look_at_arrays(const struct pg_reply *reply)
{
	assert_int_equal(pg_rows(reply, 0), 2);
	assert_int_equal(pg_get_int4(pg_row(reply, 0, 0), 0), 7);
	assert_true(pg_is_null(pg_row(reply, 0, 1), 0));
	assert_true(slice_eq_text(pg_get_text(pg_row(reply, 0, 0), 1), ""));
	assert_true(slice_eq_text(pg_get_text(pg_row(reply, 0, 1), 1), "x"));
	assert_int_equal(id_cmp(pg_get_id(pg_row(reply, 0, 1), 2), some_id), 0);
	assert_true(pg_get_time(pg_row(reply, 0, 0), 3) == 0);
	assert_true(pg_get_time(pg_row(reply, 0, 1), 3) == 1700000000123);
	/* The second statement of the same unit: an empty array. */
	assert_int_equal(pg_get_int4(pg_row(reply, 1, 0), 0), 0);
	assert_int_equal(pg_get_int4(pg_row(reply, 1, 0), 1), 7);
}

static void
arrays_carry_nulls_and_may_be_empty(void **state)
{
	struct pg *pg = servers_pg();
	struct seen seen = { .look = look_at_arrays };
	struct pg_tx *tx = pg_tx_new(pg);

	(void)state;
	pg_tx_stmt(tx, &stmt_arrays);
	pg_tx_array(tx, PG_INT4);
	pg_tx_int4(tx, 7);
	pg_tx_null(tx);
	pg_tx_array_end(tx);
	pg_tx_array(tx, PG_TEXT);
	pg_tx_text(tx, SLICE(""));
	pg_tx_text(tx, SLICE("x"));
	pg_tx_array_end(tx);
	pg_tx_array(tx, PG_UUID);
	pg_tx_id_or_null(tx, (struct id){ { 0 } });
	pg_tx_id(tx, some_id);
	pg_tx_array_end(tx);
	pg_tx_array(tx, PG_TIME);
	pg_tx_time(tx, 0);
	pg_tx_time(tx, 1700000000123);
	pg_tx_array_end(tx);
	pg_tx_stmt(tx, &stmt_empty);
	pg_tx_array(tx, PG_INT4);
	pg_tx_array_end(tx);
	pg_tx_send(tx, on_done, &seen);
	servers_until(&seen.done);
	assert_string_equal(seen.err.text, "");
	pg_free(&pg);
}

static void
a_unit_that_fails_leaves_its_neighbours_alone(void **state)
{
	struct pg *pg = servers_pg();
	struct seen seen[5] = { { 0 } };

	(void)state;
	/* All in flight at once, every statement new to the connection. */
	send_int(pg, &stmt_divide, 0, &seen[0]);
	send_int(pg, &stmt_one, 41, &seen[1]);
	send_int(pg, &stmt_divide, 5, &seen[2]);
	send_int(pg, &stmt_nonsense, 1, &seen[3]);
	send_int(pg, &stmt_one, 1, &seen[4]);
	assert_int_equal(pg_pending(pg), 5);
	servers_until(&seen[4].done);
	assert_int_equal(seen[0].err.kind, ERR_SYNTAX);
	assert_true(pg_sqlstate_is(&seen[0].err, "22012"));
	assert_true(pg_sqlstate_is(&seen[0].err, "22"));
	assert_false(pg_sqlstate_is(&seen[0].err, "23"));
	assert_int_equal(seen[1].value, 42);
	assert_int_equal(seen[2].value, 2);
	assert_true(pg_sqlstate_is(&seen[3].err, "42P01"));
	assert_non_null(strstr(seen[3].err.text, "nowhere"));
	assert_int_equal(seen[4].value, 2);
	assert_int_equal(pg_pending(pg), 0);
	pg_free(&pg);
}

static struct pg_tx *
send_pair(struct pg *pg, int32_t k, int32_t v, struct seen *seen)
{
	struct pg_tx *tx = pg_tx_new(pg);

	pg_tx_stmt(tx, &stmt_put);
	pg_tx_int4(tx, k);
	pg_tx_int4(tx, v);
	pg_tx_stmt(tx, &stmt_put);
	pg_tx_int4(tx, k + 1);
	pg_tx_int4(tx, v);
	pg_tx_send(tx, on_done, seen);
	return tx;
}

static void
a_unit_is_one_transaction_down_to_its_commit(void **state)
{
	struct pg *pg = servers_pg();
	struct seen seen[4] = { { 0 } };

	(void)state;
	SQL_NUMBER(pg,
	    "CREATE TABLE t_pairs (k int PRIMARY KEY, "
	    "v int UNIQUE DEFERRABLE INITIALLY DEFERRED)");
	send_int(pg, &stmt_one, 0, &seen[0]);
	/* Two rows with one v: refused only at the commit. */
	send_pair(pg, 1, 9, &seen[1]);
	send_int(pg, &stmt_one, 0, &seen[2]);
	servers_until(&seen[2].done);
	assert_int_equal(seen[1].err.kind, ERR_CONFLICT);
	assert_true(pg_sqlstate_is(&seen[1].err, "23505"));
	assert_int_equal(seen[2].value, 1);
	assert_true(SQL_NUMBER(pg, "SELECT count(*) FROM t_pairs") == 0);
	pg_free(&pg);
}

static void
what_was_cancelled_never_calls_back(void **state)
{
	struct pg *pg = servers_pg();
	struct seen seen[3] = { { 0 } };
	struct pg_tx *tx = pg_tx_new(pg);

	(void)state;
	pg_tx_stmt(tx, &stmt_one);
	pg_tx_cancel(&tx); /* not sent */
	assert_null(tx);
	tx = send_int(pg, &stmt_one, 1, &seen[0]); /* on the wire */
	pg_tx_cancel(&tx);
	send_int(pg, &stmt_one, 1, &seen[1]);
	servers_until(&seen[1].done);
	assert_int_equal(seen[0].calls, 0);
	assert_int_equal(pg_pending(pg), 0);
	send_int(pg, &stmt_one, 1, &seen[0]);
	seen[2].free_me = &pg; /* from within a callback */
	send_int(pg, &stmt_one, 1, &seen[2]);
	send_int(pg, &stmt_one, 1, &seen[1]);
	seen[1].calls = 0;
	servers_until(&seen[2].done);
	loop_turn(servers.loop, 0);
	assert_null(pg);
	assert_int_equal(seen[0].calls, 1);
	assert_int_equal(seen[1].calls, 0);
}

struct ups {
	unsigned int up, down;
	bool is_up, was_down;
};

static void
on_up(void *ctx)
{
	struct ups *ups = ctx;

	ups->up++;
	ups->is_up = true;
}

static void
on_down(void *ctx, const struct error *err)
{
	struct ups *ups = ctx;

	assert_int_not_equal(err->kind, ERR_NONE);
	ups->down++;
	ups->was_down = true;
}

static const struct pg_ops ops = { on_up, on_down };

static void
a_server_that_goes_fails_all_and_is_found_again(void **state)
{
	struct pg_options options = { .conninfo = servers.conninfo };
	struct ups ups = { 0 };
	struct pg *pg = pg_new(servers.loop, &options, &ops, &ups);
	struct seen seen[3] = { { 0 } };

	(void)state;
	/* Sent while connecting: waits for the connection. */
	send_int(pg, &stmt_one, 1, &seen[0]);
	assert_int_equal(seen[0].calls, 0);
	servers_until(&seen[0].done);
	assert_int_equal(seen[0].value, 2);
	assert_int_equal(ups.up, 1);

	struct pg_tx *tx = pg_tx_new(pg);

	pg_tx_stmt(tx, &stmt_sleep);
	pg_tx_send(tx, on_done, &seen[1]);
	loop_turn(servers.loop, 50);
	/* The loss, and each try while the server is away, is a warning. */
	test_log_expect(1);
	servers_run("pg-kill", false);
	servers_until(&ups.was_down);
	assert_int_equal(seen[1].calls, 1);
	assert_int_equal(seen[1].err.kind, ERR_STORE);
	assert_false(pg_is_up(pg));
	/* Away: at once, but not before send has returned. */
	send_int(pg, &stmt_one, 1, &seen[2]);
	assert_int_equal(seen[2].calls, 0);
	loop_turn(servers.loop, 0);
	loop_turn(servers.loop, 0);
	assert_int_equal(seen[2].err.kind, ERR_STORE);
	assert_int_equal(ups.down, 1);

	ups.is_up = false;
	servers_run("pg-start", false);
	test_log_.expected = 100;
	servers_until(&ups.is_up);
	test_log_.expected = 0;
	seen[2] = (struct seen){ 0 };
	send_int(pg, &stmt_one, 2, &seen[2]);
	servers_until(&seen[2].done);
	assert_int_equal(seen[2].value, 3);
	pg_free(&pg);
}

static void
a_unit_past_its_deadline_takes_the_connection_down(void **state)
{
	struct pg_options options = { .conninfo = servers.conninfo,
		.deadline_ms = 300 };
	struct ups ups = { 0 };
	struct pg *pg = pg_new(servers.loop, &options, &ops, &ups);
	struct seen seen[2] = { { 0 } };
	struct pg_tx *tx = pg_tx_new(pg);
	int64_t started_ms = clock_mono_ms();

	(void)state;
	servers_until(&ups.is_up);
	/* So that it is not the server that ends it first. */
	SQL_NUMBER(pg,
	    "SELECT set_config('statement_timeout', '0', false)"
	    "::int8");
	pg_tx_stmt(tx, &stmt_sleep);
	test_log_expect(1);
	pg_tx_send(tx, on_done, &seen[0]);
	send_int(pg, &stmt_one, 1, &seen[1]);
	servers_until(&ups.was_down);
	assert_int_equal(seen[0].err.kind, ERR_TIMEOUT);
	assert_int_equal(seen[1].calls, 1);
	assert_in_range(clock_mono_ms() - started_ms, 250, 5000);
	ups.is_up = false;
	servers_until(&ups.is_up);
	pg_free(&pg);
}

static void
a_host_name_is_refused_because_it_would_block(void **state)
{
	struct pg_options options = { .conninfo = "host=db.example dbname=x" };
	struct error err = { 0 };
	struct pg *pg;

	(void)state;
	test_log_.expected = 100;
	pg = pg_new(servers.loop, &options, NULL, NULL);
	assert_int_equal(pg_wait_up(pg, 50, &err), -1);
	test_log_.expected = 0;
	assert_int_equal(err.kind, ERR_CONFIG);
	assert_non_null(strstr(err.text, "hostaddr"));
	pg_free(&pg);
}

static void
megabytes_go_through_both_ways(void **state)
{
	static const struct pg_stmt echo = { "t_echo", "SELECT $1::bytea" };
	struct pg *pg = servers_pg();
	struct seen seen[4] = { { 0 } };
	size_t len = 9000000;
	char *big = malloc(len);

	(void)state;
	assert_non_null(big);
	memset(big, 'x', len);
	for (size_t i = 0; i < ARRAY_LEN(seen); i++) {
		struct pg_tx *tx = pg_tx_new(pg);

		pg_tx_stmt(tx, &echo);
		pg_tx_bytea(tx, slice_mem(big, len - i));
		pg_tx_send(tx, on_done, &seen[i]);
		/* The value is no int4: noticed, and read as nothing. */
		test_log_expect(1);
	}
	free(big);
	servers_until(&seen[3].done);
	for (size_t i = 0; i < ARRAY_LEN(seen); i++)
		assert_true(seen[i].has_reply);
	pg_free(&pg);
}

/* Migrations. -------------------------------------------------------------- */

static unsigned int applied_count;

static void
count_applied(void *ctx, const char *name)
{
	(void)ctx;
	(void)name;
	applied_count++;
}

static void
migrations_are_applied_once_and_guarded(void **state)
{
	size_t count, pending = 99;
	struct migration *files = migrate_files(&count);
	struct migration more[2];
	struct error err = { 0 };
	struct pg *pg;

	(void)state;
	assert_true(count >= 1);
	assert_int_equal(migrate_pending(servers.conninfo, &pending, &err), 0);
	assert_int_equal(pending, count);
	assert_int_equal(migrate_run(servers.conninfo, clock_now_ms(),
			     count_applied, NULL, &err),
	    0);
	assert_int_equal(applied_count, count);
	assert_int_equal(migrate_run(servers.conninfo, clock_now_ms(),
			     count_applied, NULL, &err),
	    0);
	assert_int_equal(applied_count, count);
	assert_int_equal(migrate_pending(servers.conninfo, &pending, &err), 0);
	assert_int_equal(pending, 0);

	pg = servers_pg();
	assert_true(SQL_NUMBER(pg,
			"SELECT count(*) FROM "
			"partition_days('recipients')") == 10);

	/* One that fails leaves nothing behind. */
	more[0] = files[0];
	more[1] = (struct migration){ "0999_bad.sql",
		SLICE("CREATE TABLE t_half (a int); SELECT nothing;") };
	if (count == 1) {
		assert_int_equal(migrate_run_files(servers.conninfo, more, 2,
				     clock_now_ms(), NULL, NULL, &err),
		    -1);
		assert_non_null(strstr(err.text, "0999_bad.sql"));
		assert_true(SQL_NUMBER(pg,
				"SELECT count(*) FROM pg_class "
				"WHERE relname = 't_half'") == 0);
	}

	/* A file that was changed after it was applied. */
	more[0].sql = SLICE("SELECT 1");
	assert_int_equal(migrate_run_files(servers.conninfo, more, count,
			     clock_now_ms(), NULL, NULL, &err),
	    -1);
	assert_int_equal(err.kind, ERR_CONFIG);
	assert_non_null(strstr(err.text, "has changed"));

	/* A program that is older than the database. */
	assert_int_equal(migrate_run_files(servers.conninfo, files, 0,
			     clock_now_ms(), NULL, NULL, &err),
	    -1);
	assert_non_null(strstr(err.text, "newer"));
	pg_free(&pg);
	free(files);
}

SERVERS_MAIN(false,
    cmocka_unit_test(values_of_every_type_come_back_as_they_went),
    cmocka_unit_test(times_are_of_the_years_that_we_write),
    cmocka_unit_test(arrays_carry_nulls_and_may_be_empty),
    cmocka_unit_test(a_unit_that_fails_leaves_its_neighbours_alone),
    cmocka_unit_test(a_unit_is_one_transaction_down_to_its_commit),
    cmocka_unit_test(what_was_cancelled_never_calls_back),
    cmocka_unit_test(a_server_that_goes_fails_all_and_is_found_again),
    cmocka_unit_test(a_unit_past_its_deadline_takes_the_connection_down),
    cmocka_unit_test(a_host_name_is_refused_because_it_would_block),
    cmocka_unit_test(megabytes_go_through_both_ways),
    cmocka_unit_test(migrations_are_applied_once_and_guarded))
