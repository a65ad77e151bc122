/*
 * api/octets.h - the ways in which JSON carries a file: base64, and arrays of
 * integers. Both in place, because a body may have 60 MB. Pure.
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

/*
 * Rewrites every array of OCTETS_FOLD_MIN and more integers 0..255 in a JSON
 * text as a string with the same octets in base64, filled up with blanks, so
 * that a file sent as an array of integers does not become a tree node per
 * octet (some 60 octets each). Strings are not looked into, and a text that is
 * no JSON stays none: whatever is wrong is still there for the parser.
 */
#define OCTETS_FOLD_MIN 64
void octets_fold_arrays(char *json, size_t len);

#endif
