/*
 * simulator/script.h - from the local part of a test recipient to what the
 * simulator acts out. Pure.
 *
 *   delivered@, success@        taken (as is every other name)
 *   bounced@, bounce@           550 5.1.1 to RCPT
 *   bounced-later@, asyncbounce@   taken; a DSN follows to the return path
 *   deferred@                   451 4.3.0 at first, taken when tried again
 *   greylisted@                 451 4.7.1 in the words of a greylist, likewise
 *   rejected@                   554 5.6.0 to the final dot
 *   full@ / mailboxfull@        452 4.2.2 / 552 5.2.2 to RCPT
 *   code-NNN[-X.Y.Z]@           that reply to RCPT
 *   code-data-NNN[-X.Y.Z]@      that reply to the final dot
 *   disconnect@                 the link drops after the final dot
 *   slow@                       the final reply takes five seconds
 *
 * In any case of letters; what follows a '+' is a label. codes: 400..599.
 */
#ifndef SIMULATOR_SCRIPT_H
#define SIMULATOR_SCRIPT_H

#include <stdbool.h>

#include "base/slice.h"

enum script_act {
	SCRIPT_DELIVER,
	SCRIPT_REFUSE,	   /* reply to RCPT */
	SCRIPT_REJECT,	   /* reply to the final dot */
	SCRIPT_DEFER_ONCE, /* reply to RCPT, the first time only */
	SCRIPT_BOUNCE_LATER,
	SCRIPT_DISCONNECT,
	SCRIPT_SLOW,
};

#define SCRIPT_SLOW_MS 5000

struct script {
	enum script_act act;
	const char *outcome; /* for the list: "delivered", "rejected", ... */
	unsigned int code;   /* REFUSE, REJECT, DEFER_ONCE */
	char text[120];	     /* "5.1.1 no such user" */
};

void script_read(struct slice local_part, struct script *out);

#endif
