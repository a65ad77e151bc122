/* What the far end offers in its answer to EHLO (RFC 5321 section 4.1.1.1). */
#include "smtp/client_priv.h"

static const struct {
	struct slice keyword;
	size_t offset;
} flags[] = {
	{ { "STARTTLS", 8 }, offsetof(struct smtp_client_caps, starttls) },
	{ { "PIPELINING", 10 }, offsetof(struct smtp_client_caps, pipelining) },
	{ { "8BITMIME", 8 }, offsetof(struct smtp_client_caps, eightbitmime) },
	{ { "SMTPUTF8", 8 }, offsetof(struct smtp_client_caps, smtputf8) },
	{ { "SIZE", 4 }, offsetof(struct smtp_client_caps, size) },
	{ { "DSN", 3 }, offsetof(struct smtp_client_caps, dsn) },
	{ { "CHUNKING", 8 }, offsetof(struct smtp_client_caps, chunking) },
};

void
smtp_caps_take(struct smtp_client_caps *caps, struct slice text)
{
	struct slice rest = slice_trim(text);
	struct slice keyword = slice_take_until(&rest, ' ');
	uint64_t limit;

	for (size_t i = 0; i < ARRAY_LEN(flags); i++)
		if (slice_eq_nocase(keyword, flags[i].keyword))
			*(bool *)(void *)((char *)caps + flags[i].offset) =
			    true;
	/* A limit that is no number is none (RFC 1870 section 4: 0, too). */
	if (slice_eq_nocase(keyword, SLICE("SIZE")) &&
	    slice_to_u64(slice_trim(rest), &limit))
		caps->size_max = limit;
}
