/*
 * The tree of parts is one of a few fixed shapes, from the outside in:
 *
 *   mixed( body, attachment... )             with attachments that are not
 *                                            inline
 *   body    = alternative( text, rich )      with text and html
 *           | rich | text
 *   rich    = related( html, inline... )     with inline attachments
 *           | html
 *
 * so each is one function that calls the next. Each writes its own Content-*
 * fields, the empty line and the body.
 *
 * Boundaries hold "=_", which cannot stand in quoted-printable or base64, and
 * a text that has it is not sent as 7bit (body_choose): no search is needed.
 */
#include "mail/mime.h"

#include <stdio.h>

#include "base/clock.h"
#include "base/encode.h"
#include "mail/header.h"

#include "body_priv.h"

#define BOUNDARY_LEN 80
#define BASE64_LINE 76
#define VALUE_MAX 16000 /* octets in a field of the user's */

struct builder {
	const struct mail_content *content;
	const struct mime_options *opt;
	struct strbuf *out;
	struct slice text; /* the content's, or out of its html */
	bool has_text;
	unsigned int boundaries; /* how many were made */
	bool at_line_start;	 /* a boundary needs no CRLF before it */
};

/* ---- header fields ---- */

/* Fields that are ours; a name that ends in '-' stands for all that begin so.
 */
static const char *const reserved[] = {
	"arc-",
	"authentication-results",
	"bcc",
	"cc",
	"content-",
	"date",
	"delivered-to",
	"dkim-signature",
	"domainkey-signature",
	"errors-to",
	"from",
	"mime-version",
	"received",
	"received-spf",
	"reply-to",
	"resent-",
	"return-path",
	"sender",
	"subject",
	"to",
	"x-verpost-",
};

static bool
is_reserved(struct slice name)
{
	for (size_t i = 0; i < ARRAY_LEN(reserved); i++) {
		struct slice word = slice_of(reserved[i]);

		if (word.ptr[word.len - 1] == '-'
			? slice_starts_nocase(name, word)
			: slice_eq_nocase(name, word))
			return true;
	}
	return false;
}

static bool
is_message_id_name(struct slice name)
{
	return slice_eq_nocase(name, SLICE("message-id"));
}

/* "<left@right>", printable ASCII without blanks. */
static bool
is_message_id(struct slice value)
{
	size_t at = slice_find_char(value, '@');

	if (value.len < 5 || value.len > 900 || value.ptr[0] != '<' ||
	    value.ptr[value.len - 1] != '>' || at < 2 || at > value.len - 3)
		return false;
	for (size_t i = 1; i + 1 < value.len; i++)
		if (value.ptr[i] <= ' ' || value.ptr[i] >= 0x7f ||
		    value.ptr[i] == '<' || value.ptr[i] == '>')
			return false;
	return true;
}

static bool
is_field_name(struct slice name)
{
	if (name.len == 0 || name.len > MAIL_HEADER_NAME_MAX)
		return false;
	for (size_t i = 0; i < name.len; i++)
		if (name.ptr[i] <= ' ' || name.ptr[i] >= 0x7f ||
		    name.ptr[i] == ':')
			return false;
	return true;
}

int
mime_header_check(struct slice name, struct slice value, struct error *err)
{
	if (!is_field_name(name))
		return error_set(err, ERR_SYNTAX,
		    "header name must be 1 to %d printable ASCII characters "
		    "without blanks and colons",
		    MAIL_HEADER_NAME_MAX);
	if (is_reserved(name))
		return error_set(err, ERR_DENIED,
		    "header %.*s is written by the server", SLICE_FMT(name));
	if (value.len > VALUE_MAX)
		return error_set(err, ERR_LIMIT,
		    "header %.*s is longer than %d octets", SLICE_FMT(name),
		    VALUE_MAX);
	for (size_t i = 0; i < value.len; i++) {
		unsigned char c = (unsigned char)value.ptr[i];

		if ((c < 0x20 && c != '\t') || c == 0x7f)
			return error_set(err, ERR_SYNTAX,
			    "header %.*s has a line break or another control "
			    "character",
			    SLICE_FMT(name));
	}
	if (!utf8_is_valid(value))
		return error_set(err, ERR_SYNTAX, "header %.*s is not UTF-8",
		    SLICE_FMT(name));
	if (is_message_id_name(name) && !is_message_id(slice_trim(value)))
		return error_set(err, ERR_SYNTAX,
		    "header Message-ID must be of the form <left@right>");
	return 0;
}

void
mime_add_unstructured(struct strbuf *out, const char *name, struct slice value)
{
	struct mail_header h;

	mail_header_begin(&h, out, slice_of(name));
	mail_header_text(&h, value);
	mail_header_end(&h);
}

static void
add_addresses(struct builder *b, const char *name, const struct mail_address *a,
    size_t n)
{
	struct mail_header h;

	if (n == 0)
		return;
	mail_header_begin(&h, b->out, slice_of(name));
	for (size_t i = 0; i < n; i++)
		mail_header_address(&h, &a[i], i + 1 < n);
	mail_header_end(&h);
}

static bool
is_users_message_id(const struct mail_field *f)
{
	return is_message_id_name(f->name) &&
	    mime_header_check(f->name, f->value, NULL) == 0;
}

static void
add_ids_and_date(struct builder *b)
{
	const struct mail_content *c = b->content;
	char date[CLOCK_RFC5322_LEN];
	bool has_id = false;

	clock_format_rfc5322(b->opt->date_ms, date);
	strbuf_add_fmt(b->out, "Date: %s\r\n", date);
	for (size_t i = 0; i < c->header_count; i++)
		has_id = has_id || is_users_message_id(&c->header[i]);
	if (!has_id)
		strbuf_add_fmt(b->out, "Message-ID: <%s>\r\n",
		    b->opt->message_id);
}

/* What the user asked for, once more through the check: content comes from
 * the store, and an older version may have let more pass. */
static void
add_user_fields(struct builder *b)
{
	bool has_id = false;

	for (size_t i = 0; i < b->content->header_count; i++) {
		const struct mail_field *f = &b->content->header[i];
		struct mail_header h;

		if (mime_header_check(f->name, f->value, NULL) != 0)
			continue;
		if (is_message_id_name(f->name)) {
			if (has_id)
				continue; /* one is all there may be */
			has_id = true;
		}
		mail_header_begin(&h, b->out, f->name);
		mail_header_text(&h, f->value);
		mail_header_end(&h);
	}
}

static void
add_head(struct builder *b)
{
	const struct mail_content *c = b->content;

	add_addresses(b, "From", &c->from, 1);
	add_addresses(b, "To", c->to, c->to_count);
	if (c->to_count == 0 && c->cc_count == 0)
		strbuf_add_text(b->out, "To: undisclosed-recipients:;\r\n");
	add_addresses(b, "Cc", c->cc, c->cc_count);
	add_addresses(b, "Reply-To", c->reply_to, c->reply_to_count);
	mime_add_unstructured(b->out, "Subject", c->subject);
	add_ids_and_date(b);
	add_user_fields(b);
	if (b->opt->reference != NULL)
		strbuf_add_fmt(b->out, "X-Verpost-Ref: %s\r\n",
		    b->opt->reference);
	strbuf_add_text(b->out, "MIME-Version: 1.0\r\n");
}

/* ---- parts ---- */

/* Content-Type of a multipart, and the empty line. */
static void
open_multipart(struct builder *b, const char *type, char boundary[BOUNDARY_LEN])
{
	struct mail_header h;

	snprintf(boundary, BOUNDARY_LEN, "=_%.60s_%u", b->opt->boundary_seed,
	    b->boundaries++);
	mail_header_begin(&h, b->out, SLICE("Content-Type"));
	mail_header_word(&h, slice_of(type));
	mail_header_param(&h, "boundary", slice_of(boundary));
	mail_header_end(&h);
	strbuf_add_text(b->out, "\r\n");
	b->at_line_start = true;
}

/* The CRLF before a boundary belongs to it (RFC 2046 section 5.1.1). */
static void
add_boundary(struct builder *b, const char *boundary, bool is_last)
{
	strbuf_add_fmt(b->out, "%s--%s%s\r\n", b->at_line_start ? "" : "\r\n",
	    boundary, is_last ? "--" : "");
	b->at_line_start = true;
}

static void
add_text_part(struct builder *b, const char *subtype, struct slice text)
{
	enum body_encoding e = body_choose(text);

	strbuf_add_fmt(b->out,
	    "Content-Type: text/%s; charset=utf-8\r\n"
	    "Content-Transfer-Encoding: %s\r\n\r\n",
	    subtype, body_encoding_name(e));
	body_add(b->out, text, e);
	b->at_line_start = e == BODY_BASE64 && text.len > 0;
}

/* ---- attachments ---- */

static bool
is_token_char(char c)
{
	return c > ' ' && c < 0x7f && strchr("()<>@,;:\\\"/[]?=", c) == NULL;
}

static struct slice
take_token(struct slice *in)
{
	size_t n = 0;

	while (n < in->len && is_token_char(in->ptr[n]))
		n++;
	*in = slice_from(*in, n);
	return slice_mem(in->ptr - n, n);
}

/*
 * "type/subtype" off the front of what the user gave; false when it is not of
 * that form. Containers are not taken: their inner boundaries would be ours.
 */
static bool
take_type(struct slice *in, struct slice *type)
{
	struct slice start = *in, major, minor;

	major = take_token(in);
	if (major.len == 0 || !slice_take_char(in, '/'))
		return false;
	minor = take_token(in);
	if (minor.len == 0 || major.len + minor.len > 200)
		return false;
	*type = slice_first(start, start.len - in->len);
	return !slice_eq_nocase(major, SLICE("multipart")) &&
	    !slice_eq_nocase(major, SLICE("message"));
}

/* Parameters of the user's content type that are well-formed, e.g. charset or
 * method of text/calendar; the first bad one ends it. */
static void
add_type_params(struct mail_header *h, struct slice in)
{
	for (int n = 0; n < 10; n++) {
		struct slice name, value;
		char text[64];

		in = slice_trim(in);
		if (!slice_take_char(&in, ';'))
			return;
		in = slice_trim(in);
		name = take_token(&in);
		if (name.len == 0 || name.len >= sizeof(text) ||
		    slice_has_char(name, '*') || !slice_take_char(&in, '='))
			return;
		if (slice_take_char(&in, '"'))
			value = slice_take_until(&in, '"');
		else
			value = take_token(&in);
		memcpy(text, name.ptr, name.len);
		text[name.len] = '\0';
		mail_header_param(h, text, value);
	}
}

static void
add_content_type(struct builder *b, const struct mail_attachment *a)
{
	struct slice in = slice_trim(a->content_type), type;
	struct mail_header h;

	mail_header_begin(&h, b->out, SLICE("Content-Type"));
	if (a->content_type.len == 0) {
		mail_header_word(&h,
		    slice_of(mime_type_of_filename(a->filename)));
	} else if (take_type(&in, &type)) {
		mail_header_word(&h, type);
		add_type_params(&h, in);
	} else {
		mail_header_word(&h, SLICE("application/octet-stream"));
	}
	mail_header_end(&h);
}

/* Without the brackets that some put around it; blanks and what could end
 * the field become '_'. */
static void
add_content_id(struct builder *b, struct slice id)
{
	if (id.len > 1 && id.ptr[0] == '<' && id.ptr[id.len - 1] == '>')
		id = slice_first(slice_from(id, 1), id.len - 2);
	id = slice_first(id, 900);
	strbuf_add_text(b->out, "Content-ID: <");
	for (size_t i = 0; i < id.len; i++) {
		char c = id.ptr[i];

		strbuf_add_char(b->out,
		    c <= ' ' || c >= 0x7f || c == '<' || c == '>' ? '_' : c);
	}
	strbuf_add_text(b->out, ">\r\n");
}

static void
add_attachment(struct builder *b, const struct mail_attachment *a,
    bool is_inline)
{
	struct mail_header h;

	add_content_type(b, a);
	strbuf_add_text(b->out, "Content-Transfer-Encoding: base64\r\n");
	mail_header_begin(&h, b->out, SLICE("Content-Disposition"));
	mail_header_word(&h, is_inline ? SLICE("inline") : SLICE("attachment"));
	mail_header_param(&h, "filename", slice_first(a->filename, 1000));
	mail_header_end(&h);
	if (a->content_id.len > 0)
		add_content_id(b, a->content_id);
	strbuf_add_text(b->out, "\r\n");
	base64_encode(b->out, a->data, BASE64_LINE);
	b->at_line_start = a->data.len > 0;
}

/* Without html there is nothing that could refer to it. */
static bool
is_inline(const struct builder *b, const struct mail_attachment *a)
{
	return a->content_id.len > 0 && b->content->html.ptr != NULL;
}

static size_t
count_attachments(const struct builder *b, bool want_inline)
{
	size_t n = 0;

	for (size_t i = 0; i < b->content->attachment_count; i++)
		n += is_inline(b, &b->content->attachment[i]) == want_inline;
	return n;
}

static void
add_attachments(struct builder *b, const char *boundary, bool want_inline)
{
	for (size_t i = 0; i < b->content->attachment_count; i++) {
		const struct mail_attachment *a = &b->content->attachment[i];

		if (is_inline(b, a) != want_inline)
			continue;
		add_boundary(b, boundary, false);
		add_attachment(b, a, want_inline);
	}
	add_boundary(b, boundary, true);
}

/* ---- the tree ---- */

static void
add_rich(struct builder *b)
{
	char boundary[BOUNDARY_LEN];

	if (count_attachments(b, true) == 0) {
		add_text_part(b, "html", b->content->html);
		return;
	}
	open_multipart(b, "multipart/related; type=\"text/html\"", boundary);
	add_boundary(b, boundary, false);
	add_text_part(b, "html", b->content->html);
	add_attachments(b, boundary, true);
}

static void
add_body(struct builder *b)
{
	char boundary[BOUNDARY_LEN];

	if (b->content->html.ptr == NULL) {
		add_text_part(b, "plain", b->text);
	} else if (!b->has_text) {
		add_rich(b);
	} else {
		open_multipart(b, "multipart/alternative", boundary);
		add_boundary(b, boundary, false);
		add_text_part(b, "plain", b->text);
		add_boundary(b, boundary, false);
		add_rich(b);
		add_boundary(b, boundary, true);
	}
}

void
mime_build(const struct mail_content *content, const struct mime_options *opt,
    struct strbuf *out)
{
	struct builder b = { .content = content,
		.opt = opt,
		.out = out,
		.text = content->text,
		.has_text = content->text.len > 0 };
	struct strbuf made = STRBUF_INIT;
	char boundary[BOUNDARY_LEN];

	/* One allocation for most messages. */
	strbuf_reserve(out, content->text.len + content->html.len + 2048);
	if (content->html.ptr != NULL && content->text.ptr == NULL &&
	    !content->text_opted_out) {
		mime_text_of_html(content->html, &made);
		b.text = strbuf_slice(&made);
		b.has_text = made.len > 0;
	}
	add_head(&b);
	if (count_attachments(&b, false) == 0) {
		add_body(&b);
	} else {
		open_multipart(&b, "multipart/mixed", boundary);
		add_boundary(&b, boundary, false);
		add_body(&b);
		add_attachments(&b, boundary, false);
	}
	if (out->len < 2 || out->ptr[out->len - 1] != '\n')
		strbuf_add(out, "\r\n", 2);
	strbuf_fini(&made);
}
