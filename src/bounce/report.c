/*
 * The answer (the numbers live as long as one release: both ends are started
 * by the same master):
 *
 *   answer    = %x01 *field
 *   recipient = *field  of ACTION STATUS FINAL ORIGINAL REMOTE DIAGNOSTIC CODE
 *
 * ACTION, CODE and KIND are numbers; STATUS packs class, subject and detail
 * into one: class * 1,000,000 + subject * 1,000 + detail.
 */
#include "bounce/report.h"

#include "mail/record.h"

#define VERSION 1

enum {
	F_KIND = 1,
	F_SUBJECT = 2,
	F_DETAIL = 3,
	F_REPORTING_MTA = 4,
	F_RECIPIENT = 5,
};
enum {
	R_ACTION = 1,
	R_STATUS = 2,
	R_FINAL = 3,
	R_ORIGINAL = 4,
	R_REMOTE = 5,
	R_DIAGNOSTIC = 6,
	R_CODE = 7,
};

const char *
bounce_kind_name(enum bounce_kind kind)
{
	switch (kind) {
	case BOUNCE_NONE:
		return "none";
	case BOUNCE_FAILED:
		return "failed";
	case BOUNCE_DELAYED:
		return "delayed";
	case BOUNCE_DELIVERED:
		return "delivered";
	}
	invariant_failed("a kind without a name", __FILE__, __LINE__);
}

static uint32_t
pack_status(struct mail_status s)
{
	return s.part[0] * 1000000u + s.part[1] * 1000u + s.part[2];
}

static bool
unpack_status(uint32_t v, struct mail_status *out)
{
	struct mail_status s = { { (uint16_t)(v / 1000000 % 10),
	    (uint16_t)(v / 1000 % 1000), (uint16_t)(v % 1000) } };

	if (v == 0)
		return true; /* none */
	if (v >= 6000000 ||
	    (s.part[0] != 2 && s.part[0] != 4 && s.part[0] != 5))
		return false;
	*out = s;
	return true;
}

static void
put_recipient(struct strbuf *out, const struct dsn_recipient *r)
{
	size_t begin = record_begin(out, F_RECIPIENT);

	record_put_u32(out, R_ACTION, r->action);
	record_put_u32(out, R_STATUS, pack_status(r->status));
	record_put_text(out, R_FINAL, r->final_recipient);
	record_put_text(out, R_ORIGINAL, r->original_recipient);
	record_put_text(out, R_REMOTE, r->remote_mta);
	record_put_text(out, R_DIAGNOSTIC, r->diagnostic);
	record_put_u32(out, R_CODE, r->reply_code);
	record_end(out, begin);
}

void
bounce_report_encode(const struct bounce_report *report, struct strbuf *out)
{
	strbuf_add_char(out, VERSION);
	record_put_u32(out, F_KIND, report->kind);
	record_put_text(out, F_SUBJECT, report->subject);
	record_put_text(out, F_DETAIL, report->detail);
	record_put_text(out, F_REPORTING_MTA, report->dsn.reporting_mta);
	for (size_t i = 0; i < report->dsn.count; i++)
		put_recipient(out, &report->dsn.recipient[i]);
}

static int
take_recipient(struct arena *arena, struct slice in, struct dsn_recipient *out)
{
	struct slice value;
	unsigned int type;
	uint32_t number;
	int rc;

	while ((rc = record_take(&in, &type, &value)) == 1) {
		number = record_u32(value);
		switch (type) {
		case R_ACTION:
			if (number > DSN_EXPANDED)
				return -1;
			out->action = (enum dsn_action)number;
			break;
		case R_STATUS:
			if (!unpack_status(number, &out->status))
				return -1;
			break;
		case R_FINAL:
			out->final_recipient = dsn_text(arena, value);
			break;
		case R_ORIGINAL:
			out->original_recipient = dsn_text(arena, value);
			break;
		case R_REMOTE:
			out->remote_mta = dsn_text(arena, value);
			break;
		case R_DIAGNOSTIC:
			out->diagnostic = dsn_text(arena, value);
			break;
		case R_CODE:
			if (number > 599)
				return -1;
			out->reply_code = number;
			break;
		default:
			break;
		}
	}
	return rc;
}

static int
take_fields(struct arena *arena, struct slice in, struct bounce_report *out)
{
	struct slice value;
	unsigned int type;
	uint32_t kind;
	int rc;

	while ((rc = record_take(&in, &type, &value)) == 1) {
		switch (type) {
		case F_KIND:
			kind = record_u32(value);
			if (kind >= BOUNCE_KIND_COUNT)
				return -1;
			out->kind = (enum bounce_kind)kind;
			break;
		case F_SUBJECT:
			out->subject = dsn_text(arena, value);
			break;
		case F_DETAIL:
			out->detail = dsn_text(arena, value);
			break;
		case F_REPORTING_MTA:
			out->dsn.reporting_mta = dsn_text(arena, value);
			break;
		case F_RECIPIENT:
			if (out->dsn.count == DSN_RECIPIENTS_MAX ||
			    take_recipient(arena, value,
				&out->dsn.recipient[out->dsn.count++]) != 0)
				return -1;
			break;
		default:
			break;
		}
	}
	return rc;
}

int
bounce_report_decode(struct arena *arena, struct slice answer,
    struct bounce_report *out, struct error *err)
{
	if (answer.len > BOUNCE_ANSWER_MAX)
		return error_set(err, ERR_LIMIT,
		    "the parser's answer is too long");
	*out = (struct bounce_report){ 0 };
	if (!slice_take_char(&answer, VERSION) ||
	    take_fields(arena, answer, out) != 0)
		return error_set(err, ERR_SYNTAX,
		    "the parser's answer is malformed");
	if (out->kind != BOUNCE_NONE && out->dsn.count == 0)
		return error_set(err, ERR_SYNTAX,
		    "the parser's answer names no recipient");
	return 0;
}

/* Final words weigh more than interim ones. */
static int
weight(enum dsn_action action)
{
	switch (action) {
	case DSN_FAILED:
		return 2;
	case DSN_DELAYED:
		return 1;
	case DSN_DELIVERED:
	case DSN_RELAYED:
	case DSN_EXPANDED:
		return 0;
	}
	return 0;
}

const struct dsn_recipient *
bounce_report_pick(const struct bounce_report *report, struct slice address)
{
	const struct dsn_recipient *worst = NULL;

	for (size_t i = 0; i < report->dsn.count; i++) {
		const struct dsn_recipient *r = &report->dsn.recipient[i];

		if (address.len > 0 &&
		    (slice_eq_nocase(r->final_recipient, address) ||
			slice_eq_nocase(r->original_recipient, address)))
			return r;
		if (worst == NULL || weight(r->action) > weight(worst->action))
			worst = r;
	}
	return worst;
}
