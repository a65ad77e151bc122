/* The verpost command: finds the sub-command and runs it. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "bin/command.h"
#include "config.h"
#include "proc/title.h"

const struct command *const command_table[] = {
	&command_serve,
	&command_dev,
	&command_check,
	&command_migrate,
	&command_keyfile_create,
	&command_account_add,
	&command_account_list,
	&command_account_set,
	&command_account_remove,
	&command_domain_add,
	&command_domain_list,
	&command_domain_show,
	&command_domain_verify,
	&command_domain_remove,
	&command_source_add,
	&command_source_list,
	&command_source_set,
	&command_source_remove,
	&command_key_add,
	&command_key_list,
	&command_key_remove,
	&command_webhook_add,
	&command_webhook_list,
	&command_webhook_remove,
	&command_suppression_add,
	&command_suppression_list,
	&command_suppression_remove,
	&command_queue_hold,
	&command_queue_release,
	&command_queue_cancel,
	&command_queue_rules,
	&command_queue_show,
	&command_queue, /* behind those of two words */
	&command_simulator_list,
	&command_simulator_show,
	&command_trace,
	&command_version,
	&command_help,
	NULL,
};

static int
run_version(const struct args *a)
{
	(void)a;
	puts(PACKAGE_STRING);
	return 0;
}

const struct command command_version = {
	.name = "version",
	.operands = "",
	.summary = "print the version",
	.run = run_version,
};

/*
 * The row whose name is the first one or two words; *used says how many. "add"
 * alone is no command, "domain add" is.
 */
static const struct command *
find(int argc, char **argv, int *used)
{
	for (size_t i = 0; command_table[i] != NULL; i++) {
		struct slice rest = slice_of(command_table[i]->name);
		struct slice first = slice_take_until(&rest, ' ');

		if (argc < 1 || !slice_eq_text(first, argv[0]))
			continue;
		*used = rest.len > 0 ? 2 : 1;
		if (rest.len == 0 || (argc > 1 && slice_eq_text(rest, argv[1])))
			return command_table[i];
	}
	return NULL;
}

/* Commands that begin with that word: "domain" -> add, list, ... */
static bool
list_group(const char *word)
{
	bool any = false;

	for (size_t i = 0; command_table[i] != NULL; i++) {
		struct slice rest = slice_of(command_table[i]->name);
		struct slice first = slice_take_until(&rest, ' ');

		if (!slice_eq_text(first, word))
			continue;
		if (!any)
			fprintf(stderr, "verpost %s needs one of:\n", word);
		any = true;
		fprintf(stderr, "  verpost %s %s\n", command_table[i]->name,
		    command_table[i]->operands);
	}
	return any;
}

static int
run_help(const struct args *a)
{
	char *words[2];
	const struct command *c;
	int used;

	for (size_t i = 0; i < a->count; i++)
		words[i] = slice_dup(slice_of(a->operand[i]));
	c = a->count > 0 ? find((int)a->count, words, &used) : NULL;
	for (size_t i = 0; i < a->count; i++)
		free(words[i]);
	if (c != NULL)
		command_print_help(c);
	else if (a->count == 0)
		command_print_list();
	else if (!list_group(a->operand[0]))
		args_die("there is no command '%s'; 'verpost help' lists them",
		    a->operand[0]);
	return 0;
}

const struct command command_help = {
	.name = "help",
	.operands = "[COMMAND]",
	.operands_max = 2,
	.summary = "say how a command is used",
	.run = run_help,
};

int
main(int argc, char **argv)
{
	const struct command *c;
	struct args args;
	int used = 0;

	title_init(argc, argv);
	signal(SIGPIPE, SIG_IGN);
	argc--;
	argv++;
	if (argc < 1 || strcmp(argv[0], "--help") == 0 ||
	    strcmp(argv[0], "-h") == 0) {
		command_print_list();
		return argc < 1 ? 2 : 0;
	}
	if (strcmp(argv[0], "--version") == 0)
		return run_version(NULL);
	c = find(argc, argv, &used);
	if (c == NULL) {
		if (!list_group(argv[0]))
			fprintf(stderr,
			    "verpost: there is no command '%s'; 'verpost "
			    "help' lists them\n",
			    argv[0]);
		return 2;
	}
	if (!args_parse(c, argc - used, argv + used, &args))
		return 2;
	if (args_flag(&args, "help") != NULL) {
		command_print_help(c);
		return 0;
	}
	return c->run(&args);
}
