/*
 * The transcript of an attempt is that of its connection, up to where mails
 * could be sent, and that of its own transaction. With PIPELINING the lines of
 * two transactions are mixed on the wire: smtp/client knows whose each is.
 */
#include "delivery/session_priv.h"

void
session_on_line(void *ctx, void *mail, char who, struct slice line)
{
	struct session *s = ctx;
	struct job *j = mail;

	if (j != NULL)
		smtp_transcript_line(&j->said, who, line);
	else if (!s->ready)
		smtp_transcript_line(&s->said, who, line);
	if (trace_is_asked(s->mta))
		trace_line(s, j, who, line);
}

void
session_note(struct session *s, const char *text)
{
	session_on_line(s, NULL, '*', slice_of(text));
}

void
session_said_begin(struct session *s)
{
	s->said_from = s->said.text.len;
	session_note(s, s->host);
}

void
session_said_ready(struct session *s)
{
	smtp_transcript_drop(&s->said, s->said_from);
	s->said_from = 0;
}

void
session_said(struct session *s, const struct job *j, struct strbuf *out)
{
	smtp_transcript_add(out, &s->said);
	if (j != NULL)
		smtp_transcript_add(out, &j->said);
}
