/* base/encode.h - hex, base32, base64 and UTF-8. */
#ifndef BASE_ENCODE_H
#define BASE_ENCODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"
#include "base/strbuf.h"

/* Lower-case hex. */
void hex_encode(struct strbuf *out, struct slice in);
bool hex_decode(struct slice in, void *out, size_t out_len);

/* RFC 4648 section 6 in lower case without padding: ceil(8n/5) characters. */
#define BASE32_LEN(n) (((n)*8 + 4) / 5)
void base32_encode(const void *in, size_t len, char *out);
/* Any case. Exactly out_len octets; spare bits must be zero. */
bool base32_decode(struct slice in, void *out, size_t out_len);

/* Crockford's alphabet, 26 characters for 16 octets, lower case. */
#define CROCKFORD_ID_LEN 26
void crockford_encode_id(const uint8_t in[16], char out[CROCKFORD_ID_LEN]);
/* Any case; i, l read as 1, o as 0. */
bool crockford_decode_id(struct slice in, uint8_t out[16]);

/* RFC 4648 section 4 with padding. line_len 0: one line; else CRLF after
 * every line_len characters (a multiple of 4) and at the end (RFC 2045
 * section 6.8: 76). */
void base64_encode(struct strbuf *out, struct slice in, size_t line_len);
void base64url_encode(struct strbuf *out, struct slice in); /* no padding */
/*
 * Strict: alphabet, padding and length must be right, spare bits zero;
 * CR, LF, SP and HTAB are skipped when allow_space. False leaves *out with
 * unspecified additions.
 */
bool base64_decode(struct strbuf *out, struct slice in, bool allow_space);

/* Whether s is well-formed UTF-8 (RFC 3629: no surrogates, no overlong). */
bool utf8_is_valid(struct slice s);
bool ascii_only(struct slice s); /* no octet above 0x7f */
/* Octets of the character at the front; 0 when it is ill-formed or cut. */
size_t utf8_span(struct slice s);
/* Takes one code point off the front; U+FFFD and one octet on bad input.
 * s must not be empty. */
uint32_t utf8_take(struct slice *s);
void utf8_add(struct strbuf *out, uint32_t code_point);
/* Writes 1..4 octets, returns how many; U+FFFD for what is no character. */
size_t utf8_put(uint32_t code_point, char out[4]);
/* The longest prefix of at most max octets that splits no character (of
 * well-formed text; other text is cut at max). */
struct slice utf8_cut(struct slice s, size_t max);

#endif
