/*
 * The table is the policy: one row per stage, one column per class of answer.
 * What is not a plain row stands in special_case().
 */
#include "outcome/verdict.h"

#include "model/status.h"

enum column {
	COL_2XX,
	COL_4XX,
	COL_5XX,
	COL_LOCAL, /* link lost, time-out, TLS, nonsense from the peer */
	COL_COUNT,
};

#define D VERDICT_DELIVERED
#define L VERDICT_DEFERRED /* later */
#define B VERDICT_BOUNCED
#define U VERDICT_UNKNOWN
#define N VERDICT_NEXT_HOST

/*
 * A 2xx ends a transaction only at the dot; elsewhere it is an answer out of
 * place, and the mail was not taken. A 5xx before MAIL is about us and this
 * host, never about the recipient. After the dot nothing but a reply counts.
 */
static const enum verdict table[][COL_COUNT] = {
	/*                         2xx 4xx 5xx local */
	[SMTP_STAGE_CONNECT] = { N, N, N, N },
	[SMTP_STAGE_BANNER] = { N, N, N, N },
	[SMTP_STAGE_EHLO] = { N, N, N, N },
	[SMTP_STAGE_STARTTLS] = { N, N, N, N },
	[SMTP_STAGE_TLS] = { N, N, N, N },
	[SMTP_STAGE_MAIL] = { N, L, B, N },
	[SMTP_STAGE_RCPT] = { N, L, B, N },
	[SMTP_STAGE_DATA] = { N, L, B, N },
	[SMTP_STAGE_BODY] = { N, L, B, N },
	[SMTP_STAGE_DOT] = { D, L, B, U },
	[SMTP_STAGE_IDLE] = { N, N, N, N },
};

#undef D
#undef L
#undef B
#undef U
#undef N

const char *
verdict_name(enum verdict v)
{
	switch (v) {
	case VERDICT_DELIVERED:
		return "delivered";
	case VERDICT_DEFERRED:
		return "deferred";
	case VERDICT_BOUNCED:
		return "bounced";
	case VERDICT_FAILED:
		return "failed";
	case VERDICT_UNKNOWN:
		return "unknown";
	case VERDICT_NEXT_HOST:
		return "next_host";
	}
	return "?";
}

bool
verdict_is_retried(enum verdict v, bool exactly_once)
{
	switch (v) {
	case VERDICT_DEFERRED:
	case VERDICT_NEXT_HOST:
		return true;
	case VERDICT_UNKNOWN:
		return !exactly_once;
	case VERDICT_DELIVERED:
	case VERDICT_BOUNCED:
	case VERDICT_FAILED:
		return false;
	}
	return false;
}

static enum column
column_of(const struct smtp_outcome *outcome)
{
	if (outcome->source == SMTP_LOCAL)
		return COL_LOCAL;
	if (outcome->reply.code >= 500)
		return COL_5XX;
	if (outcome->reply.code >= 400)
		return COL_4XX;
	return COL_2XX;
}

bool
verdict_content_cannot_go(const struct smtp_outcome *outcome)
{
	return outcome->source == SMTP_LOCAL &&
	    outcome->stage == SMTP_STAGE_MAIL &&
	    (outcome->error.kind == ERR_LIMIT ||
		outcome->error.kind == ERR_NOTFOUND ||
		outcome->error.kind == ERR_DENIED);
}

bool
verdict_status_suppresses(struct mail_status status)
{
	static const uint16_t details[] = { 1, 2, 3, 6, 10 };

	if (status.part[0] != 5 || status.part[1] != 1)
		return false;
	for (size_t i = 0; i < ARRAY_LEN(details); i++)
		if (status.part[2] == details[i])
			return true;
	return false;
}

struct verdict_result
verdict_of_smtp(const struct smtp_outcome *outcome)
{
	struct verdict_result r = { .verdict = VERDICT_FAILED };

	if (verdict_content_cannot_go(outcome)) {
		r.reason = FAIL_CONTENT;
		return r;
	}
	/* 421: the host closes the session; the mail was not looked at. */
	if (outcome->source == SMTP_REMOTE && outcome->reply.code == 421) {
		r.verdict = outcome->stage < SMTP_STAGE_MAIL ||
			outcome->stage == SMTP_STAGE_IDLE
		    ? VERDICT_NEXT_HOST
		    : VERDICT_DEFERRED;
		return r;
	}
	r.verdict = table[outcome->stage][column_of(outcome)];
	r.suppress = r.verdict == VERDICT_BOUNCED &&
	    outcome->stage == SMTP_STAGE_RCPT &&
	    verdict_status_suppresses(outcome->reply.status);
	return r;
}

static const struct {
	enum verdict verdict;
	const char *status, *text;
} dns_table[] = {
	[VERDICT_DNS_NXDOMAIN] = { VERDICT_FAILED, "5.1.2",
	    "the recipient's domain does not exist" },
	[VERDICT_DNS_NULL_MX] = { VERDICT_FAILED, "5.1.10",
	    "the recipient's domain takes no mail (null MX)" },
	[VERDICT_DNS_NO_HOST] = { VERDICT_FAILED, "5.4.4",
	    "the recipient's domain has neither MX nor address records of an "
	    "IP "
	    "version that we send from" },
	[VERDICT_DNS_REFUSED] = { VERDICT_FAILED, "5.4.4",
	    "every mail host of the recipient's domain has an address that we "
	    "may not connect to (loopback, private or our own)" },
	[VERDICT_DNS_FAILED] = { VERDICT_DEFERRED, "4.4.3",
	    "DNS did not answer for the recipient's domain" },
};

struct verdict_result
verdict_of_dns(enum verdict_dns what)
{
	struct verdict_result r = { .verdict = dns_table[what].verdict };

	if (r.verdict == VERDICT_FAILED)
		r.reason = FAIL_DNS;
	return r;
}

const char *
verdict_dns_status(enum verdict_dns what)
{
	return dns_table[what].status;
}

const char *
verdict_dns_text(enum verdict_dns what)
{
	return dns_table[what].text;
}

#define MINUTES ((int64_t)60 * 1000)
#define HOURS (60 * MINUTES)

/*
 * Greylisting wants to see us soon again, and patience does not help; a full
 * mailbox has to be tidied up by a person; who limits rates or distrusts us is
 * not won over by haste. 0: as the settings say.
 */
static const struct {
	int64_t first_ms, longest_ms;
} schedules[DELAY_CLASS_COUNT] = {
	[DELAY_GREYLISTED] = { 5 * MINUTES, 1 * HOURS },
	[DELAY_MAILBOX_FULL] = { 1 * HOURS, 8 * HOURS },
	[DELAY_RATE_LIMITED] = { 10 * MINUTES, 2 * HOURS },
	[DELAY_POLICY] = { 30 * MINUTES, 4 * HOURS },
};

static int64_t
back_off(int64_t first_ms, int64_t longest_ms, unsigned int n)
{
	int64_t delay = first_ms;

	for (unsigned int i = 1; i < n && delay < longest_ms; i++)
		delay *= 2;
	return MIN(delay, longest_ms);
}

/*
 * 0.8 to 1.2 of the schedule. A time that the far end named for the first try
 * is taken at its word, and never undercut; later it is only the least: who
 * names five minutes and refuses again and again gets the longer pauses.
 */
static int64_t
delay_ms(const struct retry_policy *p, const struct delay *why, unsigned int n,
    uint64_t random)
{
	bool is_own = schedules[why->class].first_ms != 0;
	int64_t delay = is_own ? back_off(schedules[why->class].first_ms,
				     schedules[why->class].longest_ms, n)
			       : back_off(p->base_ms, p->max_ms, n);
	int64_t fifth;

	if (why->wait_ms > 0 && (n == 1 || why->wait_ms > delay)) {
		fifth = why->wait_ms / 5;
		return why->wait_ms + (int64_t)(random % 1024) * fifth / 1023;
	}
	fifth = delay / 5;
	delay = delay - fifth + (int64_t)(random % 1024) * 2 * fifth / 1023;
	return MAX(delay, why->wait_ms);
}

int64_t
verdict_retry_at(const struct retry_policy *p, enum verdict v,
    const struct delay *why, unsigned int n, int64_t now_ms,
    int64_t claimed_at_ms, int64_t expires_at_ms, uint64_t random)
{
	int64_t at = v == VERDICT_UNKNOWN
	    ? claimed_at_ms + p->unknown_ms
	    : now_ms + delay_ms(p, why, n, random);

	at = MIN(at, expires_at_ms);
	return MAX(at, now_ms + 1000);
}
