/*
 * api/emails.c - POST /emails. Reading them is in emails_read.c.
 *
 *   body ──small──> email_json_read ──────────────> intake_submit ──> answer
 *     └──large──> a child (large.c), its record ──────^
 */
#include "api_priv.h"

#include <string.h>

#include "api/email_json.h"
#include "large.h"

struct post {
	struct api_call *call;
	struct large *large; /* NULL: a small body */
	struct mail_content content;
	struct intake_request request;
};

/*
 * Resend's shape of an error, and two members more: the email is recorded,
 * and GET /emails/{id} tells about each recipient.
 */
static void
answer_suppressed(struct api_call *c, const struct intake_result *result)
{
	struct strbuf out = STRBUF_INIT;
	struct json_writer w;

	json_writer_init(&w, &out);
	json_begin_object(&w, NULL);
	json_int(&w, "statusCode", answer_status(result->answer.kind));
	json_cstr(&w, "name", answer_name(result->answer.kind));
	json_cstr(&w, "message", result->answer.message);
	json_cstr(&w, "code", "EMAIL_SUPPRESSED");
	api_id(&w, "id", result->email);
	json_end(&w);
	api_answer(c, answer_status(result->answer.kind), &out);
}

static void
cancel(struct api_call *c)
{
	struct post *p = c->own;

	large_free(&p->large);
}

static void
submitted(void *ctx, const struct intake_result *result)
{
	struct post *p = ctx;
	struct api_call *c = p->call;
	struct strbuf out = STRBUF_INIT;

	large_free(&p->large);
	if (result->answer.kind == ANSWER_SUPPRESSED) {
		answer_suppressed(c, result);
		return;
	}
	if (result->answer.kind != ANSWER_OK) {
		api_answer_no(c, &result->answer);
		return;
	}
	if (result->replayed)
		http_answer_header(c->r, "Idempotent-Replayed", "true");
	strbuf_add_fmt(&out, "{\"id\":\"%s\"}", id_text(result->email).s);
	api_answer(c, 200, &out);
}

static void
submit(struct post *p)
{
	p->request.stream =
	    p->content.broadcast ? STORE_BROADCAST : STORE_TRANSACTIONAL;
	intake_submit(p->call->h->intake, &p->request, submitted, p);
}

static void
small_go(struct post *p, char *text, size_t len)
{
	struct api_call *c = p->call;
	struct intake_answer no;

	/* Before the body is read: that changes it. */
	if (p->request.idempotency_key.ptr != NULL)
		crypto_sha256(slice_mem(text, len), p->request.body_hash);
	if (email_json_read(c->arena, text, len,
		intake_limits(c->h->intake)->recipients_max, &p->content,
		&no) < 0)
		api_answer_no(c, &no);
	else
		submit(p);
}

static void
large_read(void *ctx, const struct large_result *result)
{
	struct post *p = ctx;
	struct api_call *c = p->call;
	struct error err = { 0 };

	if (result->no != NULL) {
		struct intake_answer no = *result->no;

		large_free(&p->large);
		api_answer_no(c, &no);
		return;
	}
	if (mail_content_decode(c->arena, result->record, &p->content, &err) <
	    0) {
		large_free(&p->large);
		api_answer_err(c, "Email", &err);
		return;
	}
	memcpy(p->request.body_hash, result->body_hash, SHA256_LEN);
	p->request.record = result->record;
	submit(p);
}

static void
post_go(struct api_call *c)
{
	struct post *p = arena_alloc(c->arena, sizeof(*p));
	char *text;
	struct slice body = http_body(c->r, &text);

	p->call = c;
	p->request = (struct intake_request){
		.account = &c->account,
		.content = &p->content,
		.endpoint = INTAKE_ENDPOINT_EMAILS,
		.idempotency_key = http_header(c->r, "Idempotency-Key"),
	};
	if (body.len <= LARGE_BODY_BYTES) {
		small_go(p, text, body.len);
		return;
	}
	c->own = p;
	c->cancel = cancel;
	p->large = large_start(c->h->large, text, body.len,
	    intake_limits(c->h->intake)->recipients_max, large_read, p);
}

void
api_email_post(struct http_request *r, void *ctx)
{
	api_open(ctx, r, true, post_go);
}
