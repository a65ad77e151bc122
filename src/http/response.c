#include "response.h"

#include <stdio.h>
#include <time.h>

#include "base/attr.h"
#include "base/clock.h"
#include "base/json.h"

static const struct {
	int status;
	const char *reason;
} reasons[] = {
	{ 200, "OK" },
	{ 201, "Created" },
	{ 202, "Accepted" },
	{ 204, "No Content" },
	{ 400, "Bad Request" },
	{ 401, "Unauthorized" },
	{ 403, "Forbidden" },
	{ 404, "Not Found" },
	{ 405, "Method Not Allowed" },
	{ 408, "Request Timeout" },
	{ 409, "Conflict" },
	{ 413, "Content Too Large" },
	{ 414, "URI Too Long" },
	{ 417, "Expectation Failed" },
	{ 422, "Unprocessable Content" },
	{ 429, "Too Many Requests" },
	{ 431, "Request Header Fields Too Large" },
	{ 451, "Unavailable For Legal Reasons" },
	{ 500, "Internal Server Error" },
	{ 501, "Not Implemented" },
	{ 503, "Service Unavailable" },
	{ 505, "HTTP Version Not Supported" },
};

static const char *
reason_of(int status)
{
	for (size_t i = 0; i < ARRAY_LEN(reasons); i++)
		if (reasons[i].status == status)
			return reasons[i].reason;
	return "Other";
}

/* IMF-fixdate, RFC 9110 section 5.6.7. */
static const char *
date_text(struct http_date *date)
{
	static const char days[] = "SunMonTueWedThuFriSat";
	static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	int64_t second = clock_now_ms() / 1000;
	time_t t = (time_t)second;
	struct tm tm;

	if (second == date->second)
		return date->text;
	gmtime_r(&t, &tm);
	snprintf(date->text, sizeof(date->text),
	    "%.3s, %02d %.3s %04d %02d:%02d:%02d GMT",
	    days + (size_t)tm.tm_wday * 3, tm.tm_mday,
	    months + (size_t)tm.tm_mon * 3, tm.tm_year + 1900, tm.tm_hour,
	    tm.tm_min, tm.tm_sec);
	date->second = second;
	return date->text;
}

void
http_response_write(const struct http_response *r, struct http_date *date,
    struct strbuf *out)
{
	strbuf_add_text(out, "HTTP/1.1 ");
	strbuf_add_u64(out, (uint64_t)r->status);
	strbuf_add_char(out, ' ');
	strbuf_add_text(out, reason_of(r->status));
	strbuf_add_text(out, "\r\nDate: ");
	strbuf_add_text(out, date_text(date));
	if (!r->has_type)
		strbuf_add_text(out,
		    "\r\nContent-Type: application/json; charset=utf-8");
	strbuf_add_text(out, "\r\nContent-Length: ");
	strbuf_add_u64(out, r->body.len);
	if (r->closes)
		strbuf_add_text(out, "\r\nConnection: close");
	else if (r->is_old)
		strbuf_add_text(out, "\r\nConnection: keep-alive");
	strbuf_add_text(out, "\r\n");
	strbuf_add_slice(out, r->fields);
	strbuf_add_text(out, "\r\n");
	if (!r->hides_body)
		strbuf_add_slice(out, r->body);
}

void
http_error_body(int status, const char *name, const char *message,
    struct strbuf *out)
{
	struct json_writer w;

	json_writer_init(&w, out);
	json_begin_object(&w, NULL);
	json_int(&w, "statusCode", status);
	json_cstr(&w, "name", name);
	json_cstr(&w, "message", message);
	json_end(&w);
}

bool
http_field_is_sound(const char *name, const char *value)
{
	for (const char *c = name; *c != '\0'; c++)
		if (!ascii_is_alnum(*c) && *c != '-')
			return false;
	for (const char *c = value; *c != '\0'; c++)
		if ((unsigned char)*c < ' ' || *c == 0x7f)
			return false;
	return *name != '\0';
}
