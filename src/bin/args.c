/*
 * One option parser for all commands: "--name value", "--name=value", "-c
 * FILE", "--" ends the options. Options may stand before, between and behind
 * operands.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/encode.h"
#include "base/error.h"
#include "bin/command.h"
#include "proc/settings.h"

static const struct flag common_flags[] = {
	{ "config", "FILE", "settings (also -c); default " SETTINGS_PATH },
	{ "json", NULL, "print JSON instead of a table" },
	{ "help", NULL, "print this (also -h)" },
	{ NULL, NULL, NULL },
};

static const struct flag *
find_in(const struct flag *flags, struct slice name)
{
	for (; flags != NULL && flags->name != NULL; flags++)
		if (slice_eq_text(name, flags->name))
			return flags;
	return NULL;
}

static const struct flag *
find_flag(const struct command *c, struct slice name)
{
	const struct flag *flag = find_in(c->flags, name);

	return flag != NULL ? flag : find_in(common_flags, name);
}

static bool
complain(const struct command *c, const char *what, const char *which)
{
	fprintf(stderr, "verpost %s: %s%s%s\n", c->name, what,
	    which[0] != '\0' ? " " : "", which);
	fprintf(stderr, "Try 'verpost %s --help'.\n", c->name);
	return false;
}

static bool
set_flag(const struct command *c, struct args *a, const struct flag *flag,
    const char *value)
{
	if (strcmp(flag->name, "config") == 0) {
		a->config = value;
		a->config_given = true;
		return true;
	}
	if (strcmp(flag->name, "json") == 0) {
		a->json = true;
		return true;
	}
	if (a->flag_count == ARGS_MAX)
		return complain(c, "too many options", "");
	a->flag[a->flag_count].name = flag->name;
	a->flag[a->flag_count++].value = value != NULL ? value : "";
	return true;
}

/* argv[*at] begins with '-'; takes its value, too. */
static bool
take_option(const struct command *c, int argc, char **argv, int *at,
    struct args *a)
{
	const char *arg = argv[*at];
	struct slice rest = slice_of(arg[1] == '-' ? arg + 2 : "");
	struct slice name = slice_take_until(&rest, '=');
	bool has_value = strchr(arg, '=') != NULL;
	const struct flag *flag;

	if (strcmp(arg, "-c") == 0)
		name = SLICE("config");
	else if (strcmp(arg, "-h") == 0)
		name = SLICE("help");
	flag = find_flag(c, name);
	if (flag == NULL)
		return complain(c, "unknown option", arg);
	if (flag->value == NULL)
		return has_value ? complain(c, "takes no value:", arg)
				 : set_flag(c, a, flag, NULL);
	if (has_value)
		return set_flag(c, a, flag, rest.ptr);
	if (*at + 1 >= argc)
		return complain(c, "misses its value:", arg);
	return set_flag(c, a, flag, argv[++*at]);
}

bool
args_parse(const struct command *c, int argc, char **argv, struct args *out)
{
	bool options = true;

	*out = (struct args){ .config = SETTINGS_PATH };
	for (int i = 0; i < argc; i++) {
		if (options && strcmp(argv[i], "--") == 0) {
			options = false;
		} else if (options && argv[i][0] == '-' && argv[i][1] != '\0') {
			if (!take_option(c, argc, argv, &i, out))
				return false;
		} else if (out->count == c->operands_max) {
			return complain(c, "does not expect", argv[i]);
		} else {
			out->operand[out->count++] = argv[i];
		}
	}
	if (args_flag(out, "help") != NULL)
		return true;
	if (out->count < c->operands_min)
		return complain(c, "needs", c->operands);
	return true;
}

const char *
args_flag(const struct args *a, const char *name)
{
	for (size_t i = 0; i < a->flag_count; i++)
		if (strcmp(a->flag[i].name, name) == 0)
			return a->flag[i].value;
	return NULL;
}

void
args_die(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	die_say(fmt, ap);
	va_end(ap);
	exit(2);
}

long
args_number(const struct args *a, const char *name, long low, long high,
    long fallback)
{
	const char *text = args_flag(a, name);
	int64_t value;

	if (text == NULL)
		return fallback;
	if (!slice_to_i64(slice_of(text), &value) || value < low ||
	    value > high)
		args_die("--%s must be a number from %ld to %ld, not '%s'",
		    name, low, high, text);
	return (long)value;
}

bool
args_name_is_good(struct slice name, size_t most)
{
	if (name.len == 0 || name.len > most || !utf8_is_valid(name))
		return false;
	while (name.len > 0) {
		uint32_t c = utf8_take(&name);

		if (c < 0x20 || (c >= 0x7f && c < 0xa0))
			return false;
	}
	return true;
}

static void
print_flags(const struct flag *flags)
{
	for (; flags != NULL && flags->name != NULL; flags++) {
		char left[64];

		snprintf(left, sizeof(left), "--%s%s%s", flags->name,
		    flags->value != NULL ? " " : "",
		    flags->value != NULL ? flags->value : "");
		printf("  %-22s %s\n", left, flags->help);
	}
}

void
command_print_help(const struct command *c)
{
	printf("Usage: verpost %s [options]%s%s\n\n%s\n", c->name,
	    c->operands[0] != '\0' ? " " : "", c->operands, c->summary);
	if (c->help != NULL)
		printf("\n%s\n", c->help);
	printf("\nOptions:\n");
	print_flags(c->flags);
	print_flags(common_flags);
}

void
command_print_list(void)
{
	printf("Usage: verpost COMMAND [options] [operands]\n\nCommands:\n");
	for (size_t i = 0; command_table[i] != NULL; i++)
		printf("  %-20s %s\n", command_table[i]->name,
		    command_table[i]->summary);
	printf("\n'verpost COMMAND --help' says more about one of them.\n");
}
