/*
 * What is under way at a server: the commands that were sent and not answered,
 * the transactions begun and not done with, and how the owner learns of their
 * end. See client.c.
 */
#include "smtp/client_priv.h"

#include "base/mem.h"

/* The two rings. ---------------------------------------------------------- */

struct smtp_awaited *
smtp_awaited_head(struct smtp_client *c)
{
	return c->awaited_count > 0 ? &c->awaited[c->awaited_first] : NULL;
}

void
smtp_awaited_push(struct smtp_client *c, enum smtp_state state,
    struct smtp_transaction *txn)
{
	size_t at = (c->awaited_first + c->awaited_count) % SMTP_AWAITED_MAX;

	invariant(c->awaited_count < SMTP_AWAITED_MAX);
	c->awaited[at] = (struct smtp_awaited){ state, txn };
	c->awaited_count++;
}

struct smtp_awaited
smtp_awaited_pop(struct smtp_client *c)
{
	struct smtp_awaited head = c->awaited[c->awaited_first];

	c->awaited_first = (c->awaited_first + 1) % SMTP_AWAITED_MAX;
	c->awaited_count--;
	return head;
}

struct smtp_transaction *
smtp_txn_oldest(struct smtp_client *c)
{
	return c->txn_count > 0 ? &c->txn[c->txn_first] : NULL;
}

const struct smtp_transaction *
smtp_txn_newest(const struct smtp_client *c)
{
	return c->txn_count > 0
	    ? &c->txn[(c->txn_first + c->txn_count - 1) % SMTP_PENDING_MAX]
	    : NULL;
}

/* Whether a transaction has been begun whose dot has not been sent. */
bool
smtp_txn_is_open(const struct smtp_client *c)
{
	const struct smtp_transaction *t = smtp_txn_newest(c);

	return t != NULL && !t->dot_out && !t->refused;
}

struct smtp_transaction *
smtp_txn_push(struct smtp_client *c, const struct smtp_mail *mail)
{
	size_t at = (c->txn_first + c->txn_count) % SMTP_PENDING_MAX;

	c->txn_count++;
	c->txn[at] = (struct smtp_transaction){ .mail = *mail };
	return &c->txn[at];
}

void
smtp_txn_pop(struct smtp_client *c)
{
	c->txn_first = (c->txn_first + 1) % SMTP_PENDING_MAX;
	c->txn_count--;
}

/* Reports. ---------------------------------------------------------------- */

static void
report(struct smtp_client *c, struct smtp_transaction *txn,
    const struct smtp_outcome *outcome)
{
	if (txn->reported)
		return;
	txn->reported = true;
	c->ops->mail_done(c->ctx, txn->mail.ctx, outcome);
}

void
smtp_report_reply(struct smtp_client *c, struct smtp_transaction *txn,
    enum smtp_stage stage, const struct smtp_reply *r)
{
	struct smtp_outcome outcome = { .source = SMTP_REMOTE,
		.stage = stage,
		.reply = *r };

	report(c, txn, &outcome);
}

/* Transactions refused here are reported when their turn has come. */
void
smtp_report_refused(struct smtp_client *c)
{
	struct smtp_transaction *txn;

	while ((txn = smtp_txn_oldest(c)) != NULL && txn->refused) {
		struct smtp_mail mail = txn->mail;
		struct smtp_outcome outcome = txn->outcome;

		smtp_txn_pop(c);
		c->ops->mail_done(c->ctx, mail.ctx, &outcome);
	}
}

void
smtp_note_line(struct smtp_client *c, const struct smtp_transaction *txn,
    char who, struct slice line)
{
	if (c->opt.transcript != NULL)
		c->opt.transcript(c->ctx,
		    txn != NULL && !txn->reported ? txn->mail.ctx : NULL, who,
		    line);
}

/* Where a transaction stands: at what is being answered, or would be next. */
static enum smtp_stage
stage_of(struct smtp_client *c, const struct smtp_transaction *txn)
{
	const struct smtp_awaited *head = smtp_awaited_head(c);

	if (c->answering)
		head = &c->answered;
	return head != NULL && head->txn == txn ? smtp_state_stage(head->state)
						: SMTP_STAGE_IDLE;
}

/*
 * The end of the session for the reason *why. Every pending transaction is
 * reported: with its own stage; of two, the second's turn had not come.
 */
enum smtp_state
smtp_over(struct smtp_client *c, const struct smtp_outcome *why)
{
	if (c->state == SMTP_CLOSED)
		return SMTP_CLOSED;
	c->why = *why;
	c->state = SMTP_CLOSED;
	while (c->txn_count > 0) {
		struct smtp_transaction txn = *smtp_txn_oldest(c);
		struct smtp_outcome outcome = txn.refused ? txn.outcome : *why;

		if (!txn.refused)
			outcome.stage = stage_of(c, smtp_txn_oldest(c));
		if (outcome.source == SMTP_LOCAL &&
		    outcome.stage == SMTP_STAGE_DOT && !txn.dot_out)
			outcome.stage = SMTP_STAGE_BODY;
		smtp_txn_pop(c);
		report(c, &txn, &outcome);
	}
	c->awaited_count = 0;
	c->body_txn = NULL;
	log_debug(c->opt.log, "smtp.closed",
	    log_text("stage", smtp_stage_name(why->stage)),
	    log_uint("code", why->reply.code),
	    log_text("error", why->error.text));
	return SMTP_CLOSED;
}

enum smtp_state
smtp_over_reply(struct smtp_client *c, const struct smtp_reply *r)
{
	struct smtp_outcome why = {
		.source = SMTP_REMOTE,
		.stage = smtp_state_stage(c->answered.state),
		.reply = *r,
	};

	return smtp_over(c, &why);
}

enum smtp_state
smtp_over_local(struct smtp_client *c, const struct error *err)
{
	struct smtp_outcome why = { .source = SMTP_LOCAL,
		.stage = smtp_state_stage(c->state),
		.error = *err };

	return smtp_over(c, &why);
}

/* A reply of a class that the command cannot have. */
enum smtp_state
smtp_over_senseless(struct smtp_client *c, const struct smtp_reply *r)
{
	struct error err = { 0 };

	(void)error_set(&err, ERR_SYNTAX, "protocol error: %u in reply to %s",
	    r->code, smtp_state_name(c->answered.state));
	return smtp_over_local(c, &err);
}
