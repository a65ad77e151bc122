/*
 * No dot later than four minutes after its claim: others take a claim of
 * fifteen for over, and the reply may take ten. What gets old under way is
 * renewed before that; a session whose mail could not be renewed is given up.
 *
 * Asked whenever octets are about to move, too: a timer alone comes too late in
 * a process that was stopped.
 */
#include "base/clock.h"
#include "delivery/session_priv.h"

#define DOT_LIMIT_MS (4 * 60 * 1000)
/* For the reply; from when the dot is out, however long the message took. */
#define REPLY_MS (10 * 60 * 1000)

struct job *
session_head(struct session *s)
{
	struct list *node = list_first(&s->mails);

	return node != NULL ? list_entry(node, struct job, node) : NULL;
}

static int64_t
age_ms(const struct job *j)
{
	return clock_now_ms() - j->claimed_at_ms;
}

/* Only the head can have its dot under way. */
static void
notice_dot(struct session *s, struct job *head)
{
	if (head->dot != DOT_GIVEN || conn_pending(s->conn) > 0)
		return;
	head->dot = DOT_WRITTEN;
	conn_set_deadline(s->conn, REPLY_MS, "end of data");
	session_awaits(s, "end of data", REPLY_MS);
}

static void
renew_old(struct session *s)
{
	list_each (node, &s->mails) {
		struct job *j = list_entry(node, struct job, node);

		if (j->dot != DOT_WRITTEN && age_ms(j) >= CLAIM_OLD_MS)
			renew_under_way(j);
	}
}

bool
session_end_if_late(struct session *s)
{
	struct job *head = session_head(s);
	struct error err;

	if (head == NULL)
		return false;
	notice_dot(s, head);
	if (head->dot == DOT_WRITTEN || age_ms(head) < DOT_LIMIT_MS) {
		renew_old(s);
		return false;
	}
	error_set(&err, ERR_TIMEOUT,
	    "the transaction did not get to its end within 4 minutes");
	smtp_client_lost_unsent(s->client, &err, conn_pending(s->conn));
	return true;
}

/* When a mail has to be looked at again; INT64_MAX: never. */
static int64_t
due_ms(const struct session *s, const struct job *j)
{
	bool is_head = s->mails.next == &j->node;

	if (j->dot == DOT_WRITTEN)
		return INT64_MAX;
	if (!renew_was_asked(j))
		return j->claimed_at_ms + CLAIM_OLD_MS;
	return is_head ? j->claimed_at_ms + DOT_LIMIT_MS : INT64_MAX;
}

void
session_arm_limit(struct session *s)
{
	int64_t due = INT64_MAX;

	list_each (node, &s->mails) {
		int64_t at = due_ms(s, list_entry(node, struct job, node));

		due = MIN(due, at);
	}
	if (due == INT64_MAX)
		timer_cancel(s->dot_limit);
	else
		timer_set(s->dot_limit, MAX(due - clock_now_ms(), 1));
}

void
session_on_limit(void *ctx)
{
	struct session *s = ctx;

	if (!session_end_if_late(s)) /* renewed, a few ms early, or out */
		session_arm_limit(s);
}
