/*
 * The builder: whatever a sender puts in, what comes out are lines of at most
 * 998 octets that end in CRLF, in ASCII, with the header fields that we meant
 * and no others. The input is cut into fields at octets 0xff.
 *
 * fuzz-rooms: mail base
 * fuzz-packages: opendkim libidn2 libcrypto
 */
#include "base/encode.h"
#include "fuzz.h"
#include "mail/mime.h"

static const struct mime_options options = {
	.message_id = "id@example.org",
	.date_ms = 1764535199540,
	.boundary_seed = "seed",
};

/* Fields that only we write, and how often each may be there. */
static void
check_field_name(struct slice line, unsigned int *from, unsigned int *bcc)
{
	size_t colon = slice_find_char(line, ':');

	invariant(colon > 0 && colon < line.len);
	for (size_t i = 0; i < colon; i++)
		invariant(line.ptr[i] > ' ' && line.ptr[i] < 0x7f);
	*from += slice_eq_nocase(slice_first(line, colon), SLICE("from"));
	*bcc += slice_eq_nocase(slice_first(line, colon), SLICE("bcc"));
}

static void
check_message(struct slice message, bool ascii)
{
	unsigned int from = 0, bcc = 0;
	bool in_head = true;

	invariant(message.len > 2 && message.ptr[message.len - 1] == '\n');
	while (message.len > 0) {
		size_t end = slice_find(message, SLICE("\r\n"));
		struct slice line = slice_first(message, end);

		invariant(end < message.len);
		invariant(line.len <= 998);
		invariant(!slice_has_char(line, '\r'));
		invariant(!slice_has_char(line, '\n'));
		invariant(!slice_has_char(line, '\0'));
		invariant(!ascii || ascii_only(line));
		if (line.len == 0)
			in_head = false;
		else if (in_head && line.ptr[0] != ' ' && line.ptr[0] != '\t')
			check_field_name(line, &from, &bcc);
		message = slice_from(message, end + 2);
	}
	invariant(!in_head && from == 1 && bcc == 0);
}

static void
fill(struct arena *arena, struct slice in, struct mail_content *c)
{
	struct mail_attachment *files = arena_calloc(arena, 2, sizeof(*files));
	struct mail_field *fields = arena_calloc(arena, 2, sizeof(*fields));
	struct mail_address *to = arena_calloc(arena, 2, sizeof(*to));
	struct slice mode = slice_take_until(&in, '\xff');

	if (mail_address_parse(arena, slice_take_until(&in, '\xff'), &c->from,
		NULL) != 0)
		c->from = (struct mail_address){ { NULL, 0 }, SLICE("a"),
			SLICE("example.org"), false };
	c->to = to;
	while (c->to_count < 2 &&
	    mail_address_parse(arena, slice_take_until(&in, '\xff'),
		&to[c->to_count], NULL) == 0)
		c->to_count++;
	c->subject = slice_take_until(&in, '\xff');
	c->text = slice_take_until(&in, '\xff');
	if (slice_has_char(mode, 'h'))
		c->html = slice_take_until(&in, '\xff');
	if (slice_has_char(mode, 'n'))
		c->text = (struct slice){ NULL, 0 };
	c->header = fields;
	c->attachment = files;
	for (int i = 0; i < 2; i++) {
		fields[i].name = slice_take_until(&in, '\xff');
		fields[i].value = slice_take_until(&in, '\xff');
		files[i].filename = slice_take_until(&in, '\xff');
		files[i].content_type = slice_take_until(&in, '\xff');
		files[i].content_id = slice_take_until(&in, '\xff');
		files[i].data = slice_take_until(&in, '\xff');
	}
	c->header_count = 2;
	c->attachment_count = slice_has_char(mode, 'a') ? 2 : 0;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct strbuf out = STRBUF_INIT, record = STRBUF_INIT;
	struct slice in = slice_mem(data, size);
	struct mail_content c = { 0 }, again;
	struct arena arena = ARENA_INIT;
	struct error err;
	bool ascii;

	fill(&arena, in, &c);
	ascii = !c.from.smtputf8;
	for (size_t i = 0; i < c.to_count; i++)
		ascii = ascii && !c.to[i].smtputf8;
	mail_content_encode(&c, &record);
	invariant(mail_content_decode(&arena, strbuf_slice(&record), &again,
		      &err) == 0);
	mime_build(&again, &options, &out);
	check_message(strbuf_slice(&out), ascii);
	(void)!mail_content_decode(&arena, in, &again, &err);
	strbuf_fini(&out);
	strbuf_fini(&record);
	arena_fini(&arena);
	return 0;
}
