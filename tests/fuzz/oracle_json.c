#include "oracle_json.h"

#include <jansson.h>

static json_t *
load(const char *text, size_t len, json_error_t *err)
{
	return json_loadb(text, len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY,
	    err);
}

enum oracle_verdict
oracle_json_check(const char *text, size_t len)
{
	json_error_t err;
	json_t *v = load(text, len, &err);

	if (v == NULL)
		return json_error_code(&err) == json_error_numeric_overflow
		    ? ORACLE_OVERFLOW
		    : ORACLE_BAD;
	json_decref(v);
	return ORACLE_GOOD;
}

int
oracle_json_same(const char *a, size_t a_len, const char *b, size_t b_len)
{
	json_t *left = load(a, a_len, NULL), *right = load(b, b_len, NULL);
	int same = left != NULL && right != NULL && json_equal(left, right);

	json_decref(left);
	json_decref(right);
	return same;
}
