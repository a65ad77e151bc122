/* The table of names is the whole of it; codes are read, not listed. */
#include "simulator/script.h"

#include <stdint.h>
#include <stdio.h>

#include "base/attr.h"

#define LATER_TEXT "4.3.0 Deferred by the simulator, try again later"
#define GREY_TEXT "4.7.1 Greylisted by the simulator, try again later"
#define UNKNOWN_TEXT "5.1.1 No such user at the simulator"

static const struct {
	struct slice name;
	struct script script;
} names[] = {
	{ { "delivered", 9 }, { SCRIPT_DELIVER, "delivered", 0, "" } },
	{ { "success", 7 }, { SCRIPT_DELIVER, "delivered", 0, "" } },
	{ { "bounced", 7 }, { SCRIPT_REFUSE, "bounced", 550, UNKNOWN_TEXT } },
	{ { "bounce", 6 }, { SCRIPT_REFUSE, "bounced", 550, UNKNOWN_TEXT } },
	{ { "bounced-later", 13 },
	    { SCRIPT_BOUNCE_LATER, "bounced later", 0, "" } },
	{ { "asyncbounce", 11 },
	    { SCRIPT_BOUNCE_LATER, "bounced later", 0, "" } },
	{ { "deferred", 8 },
	    { SCRIPT_DEFER_ONCE, "deferred at first", 451, LATER_TEXT } },
	{ { "greylisted", 10 },
	    { SCRIPT_DEFER_ONCE, "greylisted at first", 451, GREY_TEXT } },
	{ { "rejected", 8 },
	    { SCRIPT_REJECT, "rejected", 554,
		"5.6.0 Content rejected by the simulator" } },
	{ { "full", 4 },
	    { SCRIPT_REFUSE, "full", 452,
		"4.2.2 Mailbox full at the simulator" } },
	{ { "mailboxfull", 11 },
	    { SCRIPT_REFUSE, "full", 552,
		"5.2.2 Mailbox full at the simulator" } },
	{ { "disconnect", 10 }, { SCRIPT_DISCONNECT, "disconnected", 0, "" } },
	{ { "slow", 4 }, { SCRIPT_SLOW, "slow", 0, "" } },
};

static bool
take_word(struct slice *s, struct slice word)
{
	if (!slice_starts_nocase(*s, word))
		return false;
	*s = slice_from(*s, word.len);
	return true;
}

/* "5.3.4", the whole of it. */
static bool
is_status(struct slice s)
{
	for (size_t i = 0; i < 3; i++) {
		uint16_t part;

		if (i > 0 && !slice_take_char(&s, '.'))
			return false;
		if (!slice_take_uint(&s, 3, &part))
			return false;
		if (i == 0 && (part < 4 || part > 5))
			return false;
	}
	return s.len == 0;
}

/* "code-[data-]NNN[-X.Y.Z]" */
static bool
read_code(struct slice name, struct script *out)
{
	struct slice status = SLICE("");
	uint16_t code = 0;
	bool at_dot;

	if (!take_word(&name, SLICE("code-")))
		return false;
	at_dot = take_word(&name, SLICE("data-"));
	if (!slice_take_uint(&name, 3, &code) || code < 400 || code > 599)
		return false;
	if (slice_take_char(&name, '-')) {
		if (!is_status(name))
			return false;
		status = name;
	} else if (name.len > 0) {
		return false;
	}
	*out = (struct script){ at_dot ? SCRIPT_REJECT : SCRIPT_REFUSE,
		at_dot ? "rejected" : "refused", code, "" };
	snprintf(out->text, sizeof(out->text), "%.*s%sReply of the simulator",
	    SLICE_FMT(status), status.len > 0 ? " " : "");
	return true;
}

void
script_read(struct slice local_part, struct script *out)
{
	struct slice name =
	    slice_first(local_part, slice_find_char(local_part, '+'));

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		if (slice_eq_nocase(name, names[i].name)) {
			*out = names[i].script;
			return;
		}
	}
	if (!read_code(name, out))
		*out = names[0].script;
}
