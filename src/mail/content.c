/*
 * The record (numbers are stored, never reuse one):
 *
 *   record  = %x01 *field
 *   field   = type (1 octet) length (4, big-endian) octets
 *   address = *field  of DISPLAY LOCAL DOMAIN SMTPUTF8
 *   pair    = *field  of NAME VALUE
 *   file    = *field  of FILENAME TYPE CID DATA
 *
 * Reading goes twice over the outer fields: once to count, once to fill.
 */
#include "mail/content.h"

#include "mail/record.h"

#define VERSION 1
#define LIST_MAX 1000 /* of any kind in one record */

enum {
	F_FROM = 1,
	F_TO = 2,
	F_CC = 3,
	F_BCC = 4,
	F_REPLY_TO = 5,
	F_SUBJECT = 6,
	F_HTML = 7,
	F_TEXT = 8,
	F_TEXT_OPTED_OUT = 9,
	F_HEADER = 10,
	F_ATTACHMENT = 11,
	F_TAG = 12,
	F_EXACTLY_ONCE = 13,
	F_BROADCAST = 14,
	F_COUNT = 15,
};
enum { A_DISPLAY = 1, A_LOCAL = 2, A_DOMAIN = 3, A_SMTPUTF8 = 4 };
enum { P_NAME = 1, P_VALUE = 2 };
enum { S_FILENAME = 1, S_TYPE = 2, S_CID = 3, S_DATA = 4 };

static void
put_address(struct strbuf *out, unsigned int type, const struct mail_address *a)
{
	size_t start = record_begin(out, type);

	record_put_text(out, A_DISPLAY, a->display);
	record_put_text(out, A_LOCAL, a->local);
	record_put_text(out, A_DOMAIN, a->domain);
	if (a->smtputf8)
		record_put(out, A_SMTPUTF8, SLICE(""));
	record_end(out, start);
}

static void
put_addresses(struct strbuf *out, unsigned int type,
    const struct mail_address *a, size_t n)
{
	for (size_t i = 0; i < n; i++)
		put_address(out, type, &a[i]);
}

static void
put_pairs(struct strbuf *out, unsigned int type, const struct mail_field *f,
    size_t n)
{
	for (size_t i = 0; i < n; i++) {
		size_t start = record_begin(out, type);

		record_put_text(out, P_NAME, f[i].name);
		record_put_text(out, P_VALUE, f[i].value);
		record_end(out, start);
	}
}

void
mail_content_encode(const struct mail_content *c, struct strbuf *out)
{
	strbuf_add_char(out, VERSION);
	put_address(out, F_FROM, &c->from);
	put_addresses(out, F_TO, c->to, c->to_count);
	put_addresses(out, F_CC, c->cc, c->cc_count);
	put_addresses(out, F_BCC, c->bcc, c->bcc_count);
	put_addresses(out, F_REPLY_TO, c->reply_to, c->reply_to_count);
	record_put_text(out, F_SUBJECT, c->subject);
	if (c->html.ptr != NULL)
		record_put(out, F_HTML, c->html);
	if (c->text.ptr != NULL)
		record_put(out, F_TEXT, c->text);
	if (c->text_opted_out)
		record_put(out, F_TEXT_OPTED_OUT, SLICE(""));
	put_pairs(out, F_HEADER, c->header, c->header_count);
	for (size_t i = 0; i < c->attachment_count; i++) {
		const struct mail_attachment *a = &c->attachment[i];
		size_t start = record_begin(out, F_ATTACHMENT);

		record_put_text(out, S_FILENAME, a->filename);
		record_put_text(out, S_TYPE, a->content_type);
		record_put_text(out, S_CID, a->content_id);
		record_put_text(out, S_DATA, a->data);
		record_end(out, start);
	}
	put_pairs(out, F_TAG, c->tag, c->tag_count);
	if (c->exactly_once)
		record_put(out, F_EXACTLY_ONCE, SLICE(""));
	if (c->broadcast)
		record_put(out, F_BROADCAST, SLICE(""));
}

static int
take_address(struct slice in, struct mail_address *out)
{
	struct slice value;
	unsigned int type;
	int rc;

	while ((rc = record_take(&in, &type, &value)) == 1) {
		if (type == A_DISPLAY)
			out->display = value;
		else if (type == A_LOCAL)
			out->local = value;
		else if (type == A_DOMAIN)
			out->domain = value;
		else if (type == A_SMTPUTF8)
			out->smtputf8 = true;
	}
	return rc;
}

static int
take_pair(struct slice in, struct mail_field *out)
{
	struct slice value;
	unsigned int type;
	int rc;

	while ((rc = record_take(&in, &type, &value)) == 1) {
		if (type == P_NAME)
			out->name = value;
		else if (type == P_VALUE)
			out->value = value;
	}
	return rc;
}

static int
take_file(struct slice in, struct mail_attachment *out)
{
	struct slice value;
	unsigned int type;
	int rc;

	while ((rc = record_take(&in, &type, &value)) == 1) {
		if (type == S_FILENAME)
			out->filename = value;
		else if (type == S_TYPE)
			out->content_type = value;
		else if (type == S_CID)
			out->content_id = value;
		else if (type == S_DATA)
			out->data = value;
	}
	return rc;
}

/* Fills what field type says; the arrays are large enough by the count. */
static int
fill(struct mail_content *c, unsigned int type, struct slice value)
{
	switch (type) {
	case F_FROM:
		return take_address(value, &c->from);
	case F_TO:
		return take_address(value, &c->to[c->to_count++]);
	case F_CC:
		return take_address(value, &c->cc[c->cc_count++]);
	case F_BCC:
		return take_address(value, &c->bcc[c->bcc_count++]);
	case F_REPLY_TO:
		return take_address(value, &c->reply_to[c->reply_to_count++]);
	case F_SUBJECT:
		c->subject = value;
		return 0;
	case F_HTML:
		c->html = value;
		return 0;
	case F_TEXT:
		c->text = value;
		return 0;
	case F_TEXT_OPTED_OUT:
		c->text_opted_out = true;
		return 0;
	case F_HEADER:
		return take_pair(value, &c->header[c->header_count++]);
	case F_ATTACHMENT:
		return take_file(value, &c->attachment[c->attachment_count++]);
	case F_TAG:
		return take_pair(value, &c->tag[c->tag_count++]);
	case F_EXACTLY_ONCE:
		c->exactly_once = true;
		return 0;
	case F_BROADCAST:
		c->broadcast = true;
		return 0;
	default:
		return 0; /* written by a later version */
	}
}

int
mail_content_decode(struct arena *arena, struct slice record,
    struct mail_content *out, struct error *err)
{
	struct mail_content c = { 0 };
	size_t count[F_COUNT] = { 0 };
	struct slice in, value;
	unsigned int type;
	int rc;

	if (!slice_take_char(&record, VERSION))
		return error_set(err, ERR_SYNTAX, "content: unknown version");
	in = record;
	while ((rc = record_take(&in, &type, &value)) == 1)
		if (type < F_COUNT && ++count[type] > LIST_MAX)
			return error_set(err, ERR_LIMIT,
			    "content: too many fields");
	if (rc != 0)
		return error_set(err, ERR_SYNTAX, "content: cut short");
	c.to = arena_calloc(arena, count[F_TO], sizeof(*c.to));
	c.cc = arena_calloc(arena, count[F_CC], sizeof(*c.cc));
	c.bcc = arena_calloc(arena, count[F_BCC], sizeof(*c.bcc));
	c.reply_to =
	    arena_calloc(arena, count[F_REPLY_TO], sizeof(*c.reply_to));
	c.header = arena_calloc(arena, count[F_HEADER], sizeof(*c.header));
	c.attachment =
	    arena_calloc(arena, count[F_ATTACHMENT], sizeof(*c.attachment));
	c.tag = arena_calloc(arena, count[F_TAG], sizeof(*c.tag));
	in = record;
	while (record_take(&in, &type, &value) == 1)
		if (fill(&c, type, value) != 0)
			return error_set(err, ERR_SYNTAX,
			    "content: field %u cut", type);
	*out = c;
	return 0;
}

static bool
any_needs_smtputf8(const struct mail_address *a, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (a[i].smtputf8)
			return true;
	return false;
}

/* Bcc stands in no header. */
bool
mail_content_needs_smtputf8(const struct mail_content *c)
{
	return any_needs_smtputf8(&c->from, 1) ||
	    any_needs_smtputf8(c->to, c->to_count) ||
	    any_needs_smtputf8(c->cc, c->cc_count) ||
	    any_needs_smtputf8(c->reply_to, c->reply_to_count);
}
