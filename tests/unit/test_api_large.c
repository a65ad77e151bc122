/* Large bodies, read by a child. */
#include "test.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "api/large.h"
#include "base/clock.h"
#include "base/encode.h"
#include "base/mem.h"
#include "base/strbuf.h"
#include "mail/content.h"

struct told {
	int times;
	enum answer_kind kind;
	char message[ANSWER_TEXT_MAX];
	struct slice record;
	uint8_t hash[SHA256_LEN];
};

static void
on_done(void *ctx, const struct large_result *r)
{
	struct told *t = ctx;

	t->times++;
	t->record = r->record;
	memcpy(t->hash, r->body_hash, SHA256_LEN);
	if (r->no != NULL) {
		t->kind = r->no->kind;
		memcpy(t->message, r->no->message, sizeof(t->message));
	}
}

static void
wait_for(struct loop *loop, const struct told *t, int n)
{
	int64_t end_ms = clock_mono_ms() + 30000;
	int sum;

	do {
		sum = 0;
		for (int i = 0; i < n; i++)
			sum += t[i].times;
		if (sum < n)
			loop_turn(loop, 100);
	} while (sum < n && clock_mono_ms() < end_ms);
	for (int i = 0; i < n; i++)
		assert_int_equal(t[i].times, 1);
}

/* A body whose attachment has that many octets. */
static void
body_make(struct strbuf *b, size_t octets)
{
	char *data = xmalloc(octets);

	for (size_t i = 0; i < octets; i++)
		data[i] = (char)(i * 31);
	strbuf_add_text(b,
	    "{\"from\":\"a@example.org\",\"to\":\"b@example."
	    "com\",\"subject\":\"s\",\"text\":\"t\","
	    "\"attachments\":[{\"filename\":\"f\",\"content\":\"");
	base64_encode(b, slice_mem(data, octets), 0);
	strbuf_add_text(b, "\"}]}");
	free(data);
}

static void
a_child_reads_what_email_json_read_would(void **state)
{
	struct loop *loop = loop_new();
	struct large_pool *pool = large_pool_new(loop, 2);
	struct strbuf b = STRBUF_INIT;
	struct arena arena = ARENA_INIT;
	struct mail_content c;
	struct error err;
	struct told t = { 0 };
	struct large *l;
	uint8_t hash[SHA256_LEN];

	(void)state;
	body_make(&b, 3000000);
	crypto_sha256(strbuf_slice(&b), hash);
	l = large_start(pool, b.ptr, b.len, 50, on_done, &t);
	assert_int_equal(t.times, 0);
	wait_for(loop, &t, 1);
	assert_int_equal(t.kind, ANSWER_OK);
	assert_memory_equal(t.hash, hash, sizeof(hash));
	assert_int_equal(mail_content_decode(&arena, t.record, &c, &err), 0);
	assert_int_equal(c.attachment_count, 1);
	assert_int_equal(c.attachment[0].data.len, 3000000);
	assert_int_equal((uint8_t)c.attachment[0].data.ptr[2999999],
	    (uint8_t)(2999999U * 31));
	/* The parent's copy of the body is as it was. */
	crypto_sha256(strbuf_slice(&b), t.hash);
	assert_memory_equal(t.hash, hash, sizeof(hash));
	large_free(&l);
	large_pool_free(&pool);
	arena_fini(&arena);
	strbuf_fini(&b);
	loop_free(&loop);
}

static void
a_refusal_comes_back(void **state)
{
	struct loop *loop = loop_new();
	struct large_pool *pool = large_pool_new(loop, 2);
	char body[] = "{\"from\":\"x@\"}";
	struct told t = { 0 };
	struct large *l;

	(void)state;
	l = large_start(pool, body, sizeof(body) - 1, 50, on_done, &t);
	wait_for(loop, &t, 1);
	assert_int_equal(t.kind, ANSWER_VALIDATION);
	assert_true(slice_starts(slice_of(t.message),
	    SLICE("from: 'x@' is not an email")));
	large_free(&l);
	large_pool_free(&pool);
	loop_free(&loop);
}

static void
more_than_may_run_wait_their_turn(void **state)
{
	struct loop *loop = loop_new();
	struct large_pool *pool = large_pool_new(loop, 2);
	struct strbuf b = STRBUF_INIT;
	struct told t[7] = { 0 };
	struct large *l[7];

	(void)state;
	body_make(&b, 100000);
	for (int i = 0; i < 7; i++)
		l[i] = large_start(pool, b.ptr, b.len, 50, on_done, &t[i]);
	/* One that waits and one that runs go away. */
	large_free(&l[6]);
	large_free(&l[0]);
	wait_for(loop, t + 1, 5);
	assert_int_equal(t[0].times, 0);
	assert_int_equal(t[6].times, 0);
	for (int i = 1; i < 6; i++) {
		assert_int_equal(t[i].kind, ANSWER_OK);
		large_free(&l[i]);
	}
	large_pool_free(&pool);
	strbuf_fini(&b);
	loop_free(&loop);
}

/* The pid of our only child, from /proc. */
static pid_t
child_of_ours(void)
{
	char path[64], text[64];
	struct slice pid;
	uint64_t number;
	size_t n;
	FILE *f;

	(void)snprintf(path, sizeof(path), "/proc/self/task/%d/children",
	    (int)getpid());
	f = fopen(path, "r");
	assert_non_null(f);
	n = fread(text, 1, sizeof(text), f);
	(void)fclose(f);
	pid = slice_trim(slice_mem(text, n));
	assert_true(slice_to_u64(pid, &number));
	return (pid_t)number;
}

static void
a_child_that_is_killed_is_an_error_and_no_hang(void **state)
{
	struct loop *loop = loop_new();
	struct large_pool *pool = large_pool_new(loop, 2);
	struct strbuf b = STRBUF_INIT;
	struct told t = { 0 };
	struct large *l;

	(void)state;
	body_make(&b, 20000000);
	l = large_start(pool, b.ptr, b.len, 50, on_done, &t);
	assert_int_equal(kill(child_of_ours(), SIGKILL), 0);
	test_log_expect(1);
	wait_for(loop, &t, 1);
	assert_int_equal(t.kind, ANSWER_INTERNAL);
	large_free(&l);
	large_pool_free(&pool);
	strbuf_fini(&b);
	loop_free(&loop);
}

TEST_MAIN(cmocka_unit_test(a_child_reads_what_email_json_read_would),
    cmocka_unit_test(a_refusal_comes_back),
    cmocka_unit_test(more_than_may_run_wait_their_turn),
    cmocka_unit_test(a_child_that_is_killed_is_an_error_and_no_hang))
