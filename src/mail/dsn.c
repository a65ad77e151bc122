/*
 * The body is blocks of fields with empty lines between: the first is about
 * the message, the others about a recipient each. Real reports leave the empty
 * line out, or put several recipients into one block; so a recipient begins at
 * its first field of these, and ends at an empty line or when Final-Recipient
 * comes again.
 */
#include "mail/dsn.h"

#include "base/encode.h"
#include "base/strbuf.h"

#define FIELD_MAX 8192 /* octets of one unfolded field that are looked at */
#define FIELDS_MAX 20000

struct reader {
	struct arena *arena;
	struct dsn *out;
	struct dsn_recipient now; /* the block being read */
	bool is_open;		  /* a field of a recipient was seen */
	bool has_final, has_action, has_status;
};

/* ---- texts ---- */

struct slice
dsn_text(struct arena *arena, struct slice raw)
{
	char *text = arena_alloc(arena, MIN(raw.len, (size_t)DSN_TEXT_MAX) + 4);
	size_t n = 0;
	bool blank = true; /* what went before is one, so none is added */

	while (raw.len > 0 && n < DSN_TEXT_MAX) {
		struct slice rest = raw;
		uint32_t c = utf8_take(&rest);
		size_t len = raw.len - rest.len;

		if (c <= ' ' || c == 0x7f || c == 0x85 || c == 0xa0) {
			if (!blank)
				text[n++] = ' ';
			blank = true;
		} else if (c == 0xfffd && len == 1) {
			text[n++] = '?';
			blank = false;
		} else if ((c > 0x7f && c < 0xa0) || n + len > DSN_TEXT_MAX) {
			text[n++] = '?';
			blank = false;
		} else {
			memcpy(text + n, raw.ptr, len);
			n += len;
			blank = false;
		}
		raw = rest;
	}
	if (n > 0 && blank)
		n--;
	return slice_mem(text, n);
}

/* What stands behind "type;": the type is of no use to us. */
static struct slice
after_type(struct slice value)
{
	size_t at = slice_find_char(value, ';');

	return at < value.len ? slice_trim(slice_from(value, at + 1)) : value;
}

/* An address, without the brackets that some put around it. */
static struct slice
address_of(struct slice value)
{
	value = slice_trim_lines(after_type(value));
	if (value.len > 1 && value.ptr[0] == '<') {
		size_t end = slice_find_char(value, '>');

		if (end < value.len)
			value = slice_from(slice_first(value, end), 1);
	}
	return value;
}

/* ---- codes ---- */

/* X.Y.Z anywhere in text, the first that stands by itself. */
static bool
find_status(struct slice text, struct mail_status *out)
{
	for (size_t i = 0; i < text.len; i++) {
		struct slice at;
		struct mail_status s;
		bool ok = true;

		if (text.ptr[i] != '2' && text.ptr[i] != '4' &&
		    text.ptr[i] != '5')
			continue;
		if (i > 0 &&
		    (ascii_is_alnum(text.ptr[i - 1]) || text.ptr[i - 1] == '.'))
			continue;
		at = slice_from(text, i);
		for (size_t n = 0; n < 3 && ok; n++)
			ok = (n == 0 || slice_take_char(&at, '.')) &&
			    slice_take_uint(&at, 3, &s.part[n]);
		if (ok && s.part[0] < 10 &&
		    (at.len == 0 ||
			(!ascii_is_alnum(at.ptr[0]) &&
			    !(at.ptr[0] == '.' && at.len > 1 &&
				ascii_is_digit(at.ptr[1]))))) {
			*out = s;
			return true;
		}
	}
	return false;
}

/* The three digits that an SMTP reply begins with; 0: none. */
static unsigned int
reply_code(struct slice text)
{
	uint16_t code;

	text = slice_trim_lines(text);
	if (!slice_take_uint(&text, 3, &code) || code < 200 || code > 599)
		return 0;
	if (text.len > 0 && text.ptr[0] != ' ' && text.ptr[0] != '-' &&
	    text.ptr[0] != '\t')
		return 0;
	return code;
}

static bool
parse_action(struct slice value, enum dsn_action *out)
{
	static const char *const names[] = {
		[DSN_FAILED] = "failed",
		[DSN_DELAYED] = "delayed",
		[DSN_DELIVERED] = "delivered",
		[DSN_RELAYED] = "relayed",
		[DSN_EXPANDED] = "expanded",
	};

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		struct slice name = slice_of(names[i]);

		/* A comment may follow. */
		if (slice_starts_nocase(value, name) &&
		    (value.len == name.len ||
			!ascii_is_alnum(value.ptr[name.len]))) {
			*out = (enum dsn_action)i;
			return true;
		}
	}
	return false;
}

/* ---- blocks ---- */

/* Without Action the class of the status speaks. */
static bool
settle_action(struct reader *r)
{
	if (r->has_action)
		return true;
	switch (r->now.status.part[0]) {
	case 5:
		r->now.action = DSN_FAILED;
		return true;
	case 4:
		r->now.action = DSN_DELAYED;
		return true;
	case 2:
		r->now.action = DSN_DELIVERED;
		return true;
	default:
		return false;
	}
}

static void
end_recipient(struct reader *r)
{
	struct slice text = r->now.diagnostic;

	if (r->is_open && r->out->count < DSN_RECIPIENTS_MAX) {
		r->now.reply_code = reply_code(text);
		if (!r->has_status)
			(void)find_status(text, &r->now.status);
		if (settle_action(r))
			r->out->recipient[r->out->count++] = r->now;
	}
	r->now = (struct dsn_recipient){ 0 };
	r->is_open = r->has_final = r->has_action = r->has_status = false;
}

static void
on_field(struct reader *r, struct slice name, struct slice value)
{
	if (slice_eq_nocase(name, SLICE("Reporting-MTA"))) {
		if (r->out->reporting_mta.len == 0)
			r->out->reporting_mta =
			    dsn_text(r->arena, after_type(value));
	} else if (slice_eq_nocase(name, SLICE("Final-Recipient"))) {
		if (r->has_final)
			end_recipient(r);
		r->has_final = r->is_open = true;
		r->now.final_recipient = dsn_text(r->arena, address_of(value));
	} else if (slice_eq_nocase(name, SLICE("Original-Recipient"))) {
		r->is_open = true;
		r->now.original_recipient =
		    dsn_text(r->arena, address_of(value));
	} else if (slice_eq_nocase(name, SLICE("Action"))) {
		r->is_open = true;
		r->has_action = parse_action(value, &r->now.action);
	} else if (slice_eq_nocase(name, SLICE("Status"))) {
		r->is_open = true;
		r->has_status = find_status(value, &r->now.status);
	} else if (slice_eq_nocase(name, SLICE("Remote-MTA"))) {
		r->now.remote_mta = dsn_text(r->arena, after_type(value));
	} else if (slice_eq_nocase(name, SLICE("Diagnostic-Code"))) {
		r->now.diagnostic = dsn_text(r->arena, after_type(value));
	}
}

/* line: "Name: value", unfolded. */
static void
on_line(struct reader *r, struct slice line)
{
	size_t colon = slice_find_char(line, ':');

	if (colon < line.len)
		on_field(r, slice_trim(slice_first(line, colon)),
		    slice_trim(slice_from(line, colon + 1)));
}

static bool
is_empty_line(struct slice line)
{
	return slice_trim_lines(line).len == 0;
}

int
dsn_parse(struct arena *arena, struct slice body, struct dsn *out,
    struct error *err)
{
	struct strbuf field;
	struct dsn dsn = { 0 };
	struct reader r = { .arena = arena, .out = &dsn };
	struct slice line;
	size_t fields = 0;

	strbuf_init(&field, FIELD_MAX);
	while (slice_take_line(&body, &line) && fields < FIELDS_MAX) {
		if (line.len > 0 && (*line.ptr == ' ' || *line.ptr == '\t') &&
		    !is_empty_line(line)) {
			strbuf_add_slice(&field, line);
			continue;
		}
		on_line(&r, strbuf_slice(&field));
		strbuf_reset(&field);
		fields++;
		if (is_empty_line(line))
			end_recipient(&r);
		else
			strbuf_add_slice(&field, slice_first(line, FIELD_MAX));
	}
	on_line(&r, strbuf_slice(&field));
	end_recipient(&r);
	strbuf_fini(&field);
	if (dsn.count == 0)
		return error_set(err, ERR_SYNTAX,
		    "no recipient with an action in the delivery status");
	*out = dsn;
	return 0;
}
