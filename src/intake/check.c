/*
 * intake/check.c - the rules of a message, one function per field.
 *
 * Control characters are refused in everything that becomes a header field,
 * CR and LF before all: a line break there would forge fields. Bodies may have
 * line breaks, but no NUL, which no mail may carry (RFC 5322 section 4).
 */
#include "intake/check.h"

#include <stdio.h>

#include "base/encode.h"
#include "mail/mime.h"

struct check_field
check_field(const char *name, int index)
{
	struct check_field f;

	if (index < 0)
		(void)snprintf(f.s, sizeof(f.s), "%s", name);
	else
		(void)snprintf(f.s, sizeof(f.s), "%s[%d]", name, index);
	return f;
}

/* No control characters (a TAB may be harmless, but nobody needs it), and
 * UTF-8: what comes by SMTP has not been through the JSON reader. */
static int
line_check(const char *field, struct slice s, struct intake_answer *no)
{
	for (size_t i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.ptr[i];

		if (c >= 0x20 && c != 0x7f)
			continue;
		if (c == '\r' || c == '\n')
			return answer_set(no, ANSWER_VALIDATION,
			    "%s: has a line break at octet %zu: remove it",
			    field, i + 1);
		return answer_set(no, ANSWER_VALIDATION,
		    "%s: has the control character 0x%02x at octet %zu: "
		    "remove it",
		    field, c, i + 1);
	}
	if (!utf8_is_valid(s))
		return answer_set(no, ANSWER_VALIDATION,
		    "%s: is not valid UTF-8: encode it as UTF-8", field);
	return 0;
}

int
check_address(struct arena *arena, const char *field, int index,
    struct slice text, struct mail_address *out, struct intake_answer *no)
{
	struct check_field f = check_field(field, index);
	struct mail_address a;
	struct error err = { 0 };

	if (line_check(f.s, text, no) < 0)
		return -1;
	if (mail_address_parse(arena, text, &a, &err) < 0)
		return answer_set(no, ANSWER_VALIDATION,
		    "%s: '%s' is not an email address: %s. Write "
		    "name@example.com or Name <name@example.com>",
		    f.s, answer_quote(text).s, err.text);
	if (a.display.len > CHECK_DISPLAY_MAX)
		return answer_set(no, ANSWER_VALIDATION,
		    "%s: the name before the address has %zu octets, at most "
		    "%d are allowed",
		    f.s, a.display.len, CHECK_DISPLAY_MAX);
	*out = a;
	return 0;
}

/* ---- Recipients ---------------------------------------------------------- */

int
check_address_count(const char *field, size_t count, size_t most,
    struct intake_answer *no)
{
	if (count <= most)
		return 0;
	return answer_set(no, ANSWER_VALIDATION,
	    "%s: has %zu addresses, at most %zu are allowed: send several "
	    "emails",
	    field, count, most);
}

struct rcpt_list {
	struct arena *arena;
	struct check_rcpt *rcpt;
	size_t count;
};

static void
rcpt_add(struct rcpt_list *l, const struct mail_address *a,
    enum check_rcpt_field field)
{
	struct strbuf b = STRBUF_INIT;
	struct slice address, key;

	mail_address_add_addr(&b, a);
	address = arena_slice(l->arena, strbuf_slice(&b));
	strbuf_reset(&b);
	mail_address_add_key(&b, a);
	key = strbuf_slice(&b);
	for (size_t i = 0; i < l->count; i++) {
		if (slice_eq(l->rcpt[i].key, key)) {
			strbuf_fini(&b);
			return;
		}
	}
	l->rcpt[l->count++] = (struct check_rcpt){
		.address = address,
		.key = slice_eq(address, key) ? address
					      : arena_slice(l->arena, key),
		.domain = a->domain,
		.field = field,
	};
	strbuf_fini(&b);
}

static int
recipients_check(struct arena *arena, const struct mail_content *c,
    const struct check_limits *limits, struct check_rcpt **rcpt,
    size_t *rcpt_count, struct intake_answer *no)
{
	struct rcpt_list list = { .arena = arena };

	if (c->to_count == 0)
		return answer_set(no, ANSWER_FIELD_MISSING,
		    "Missing `to` field.");
	/* Bounds first: what follows is quadratic in the count. */
	if (check_address_count("to", c->to_count,
		MAX(limits->recipients_max, CHECK_TO_MAX), no) < 0 ||
	    check_address_count("cc", c->cc_count, limits->recipients_max, no) <
		0 ||
	    check_address_count("bcc", c->bcc_count, limits->recipients_max,
		no) < 0 ||
	    check_address_count("reply_to", c->reply_to_count,
		CHECK_REPLY_TO_MAX, no) < 0)
		return -1;

	list.rcpt = arena_calloc(arena,
	    c->to_count + c->cc_count + c->bcc_count, sizeof(list.rcpt[0]));
	for (size_t i = 0; i < c->to_count; i++)
		rcpt_add(&list, &c->to[i], CHECK_TO);
	for (size_t i = 0; i < c->cc_count; i++)
		rcpt_add(&list, &c->cc[i], CHECK_CC);
	for (size_t i = 0; i < c->bcc_count; i++)
		rcpt_add(&list, &c->bcc[i], CHECK_BCC);
	if (list.count > limits->recipients_max)
		return answer_set(no, ANSWER_VALIDATION,
		    "to, cc, bcc: %zu recipients together, at most %zu are "
		    "allowed: send several emails",
		    list.count, limits->recipients_max);
	*rcpt = list.rcpt;
	*rcpt_count = list.count;
	return 0;
}

/* ---- The other fields ---------------------------------------------------- */

static int
subject_check(const struct mail_content *c, struct intake_answer *no)
{
	if (c->subject.ptr == NULL)
		return answer_set(no, ANSWER_FIELD_MISSING,
		    "Missing `subject` field.");
	if (c->subject.len > CHECK_SUBJECT_MAX)
		return answer_set(no, ANSWER_VALIDATION,
		    "subject: has %zu octets, at most %d are allowed: shorten "
		    "it",
		    c->subject.len, CHECK_SUBJECT_MAX);
	return line_check("subject", c->subject, no);
}

static int
body_check(const char *field, struct slice body, struct intake_answer *no)
{
	size_t nul = slice_find_char(body, '\0');

	if (nul < body.len)
		return answer_set(no, ANSWER_VALIDATION,
		    "%s: has a NUL character at octet %zu: remove it", field,
		    nul + 1);
	return 0;
}

static int
bodies_check(const struct mail_content *c, struct intake_answer *no)
{
	if (c->html.ptr == NULL && c->text.ptr == NULL)
		return answer_set(no, ANSWER_FIELD_MISSING,
		    "Missing `html` or `text` field.");
	if (body_check("html", c->html, no) < 0)
		return -1;
	return body_check("text", c->text, no);
}

/* Fields that a message may carry only once (RFC 5322 section 3.6, RFC 2369,
 * RFC 2919); others may repeat. */
static bool
is_single(struct slice name)
{
	static const char *const single[] = { "Message-ID", "In-Reply-To",
		"References", "Sender", "List-Id", "List-Unsubscribe",
		"List-Unsubscribe-Post", "List-Help", "List-Archive" };

	for (size_t i = 0; i < ARRAY_LEN(single); i++)
		if (slice_eq_nocase(name, slice_of(single[i])))
			return true;
	return false;
}

static int
headers_check(const struct mail_content *c, struct intake_answer *no)
{
	size_t bytes = 0;
	struct error err = { 0 };

	if (c->header_count > CHECK_HEADERS_MAX)
		return answer_set(no, ANSWER_VALIDATION,
		    "headers: has %zu fields, at most %d are allowed",
		    c->header_count, CHECK_HEADERS_MAX);
	for (size_t i = 0; i < c->header_count; i++) {
		const struct mail_field *h = &c->header[i];

		if (mime_header_check(h->name, h->value, &err) < 0)
			return answer_set(no, ANSWER_VALIDATION,
			    "headers['%s']: %s", answer_quote(h->name).s,
			    err.text);
		bytes += h->name.len + h->value.len;
		if (bytes > CHECK_HEADER_BYTES_MAX)
			return answer_set(no, ANSWER_VALIDATION,
			    "headers: more than %d octets together: shorten "
			    "them",
			    CHECK_HEADER_BYTES_MAX);
		for (size_t k = 0; k < i && is_single(h->name); k++)
			if (slice_eq_nocase(h->name, c->header[k].name))
				return answer_set(no, ANSWER_VALIDATION,
				    "headers['%s']: is given twice: give it "
				    "once",
				    answer_quote(h->name).s);
	}
	return 0;
}

static int
tag_text_check(const char *field, const char *what, struct slice s,
    struct intake_answer *no)
{
	if (s.len == 0)
		return answer_set(no, ANSWER_VALIDATION,
		    "%s: its %s is empty: give it one", field, what);
	if (s.len > CHECK_TAG_BYTES_MAX)
		return answer_set(no, ANSWER_VALIDATION,
		    "%s: its %s has %zu characters, at most %d are allowed",
		    field, what, s.len, CHECK_TAG_BYTES_MAX);
	for (size_t i = 0; i < s.len; i++) {
		char ch = s.ptr[i];

		if (!ascii_is_alnum(ch) && ch != '_' && ch != '-')
			return answer_set(no, ANSWER_VALIDATION,
			    "%s: its %s '%s' may have only ASCII letters, "
			    "digits, '_' and '-'",
			    field, what, answer_quote(s).s);
	}
	return 0;
}

static int
tags_check(const struct mail_content *c, struct intake_answer *no)
{
	if (c->tag_count > CHECK_TAGS_MAX)
		return answer_set(no, ANSWER_VALIDATION,
		    "tags: has %zu tags, at most %d are allowed", c->tag_count,
		    CHECK_TAGS_MAX);
	for (size_t i = 0; i < c->tag_count; i++) {
		struct check_field f = check_field("tags", (int)i);
		const struct mail_field *t = &c->tag[i];

		if (tag_text_check(f.s, "name", t->name, no) < 0 ||
		    tag_text_check(f.s, "value", t->value, no) < 0)
			return -1;
		/* In webhooks they are members of an object. */
		for (size_t k = 0; k < i; k++)
			if (slice_eq(t->name, c->tag[k].name))
				return answer_set(no, ANSWER_VALIDATION,
				    "%s: the name '%s' is used twice: use "
				    "each name once",
				    f.s, answer_quote(t->name).s);
	}
	return 0;
}

size_t
check_base64_bytes(size_t data_bytes)
{
	size_t characters = (data_bytes + 2) / 3 * 4;

	return characters + (characters + 75) / 76 * 2;
}

static int
content_id_check(const char *field, struct slice id, struct intake_answer *no)
{
	if (id.len > CHECK_CONTENT_ID_MAX)
		return answer_set(no, ANSWER_ATTACHMENT,
		    "%s: its content_id has %zu characters, at most %d are "
		    "allowed",
		    field, id.len, CHECK_CONTENT_ID_MAX);
	for (size_t i = 0; i < id.len; i++) {
		char ch = id.ptr[i];

		if (ch <= ' ' || ch > '~' || ch == '<' || ch == '>' ||
		    ch == '"' || ch == '\\')
			return answer_set(no, ANSWER_ATTACHMENT,
			    "%s: its content_id '%s' may have only printable "
			    "ASCII characters without blanks, quotes, '<' and "
			    "'>'",
			    field, answer_quote(id).s);
	}
	return 0;
}

/* type "/" subtype, then anything printable (parameters). */
static int
content_type_check(const char *field, struct slice type,
    struct intake_answer *no)
{
	struct slice rest = type, main = slice_take_until(&rest, '/');
	bool good = type.len <= CHECK_FILENAME_MAX && main.len > 0 &&
	    rest.len > 0 && rest.ptr[0] != ';' && ascii_only(type);

	for (size_t i = 0; i < main.len && good; i++)
		good = ascii_is_alnum(main.ptr[i]) || main.ptr[i] == '-' ||
		    main.ptr[i] == '.' || main.ptr[i] == '+';
	if (good || type.len == 0)
		return 0;
	return answer_set(no, ANSWER_ATTACHMENT,
	    "%s: its content_type '%s' is not of the form type/subtype", field,
	    answer_quote(type).s);
}

/* "attachments[0].filename" */
static struct check_field
file_field(int index, const char *member)
{
	struct check_field f;

	(void)snprintf(f.s, sizeof(f.s), "attachments[%d].%s", index, member);
	return f;
}

static int
attachment_check(int index, const struct mail_attachment *a,
    struct intake_answer *no)
{
	struct check_field f = check_field("attachments", index);
	const char *field = f.s;

	if (a->filename.len > CHECK_FILENAME_MAX)
		return answer_set(no, ANSWER_ATTACHMENT,
		    "%s: its filename has %zu octets, at most %d are allowed",
		    field, a->filename.len, CHECK_FILENAME_MAX);
	if (line_check(file_field(index, "filename").s, a->filename, no) < 0 ||
	    line_check(file_field(index, "content_type").s, a->content_type,
		no) < 0 ||
	    content_type_check(field, a->content_type, no) < 0)
		return -1;
	return content_id_check(field, a->content_id, no);
}

static int
attachments_check(const struct mail_content *c,
    const struct check_limits *limits, struct intake_answer *no)
{
	size_t total = c->html.len + c->text.len;

	if (c->attachment_count > CHECK_ATTACHMENTS_MAX)
		return answer_set(no, ANSWER_ATTACHMENT,
		    "attachments: has %zu files, at most %d are allowed",
		    c->attachment_count, CHECK_ATTACHMENTS_MAX);
	for (size_t i = 0; i < c->attachment_count; i++) {
		if (attachment_check((int)i, &c->attachment[i], no) < 0)
			return -1;
		total += check_base64_bytes(c->attachment[i].data.len);
	}
	if (total > limits->message_bytes_max)
		return answer_set(no, ANSWER_TOO_LARGE,
		    "html, text, attachments: %zu octets together after "
		    "base64, at most %zu are allowed: send a link instead",
		    total, limits->message_bytes_max);
	return 0;
}

int
check_content(struct arena *arena, const struct mail_content *content,
    const struct check_limits *limits, struct check_rcpt **rcpt,
    size_t *rcpt_count, struct intake_answer *no)
{
	if (content->from.domain.len == 0)
		return answer_set(no, ANSWER_FIELD_MISSING,
		    "Missing `from` field.");
	if (subject_check(content, no) < 0 || bodies_check(content, no) < 0 ||
	    headers_check(content, no) < 0 || tags_check(content, no) < 0 ||
	    attachments_check(content, limits, no) < 0)
		return -1;
	return recipients_check(arena, content, limits, rcpt, rcpt_count, no);
}

int
check_idempotency_key(struct slice key, struct intake_answer *no)
{
	if (key.len < 1 || key.len > 256)
		return answer_set(no, ANSWER_IDEMPOTENCY_KEY,
		    "Idempotency-Key: has %zu characters: use 1 to 256",
		    key.len);
	for (size_t i = 0; i < key.len; i++)
		if (key.ptr[i] < ' ' || key.ptr[i] > '~')
			return answer_set(no, ANSWER_IDEMPOTENCY_KEY,
			    "Idempotency-Key: may have only printable ASCII "
			    "characters");
	return 0;
}
