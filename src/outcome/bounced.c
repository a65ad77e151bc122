#include "outcome/bounced.h"

#include "base/clock.h"
#include "base/json.h"
#include "outcome/event_data.h"

bool
bounced_read(struct arena *arena, const struct store_recipient *r,
    struct bounced *out)
{
	const struct json *data, *code, *dsn;
	int64_t n = 0;

	if (r->status != STATUS_BOUNCED)
		return false;
	*out =
	    (struct bounced){ .at_ms = r->end_at_ms != 0 ? r->end_at_ms
							 : r->finished_at_ms };
	data = event_data_parse(arena, r->end_data);
	code = json_get(data, "code");
	if (code != NULL && json_to_i64(code, &n) && n >= 0 && n <= 999)
		out->code = (int)n;
	dsn = json_get(data, "dsn");
	out->by_dsn = dsn != NULL && dsn->type == JSON_TRUE;
	out->status = json_get_text(data, "status");
	out->text = json_get_text(data, "text");
	out->mx = json_get_text(data, "mx");
	return true;
}

/* Reports often quote the whole reply: then its numbers stand in the text. */
static void
add_reply(struct strbuf *out, const struct bounced *b)
{
	struct strbuf code = STRBUF_INIT;

	if (b->code != 0)
		strbuf_add_fmt(&code, "%d", b->code);
	strbuf_add_char(out, ':');
	if (b->code == 0 || !slice_starts(b->text, strbuf_slice(&code))) {
		if (b->code != 0)
			strbuf_add_fmt(out, " %d", b->code);
		if (b->status.len > 0 && !slice_starts(b->text, b->status))
			strbuf_add_fmt(out, " %.*s", SLICE_FMT(b->status));
	}
	if (b->text.len > 0)
		strbuf_add_fmt(out, " %.*s", SLICE_FMT(b->text));
	strbuf_fini(&code);
}

void
bounced_add_text(struct strbuf *out, const struct bounced *b)
{
	char when[CLOCK_ISO_LEN];

	clock_format_iso(b->at_ms, when);
	strbuf_add_fmt(out, "bounced at %s", when);
	if (b->code != 0 || b->status.len > 0 || b->text.len > 0)
		add_reply(out, b);
	if (b->mx.len > 0)
		strbuf_add_fmt(out, ", %s %.*s",
		    b->by_dsn ? "reported by" : "said", SLICE_FMT(b->mx));
}
