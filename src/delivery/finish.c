/*
 * The end of an attempt: verdict, then the outcome's commit, then the ack or
 * the new due time in Redis. The job stays held (and the claim open) until the
 * commit, so a crash in between repeats at most this.
 */
#include "delivery/delivery_priv.h"

#include <stdio.h>

#include "base/clock.h"
#include "base/crash.h"
#include "base/crypto.h"
#include "outcome/waiting.h"
#include "queue/rules.h"

/* The commit is there: out of the schedule, or back for later. */
static void
on_committed(void *ctx, const struct error *err)
{
	struct job *j = ctx;
	int64_t delay = j->q.delay_ms;

	OBJ_CHECK(j, JOB_MAGIC);
	if (err != NULL) {
		/* The claim stays open: it will be found, and as unknown. */
		log_error(&j->mta->log, "outcome.refused", log_err(err),
		    log_text("recipient", id_text(j->q.member.id).s));
		lane_defer(j, 60000);
		return;
	}
	crash_point("commit-before-ack");
	if (delay < 0)
		lane_ack(j);
	else
		lane_defer(j, delay);
}

void
attempt_log(const struct mta *m, const struct outcome_attempt *a,
    int64_t created_at_ms)
{
	char to[MAIL_LOCAL_MAX + MAIL_DOMAIN_MAX + 2];
	char status[MAIL_STATUS_TEXT];

	snprintf(to, sizeof(to), "%.*s", SLICE_FMT(a->address_key));
	mail_status_format(a->status, status);
	log_info(&m->log, "attempt",
	    log_text("recipient", id_text(a->recipient).s), log_text("to", to),
	    log_uint("n", a->n),
	    log_text("verdict", verdict_name(a->verdict.verdict)),
	    log_slice("mx", a->mx), log_slice("tls", a->tls),
	    log_text("stage", smtp_stage_name(a->stage)),
	    log_uint("code", a->code), log_text("status", status),
	    log_text("class", delay_class_name(a->why.class)),
	    log_slice("text", a->text),
	    log_int("age_ms", a->at_ms - created_at_ms),
	    log_int("took_ms", a->at_ms - a->claimed_at_ms));
}

int64_t
attempt_settle(const struct mta *m, struct outcome_attempt *a)
{
	a->at_ms = clock_now_ms();
	if (a->verdict.verdict == VERDICT_NEXT_HOST)
		a->verdict.verdict = VERDICT_DEFERRED;
	if (!verdict_is_retried(a->verdict.verdict, a->exactly_once))
		return -1;
	a->retry_at_ms = verdict_retry_at(&m->opt.retry, a->verdict.verdict,
	    &a->why, a->n, a->at_ms, a->claimed_at_ms, a->expires_at_ms,
	    crypto_random_u64());
	return a->retry_at_ms - a->at_ms;
}

static void
write_attempt(struct job *j, struct outcome_attempt *a)
{
	struct mta *m = j->mta;

	a->recipient = j->q.member.id;
	a->account = j->account;
	a->address_key = j->address_key;
	a->expires_at_ms = j->expires_at_ms;
	a->exactly_once = j->exactly_once;
	j->q.delay_ms = attempt_settle(m, a);
	attempt_log(m, a, j->created_at_ms);
	dest_forget(j);
	renew_cancel(j);
	list_remove(&j->node);
	j->state = JOB_WRITING;
	strbuf_fini(&j->message);
	smtp_transcript_fini(&j->said);
	job_drop_content(j);
	outcome_attempt(m->outcomes, a, on_committed, j);
}

static struct outcome_attempt
own_attempt(const struct job *j)
{
	return (struct outcome_attempt){
		.n = j->n,
		.worker = j->mta->worker,
		.claimed_at_ms = j->claimed_at_ms,
	};
}

void
attempt_of_smtp(struct outcome_attempt *a, const struct smtp_outcome *outcome)
{
	a->verdict = verdict_of_smtp(outcome);
	if (a->verdict.verdict == VERDICT_DEFERRED ||
	    a->verdict.verdict == VERDICT_NEXT_HOST)
		a->why = delay_of_smtp(outcome);
	a->stage = outcome->stage;
	if (outcome->source == SMTP_REMOTE) {
		a->code = outcome->reply.code;
		a->status = outcome->reply.status;
		a->text =
		    slice_mem(outcome->reply.text, outcome->reply.text_len);
	} else {
		a->text = slice_of(outcome->error.text);
	}
}

void
finish_attempt(struct job *j, const struct smtp_outcome *outcome,
    const char *host, const char *tls, struct slice transcript)
{
	struct outcome_attempt a = own_attempt(j);

	attempt_of_smtp(&a, outcome);
	if (a.verdict.verdict == VERDICT_DELIVERED)
		crash_point("reply-before-commit");
	a.mx = slice_of(host);
	a.tls = slice_of(tls);
	a.transcript = transcript;
	write_attempt(j, &a);
}

void
finish_aged(struct job *j)
{
	struct smtp_outcome why = { .source = SMTP_LOCAL,
		.stage = SMTP_STAGE_IDLE };

	error_set(&why.error, ERR_TIMEOUT,
	    "waited too long for a turn on a connection");
	finish_attempt(j, &why, j->dest != NULL ? j->dest->last_host : "", "",
	    SLICE(""));
}

static void
set_status(struct outcome_attempt *a, const char *status)
{
	struct slice text = slice_of(status);

	if (text.len > 0 && mail_status_take(&text, &a->status, NULL) == -1)
		a->status = (struct mail_status){ { 0 } };
}

void
finish_local(struct job *j, enum verdict v, const char *reason,
    const char *status, const char *text)
{
	struct outcome_attempt a = own_attempt(j);

	a.verdict.verdict = v;
	a.verdict.reason = reason;
	if (v == VERDICT_DEFERRED)
		a.why.class = DELAY_OTHER;
	a.stage = SMTP_STAGE_CONNECT;
	a.text = slice_of(text);
	set_status(&a, status);
	write_attempt(j, &a);
}

void
finish_dns(struct job *j, enum verdict_dns what)
{
	struct outcome_attempt a = own_attempt(j);

	a.verdict = verdict_of_dns(what);
	if (a.verdict.verdict == VERDICT_DEFERRED)
		a.why.class = DELAY_DNS;
	a.stage = SMTP_STAGE_CONNECT;
	a.text = slice_of(verdict_dns_text(what));
	set_status(&a, verdict_dns_status(what));
	write_attempt(j, &a);
}

void
finish_abandoned(struct job *j, int holder, unsigned int n,
    int64_t claimed_at_ms)
{
	struct outcome_attempt a = {
		.n = n,
		.worker = holder,
		.claimed_at_ms = claimed_at_ms,
		.only_open = true,
		.stage = SMTP_STAGE_DOT,
		.verdict = { .verdict = VERDICT_UNKNOWN },
		.text = SLICE("the process that sent it ended before it could "
			      "record the reply"),
	};

	write_attempt(j, &a);
}

/* Nothing was tried: the attempts before say what there is to say. */
static void
end(struct job *j, enum status status, const char *reason, const char *text,
    const struct canceled *canceled)
{
	struct outcome_end e = {
		.recipient = j->q.member.id,
		.account = j->account,
		.n = j->n,
		.worker = j->mta->worker,
		.at_ms = clock_now_ms(),
		.status = status,
		.reason = reason,
		.text = slice_of(text),
		.canceled = canceled,
	};

	dest_forget(j);
	list_remove(&j->node);
	j->state = JOB_WRITING;
	job_drop_content(j);
	j->q.delay_ms = -1;
	outcome_end(j->mta->outcomes, &e, on_committed, j);
}

void
finish_expired(struct job *j)
{
	end(j, STATUS_FAILED, FAIL_EXPIRED,
	    "not delivered within the time allowed", NULL);
}

void
finish_suppressed(struct job *j)
{
	end(j, STATUS_SUPPRESSED, NULL, "suppressed after it was accepted",
	    NULL);
}

void
finish_canceled(struct job *j)
{
	struct canceled canceled =
	    canceled_by_rule(rules_numbered(j->mta->rules, j->cancel));

	end(j, STATUS_CANCELED, NULL, "", &canceled);
}
