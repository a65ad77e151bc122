/* intake/answer.c - the table of answers; see the header. */
#include "intake/answer.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/encode.h"

static const struct {
	int status;
	const char *name;
} answers[ANSWER_KIND_COUNT] = {
	[ANSWER_OK] = { 200, "ok" },
	[ANSWER_VALIDATION] = { 400, "validation_error" },
	[ANSWER_IDEMPOTENCY_KEY] = { 400, "invalid_idempotency_key" },
	[ANSWER_KEY_MISSING] = { 401, "missing_api_key" },
	[ANSWER_KEY_RESTRICTED] = { 401, "restricted_api_key" },
	[ANSWER_KEY_INVALID] = { 403, "invalid_api_key" },
	[ANSWER_DOMAIN] = { 403, "validation_error" },
	[ANSWER_NOT_FOUND] = { 404, "not_found" },
	[ANSWER_IDEMPOTENT_CLASH] = { 409, "invalid_idempotent_request" },
	[ANSWER_IDEMPOTENT_BUSY] = { 409, "concurrent_idempotent_requests" },
	[ANSWER_CONFLICT] = { 409, "resource_locked" },
	[ANSWER_TOO_LARGE] = { 413, "validation_error" },
	[ANSWER_FIELD_MISSING] = { 422, "missing_required_field" },
	[ANSWER_PARAMETER] = { 422, "invalid_parameter" },
	[ANSWER_ATTACHMENT] = { 422, "invalid_attachment" },
	[ANSWER_SUPPRESSED] = { 422, "email_suppressed" },
	[ANSWER_RATE] = { 429, "rate_limit_exceeded" },
	[ANSWER_INTERNAL] = { 500, "internal_server_error" },
	[ANSWER_UNAVAILABLE] = { 503, "service_unavailable" },
};

int
answer_status(enum answer_kind kind)
{
	return answers[kind].status;
}

const char *
answer_name(enum answer_kind kind)
{
	return answers[kind].name;
}

/* Texts of other rooms may quote foreign octets. */
static char
printable(char c)
{
	return (unsigned char)c < 0x20 || c == 0x7f ? '?' : c;
}

int
answer_set(struct intake_answer *a, enum answer_kind kind, const char *fmt, ...)
{
	char text[ANSWER_TEXT_MAX * 2];
	struct slice whole, cut;
	va_list ap;
	int len;

	va_start(ap, fmt);
	len = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	whole = slice_of(len < 0 ? "" : text);
	cut = whole;
	if (whole.len >= sizeof(a->message))
		cut = utf8_cut(whole, sizeof(a->message) - 4);

	memset(a, 0, sizeof(*a));
	a->kind = kind;
	for (size_t i = 0; i < cut.len; i++)
		a->message[i] = printable(cut.ptr[i]);
	if (cut.len < whole.len)
		memcpy(a->message + cut.len, "...", 4);
	return -1;
}

struct answer_quote
answer_quote(struct slice text)
{
	struct slice cut = utf8_cut(text, ANSWER_QUOTE_MAX);
	struct answer_quote q = { { 0 } };
	size_t n = 0;

	for (size_t i = 0; i < cut.len; i++)
		q.s[n++] = printable(cut.ptr[i]);
	if (cut.len < text.len)
		memcpy(q.s + n, "...", 4);
	return q;
}
