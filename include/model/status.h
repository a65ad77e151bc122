/*
 * model/status.h - statuses of a recipient, their ranks, and the fold that
 * makes the email's last_event out of them.
 *
 * Status is a function of the set of events, not of their order of arrival:
 * every status has a rank, and a write only raises it. The numbers are stored.
 */
#ifndef MODEL_STATUS_H
#define MODEL_STATUS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

/*
 * The stored number is the rank, with room between. First final status wins
 * among failed/suppressed/canceled/bounced/delivered as the rank says; after
 * that only delivered -> bounced -> complained.
 */
enum status {
	STATUS_SCHEDULED = 10,
	STATUS_QUEUED = 20,
	STATUS_DEFERRED = 30,
	STATUS_SENT = 40, /* handed to a relay; final after max age */
	STATUS_CANCELED = 50,
	STATUS_SUPPRESSED = 55,
	STATUS_FAILED = 60,
	STATUS_DELIVERED = 70,
	STATUS_BOUNCED = 80,
	STATUS_COMPLAINED = 90,
};

const char *status_name(enum status s);
bool status_parse(struct slice text, enum status *out);
bool status_from_int(int value, enum status *out);
/* Finished: nothing more will be sent for it. */
bool status_is_final(enum status s);
/* What a recipient is after an event that says said: the higher of the two,
 * whichever came first. The same rule as GREATEST in the store's statements.
 */
enum status status_raise(enum status now, enum status said);

/* Why a recipient is STATUS_FAILED. Stored as text. */
#define FAIL_EXPIRED "expired"
#define FAIL_DNS "dns"
#define FAIL_POLICY "policy"
#define FAIL_CONTENT "content"
#define FAIL_OUTCOME_UNKNOWN "outcome_unknown"
#define FAIL_LOG_MODE "log_mode"

/*
 * Kinds of events. The stored numbers are for ever; names are those of the
 * webhooks without "email.", and of last_event.
 */
enum event_kind {
	EVENT_QUEUED = 1,
	EVENT_SCHEDULED = 2,
	EVENT_SENT = 3,
	EVENT_DELIVERED = 4,
	EVENT_DELIVERY_DELAYED = 5,
	EVENT_BOUNCED = 6,
	EVENT_FAILED = 7,
	EVENT_SUPPRESSED = 8,
	EVENT_CANCELED = 9,
	EVENT_COMPLAINED = 10,
	EVENT_OPENED = 11,
	EVENT_CLICKED = 12,
};
#define EVENT_KIND_COUNT 13

const char *event_kind_name(enum event_kind k);
bool event_kind_parse(struct slice text, enum event_kind *out);
/* "email.delivered"; NULL for kinds that no webhook is sent for. */
const char *event_webhook_type(enum event_kind k);

/*
 * The email's last_event out of the statuses of its recipients: the first of
 * queued, delivery_delayed, scheduled, sent, complained, bounced, failed,
 * suppressed, canceled, clicked, opened, delivered that any recipient has
 * (design section 2). statuses is a set: bit event_kind for each one present.
 */
unsigned int status_event_bit(enum status s);
const char *status_fold(unsigned int bits);

#endif
