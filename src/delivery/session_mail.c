/*
 * One mail on a session: from its claim to smtp/client, and from the last
 * reply about it to its outcome, or to another connection.
 */
#include "base/clock.h"
#include "delivery/session_priv.h"

/* What can be said without the host. False: it ended, or will. */
static bool
build_mail(struct session *s, struct job *j)
{
	struct identity *i;
	struct error err;

	if (j->expires_at_ms <= clock_now_ms()) {
		quotas_give_back(j);
		finish_expired(j);
		return false;
	}
	if (clock_now_ms() - j->claimed_at_ms > CLAIM_OLD_MS) {
		quotas_give_back(j);
		dest_renew(j);
		return false;
	}
	i = identity_get(s->mta, j->domain);
	if (i == NULL || !i->usable) {
		quotas_give_back(j);
		finish_local(j, VERDICT_DEFERRED, NULL, "4.3.5",
		    i != NULL ? i->why_not
			      : "the sending domain was not looked up");
		return false;
	}
	if (message_build(j, i, &err) == -1) {
		log_error(&s->mta->log, "message.build", log_err(&err),
		    log_text("recipient", id_text(j->q.member.id).s));
		quotas_give_back(j);
		finish_local(j, VERDICT_FAILED, FAIL_CONTENT, "5.6.0",
		    err.text);
		return false;
	}
	return true;
}

void
session_mail_start(struct session *s, struct job *j)
{
	struct smtp_mail mail = { 0 };

	if (!build_mail(s, j))
		return;
	list_append(&s->mails, &j->node);
	smtp_transcript_reset(&j->said);
	j->dot = DOT_NONE;
	s->mail_count++;
	mail.return_path = slice_of(j->return_path);
	mail.recipient = &j->address;
	mail.message = strbuf_slice(&j->message);
	mail.smtputf8 = j->smtputf8;
	mail.eightbit = mail.smtputf8;
	mail.ctx = j;
	session_arm_limit(s);
	scopes_mail_begins(s->dest);
	smtp_client_send(s->client, &mail);
}

/* The host looked at a mail; a 421 only says that it does not want to. */
static bool
is_answer(const struct smtp_outcome *outcome)
{
	return outcome->source == SMTP_REMOTE &&
	    outcome->stage >= SMTP_STAGE_MAIL &&
	    outcome->stage <= SMTP_STAGE_DOT && outcome->reply.code != 421;
}

/*
 * At once, on another connection: nobody looked at the mail, its turn never
 * came, or the connection died under it before the dot (often the first use
 * after a pause). A host that makes no sense or does not answer is not asked
 * again; but when nothing was of use the session goes on to the next address,
 * and the mail with it.
 */
static bool
may_go_again(const struct session *s, const struct smtp_outcome *outcome)
{
	bool died =
	    outcome->error.kind == ERR_NET || outcome->error.kind == ERR_NONE;

	if (outcome->stage == SMTP_STAGE_IDLE)
		return true;
	if (outcome->source != SMTP_LOCAL || outcome->stage == SMTP_STAGE_DOT)
		return false;
	return died ||
	    (!s->of_use && s->order_at + 1 < s->order_count &&
		verdict_of_smtp(outcome).verdict == VERDICT_NEXT_HOST);
}

static void
go_again(struct job *j)
{
	strbuf_fini(&j->message);
	if (clock_now_ms() - j->claimed_at_ms > CLAIM_OLD_MS)
		dest_renew(j);
	else
		dest_return(j);
}

static void
finish(struct session *s, struct job *j, const struct smtp_outcome *outcome)
{
	struct strbuf said = STRBUF_INIT;

	if (outcome->source == SMTP_LOCAL)
		session_on_line(s, j, '*', slice_of(outcome->error.text));
	session_said(s, j, &said);
	finish_attempt(j, outcome, s->host, s->tls, strbuf_slice(&said));
	strbuf_fini(&said);
}

/* What a successor would have to know. */
static void
note_reply(const struct session *s, const struct job *j,
    const struct smtp_outcome *outcome)
{
	if (outcome->source == SMTP_LOCAL) {
		if (outcome->stage != SMTP_STAGE_DOT)
			slot_unsent(s->mta->slot, j->entry);
		return;
	}
	if (outcome->stage == SMTP_STAGE_IDLE) /* not about this mail */
		return;
	slot_replied(s->mta->slot, j->entry,
	    &(struct slot_reply){
		.stage = outcome->stage,
		.code = outcome->reply.code,
		.status = outcome->reply.status,
		.text = slice_mem(outcome->reply.text, outcome->reply.text_len),
		.mx = slice_of(s->host),
		.tls = slice_of(s->tls),
	    });
}

void
session_mail_done(struct session *s, struct job *j,
    const struct smtp_outcome *outcome)
{
	list_remove(&j->node);
	session_arm_limit(s);
	note_reply(s, j, outcome);
	if (is_answer(outcome)) {
		s->of_use = true;
		dest_progress(s->dest);
		if (outcome->stage == SMTP_STAGE_DOT)
			dest_dot_took(s->dest,
			    loop_mono_ms(s->mta->opt.loop) - s->dot_mono_ms);
	}
	if (verdict_content_cannot_go(outcome)) /* it never left */
		quotas_give_back(j);
	if (may_go_again(s, outcome) && j->host_tries++ < 3) {
		go_again(j);
		return;
	}
	finish(s, j, outcome);
}
