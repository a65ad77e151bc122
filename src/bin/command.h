/*
 * bin/command.h - what a sub-command is: a row with a name, a usage, a help
 * and a function. main.c finds the row and parses the options for all of them.
 */
#ifndef BIN_COMMAND_H
#define BIN_COMMAND_H

#include <stdbool.h>
#include <stddef.h>

#include "base/attr.h"
#include "base/slice.h"

#define ARGS_MAX 16

/* An option: "--name VALUE", or "--name" when value is NULL. */
struct flag {
	const char *name;  /* without "--" */
	const char *value; /* what to call its value in the help, or NULL */
	const char *help;
};

struct args {
	const char *program;
	const char *config; /* -c, or the default place */
	bool config_given;
	bool json;
	size_t count; /* operands */
	const char *operand[ARGS_MAX];
	size_t flag_count;
	struct {
		const char *name;
		const char *value;
	} flag[ARGS_MAX];
};

struct command {
	const char *name;     /* "serve", "domain add" */
	const char *operands; /* "DOMAIN", "[DIR]", or "" */
	size_t operands_min, operands_max;
	const char *summary;	  /* one line, for the list */
	const char *help;	  /* more, or NULL */
	const struct flag *flags; /* ends with a NULL name; may be NULL */
	int (*run)(const struct args *a); /* exit status */
};

extern const struct command *const command_table[]; /* ends with NULL */

/* The value of an option, "" for one without value; NULL: not given. */
const char *args_flag(const struct args *a, const char *name);
/* The same as a number in low..high; fallback when not given. Dies. */
long args_number(const struct args *a, const char *name, long low, long high,
    long fallback);

/* As die(), but with status 2: what is wrong is the command line. */
NORETURN void args_die(const char *fmt, ...) PRINTF_LIKE(1, 2);
/* Whether it can be a name that is shown to people: 1 to most octets of UTF-8
 * without control characters. */
bool args_name_is_good(struct slice name, size_t most);

/*
 * Fills *out from what follows the command's name. False after it has said on
 * standard error what is wrong.
 */
bool args_parse(const struct command *c, int argc, char **argv,
    struct args *out);
/* The help of one command, and of all. */
void command_print_help(const struct command *c);
void command_print_list(void);

extern const struct command command_serve, command_dev, command_check,
    command_migrate, command_keyfile_create, command_account_add,
    command_account_list, command_account_set, command_account_remove,
    command_domain_add, command_domain_list, command_domain_show,
    command_domain_verify, command_domain_remove, command_source_add,
    command_source_list, command_source_remove, command_source_set,
    command_key_add, command_key_list, command_key_remove, command_webhook_add,
    command_webhook_list, command_webhook_remove, command_suppression_add,
    command_suppression_list, command_suppression_remove,
    command_simulator_list, command_simulator_show, command_trace,
    command_queue_hold, command_queue_release, command_queue_cancel,
    command_queue_rules, command_queue_show, command_queue, command_version,
    command_help;

#endif
