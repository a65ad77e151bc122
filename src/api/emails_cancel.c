/*
 * api/emails_cancel.c - POST /emails/{id}/cancel, in the shape of reference A.4
 * and for every email that is not sent yet, scheduled or not.
 */
#include "api_priv.h"

#include "outcome/cancel.h"

struct cancel {
	struct outcome_cancel *op;
	struct id email;
};

static void
stop(struct api_call *c)
{
	struct cancel *own = c->own;

	outcome_cancel_stop(&own->op);
}

static void
canceled(void *ctx, const struct store_cancel_result *r,
    const struct error *err)
{
	struct api_call *c = ctx;
	struct cancel *own = c->own;

	own->op = NULL;
	if (err != NULL)
		api_answer_err(c, "Email", err);
	else if (r->open > 0)
		api_refuse(c, ANSWER_CONFLICT,
		    "%zu of %zu recipients are being sent at this moment: ask "
		    "again in a minute. The others are canceled or finished",
		    r->open, r->total);
	else if (r->canceled == 0)
		api_refuse(c, ANSWER_PARAMETER,
		    "Every recipient of this email is finished: there is "
		    "nothing to cancel. GET /emails/{id} tells how");
	else
		api_answer_id(c, 200, "email", own->email, false);
}

static void
cancel_go(struct api_call *c)
{
	struct cancel *own = arena_alloc(c->arena, sizeof(*own));

	if (!api_param_id(c, 0, &own->email))
		return;
	c->own = own;
	c->cancel = stop;
	own->op = outcome_cancel_start(c->h->pg, c->h->queue, c->account.number,
	    own->email, canceled, c);
}

void
api_email_cancel(struct http_request *r, void *ctx)
{
	api_open(ctx, r, false, cancel_go);
}
