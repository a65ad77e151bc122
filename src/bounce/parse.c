#include "bounce/parse.h"

#include <gmime/gmime.h>

#include "base/attr.h"
#include "base/strbuf.h"

/* What GMime is given: see tame(). */
#define LINES_MAX 50000
#define LINE_MAX_OCTETS 4000
#define FOLDED_MAX_OCTETS 8000

void
bounce_parse_init(void)
{
	g_mime_init();
}

struct search {
	unsigned int parts; /* looked at so far */
	GMimePart *found;   /* borrowed from the message */
};

static bool
is_delivery_status(GMimeObject *o)
{
	GMimeContentType *type = g_mime_object_get_content_type(o);

	return GMIME_IS_PART(o) &&
	    (g_mime_content_type_is_type(type, "message", "delivery-status") ||
		g_mime_content_type_is_type(type, "message",
		    "global-delivery-status"));
}

/*
 * The first delivery status that is a part of this mail itself. What lies in a
 * returned or forwarded message is about another mail: never looked into.
 */
static void
find(struct search *s, GMimeObject *o, unsigned int depth)
{
	GMimeMultipart *multipart;
	int count;

	if (o == NULL || s->found != NULL || depth > BOUNCE_DEPTH_MAX ||
	    ++s->parts > BOUNCE_PARTS_MAX)
		return;
	if (is_delivery_status(o)) {
		s->found = (GMimePart *)o;
		return;
	}
	if (!GMIME_IS_MULTIPART(o))
		return;
	multipart = (GMimeMultipart *)o;
	count = g_mime_multipart_get_count(multipart);
	for (int i = 0; i < count && s->found == NULL; i++)
		find(s, g_mime_multipart_get_part(multipart, i), depth + 1);
}

static void
set_kind(struct bounce_report *out)
{
	bool delayed = false;

	out->kind = BOUNCE_DELIVERED;
	for (size_t i = 0; i < out->dsn.count; i++) {
		if (out->dsn.recipient[i].action == DSN_FAILED)
			out->kind = BOUNCE_FAILED;
		delayed |= out->dsn.recipient[i].action == DSN_DELAYED;
	}
	if (out->kind != BOUNCE_FAILED && delayed)
		out->kind = BOUNCE_DELAYED;
}

static void
none(struct arena *arena, struct bounce_report *out, const char *why)
{
	out->kind = BOUNCE_NONE;
	out->detail = arena_slice(arena, slice_of(why));
}

/* The decoded content of the part. */
static void
read_status(struct arena *arena, GMimePart *part, struct bounce_report *out)
{
	GMimeDataWrapper *content = g_mime_part_get_content(part);
	GMimeStream *mem;
	struct slice body;
	struct error err;
	GByteArray *octets;

	if (content == NULL) {
		none(arena, out, "the delivery status is empty");
		return;
	}
	mem = g_mime_stream_mem_new();
	(void)g_mime_data_wrapper_write_to_stream(content, mem);
	octets = g_mime_stream_mem_get_byte_array((GMimeStreamMem *)mem);
	body = slice_first(slice_mem(octets->data, octets->len),
	    BOUNCE_DSN_BYTES_MAX);
	if (dsn_parse(arena, body, &out->dsn, &err) == 0)
		set_kind(out);
	else
		none(arena, out, err.text);
	g_object_unref(mem);
}

static void
read_message(struct arena *arena, GMimeMessage *message,
    struct bounce_report *out)
{
	const char *subject = g_mime_message_get_subject(message);
	struct search s = { 0 };

	if (subject != NULL)
		out->subject =
		    dsn_text(arena, slice_first(slice_of(subject), 4096));
	find(&s, g_mime_message_get_mime_part(message), 0);
	if (s.found != NULL)
		read_status(arena, s.found, out);
	else
		none(arena, out, "no delivery status part");
}

/* Mailbox files put a line in front of each mail. */
static struct slice
without_from_line(struct slice raw)
{
	struct slice line;

	if (slice_starts(raw, SLICE("From ")) ||
	    slice_starts(raw, SLICE(">From ")))
		(void)slice_take_line(&raw, &line);
	return raw;
}

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static struct slice
without_blanks(struct slice line)
{
	while (line.len > 0 && is_blank(line.ptr[0]))
		line = slice_from(line, 1);
	return line;
}

/*
 * GMime goes down its stack for every group and comment of an address, and
 * takes a kilobyte for every part and field, so that two megabytes of "g:"
 * or of "--b" end the process or fill it. No field, line or number of lines
 * of a real report is near these bounds; what is longer is broken up into
 * nonsense, in the returned mail, which nobody looks at.
 */
static void
tame(struct slice raw, struct strbuf *out)
{
	size_t lines = 0, folded = 0;
	struct slice line;

	strbuf_reserve(out, raw.len + raw.len / 64 + 2);
	while (lines < LINES_MAX && slice_take_line(&raw, &line)) {
		if (line.len == 0 || !is_blank(line.ptr[0]))
			folded = 0;
		else if (folded > FOLDED_MAX_OCTETS)
			line = without_blanks(line);
		folded += line.len;
		do {
			struct slice piece = slice_first(line, LINE_MAX_OCTETS);

			strbuf_add_slice(out, piece);
			strbuf_add_text(out, "\r\n");
			line = without_blanks(slice_from(line, piece.len));
			lines++;
		} while (line.len > 0 && lines < LINES_MAX);
	}
}

void
bounce_parse(struct arena *arena, struct slice raw, struct bounce_report *out)
{
	struct strbuf tamed = STRBUF_INIT;
	GMimeStream *stream;
	GMimeParser *parser;
	GMimeMessage *message;

	*out = (struct bounce_report){ 0 };
	tame(slice_first(without_from_line(raw), BOUNCE_RAW_MAX), &tamed);
	raw = strbuf_slice(&tamed);
	stream = g_mime_stream_mem_new_with_buffer(raw.len > 0 ? raw.ptr : "",
	    raw.len);
	parser = g_mime_parser_new_with_stream(stream);
	g_mime_parser_set_format(parser, GMIME_FORMAT_MESSAGE);
	message = g_mime_parser_construct_message(parser, NULL);
	if (message != NULL) {
		read_message(arena, message, out);
		g_object_unref(message);
	} else {
		none(arena, out, "not a mail");
	}
	g_object_unref(parser);
	g_object_unref(stream);
	strbuf_fini(&tamed);
}
