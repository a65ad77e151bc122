#include "outcome/event_data.h"

#include "base/clock.h"
#include "base/json.h"

static void
text_if(struct json_writer *w, const char *name, struct slice value)
{
	if (value.len > 0)
		json_text(w, name, value);
}

static void
add_canceled(struct json_writer *w, const struct canceled *c)
{
	struct strbuf text = STRBUF_INIT;

	canceled_add_text(&text, c);
	json_text(w, "text", strbuf_slice(&text));
	canceled_write(w, c);
	strbuf_fini(&text);
}

void
event_data_write(struct strbuf *out, const struct event_data *d)
{
	char status[MAIL_STATUS_TEXT], when[CLOCK_ISO_LEN];
	struct json_writer w;

	json_writer_init(&w, out);
	json_begin_object(&w, NULL);
	if (d->code != 0)
		json_int(&w, "code", d->code);
	mail_status_format(d->status, status);
	text_if(&w, "status", slice_of(status));
	if (d->canceled != NULL)
		add_canceled(&w, d->canceled);
	else
		text_if(&w, "text", d->text);
	text_if(&w, "mx", d->mx);
	if (d->attempt != 0)
		json_int(&w, "attempt", d->attempt);
	if (d->retry_at_ms != 0) {
		clock_format_iso(d->retry_at_ms, when);
		json_cstr(&w, "retry_at", when);
	}
	if (d->class != NULL)
		json_cstr(&w, "class", d->class);
	if (d->reason != NULL && d->canceled == NULL)
		json_cstr(&w, "reason", d->reason);
	if (d->dsn)
		json_bool(&w, "dsn", true);
	if (d->outcome_unknown)
		json_bool(&w, "outcome_unknown", true);
	json_end(&w);
}

const struct json *
event_data_parse(struct arena *arena, struct slice data)
{
	const struct json *value;
	struct error bad;

	if (data.len == 0 ||
	    json_parse(arena, arena_dup(arena, data), data.len, &value, &bad) <
		0)
		return NULL;
	return value;
}
