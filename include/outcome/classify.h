/*
 * outcome/classify.h - why a recipient has to wait: classes of temporary
 * failures, each with a schedule of its own (outcome/verdict.h). Pure: tables
 * over what was said, and a test that walks them.
 */
#ifndef OUTCOME_CLASSIFY_H
#define OUTCOME_CLASSIFY_H

#include <stdint.h>

#include "base/slice.h"
#include "smtp/client.h"

/* The numbers are stored (attempts.class). */
enum delay_class {
	DELAY_NONE = 0,		/* nothing is delayed */
	DELAY_GREYLISTED = 1,	/* strangers are let in on their second try */
	DELAY_MAILBOX_FULL = 2, /* until somebody tidies up */
	DELAY_RATE_LIMITED = 3, /* we, or everybody, send too much */
	DELAY_CONNECTION = 4,	/* no host could be talked to */
	DELAY_TLS = 5,
	DELAY_DNS = 6,
	DELAY_POLICY = 7, /* reputation, authentication, block lists */
	DELAY_OTHER = 8,
};
#define DELAY_CLASS_COUNT 9

struct delay {
	enum delay_class class;
	int64_t wait_ms; /* that the text names; 0: it names none */
};

const char *delay_class_name(enum delay_class c); /* "mailbox_full" */
/* NULL for a number that is none, and for DELAY_NONE. */
const char *delay_class_name_of(int number);

/* For an outcome whose verdict is DEFERRED or NEXT_HOST. */
struct delay delay_of_smtp(const struct smtp_outcome *outcome);

/*
 * The time that a text names for the next try: "in 5 minutes", "for 300
 * seconds", "after 00:05:00". 0: none. Between 30 s and 4 h, whatever it says.
 */
int64_t delay_wait_ms(struct slice text);

#endif
