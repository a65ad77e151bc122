/*
 * outcome/event_data.h - what stands in events.data: a JSON object with those
 * of these members that apply. Read by hooks/ and api/.
 *
 *   code      reply code, e.g. 550 (absent: nothing was replied)
 *   status    enhanced status, "5.1.1"
 *   text      what the far end said, or our own words
 *   mx        "mx1.example.com[192.0.2.1:25]", or the reporting MTA of a DSN
 *   attempt   1, 2, ...
 *   retry_at  ISO 8601, when it will be tried again
 *   class     why it has to wait: "greylisted", ... (outcome/classify.h)
 *   reason    FAIL_* of a failed recipient
 *   by, rule, scope, value, reason  of a canceled one (outcome/canceled.h)
 *   dsn       true: it came back later, in a delivery status notification
 *   outcome_unknown  true: the final dot was sent, the reply never read
 */
#ifndef OUTCOME_EVENT_DATA_H
#define OUTCOME_EVENT_DATA_H

#include <stdbool.h>
#include <stdint.h>

#include "base/strbuf.h"
#include "mail/status.h"
#include "outcome/canceled.h"

struct event_data {
	unsigned int code;
	struct mail_status status;
	struct slice text, mx;
	unsigned int attempt;
	int64_t retry_at_ms;		 /* 0: none */
	const char *class;		 /* or NULL */
	const char *reason;		 /* or NULL */
	const struct canceled *canceled; /* or NULL; instead of text, reason */
	bool dsn, outcome_unknown;
};

void event_data_write(struct strbuf *out, const struct event_data *d);
/* What was written, in the arena; NULL: nothing, or no JSON. */
const struct json *event_data_parse(struct arena *arena, struct slice data);

#endif
