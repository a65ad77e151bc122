/*
 * One delivery: from the claimed row to what came of it. The body is built
 * when the row is at hand; the signature when the request starts, because it
 * holds the time.
 */
#include "hooks/hooks_priv.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "hooks/payload.h"
#include "hooks/schedule.h"

#define ANSWER_MAX ((size_t)4096) /* read and thrown away */
#define HEADERS 10

/* Where the secret is sealed to, and what it opens with. */
static void
add_where(struct strbuf *out, struct id webhook)
{
	strbuf_add_fmt(out, "webhooks.secret:%s", id_text(webhook).s);
}

void
hooks_post_free(struct post *p)
{
	list_remove(&p->node);
	fetch_cancel(&p->fetch);
	strbuf_fini(&p->secret);
	strbuf_fini(&p->body);
	free(p->url);
	free(p);
}

/* Only what Postgres takes as text and a terminal shows. */
static void
set_error(struct post *p, const char *text)
{
	size_t n = MIN(strlen(text), sizeof(p->error) - 1);

	for (size_t i = 0; i < n; i++)
		p->error[i] = text[i] >= ' ' && text[i] <= '~' ? text[i] : '?';
	p->error[n] = '\0';
	p->result.error = slice_mem(p->error, n);
}

static void
log_end(const struct post *p, int64_t elapsed_ms)
{
	log_info(NULL, "webhook.posted", log_text("id", id_text(p->id).s),
	    log_text("webhook", id_text(p->result.webhook).s),
	    log_text("type", p->type != NULL ? p->type : "unknown"),
	    log_int("try", p->result.tries),
	    log_int("status", p->result.status), log_int("ms", elapsed_ms),
	    log_slice("error", p->result.error),
	    log_int("next_at_ms", p->result.next_at_ms));
}

/* It failed in a way that another try may mend. */
static void
fail(struct post *p, const char *text)
{
	uint64_t spread = hash_stable(p->id.b, sizeof(p->id.b));
	int64_t pause = hooks_retry_after_ms(p->result.tries, spread);

	set_error(p, text);
	p->result.next_at_ms = pause < 0 ? 0 : clock_now_ms() + pause;
}

static void
on_answer(void *ctx, const struct fetch_result *r)
{
	struct post *p = ctx;
	char text[64];

	OBJ_CHECK(p->hooks, HOOKS_MAGIC);
	p->fetch = NULL;
	p->result.status = r->status;
	if (hooks_status_is_success(r->status)) {
		p->result.delivered = true;
	} else if (r->status != 0) {
		snprintf(text, sizeof(text), "answered with status %d",
		    r->status);
		fail(p, text);
	} else {
		fail(p, r->err.text);
	}
	log_end(p, r->elapsed_ms);
	hooks_post_end(p);
}

/* The headers, in text; lines point into it. */
static void
list_headers(struct strbuf *text, const char **lines, const struct post *p,
    int64_t now_s, struct slice signature)
{
	static const char *const families[] = { "webhook", "svix" };
	size_t at[HEADERS], n = 0;

	at[n++] = text->len;
	strbuf_add_text(text, "Content-Type: application/json");
	strbuf_add_char(text, '\0');
	at[n++] = text->len;
	strbuf_add_text(text, "User-Agent: Verpost-Webhooks/1");
	strbuf_add_char(text, '\0');
	for (size_t i = 0; i < ARRAY_LEN(families); i++) {
		at[n++] = text->len;
		strbuf_add_fmt(text, "%s-id: %s", families[i],
		    id_text(p->id).s);
		strbuf_add_char(text, '\0');
		at[n++] = text->len;
		strbuf_add_fmt(text, "%s-timestamp: %lld", families[i],
		    (long long)now_s);
		strbuf_add_char(text, '\0');
		at[n++] = text->len;
		strbuf_add_fmt(text, "%s-signature: %.*s", families[i],
		    SLICE_FMT(signature));
		strbuf_add_char(text, '\0');
	}
	for (size_t i = 0; i < n; i++)
		lines[i] = text->ptr + at[i];
	lines[n] = NULL;
}

static int
sign(struct post *p, int64_t now_s, struct strbuf *signature, struct error *err)
{
	struct strbuf secret = STRBUF_INIT, where = STRBUF_INIT;
	struct slice id = slice_of(id_text(p->id).s);
	int rc = -1;

	add_where(&where, p->result.webhook);
	if (crypto_open(p->hooks->keyring, strbuf_slice(&where),
		strbuf_slice(&p->secret), &secret, err) < 0)
		error_add(err, "the secret of the endpoint");
	else
		rc = hooks_sign(signature, strbuf_slice(&secret), id, now_s,
		    strbuf_slice(&p->body), err);
	if (secret.len > 0)
		explicit_bzero(secret.ptr, secret.len);
	strbuf_fini(&secret);
	strbuf_fini(&where);
	return rc;
}

bool
hooks_post_start(struct post *p)
{
	struct hooks *h = p->hooks;
	struct strbuf signature = STRBUF_INIT, text = STRBUF_INIT;
	const char *lines[HEADERS];
	int64_t now_s = clock_now_ms() / 1000;
	struct fetch_request req = { .method = "POST",
		.url = p->url,
		.headers = lines,
		.body = strbuf_slice(&p->body),
		.timeout_ms = h->timeout_ms,
		.answer_max = ANSWER_MAX,
		.ca_file = h->ca_file };
	struct error err = { 0 };

	if (sign(p, now_s, &signature, &err) < 0) {
		fail(p, err.text);
		log_end(p, 0);
	} else {
		list_headers(&text, lines, p, now_s, strbuf_slice(&signature));
		p->fetch = fetch_start(h->fetcher, &req, on_answer, p);
	}
	strbuf_fini(&signature);
	strbuf_fini(&text);
	return p->fetch != NULL;
}

static int
build_body(struct post *p, const struct store_delivery *d, struct error *err)
{
	struct hooks_event e = { .kind = d->kind,
		.at_ms = d->event_at_ms,
		.data = d->event_data,
		.email = d->email,
		.email_created_at_ms = d->email_created_at_ms,
		.message_id = d->message_id,
		.head = d->head,
		.address = d->address };

	if (id_is_zero(d->email) || d->event_at_ms == 0)
		return error_set(err, ERR_NOTFOUND,
		    "the email is no longer kept");
	return hooks_payload_write(&p->body, &e, err);
}

struct post *
hooks_post_new(struct hooks *h, const struct store_delivery *d, bool *is_over)
{
	struct post *p = xmalloc(sizeof(*p));
	struct error err = { 0 };

	p->hooks = h;
	p->id = d->id;
	p->type = event_webhook_type(d->kind);
	p->result = (struct store_delivery_result){ .recipient = d->recipient,
		.kind = d->kind,
		.dedupe = d->dedupe,
		.webhook = d->webhook,
		.tries = d->tries };
	strbuf_init(&p->secret, 0);
	strbuf_init(&p->body, 0);
	/* None of these is mended by another try. */
	*is_over = true;
	if (d->url.ptr == NULL || !d->enabled) {
		set_error(p, "the webhook was removed or disabled");
	} else if (build_body(p, d, &err) < 0) {
		set_error(p, err.text);
	} else {
		p->url = slice_dup(d->url);
		strbuf_add_slice(&p->secret, d->secret);
		*is_over = false;
	}
	if (*is_over)
		log_end(p, 0);
	return p;
}
