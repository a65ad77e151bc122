/*
 * What a server says counts in this order: words of its text, the enhanced
 * status, the stage. Words come first because they are the most exact: "4.7.1"
 * is used for greylisting, for rates and for block lists alike. In the table of
 * words the first match wins, so the narrow rows stand above the wide ones.
 *
 * Texts of our own are not read: the stage and the kind of error say it all.
 */
#include "outcome/classify.h"

#include "base/mem.h"

#define SECOND ((int64_t)1000)
#define WAIT_LEAST_MS (30 * SECOND)
#define WAIT_MOST_MS (4 * 3600 * SECOND)

static const char *const names[DELAY_CLASS_COUNT] = {
	[DELAY_NONE] = "none",
	[DELAY_GREYLISTED] = "greylisted",
	[DELAY_MAILBOX_FULL] = "mailbox_full",
	[DELAY_RATE_LIMITED] = "rate_limited",
	[DELAY_CONNECTION] = "connection",
	[DELAY_TLS] = "tls",
	[DELAY_DNS] = "dns",
	[DELAY_POLICY] = "policy",
	[DELAY_OTHER] = "other",
};

/* In lower case. */
static const struct {
	const char *words;
	enum delay_class class;
} texts[] = {
	{ "greylist", DELAY_GREYLISTED },
	{ "graylist", DELAY_GREYLISTED },
	{ "grey list", DELAY_GREYLISTED },
	{ "gray list", DELAY_GREYLISTED },
	{ "grey-list", DELAY_GREYLISTED },
	{ "gray-list", DELAY_GREYLISTED },
	{ "triplet", DELAY_GREYLISTED },

	{ "sending quota", DELAY_RATE_LIMITED },
	{ "message quota", DELAY_RATE_LIMITED },
	{ "hourly quota", DELAY_RATE_LIMITED },
	{ "daily quota", DELAY_RATE_LIMITED },
	{ "sending limit", DELAY_RATE_LIMITED },

	{ "mailbox full", DELAY_MAILBOX_FULL },
	{ "mailbox is full", DELAY_MAILBOX_FULL },
	{ "mailbox for user is full", DELAY_MAILBOX_FULL },
	{ "inbox is full", DELAY_MAILBOX_FULL },
	{ "mailbox has exceeded", DELAY_MAILBOX_FULL },
	{ "mailbox size limit", DELAY_MAILBOX_FULL },
	{ "mailbox quota", DELAY_MAILBOX_FULL },
	{ "storage quota", DELAY_MAILBOX_FULL },
	{ "storage allocation", DELAY_MAILBOX_FULL },
	{ "over quota", DELAY_MAILBOX_FULL },
	{ "over the quota", DELAY_MAILBOX_FULL },
	{ "over its quota", DELAY_MAILBOX_FULL },
	{ "overquota", DELAY_MAILBOX_FULL },
	{ "quota exceeded", DELAY_MAILBOX_FULL },
	{ "exceeded quota", DELAY_MAILBOX_FULL },
	{ "exceeds quota", DELAY_MAILBOX_FULL },
	{ "out of storage space", DELAY_MAILBOX_FULL },
	{ "too many messages on", DELAY_MAILBOX_FULL },

	{ "rate limit", DELAY_RATE_LIMITED },
	{ "rate-limit", DELAY_RATE_LIMITED },
	{ "ratelimit", DELAY_RATE_LIMITED },
	{ "throttl", DELAY_RATE_LIMITED },
	{ "too many conn", DELAY_RATE_LIMITED },
	{ "too many concurrent", DELAY_RATE_LIMITED },
	{ "too many session", DELAY_RATE_LIMITED },
	{ "too many messages", DELAY_RATE_LIMITED },
	{ "too many mails", DELAY_RATE_LIMITED },
	{ "too many emails", DELAY_RATE_LIMITED },
	{ "too many recipients", DELAY_RATE_LIMITED },
	{ "too much mail", DELAY_RATE_LIMITED },
	{ "too quickly", DELAY_RATE_LIMITED },
	{ "too fast", DELAY_RATE_LIMITED },
	{ "too frequent", DELAY_RATE_LIMITED },
	{ "at a rate", DELAY_RATE_LIMITED },
	{ "unusual rate", DELAY_RATE_LIMITED },
	{ "slow down", DELAY_RATE_LIMITED },
	{ "unexpected volume", DELAY_RATE_LIMITED },
	{ "connection limit", DELAY_RATE_LIMITED },
	{ "concurrent connection", DELAY_RATE_LIMITED },
	{ "server busy", DELAY_RATE_LIMITED },
	{ "server is busy", DELAY_RATE_LIMITED },

	{ "starttls", DELAY_TLS },
	{ "tls not available", DELAY_TLS },
	{ "tls is required", DELAY_TLS },
	{ "tls required", DELAY_TLS },
	{ "encryption required", DELAY_TLS },

	{ "reverse dns", DELAY_POLICY },
	{ "reverse hostname", DELAY_POLICY },
	{ "ptr record", DELAY_POLICY },

	{ "domain not found", DELAY_DNS },
	{ "host not found", DELAY_DNS },
	{ "cannot resolve", DELAY_DNS },
	{ "could not resolve", DELAY_DNS },
	{ "unable to resolve", DELAY_DNS },
	{ "dns failure", DELAY_DNS },
	{ "dns lookup", DELAY_DNS },

	{ "blocked", DELAY_POLICY },
	{ "block list", DELAY_POLICY },
	{ "blocklist", DELAY_POLICY },
	{ "blacklist", DELAY_POLICY },
	{ "black list", DELAY_POLICY },
	{ "dnsbl", DELAY_POLICY },
	{ "spam", DELAY_POLICY },
	{ "reputation", DELAY_POLICY },
	{ "policy", DELAY_POLICY },
	{ "complaints", DELAY_POLICY },
	{ "unsolicited", DELAY_POLICY },
	{ "suspicious", DELAY_POLICY },
	{ "unauthenticated", DELAY_POLICY },
	{ "dmarc", DELAY_POLICY },
	{ "dkim", DELAY_POLICY },
	{ "spf", DELAY_POLICY },
};

/* Subject and detail; the class is that of the code. DETAIL_ANY: all. */
#define DETAIL_ANY UINT16_MAX
static const struct {
	uint16_t subject, least, most;
	const char *words; /* must stand in the text, too; or NULL */
	enum delay_class class;
} statuses[] = {
	{ 1, 8, 8, NULL, DELAY_DNS }, /* bad sender's system address */
	{ 2, 2, 2, NULL, DELAY_MAILBOX_FULL },
	{ 3, 2, 2, NULL, DELAY_CONNECTION }, /* not accepting messages */
	{ 4, 1, 2, NULL, DELAY_CONNECTION },
	{ 4, 3, 4, NULL, DELAY_DNS },
	{ 5, 3, 3, NULL, DELAY_RATE_LIMITED },	   /* too many recipients */
	{ 7, 10, 10, NULL, DELAY_TLS },		   /* encryption needed */
	{ 7, 28, 28, NULL, DELAY_RATE_LIMITED },   /* mail flood */
	{ 7, 500, 599, NULL, DELAY_RATE_LIMITED }, /* private: busy */
	/* What greylisting says that does not call itself so. */
	{ 7, 0, 1, "try again", DELAY_GREYLISTED },
	{ 7, 0, 1, "try later", DELAY_GREYLISTED },
	{ 7, 0, 1, "come back", DELAY_GREYLISTED },
	{ 7, 0, DETAIL_ANY, NULL, DELAY_POLICY },
};

const char *
delay_class_name(enum delay_class c)
{
	return names[c];
}

const char *
delay_class_name_of(int number)
{
	return number > 0 && number < DELAY_CLASS_COUNT ? names[number] : NULL;
}

/* -- the time that a text names --------------------------------------------
 */

/* Takes a word of letters off the front, in lower case, with blanks around. */
static struct slice
take_word(struct slice *in, char *room, size_t size)
{
	size_t n = 0;

	while (in->len > 0 && (in->ptr[0] == ' ' || in->ptr[0] == '-'))
		*in = slice_from(*in, 1);
	while (in->len > 0 && ascii_is_alpha(in->ptr[0])) {
		if (n < size)
			room[n++] = ascii_lower(in->ptr[0]);
		*in = slice_from(*in, 1);
	}
	return slice_mem(room, n);
}

/* "5 minutes", "300s", "00:05:00"; 0: none of these. */
static int64_t
duration_ms(struct slice in)
{
	static const struct {
		const char *name;
		int64_t ms;
	} units[] = {
		{ "s", SECOND },
		{ "sec", SECOND },
		{ "secs", SECOND },
		{ "second", SECOND },
		{ "seconds", SECOND },
		{ "m", 60 * SECOND },
		{ "min", 60 * SECOND },
		{ "mins", 60 * SECOND },
		{ "minute", 60 * SECOND },
		{ "minutes", 60 * SECOND },
		{ "h", 3600 * SECOND },
		{ "hour", 3600 * SECOND },
		{ "hours", 3600 * SECOND },
	};
	uint16_t n[3] = { 0 };
	struct slice unit;
	char room[8];

	if (!slice_take_uint(&in, 5, &n[0]))
		return 0;
	if (slice_take_char(&in, ':'))
		return slice_take_uint(&in, 2, &n[1]) &&
			slice_take_char(&in, ':') &&
			slice_take_uint(&in, 2, &n[2])
		    ? (n[0] * 3600 + n[1] * 60 + n[2]) * SECOND
		    : 0;
	unit = take_word(&in, room, sizeof(room));
	for (size_t i = 0; i < ARRAY_LEN(units); i++)
		if (slice_eq_text(unit, units[i].name))
			return n[0] * units[i].ms;
	return 0;
}

/* A number stands for a wait only behind one of these: texts are full of
 * addresses, dates and ids. */
static bool
leads_to_a_time(struct slice word)
{
	static const char *const leads[] = { "in", "after", "for", "wait",
		"least", "another", "within" };

	for (size_t i = 0; i < ARRAY_LEN(leads); i++)
		if (slice_eq_text(word, leads[i]))
			return true;
	return false;
}

int64_t
delay_wait_ms(struct slice text)
{
	while (text.len > 0) {
		char room[16];
		size_t before = text.len;
		struct slice word = take_word(&text, room, sizeof(room));
		int64_t ms = 0;

		if (leads_to_a_time(word) && slice_take_char(&text, ' '))
			ms = duration_ms(text);
		if (ms > 0)
			return MIN(MAX(ms, WAIT_LEAST_MS), WAIT_MOST_MS);
		if (text.len == before)
			text = slice_from(text, 1);
	}
	return 0;
}

/* -- the class --------------------------------------------------------------
 */

static bool
has(struct slice lower_text, const char *words)
{
	return slice_find(lower_text, slice_of(words)) < lower_text.len;
}

static enum delay_class
class_of_status(struct mail_status status, struct slice text)
{
	for (size_t i = 0; status.part[0] != 0 && i < ARRAY_LEN(statuses); i++)
		if (status.part[1] == statuses[i].subject &&
		    status.part[2] >= statuses[i].least &&
		    status.part[2] <= statuses[i].most &&
		    (statuses[i].words == NULL || has(text, statuses[i].words)))
			return statuses[i].class;
	return DELAY_NONE;
}

static enum delay_class
class_of_stage(const struct smtp_outcome *outcome)
{
	if (outcome->stage == SMTP_STAGE_STARTTLS ||
	    outcome->stage == SMTP_STAGE_TLS)
		return DELAY_TLS;
	return outcome->stage < SMTP_STAGE_MAIL || outcome->reply.code == 421
	    ? DELAY_CONNECTION
	    : DELAY_OTHER;
}

static enum delay_class
class_of_reply(const struct smtp_outcome *outcome)
{
	const struct smtp_reply *r = &outcome->reply;
	char room[sizeof(r->text)];
	struct slice text = slice_mem(room, r->text_len);
	enum delay_class by_status;

	for (size_t i = 0; i < r->text_len; i++)
		room[i] = ascii_lower(r->text[i]);
	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		if (has(text, texts[i].words))
			return texts[i].class;
	by_status = class_of_status(r->status, text);
	return by_status != DELAY_NONE ? by_status : class_of_stage(outcome);
}

static enum delay_class
class_of_error(const struct smtp_outcome *outcome)
{
	if (outcome->error.kind == ERR_TLS)
		return DELAY_TLS;
	if (outcome->error.kind == ERR_DNS)
		return DELAY_DNS;
	return outcome->stage == SMTP_STAGE_STARTTLS ||
		outcome->stage == SMTP_STAGE_TLS
	    ? DELAY_TLS
	    : DELAY_CONNECTION;
}

struct delay
delay_of_smtp(const struct smtp_outcome *outcome)
{
	struct delay d = { DELAY_NONE, 0 };

	if (outcome->source == SMTP_LOCAL) {
		d.class = class_of_error(outcome);
		return d;
	}
	d.class = class_of_reply(outcome);
	if (d.class == DELAY_GREYLISTED || d.class == DELAY_RATE_LIMITED)
		d.wait_ms = delay_wait_ms(
		    slice_mem(outcome->reply.text, outcome->reply.text_len));
	return d;
}
