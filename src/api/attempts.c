/*
 * api/attempts.c - GET /emails/{id}/attempts: each attempt with what was said
 * on the wire. Ours, beyond Resend's API. {id} may be that of a recipient.
 */
#include "api_priv.h"

#include "outcome/classify.h"
#include "outcome/verdict.h"
#include "smtp/client.h"
#include "store/attempts.h"

/* A transcript has some kB. One more is asked for, to know that there is. */
#define ATTEMPTS_MAX 500

static void
name_or_null(struct json_writer *w, const char *member, const char *name)
{
	json_text_or_null(w, member,
	    name != NULL ? slice_of(name) : (struct slice){ NULL, 0 });
}

static const char *
stage_name(int stage)
{
	return stage >= SMTP_STAGE_CONNECT && stage <= SMTP_STAGE_IDLE
	    ? smtp_stage_name((enum smtp_stage)stage)
	    : NULL;
}

static const char *
outcome_name(int outcome)
{
	return outcome >= VERDICT_DELIVERED && outcome <= VERDICT_UNKNOWN
	    ? verdict_name((enum verdict)outcome)
	    : NULL;
}

/* Of an attempt under way most is null. */
static void
attempt_add(struct json_writer *w, const struct store_attempt *a)
{
	json_begin_object(w, NULL);
	json_cstr(w, "object", "attempt");
	api_id(w, "recipient", a->recipient);
	json_text(w, "address", a->address);
	json_int(w, "number", a->n);
	api_time(w, "claimed_at", a->claimed_at_ms);
	api_time(w, "finished_at", a->finished_at_ms);
	name_or_null(w, "outcome", outcome_name(a->outcome));
	name_or_null(w, "class", delay_class_name_of(a->class));
	name_or_null(w, "stage", a->outcome != 0 ? stage_name(a->stage) : NULL);
	json_int(w, "code", a->code);
	json_text_or_null(w, "status", a->status);
	json_text_or_null(w, "reply", a->reply);
	json_text_or_null(w, "source", a->source_address);
	json_text_or_null(w, "mx", a->mx);
	json_text_or_null(w, "tls", a->tls);
	json_text_or_null(w, "transcript", a->transcript);
	json_end(w);
}

static void
listed(void *ctx, const struct store_attempt *attempt, size_t count,
    const struct error *err)
{
	struct api_call *c = ctx;
	struct strbuf out = STRBUF_INIT;
	struct json_writer w;

	c->tx = NULL;
	if (err != NULL) {
		api_answer_err(c, "Email", err);
		return;
	}
	api_list_begin(&w, &out, count > ATTEMPTS_MAX);
	for (size_t i = 0; i < MIN(count, (size_t)ATTEMPTS_MAX); i++)
		attempt_add(&w, &attempt[i]);
	api_list_end(&w);
	api_answer(c, 200, &out);
}

static void
list_go(struct api_call *c)
{
	struct id id;

	if (!api_param_id(c, 0, &id))
		return;
	c->tx = store_attempt_list(c->h->side, c->account.number, id,
	    ATTEMPTS_MAX + 1, listed, c);
}

void
api_attempt_list(struct http_request *r, void *ctx)
{
	api_open(ctx, r, false, list_go);
}
