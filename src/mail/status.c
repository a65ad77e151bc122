#include "mail/status.h"

#include <stdio.h>

int
mail_status_take(struct slice *text, struct mail_status *out, struct error *err)
{
	struct slice in = *text;
	struct mail_status status;

	for (size_t i = 0; i < 3; i++) {
		if (i > 0 && !slice_take_char(&in, '.'))
			return error_set(err, ERR_SYNTAX, "status: no dot");
		if (!slice_take_uint(&in, 3, &status.part[i]))
			return error_set(err, ERR_SYNTAX, "status: no digit");
	}
	if (in.len > 0 && !slice_take_char(&in, ' '))
		return error_set(err, ERR_SYNTAX, "status: runs on");
	if (status.part[0] != 2 && status.part[0] != 4 && status.part[0] != 5)
		return error_set(err, ERR_SYNTAX, "status: bad class");
	*text = in;
	*out = status;
	return 0;
}

void
mail_status_format(struct mail_status s, char out[MAIL_STATUS_TEXT])
{
	out[0] = '\0';
	if (mail_status_is_set(s))
		snprintf(out, MAIL_STATUS_TEXT, "%u.%u.%u", s.part[0] % 10u,
		    s.part[1] % 1000u, s.part[2] % 1000u);
}

bool
mail_status_is_set(struct mail_status s)
{
	return s.part[0] != 0;
}

bool
mail_status_is(struct mail_status s, unsigned int class, unsigned int subject,
    unsigned int detail)
{
	return s.part[0] == class && s.part[1] == subject &&
	    s.part[2] == detail;
}
