/*
 * intake/authorize.c - from an API key to what it may do. Only the hash of a
 * key is ever looked for or kept; keys are random enough for a plain SHA-256.
 */
#include "intake_priv.h"

#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "store/keys.h"

#define KEYS_MAX 10000
#define KEY_LEN_MAX 256
#define TOUCH_EVERY_MS 60000

/* ---- Last use ------------------------------------------------------------ */

struct touch {
	struct list node;
	struct intake *in;
	struct pg_tx *tx;
};

static void
touch_done(void *ctx, const struct error *err)
{
	struct touch *t = ctx;

	/* Only shown to people: a miss is made good a minute later. */
	if (err != NULL)
		log_info(&t->in->log, "intake.touch", log_err(err));
	list_remove(&t->node);
	free(t);
}

static void
touch_start(struct intake *in, struct id key, int64_t now_ms)
{
	struct touch *t = xmalloc(sizeof(*t));

	t->in = in;
	list_append(&in->touches, &t->node);
	t->tx = store_key_touch(in->side, key, now_ms, touch_done, t);
}

struct authorize {
	struct list node; /* in->asks */
	struct cache_waiter wait;
	intake_authorized *done;
	void *ctx;
};

/* ---- Looking up ---------------------------------------------------------- */

static struct intake_account *
account_of(const struct store_key_auth *auth)
{
	struct intake_account *a = xmalloc(sizeof(*a));

	a->number = auth->account.number;
	a->suppressed_answer = auth->account.suppressed_answer;
	a->domain = auth->key.domain;
	a->sending_only = auth->key.sending_only;
	a->key = auth->key.id;
	for (size_t i = 0; i < STORE_STREAMS; i++) {
		a->stream[i].pool = auth->stream[i].pool;
		a->stream[i].weight_log2 =
		    (unsigned int)auth->stream[i].weight_log2;
	}
	return a;
}

static void
key_found(void *ctx, const struct store_key_auth *auth, const struct error *err)
{
	struct cache_entry *e = ctx;
	struct intake *in = cache_entry_owner(e);
	int64_t now_ms = clock_now_ms();

	OBJ_CHECK(in, INTAKE_MAGIC);
	*cache_entry_handle(e) = NULL;
	if (err != NULL && err->kind != ERR_NOTFOUND) {
		cache_failed(e, err);
		return;
	}
	if (err != NULL) {
		cache_known(e, NULL, now_ms);
		return;
	}
	if (now_ms - auth->key.last_used_at_ms >= TOUCH_EVERY_MS)
		touch_start(in, auth->key.id, now_ms);
	cache_known(e, account_of(auth), now_ms);
}

static void
key_ask(void *ctx, struct cache_entry *e, struct slice hash)
{
	struct intake *in = ctx;

	*cache_entry_handle(e) =
	    store_key_find(in->side, (const uint8_t *)hash.ptr, key_found, e);
}

static void
key_forget(void *ctx, struct cache_entry *e)
{
	struct pg_tx *tx = *cache_entry_handle(e);

	(void)ctx;
	pg_tx_cancel(&tx);
}

void
intake_keys_init(struct intake *in)
{
	static const struct cache_ops ops = { key_ask, key_forget };

	list_init(&in->touches);
	list_init(&in->asks);
	in->keys = cache_new(KEYS_MAX, in->limits.cache_ttl_ms, &ops, in);
}

void
intake_keys_fini(struct intake *in)
{
	struct list *node;

	cache_free(&in->keys);
	while ((node = list_pop(&in->asks)) != NULL)
		free(list_entry(node, struct authorize, node));
	while ((node = list_pop(&in->touches)) != NULL) {
		struct touch *t = list_entry(node, struct touch, node);

		pg_tx_cancel(&t->tx);
		free(t);
	}
}

/* ---- The answer ---------------------------------------------------------- */

static void
refuse(intake_authorized *done, void *ctx, enum answer_kind kind,
    const char *text)
{
	struct intake_answer no;

	(void)answer_set(&no, kind, "%s", text);
	if (kind == ANSWER_UNAVAILABLE)
		no.retry_after_s = 5;
	done(ctx, NULL, &no);
}

static void
authorized(void *ctx, const void *value, const struct error *err)
{
	struct authorize *a = ctx;
	intake_authorized *done = a->done;
	void *done_ctx = a->ctx;

	list_remove(&a->node);
	free(a);
	if (err != NULL)
		refuse(done, done_ctx, ANSWER_UNAVAILABLE,
		    "The database is away, so the API key could not be "
		    "checked: try again in a few seconds");
	else if (value == NULL)
		refuse(done, done_ctx, ANSWER_KEY_INVALID,
		    "The API key is not known here: check it, or make one "
		    "with verpost key add");
	else
		done(done_ctx, value, NULL);
}

void
intake_authorize(struct intake *in, struct slice secret,
    intake_authorized *done, void *ctx)
{
	uint8_t hash[SHA256_LEN];
	struct authorize *a;

	if (secret.len == 0) {
		refuse(done, ctx, ANSWER_KEY_MISSING,
		    "The API key is missing: send the header Authorization: "
		    "Bearer re_...");
		return;
	}
	if (secret.len > KEY_LEN_MAX) {
		refuse(done, ctx, ANSWER_KEY_INVALID,
		    "The API key is longer than any that is given out");
		return;
	}
	crypto_sha256(secret, hash);
	a = xmalloc(sizeof(*a));
	a->done = done;
	a->ctx = ctx;
	list_append(&in->asks, &a->node);
	cache_find(in->keys, slice_mem(hash, sizeof(hash)), clock_now_ms(),
	    &a->wait, authorized, a);
}
