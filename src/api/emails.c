/* api/emails.c - POST /emails. Reading them is in emails_read.c. */
#include "api_priv.h"

#include <string.h>

#include "api/email_json.h"

struct post {
	struct api_call *call;
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
submitted(void *ctx, const struct intake_result *result)
{
	struct post *p = ctx;
	struct api_call *c = p->call;
	struct strbuf out = STRBUF_INIT;

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
post_go(struct api_call *c)
{
	struct post *p = arena_alloc(c->arena, sizeof(*p));
	struct intake_answer no;
	char *text;
	struct slice body = http_body(c->r, &text);
	const struct intake_limits *limits = intake_limits(c->h->intake);

	p->call = c;
	p->request = (struct intake_request){
		.account = &c->account,
		.content = &p->content,
		.stream = STORE_TRANSACTIONAL,
		.endpoint = INTAKE_ENDPOINT_EMAILS,
		.idempotency_key = http_header(c->r, "Idempotency-Key"),
	};
	/* Before the body is read: that changes it. */
	if (p->request.idempotency_key.ptr != NULL)
		crypto_sha256(body, p->request.body_hash);
	if (email_json_read(c->arena, text, body.len, limits->recipients_max,
		&p->content, &no) < 0) {
		api_answer_no(c, &no);
		return;
	}
	intake_submit(c->h->intake, &p->request, submitted, p);
}

void
api_email_post(struct http_request *r, void *ctx)
{
	api_open(ctx, r, true, post_go);
}
