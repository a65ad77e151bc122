#include "test.h"

#include <errno.h>

#include "base/error.h"

static void
says_what_and_where(void **state)
{
	struct error err = { 0 };

	(void)state;
	assert_int_equal(error_set(&err, ERR_DNS, "no answer for %s", "x"), -1);
	assert_int_equal(error_add(&err, "resolving %d", 7), -1);
	assert_int_equal(err.kind, ERR_DNS);
	assert_string_equal(err.text, "resolving 7: no answer for x");
}

static void
keeps_errno(void **state)
{
	struct error err = { 0 };

	(void)state;
	errno = ENOENT;
	assert_int_equal(error_sys(&err, "cannot open %s", "f"), -1);
	assert_int_equal(err.kind, ERR_SYS);
	assert_int_equal(err.sys, ENOENT);
	assert_string_equal(err.text,
	    "cannot open f: No such file or directory");
}

static void
cuts_long_texts_visibly(void **state)
{
	struct error err = { 0 };
	char big[1000];

	(void)state;
	memset(big, 'x', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	error_set(&err, ERR_SYNTAX, "%s", big);
	assert_int_equal(strlen(err.text), sizeof(err.text) - 1);
	assert_string_equal(err.text + sizeof(err.text) - 4, "...");
	error_add(&err, "context");
	assert_memory_equal(err.text, "context: xxx", 12);
	assert_string_equal(err.text + sizeof(err.text) - 4, "...");
	errno = EIO;
	error_sys(&err, "%s", big);
	assert_string_equal(err.text + sizeof(err.text) - 4, "...");
	error_add(&err, "%s", big);
	assert_string_equal(err.text + sizeof(err.text) - 4, "...");
}

static void
needs_no_struct(void **state)
{
	(void)state;
	errno = EIO;
	assert_int_equal(error_set(NULL, ERR_NET, "x"), -1);
	assert_int_equal(error_sys(NULL, "x"), -1);
	assert_int_equal(error_add(NULL, "x"), -1);
}

static void
names_every_kind_once(void **state)
{
	(void)state;
	for (int i = ERR_NONE; i <= ERR_UNAVAIL; i++) {
		const char *name = error_kind_name((enum err_kind)i);

		assert_string_not_equal(name, "unknown");
		for (int j = ERR_NONE; j < i; j++)
			assert_string_not_equal(name,
			    error_kind_name((enum err_kind)j));
	}
}

TEST_MAIN(cmocka_unit_test(says_what_and_where), cmocka_unit_test(keeps_errno),
    cmocka_unit_test(cuts_long_texts_visibly),
    cmocka_unit_test(needs_no_struct), cmocka_unit_test(names_every_kind_once))
