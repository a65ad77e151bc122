/*
 * api/email_json.c - one function per shape of a field. null counts as absent
 * everywhere, as clients write it for what they leave out.
 */
#include "api/email_json.h"

#include "api/octets.h"
#include "base/json.h"
#include "intake/check.h"
#include "members.h"
#include "model/id.h"

struct reader {
	struct arena *arena;
	char *body; /* what texts point into, to be changed */
	size_t recipients_max;
	struct intake_answer *no;
};

static const char *const email_names[] = { "from", "to", "cc", "bcc",
	"reply_to", "subject", "html", "text", "headers", "tags", "delivery",
	"stream", "attachments", "scheduled_at", "template", "topic_id" };
static const struct member_word email_words[] = {
	{ "body", "html or text" },
	{ "message", "html or text" },
	{ "content", "html or text" },
	{ "plain", "text" },
	{ "sender", "from" },
	{ "recipient", "to" },
	{ "recipients", "to" },
};
static const char *const tag_names[] = { "name", "value" };
static const char *const attachment_names[] = { "filename", "content", "path",
	"content_type", "content_id" };
static const struct member_word attachment_words[] = {
	{ "name", "filename" },
	{ "data", "content" },
	{ "type", "content_type" },
	{ "mime_type", "content_type" },
	{ "cid", "content_id" },
	{ "inline_content_id", "content_id" },
};

#define NAMES(array) .known = (array), .known_count = ARRAY_LEN(array)
#define WORDS(array) .word = (array), .word_count = ARRAY_LEN(array)
static const struct members email_members = { "an email", NAMES(email_names),
	WORDS(email_words) },
			    tag_members = { "a tag", NAMES(tag_names) },
			    attachment_members = { "an attachment",
				    NAMES(attachment_names),
				    WORDS(attachment_words) };

/* The member, or NULL when it is absent or null. */
static const struct json *
member(const struct json *obj, const char *name)
{
	const struct json *v = json_get(obj, name);

	return v == NULL || v->type == JSON_NULL ? NULL : v;
}

static int
shape_no(struct reader *r, const char *field, const char *wanted,
    const struct json *v)
{
	return answer_set(r->no, ANSWER_VALIDATION,
	    "%s: must be %s, but is of type %s", field, wanted,
	    json_type_name(v->type));
}

/* Leaves *out alone when the member is absent. */
static int
read_text(struct reader *r, const struct json *obj, const char *field,
    const char *name, struct slice *out)
{
	const struct json *v = member(obj, name);

	if (v == NULL)
		return 0;
	if (v->type != JSON_STRING)
		return shape_no(r, field, "a string", v);
	*out = v->text;
	if (out->ptr == NULL)
		out->ptr = "";
	return 0;
}

/* ---- Addresses ----------------------------------------------------------- */

static int
read_from(struct reader *r, const struct json *obj, struct mail_content *out)
{
	struct slice text = { NULL, 0 };

	if (read_text(r, obj, "from", "from", &text) < 0)
		return -1;
	if (text.ptr == NULL)
		return answer_set(r->no, ANSWER_FIELD_MISSING,
		    "Missing `from` field.");
	return check_address(r->arena, "from", -1, text, &out->from, r->no);
}

static int
read_address_list(struct reader *r, const struct json *list, const char *name,
    struct mail_address *out)
{
	int i = 0;

	json_each(item, list)
	{
		struct check_field f = check_field(name, i);

		if (item->type != JSON_STRING)
			return shape_no(r, f.s, "a string", item);
		if (check_address(r->arena, name, i, item->text, &out[i],
			r->no) < 0)
			return -1;
		i++;
	}
	return 0;
}

/* A string or an array of strings; [] and "" count as absent. */
static int
read_addresses(struct reader *r, const struct json *obj, const char *name,
    struct mail_address **out, size_t *count)
{
	const struct json *v = member(obj, name);

	if (v == NULL || (v->type == JSON_STRING && v->text.len == 0))
		return 0;
	if (v->type == JSON_STRING) {
		*out = arena_alloc(r->arena, sizeof(**out));
		*count = 1;
		return check_address(r->arena, name, -1, v->text, *out, r->no);
	}
	if (v->type != JSON_ARRAY)
		return shape_no(r, name, "a string or an array of strings", v);
	if (v->count == 0)
		return 0;
	if (check_address_count(name, v->count, r->recipients_max, r->no) < 0)
		return -1;
	*out = arena_calloc(r->arena, v->count, sizeof(**out));
	*count = v->count;
	return read_address_list(r, v, name, *out);
}

/* ---- Headers and tags ---------------------------------------------------- */

static int
read_headers(struct reader *r, const struct json *obj, struct mail_content *out)
{
	const struct json *v = member(obj, "headers");
	size_t n = 0;

	if (v == NULL)
		return 0;
	if (v->type != JSON_OBJECT)
		return shape_no(r, "headers", "an object of names and strings",
		    v);
	if (v->count > CHECK_HEADERS_MAX)
		return answer_set(r->no, ANSWER_VALIDATION,
		    "headers: has %u fields, at most %d are allowed", v->count,
		    CHECK_HEADERS_MAX);
	out->header = arena_calloc(r->arena, v->count, sizeof(out->header[0]));
	json_each(item, v)
	{
		if (item->type != JSON_STRING)
			return answer_set(r->no, ANSWER_VALIDATION,
			    "headers['%s']: must be a string, but is of type "
			    "%s",
			    answer_quote(item->name).s,
			    json_type_name(item->type));
		out->header[n++] =
		    (struct mail_field){ item->name, item->text };
	}
	out->header_count = n;
	return 0;
}

static int
read_tags(struct reader *r, const struct json *obj, struct mail_content *out)
{
	const struct json *v = member(obj, "tags");
	size_t n = 0;

	if (v == NULL)
		return 0;
	if (v->type != JSON_ARRAY)
		return shape_no(r, "tags", "an array of {\"name\",\"value\"}",
		    v);
	if (v->count > CHECK_TAGS_MAX)
		return answer_set(r->no, ANSWER_VALIDATION,
		    "tags: has %u tags, at most %d are allowed", v->count,
		    CHECK_TAGS_MAX);
	out->tag = arena_calloc(r->arena, v->count, sizeof(out->tag[0]));
	json_each(item, v)
	{
		struct check_field f = check_field("tags", (int)n);
		struct mail_field *tag = &out->tag[n++];

		if (item->type != JSON_OBJECT)
			return shape_no(r, f.s,
			    "an object {\"name\",\"value\"}", item);
		if (members_check(&tag_members, f.s, item, r->no) < 0 ||
		    read_text(r, item, f.s, "name", &tag->name) < 0 ||
		    read_text(r, item, f.s, "value", &tag->value) < 0)
			return -1;
	}
	out->tag_count = n;
	return 0;
}

/* ---- Attachments --------------------------------------------------------- */

static int
data_of_base64(struct reader *r, const char *field, struct slice text,
    struct slice *out)
{
	char *own;
	size_t n = 0;

	if (text.len > 0) {
		/* The same octets, by the pointer that may change them. */
		own = r->body + (text.ptr - r->body);
		if (!octets_of_base64(own, text.len, &n))
			return answer_set(r->no, ANSWER_ATTACHMENT,
			    "%s: its content is not base64 (RFC 4648 section "
			    "4, with padding, without a data: prefix)",
			    field);
	}
	*out = slice_mem(text.ptr != NULL ? text.ptr : "", n);
	return 0;
}

/* A short one, or one with something wrong in it: see JSON_OCTETS. */
static int
data_of_array(struct reader *r, const char *field, const struct json *list,
    struct slice *out)
{
	uint8_t *data = arena_alloc(r->arena, list->count);
	size_t n = 0;

	json_each(item, list)
	{
		int64_t octet;

		if (!json_to_i64(item, &octet) || octet < 0 || octet > 255)
			return answer_set(r->no, ANSWER_ATTACHMENT,
			    "%s: its content[%zu] is not an integer 0..255",
			    field, n);
		data[n++] = (uint8_t)octet;
	}
	*out = slice_mem(data, n);
	return 0;
}

/* A base64 string, an array of integers, or what JSON.stringify makes of a
 * Buffer of Node: {"type":"Buffer","data":[...]}. */
static int
read_data(struct reader *r, const char *field, const struct json *v,
    struct slice *out)
{
	const struct json *buffer = NULL;

	if (v->type == JSON_OBJECT &&
	    slice_eq_text(json_get_text(v, "type"), "Buffer"))
		buffer = member(v, "data");
	if (buffer != NULL)
		v = buffer;
	if (v->type == JSON_STRING)
		return data_of_base64(r, field, v->text, out);
	if (v->type == JSON_OCTETS) {
		*out = v->text;
		return 0;
	}
	if (v->type == JSON_ARRAY)
		return data_of_array(r, field, v, out);
	return answer_set(r->no, ANSWER_ATTACHMENT,
	    "%s: its content must be a base64 string or an array of integers, "
	    "but is of type %s",
	    field, json_type_name(v->type));
}

static int
read_attachment(struct reader *r, const struct json *item, int index,
    struct mail_attachment *out)
{
	struct check_field f = check_field("attachments", index);
	const struct json *content;

	if (item->type != JSON_OBJECT)
		return shape_no(r, f.s, "an object", item);
	if (members_check(&attachment_members, f.s, item, r->no) < 0 ||
	    read_text(r, item, f.s, "filename", &out->filename) < 0 ||
	    read_text(r, item, f.s, "content_type", &out->content_type) < 0 ||
	    read_text(r, item, f.s, "content_id", &out->content_id) < 0)
		return -1;
	content = member(item, "content");
	if (content != NULL) {
		if (out->filename.len == 0)
			out->filename = slice_of(
			    arena_fmt(r->arena, "attachment-%d", index + 1));
		return read_data(r, f.s, content, &out->data);
	}
	if (member(item, "path") != NULL)
		return answer_set(r->no, ANSWER_ATTACHMENT,
		    "%s: fetching a file by its path is not supported by this "
		    "server: send it as base64 in content",
		    f.s);
	return answer_set(r->no, ANSWER_ATTACHMENT,
	    "%s: has no content: send the file as base64 in content", f.s);
}

static int
read_attachments(struct reader *r, const struct json *obj,
    struct mail_content *out)
{
	const struct json *v = member(obj, "attachments");
	int n = 0;

	if (v == NULL)
		return 0;
	if (v->type != JSON_ARRAY)
		return shape_no(r, "attachments", "an array of objects", v);
	if (v->count > CHECK_ATTACHMENTS_MAX)
		return answer_set(r->no, ANSWER_ATTACHMENT,
		    "attachments: has %u files, at most %d are allowed",
		    v->count, CHECK_ATTACHMENTS_MAX);
	out->attachment =
	    arena_calloc(r->arena, v->count, sizeof(out->attachment[0]));
	json_each(item, v)
	{
		if (read_attachment(r, item, n, &out->attachment[n]) < 0)
			return -1;
		n++;
	}
	out->attachment_count = (size_t)n;
	return 0;
}

/* ---- The whole ----------------------------------------------------------- */

static int
refuse_unsupported(struct reader *r, const struct json *obj)
{
	static const struct {
		const char *name, *instead;
	} fields[] = {
		{ "scheduled_at", "send it when it is due" },
		{ "template", "send html or text" },
		{ "topic_id", "leave it out" },
	};

	for (size_t i = 0; i < ARRAY_LEN(fields); i++)
		if (member(obj, fields[i].name) != NULL)
			return answer_set(r->no, ANSWER_VALIDATION,
			    "%s: is not supported by this server: %s",
			    fields[i].name, fields[i].instead);
	return 0;
}

/*
 * An empty html is as good as none. An empty text beside an html says: make
 * no text part of the html.
 */
static int
read_bodies(struct reader *r, const struct json *obj, struct mail_content *out)
{
	if (read_text(r, obj, "html", "html", &out->html) < 0 ||
	    read_text(r, obj, "text", "text", &out->text) < 0)
		return -1;
	if (out->html.len == 0)
		out->html = (struct slice){ NULL, 0 };
	if (out->text.ptr != NULL && out->text.len == 0) {
		out->text_opted_out = out->html.ptr != NULL;
		out->text = (struct slice){ NULL, 0 };
	}
	return 0;
}

/* Ours, beyond Resend's members: what happens when nobody knows whether the
 * far end has taken the message. */
static int
read_delivery(struct reader *r, const struct json *obj,
    struct mail_content *out)
{
	struct slice text = { NULL, 0 };

	if (read_text(r, obj, "delivery", "delivery", &text) < 0)
		return -1;
	out->exactly_once = slice_eq_text(text, "exactly_once");
	if (text.ptr == NULL || out->exactly_once ||
	    slice_eq_text(text, "at_least_once"))
		return 0;
	return answer_set(r->no, ANSWER_VALIDATION,
	    "delivery: '%s' is neither at_least_once (the default) nor "
	    "exactly_once",
	    answer_quote(text).s);
}

/* Ours, too: whose turn it is when much waits, and the pool of addresses. */
static int
read_stream(struct reader *r, const struct json *obj, struct mail_content *out)
{
	struct slice text = { NULL, 0 };

	if (read_text(r, obj, "stream", "stream", &text) < 0)
		return -1;
	out->broadcast = slice_eq_text(text, "broadcast");
	if (text.ptr == NULL || out->broadcast ||
	    slice_eq_text(text, "transactional"))
		return 0;
	return answer_set(r->no, ANSWER_VALIDATION,
	    "stream: '%s' is neither transactional (the default) nor broadcast",
	    answer_quote(text).s);
}

static int
read_email(struct reader *r, const struct json *obj, struct mail_content *out)
{
	if (members_check(&email_members, NULL, obj, r->no) < 0 ||
	    refuse_unsupported(r, obj) < 0 || read_from(r, obj, out) < 0 ||
	    read_addresses(r, obj, "to", &out->to, &out->to_count) < 0 ||
	    read_addresses(r, obj, "cc", &out->cc, &out->cc_count) < 0 ||
	    read_addresses(r, obj, "bcc", &out->bcc, &out->bcc_count) < 0 ||
	    read_addresses(r, obj, "reply_to", &out->reply_to,
		&out->reply_to_count) < 0)
		return -1;
	if (read_text(r, obj, "subject", "subject", &out->subject) < 0 ||
	    read_bodies(r, obj, out) < 0 || read_headers(r, obj, out) < 0 ||
	    read_tags(r, obj, out) < 0 || read_delivery(r, obj, out) < 0 ||
	    read_stream(r, obj, out) < 0)
		return -1;
	return read_attachments(r, obj, out);
}

int
email_json_read(struct arena *arena, char *body, size_t len,
    size_t recipients_max, struct mail_content *out, struct intake_answer *no)
{
	struct reader r = { arena, body, recipients_max, no };
	const struct json *obj;
	struct error err = { 0 };

	*out = (struct mail_content){ 0 };
	if (len == 0)
		return answer_set(no, ANSWER_VALIDATION,
		    "The request has no body: send a JSON object");
	if (json_parse(arena, body, len, &obj, &err) < 0)
		return answer_set(no, ANSWER_VALIDATION,
		    "The request body is not valid JSON: %s", err.text);
	if (obj->type != JSON_OBJECT)
		return answer_set(no, ANSWER_VALIDATION,
		    "The request body must be a JSON object, but is of type "
		    "%s",
		    json_type_name(obj->type));
	return read_email(&r, obj, out);
}
