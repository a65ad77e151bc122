#include "hooks/payload.h"

#include "base/arena.h"
#include "base/clock.h"
#include "base/crypto.h"
#include "base/encode.h"
#include "base/json.h"
#include "mail/content.h"

/* What an event adds beside the fields that all have. */
struct detail {
	const struct json *data; /* events.data, or NULL */
	int64_t code;
	struct slice status, text;
};

static void
write_from(struct json_writer *w, const struct mail_address *from)
{
	struct strbuf text = STRBUF_INIT;

	if (from->display.len > 0) {
		strbuf_add_slice(&text, from->display);
		strbuf_add_text(&text, " <");
	}
	mail_address_add_addr(&text, from);
	if (from->display.len > 0)
		strbuf_add_char(&text, '>');
	json_text(w, "from", strbuf_slice(&text));
	strbuf_fini(&text);
}

/* It ends in the domain that the email came from, which may be gone since. */
static void
write_message_id(struct json_writer *w, const struct hooks_event *e,
    const struct mail_content *content)
{
	struct strbuf text = STRBUF_INIT;

	id_add_message_id(&text, e->message_id, e->email, content->from.domain);
	json_text(w, "message_id", strbuf_slice(&text));
	strbuf_fini(&text);
}

/* An object; a name that comes twice has its first value. */
static void
write_tags(struct json_writer *w, const struct mail_content *content)
{
	json_begin_object(w, "tags");
	for (size_t i = 0; i < content->tag_count; i++) {
		bool seen = false;

		for (size_t j = 0; j < i; j++)
			seen = seen ||
			    slice_eq(content->tag[j].name,
				content->tag[i].name);
		if (!seen)
			json_text_named(w, content->tag[i].name,
			    content->tag[i].value);
	}
	json_end(w);
}

static void
write_time(struct json_writer *w, const char *name, int64_t ms)
{
	char text[CLOCK_ISO_LEN];

	clock_format_iso(ms, text);
	json_cstr(w, name, text);
}

/* What the far end said, in the form of a Diagnostic-Code of RFC 3464:
 * "smtp; 550 5.1.1 no such user". */
static void
write_diagnostic(struct json_writer *w, const struct detail *d)
{
	struct strbuf text = STRBUF_INIT;

	json_begin_array(w, "diagnosticCode");
	if (d->code != 0 || d->status.len > 0) {
		strbuf_add_text(&text, "smtp;");
		if (d->code != 0)
			strbuf_add_fmt(&text, " %d", (int)d->code);
		if (d->status.len > 0 && !slice_starts(d->text, d->status))
			strbuf_add_fmt(&text, " %.*s", SLICE_FMT(d->status));
		if (d->text.len > 0)
			strbuf_add_fmt(&text, " %.*s", SLICE_FMT(d->text));
		json_text(w, NULL, strbuf_slice(&text));
	}
	json_end(w);
	strbuf_fini(&text);
}

static void
write_message(struct json_writer *w, const struct detail *d, const char *other)
{
	if (d->text.len > 0)
		json_text(w, "message", d->text);
	else
		json_cstr(w, "message", other);
}

/* Resend's sub-types (which are those of SES) by enhanced status. */
static const struct {
	const char *status, *sub_type;
} sub_types[] = {
	{ "5.1.1", "NoEmail" },
	{ "5.1.2", "NoEmail" },
	{ "5.1.3", "NoEmail" },
	{ "5.1.6", "NoEmail" },
	{ "5.1.10", "NoEmail" },
	{ "5.2.2", "MailboxFull" },
	{ "5.2.3", "MessageTooLarge" },
	{ "5.3.4", "MessageTooLarge" },
	{ "5.6.0", "ContentRejected" },
	{ "5.7.7", "ContentRejected" },
};

static void
write_bounce(struct json_writer *w, const struct detail *d)
{
	const char *sub_type = "General";

	for (size_t i = 0; i < ARRAY_LEN(sub_types); i++) {
		if (slice_eq_text(d->status, sub_types[i].status))
			sub_type = sub_types[i].sub_type;
	}
	json_begin_object(w, "bounce");
	json_cstr(w, "type", "Permanent");
	json_cstr(w, "subType", sub_type);
	write_message(w, d, "The recipient's server refused the message.");
	write_diagnostic(w, d);
	json_end(w);
}

static bool
is_true(const struct json *data, const char *name)
{
	const struct json *v = json_get(data, name);

	return v != NULL && v->type == JSON_TRUE;
}

static void
write_failed(struct json_writer *w, const struct detail *d)
{
	struct slice reason = json_get_text(d->data, "reason");

	json_begin_object(w, "failed");
	json_text(w, "reason", reason.len > 0 ? reason : SLICE("unknown"));
	if (d->text.len > 0)
		json_text(w, "message", d->text);
	if (is_true(d->data, "outcome_unknown"))
		json_bool(w, "outcome_unknown", true);
	json_end(w);
}

static void
write_suppressed(struct json_writer *w, const struct detail *d)
{
	static const struct {
		const char *origin, *reason, *message;
	} origins[] = {
		{ "bounce", "previous_bounce",
		    "Not sent: an earlier email to this address bounced." },
		{ "complaint", "previous_complaint",
		    "Not sent: the recipient complained about an earlier "
		    "email." },
		{ "", "on_suppression_list",
		    "Not sent: the address is on the suppression list." },
	};
	struct slice origin = json_get_text(d->data, "origin");
	size_t i = 0;

	while (i < ARRAY_LEN(origins) - 1 &&
	    !slice_eq_text(origin, origins[i].origin))
		i++;
	json_begin_object(w, "suppressed");
	json_cstr(w, "type", "OnAccountSuppressionList");
	json_cstr(w, "reason", origins[i].reason);
	write_message(w, d, origins[i].message);
	write_diagnostic(w, d);
	json_end(w);
}

static void
write_delay(struct json_writer *w, const struct detail *d)
{
	struct slice retry_at = json_get_text(d->data, "retry_at");

	json_begin_object(w, "delay");
	write_message(w, d, "The message could not be delivered yet.");
	write_diagnostic(w, d);
	if (retry_at.len > 0)
		json_text(w, "retry_at", retry_at);
	if (is_true(d->data, "outcome_unknown"))
		json_bool(w, "outcome_unknown", true);
	json_end(w);
}

/* The members that GET /emails/{id} has. */
static void
write_canceled(struct json_writer *w, const struct detail *d)
{
	static const char *const members[] = { "by", "rule", "scope", "value",
		"reason" };

	json_begin_object(w, "canceled");
	for (size_t i = 0; i < ARRAY_LEN(members); i++) {
		struct slice value = json_get_text(d->data, members[i]);

		if (value.len > 0)
			json_text(w, members[i], value);
	}
	write_message(w, d, "Canceled before it was sent.");
	json_end(w);
}

static void
write_detail(struct json_writer *w, enum event_kind kind,
    const struct detail *d)
{
	switch (kind) {
	case EVENT_BOUNCED:
		write_bounce(w, d);
		break;
	case EVENT_FAILED:
		write_failed(w, d);
		break;
	case EVENT_SUPPRESSED:
		write_suppressed(w, d);
		break;
	case EVENT_DELIVERY_DELAYED:
		write_delay(w, d);
		break;
	case EVENT_CANCELED:
		write_canceled(w, d);
		break;
	case EVENT_QUEUED:
	case EVENT_SCHEDULED:
	case EVENT_SENT:
	case EVENT_DELIVERED:
	case EVENT_COMPLAINED:
	case EVENT_OPENED:
	case EVENT_CLICKED:
		break;
	}
}

static int
read_detail(struct arena *arena, struct slice text, struct detail *out,
    struct error *err)
{
	const struct json *code;

	*out = (struct detail){ 0 };
	if (text.ptr == NULL)
		return 0;
	if (json_parse(arena, arena_dup(arena, text), text.len, &out->data,
		err) < 0)
		return error_add(err, "data of the event");
	code = json_get(out->data, "code");
	if (code != NULL)
		(void)json_to_i64(code, &out->code);
	out->status = json_get_text(out->data, "status");
	out->text = json_get_text(out->data, "text");
	return 0;
}

static int
write_event(struct arena *arena, struct strbuf *out,
    const struct hooks_event *e, const char *type, struct error *err)
{
	struct mail_content content;
	struct detail detail;
	struct json_writer w;

	if (mail_content_decode(arena, e->head, &content, err) < 0)
		return error_add(err, "record of the email");
	if (read_detail(arena, e->data, &detail, err) < 0)
		return -1;
	json_writer_init(&w, out);
	json_begin_object(&w, NULL);
	json_cstr(&w, "type", type);
	write_time(&w, "created_at", e->at_ms);
	json_begin_object(&w, "data");
	json_cstr(&w, "email_id", id_text(e->email).s);
	write_message_id(&w, e, &content);
	write_time(&w, "created_at", e->email_created_at_ms);
	write_from(&w, &content.from);
	json_begin_array(&w, "to");
	json_text(&w, NULL, e->address);
	json_end(&w);
	json_text(&w, "subject", content.subject);
	write_tags(&w, &content);
	write_detail(&w, e->kind, &detail);
	json_end(&w);
	json_end(&w);
	return 0;
}

int
hooks_payload_write(struct strbuf *out, const struct hooks_event *e,
    struct error *err)
{
	const char *type = event_webhook_type(e->kind);
	struct arena arena = ARENA_INIT;
	int rc;

	if (type == NULL)
		return error_set(err, ERR_SYNTAX,
		    "no webhook is sent for events of kind %d", (int)e->kind);
	rc = write_event(&arena, out, e, type, err);
	arena_fini(&arena);
	return rc;
}

int
hooks_sign(struct strbuf *out, struct slice secret, struct slice id,
    int64_t timestamp_s, struct slice body, struct error *err)
{
	struct strbuf key = STRBUF_INIT, text = STRBUF_INIT;
	uint8_t mac[SHA256_LEN];
	int rc = -1;

	if (slice_starts(secret, SLICE("whsec_")))
		secret = slice_from(secret, 6);
	if (!base64_decode(&key, secret, false) || key.len == 0) {
		error_set(err, ERR_CRYPTO,
		    "the secret is not \"whsec_\" and base64");
		goto out;
	}
	strbuf_add_slice(&text, id);
	strbuf_add_fmt(&text, ".%lld.", (long long)timestamp_s);
	strbuf_add_slice(&text, body);
	crypto_hmac_sha256(strbuf_slice(&key), strbuf_slice(&text), mac);
	if (out->len > 0)
		strbuf_add_char(out, ' ');
	strbuf_add_text(out, "v1,");
	base64_encode(out, slice_mem(mac, sizeof(mac)), 0);
	rc = 0;
out:
	if (key.len > 0)
		explicit_bzero(key.ptr, key.len);
	strbuf_fini(&key);
	strbuf_fini(&text);
	return rc;
}
