#include "model/status.h"

#include <stddef.h>

#include "base/attr.h"

static const struct {
	enum status status;
	const char *name;
	bool is_final;
	enum event_kind event; /* what the status shows as in last_event */
} statuses[] = {
	{ STATUS_SCHEDULED, "scheduled", false, EVENT_SCHEDULED },
	{ STATUS_QUEUED, "queued", false, EVENT_QUEUED },
	{ STATUS_DEFERRED, "deferred", false, EVENT_DELIVERY_DELAYED },
	/* A relay has it: nothing more is sent, but it may still bounce. */
	{ STATUS_SENT, "sent", true, EVENT_SENT },
	{ STATUS_CANCELED, "canceled", true, EVENT_CANCELED },
	{ STATUS_SUPPRESSED, "suppressed", true, EVENT_SUPPRESSED },
	{ STATUS_FAILED, "failed", true, EVENT_FAILED },
	{ STATUS_DELIVERED, "delivered", true, EVENT_DELIVERED },
	{ STATUS_BOUNCED, "bounced", true, EVENT_BOUNCED },
	{ STATUS_COMPLAINED, "complained", true, EVENT_COMPLAINED },
};

static const struct {
	const char *webhook; /* NULL: only in the timeline */
	const char *name;
} kinds[EVENT_KIND_COUNT] = {
	[EVENT_QUEUED] = { NULL, "queued" },
	[EVENT_SCHEDULED] = { "email.scheduled", "scheduled" },
	[EVENT_SENT] = { "email.sent", "sent" },
	[EVENT_DELIVERED] = { "email.delivered", "delivered" },
	[EVENT_DELIVERY_DELAYED] = { "email.delivery_delayed",
	    "delivery_delayed" },
	[EVENT_BOUNCED] = { "email.bounced", "bounced" },
	[EVENT_FAILED] = { "email.failed", "failed" },
	[EVENT_SUPPRESSED] = { "email.suppressed", "suppressed" },
	[EVENT_CANCELED] = { "email.canceled", "canceled" },
	[EVENT_COMPLAINED] = { "email.complained", "complained" },
	[EVENT_OPENED] = { "email.opened", "opened" },
	[EVENT_CLICKED] = { "email.clicked", "clicked" },
};

/* The email says what is still open first, then what went wrong. */
static const enum event_kind fold_order[] = {
	EVENT_QUEUED,
	EVENT_DELIVERY_DELAYED,
	EVENT_SCHEDULED,
	EVENT_SENT,
	EVENT_COMPLAINED,
	EVENT_BOUNCED,
	EVENT_FAILED,
	EVENT_SUPPRESSED,
	EVENT_CANCELED,
	EVENT_CLICKED,
	EVENT_OPENED,
	EVENT_DELIVERED,
};

static size_t
status_row(enum status s)
{
	for (size_t i = 0; i < ARRAY_LEN(statuses); i++)
		if (statuses[i].status == s)
			return i;
	invariant_failed("a status without a row", __FILE__, __LINE__);
}

const char *
status_name(enum status s)
{
	return statuses[status_row(s)].name;
}

bool
status_parse(struct slice text, enum status *out)
{
	for (size_t i = 0; i < ARRAY_LEN(statuses); i++) {
		if (slice_eq_text(text, statuses[i].name)) {
			*out = statuses[i].status;
			return true;
		}
	}
	return false;
}

bool
status_from_int(int value, enum status *out)
{
	for (size_t i = 0; i < ARRAY_LEN(statuses); i++) {
		if ((int)statuses[i].status == value) {
			*out = statuses[i].status;
			return true;
		}
	}
	return false;
}

bool
status_is_final(enum status s)
{
	return statuses[status_row(s)].is_final;
}

enum status
status_raise(enum status now, enum status said)
{
	return said > now ? said : now;
}

const char *
event_kind_name(enum event_kind k)
{
	invariant(k >= 1 && k < EVENT_KIND_COUNT);
	return kinds[k].name;
}

bool
event_kind_parse(struct slice text, enum event_kind *out)
{
	for (size_t k = 1; k < EVENT_KIND_COUNT; k++) {
		if (slice_eq_text(text, kinds[k].name)) {
			*out = (enum event_kind)k;
			return true;
		}
	}
	return false;
}

const char *
event_webhook_type(enum event_kind k)
{
	invariant(k >= 1 && k < EVENT_KIND_COUNT);
	return kinds[k].webhook;
}

unsigned int
status_event_bit(enum status s)
{
	return 1u << statuses[status_row(s)].event;
}

const char *
status_fold(unsigned int bits)
{
	for (size_t i = 0; i < ARRAY_LEN(fold_order); i++)
		if ((bits & 1u << fold_order[i]) != 0)
			return kinds[fold_order[i]].name;
	return kinds[EVENT_QUEUED].name;
}
