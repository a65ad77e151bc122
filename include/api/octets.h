/*
 * api/octets.h - base64 of a file in JSON, decoded where it lies, because a
 * body may have 60 MB. Pure.
 */
#ifndef API_OCTETS_H
#define API_OCTETS_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Decodes base64 (RFC 4648 section 4, padding required, spare bits zero) over
 * itself; blanks and line breaks between characters are skipped. Returns false
 * and leaves the text in an unspecified state when it is something else.
 */
bool octets_of_base64(char *text, size_t len, size_t *octets_len);

#endif
