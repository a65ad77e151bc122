#include "outcome/canceled.h"

#include "base/json.h"

#define OPERATOR "operator"
#define SENDER "sender"

void
canceled_add_text(struct strbuf *out, const struct canceled *c)
{
	strbuf_add_fmt(out, "canceled by the %s",
	    c->by_operator ? OPERATOR : SENDER);
	if (c->scope.len > 0)
		strbuf_add_fmt(out, ": %.*s %.*s", SLICE_FMT(c->scope),
		    SLICE_FMT(c->value));
	if (c->reason.len > 0)
		strbuf_add_fmt(out, " (%.*s)", SLICE_FMT(c->reason));
}

static void
text_if(struct json_writer *w, const char *name, struct slice value)
{
	if (value.len > 0)
		json_text(w, name, value);
}

void
canceled_write(struct json_writer *w, const struct canceled *c)
{
	json_cstr(w, "by", c->by_operator ? OPERATOR : SENDER);
	if (!id_is_zero(c->rule))
		json_cstr(w, "rule", id_text(c->rule).s);
	text_if(w, "scope", c->scope);
	text_if(w, "value", c->value);
	text_if(w, "reason", c->reason);
}

void
canceled_read(const struct json *data, int64_t at_ms, struct canceled *out)
{
	*out = (struct canceled){
		.by_operator =
		    slice_eq_text(json_get_text(data, "by"), OPERATOR),
		.scope = json_get_text(data, "scope"),
		.value = json_get_text(data, "value"),
		.reason = json_get_text(data, "reason"),
		.at_ms = at_ms,
	};
	/* A rule's id is of the time of its command. */
	if (id_parse(json_get_text(data, "rule"), &out->rule))
		out->at_ms = id_time_ms(out->rule);
}
