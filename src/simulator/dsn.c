/*
 * A delivery status notification as a well-behaved server sends it (RFC 3464
 * in RFC 6522): words for people, fields for machines, the header that came.
 */
#include "base/clock.h"
#include "base/encode.h"
#include "simulator/simulator_priv.h"

/* RFC 6533 section 3: what is not ASCII goes as \x{HEX}. */
static void
add_recipient(struct strbuf *out, struct slice address)
{
	bool ascii = ascii_only(address);

	strbuf_add_text(out, ascii ? "rfc822; " : "utf-8; ");
	while (address.len > 0) {
		uint32_t ch = utf8_take(&address);

		if (ch < 0x80)
			strbuf_add_char(out, (char)ch);
		else
			strbuf_add_fmt(out, "\\x{%X}", ch);
	}
	strbuf_add_text(out, "\r\n");
}

static void
add_head(struct strbuf *out, const struct simulator_dsn *d, const char *id)
{
	char date[CLOCK_RFC5322_LEN];

	clock_format_rfc5322(d->now_ms, date);
	strbuf_add_fmt(out,
	    "Date: %s\r\n"
	    "From: Mail Delivery System <mailer-daemon@%s>\r\n"
	    "To: <%.*s>\r\n"
	    "Subject: Undelivered Mail Returned to Sender\r\n"
	    "Message-ID: <%s@%s>\r\n"
	    "Auto-Submitted: auto-replied\r\n"
	    "MIME-Version: 1.0\r\n"
	    "Content-Type: multipart/report; report-type=delivery-status;\r\n"
	    "\tboundary=\"%s\"\r\n\r\n",
	    date, d->hostname, SLICE_FMT(d->return_path), id, d->hostname, id);
}

static void
add_fields(struct strbuf *out, const struct simulator_dsn *d)
{
	char date[CLOCK_RFC5322_LEN];

	clock_format_rfc5322(d->arrived_ms, date);
	strbuf_add_fmt(out,
	    "Reporting-MTA: dns; %s\r\n"
	    "Arrival-Date: %s\r\n\r\n"
	    "Final-Recipient: ",
	    d->hostname, date);
	add_recipient(out, d->recipient);
	strbuf_add_fmt(out,
	    "Action: failed\r\n"
	    "Status: 5.1.1\r\n"
	    "Remote-MTA: dns; mailbox.%s\r\n"
	    "Diagnostic-Code: smtp; 550 5.1.1 No such user at the simulator\r\n"
	    "\r\n",
	    d->hostname);
}

void
simulator_dsn_build(struct strbuf *out, const struct simulator_dsn *d)
{
	struct id_text id = id_text(d->id);
	bool ascii = ascii_only(d->header);

	add_head(out, d, id.s);
	strbuf_add_fmt(out,
	    "--%s\r\n"
	    "Content-Type: text/plain; charset=us-ascii\r\n\r\n"
	    "This is the mail system at host %s.\r\n\r\n"
	    "Your message could not be delivered. The mailbox does not "
	    "exist.\r\n\r\n"
	    "--%s\r\n"
	    "Content-Type: message/%sdelivery-status\r\n\r\n",
	    id.s, d->hostname, id.s, ascii_only(d->recipient) ? "" : "global-");
	add_fields(out, d);
	strbuf_add_fmt(out,
	    "--%s\r\n"
	    "Content-Type: %s\r\n%s\r\n",
	    id.s, ascii ? "text/rfc822-headers" : "message/global-headers",
	    ascii ? "" : "Content-Transfer-Encoding: 8bit\r\n");
	strbuf_add_slice(out, d->header);
	strbuf_add_fmt(out, "\r\n--%s--\r\n", id.s);
}

struct slice
simulator_dsn_header(struct slice message, size_t max)
{
	struct slice rest = message, line;
	size_t len = 0;

	while (slice_take_line(&rest, &line) && line.len > 0) {
		size_t end = message.len - rest.len;

		if (end > max)
			break;
		len = end;
	}
	return slice_first(message, len);
}
