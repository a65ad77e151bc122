/* No dot later than four minutes after its claim. */
#include "base/clock.h"
#include "delivery/session_priv.h"

#define DOT_LIMIT_MS (4 * 60 * 1000)

struct job *
session_head(struct session *s)
{
	struct list *node = list_first(&s->mails);

	return node != NULL ? list_entry(node, struct job, node) : NULL;
}

static void
lose(struct session *s, enum err_kind kind, const char *text)
{
	struct error err;

	error_set(&err, kind, "%s", text);
	smtp_client_lost_unsent(s->client, &err, conn_pending(s->conn));
}

/*
 * Only the head can have its dot under way. Asked whenever octets are about to
 * move: the timer alone comes too late in a process that was stopped.
 */
static bool
dot_is_late(struct session *s)
{
	struct job *j = session_head(s);

	if (j == NULL)
		return false;
	if (j->dot == DOT_GIVEN && conn_pending(s->conn) == 0)
		j->dot = DOT_WRITTEN;
	return j->dot != DOT_WRITTEN &&
	    clock_now_ms() - j->claimed_at_ms >= DOT_LIMIT_MS;
}

bool
session_end_if_late(struct session *s)
{
	if (!dot_is_late(s))
		return false;
	lose(s, ERR_TIMEOUT,
	    "the transaction did not get to its end within 4 minutes");
	return true;
}

void
session_arm_limit(struct session *s)
{
	const struct job *j = session_head(s);

	if (j == NULL || j->dot == DOT_WRITTEN)
		timer_cancel(s->dot_limit);
	else
		timer_set(s->dot_limit,
		    j->claimed_at_ms + DOT_LIMIT_MS - clock_now_ms());
}

void
session_on_limit(void *ctx)
{
	struct session *s = ctx;

	if (!session_end_if_late(s)) /* a few ms early, or the dot is out */
		session_arm_limit(s);
}
