/* http/response.h - an answer as octets. Pure but for the clock. */
#ifndef HTTP_RESPONSE_H
#define HTTP_RESPONSE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"
#include "base/strbuf.h"

struct http_response {
	int status;
	struct slice fields; /* more fields, each with its CR LF */
	struct slice body;
	bool has_type;	 /* Content-Type is among the fields */
	bool hides_body; /* HEAD: only its length is told */
	bool closes;
	bool is_old; /* says keep-alive where that is not the rule */
};

/* The Date field, written anew once a second; zero-initialised. */
struct http_date {
	int64_t second;
	char text[40];
};

void http_response_write(const struct http_response *r, struct http_date *date,
    struct strbuf *out);
/* {"statusCode":...,"name":...,"message":...} */
void http_error_body(int status, const char *name, const char *message,
    struct strbuf *out);
/* Whether name: value can stand in a head. */
bool http_field_is_sound(const char *name, const char *value);

#endif
