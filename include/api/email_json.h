/*
 * api/email_json.h - the JSON of POST /emails (reference A.4) to struct
 * mail_content. Pure: only the shape is checked here, what may be said in the
 * fields is intake/check.h's.
 */
#ifndef API_EMAIL_JSON_H
#define API_EMAIL_JSON_H

#include <stddef.h>

#include "base/arena.h"
#include "intake/answer.h"
#include "mail/content.h"

/*
 * body: borrowed and CHANGED; texts of *out point into it, arrays live in the
 * arena. recipients_max: bound on each of to, cc and bcc.
 * Unknown members are refused, and so is what we know and do not do yet
 * (scheduled_at, template, topic_id, attachments by path).
 * Returns 0, or -1 with the refusal in *no and *out unspecified.
 */
int email_json_read(struct arena *arena, char *body, size_t len,
    size_t recipients_max, struct mail_content *out,
    struct intake_answer *no) MUST_CHECK;

#endif
