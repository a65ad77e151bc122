/* oracle_json.h - what jansson says of a JSON text. Apart, because its names
 * and ours clash in one file. */
#ifndef ORACLE_JSON_H
#define ORACLE_JSON_H

#include <stddef.h>

enum oracle_verdict {
	ORACLE_BAD,	 /* no JSON text, or a name twice in an object */
	ORACLE_OVERFLOW, /* JSON, but a number does not fit its types */
	ORACLE_GOOD,
};

enum oracle_verdict oracle_json_check(const char *text, size_t len);
/* Whether both are good and mean the same value. */
int oracle_json_same(const char *a, size_t a_len, const char *b, size_t b_len);

#endif
