#include "base/clock.h"
#include "smtpd/smtpd_priv.h"

void
smtpd_trace_add(struct strbuf *out, const struct smtpd_trace *t)
{
	char date[CLOCK_RFC5322_LEN];

	clock_format_rfc5322(t->now_ms, date);
	strbuf_add_fmt(out, "Return-Path: <%.*s>\r\n", SLICE_FMT(t->from));
	/* RFC 3848: ESMTPS is ESMTP over TLS; there is no name for SMTP's. */
	strbuf_add_fmt(out,
	    "Received: from %s ([%s])\r\n\tby %s (Verpost) with %s id %s",
	    t->helo, t->peer, t->hostname,
	    !t->esmtp	 ? "SMTP"
		: t->tls ? "ESMTPS"
			 : "ESMTP",
	    id_text(t->id).s);
	if (t->to.len > 0)
		strbuf_add_fmt(out, "\r\n\tfor <%.*s>", SLICE_FMT(t->to));
	strbuf_add_fmt(out, ";\r\n\t%s\r\n", date);
}

size_t
smtpd_trace_hops(struct slice message)
{
	struct slice line;
	size_t hops = 0;

	while (slice_take_line(&message, &line) && line.len > 0)
		if (slice_starts_nocase(line, SLICE("Received:")))
			hops++;
	return hops;
}
