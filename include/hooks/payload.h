/*
 * hooks/payload.h - what is posted to an endpoint, and its signature. Pure.
 *
 * The body follows from the rows of the event and its email alone, so that it
 * is the same, octet for octet, in every try.
 */
#ifndef HOOKS_PAYLOAD_H
#define HOOKS_PAYLOAD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/slice.h"
#include "base/strbuf.h"
#include "model/id.h"
#include "model/status.h"

struct hooks_event {
	enum event_kind kind;
	int64_t at_ms;
	struct slice data; /* JSON (outcome/event_data.h), or ptr NULL */
	struct id email;
	int64_t email_created_at_ms;
	struct slice message_id; /* set by the sender, or ptr NULL: derived */
	struct slice head;	 /* mail_content record */
	struct slice address;	 /* of the one recipient it is about */
};

/*
 * Appends {"type":...,"created_at":...,"data":{...}} in Resend's shape. Fails
 * (ERR_SYNTAX) for a kind that no webhook is sent for, and for a record that
 * cannot be read.
 */
int hooks_payload_write(struct strbuf *out, const struct hooks_event *e,
    struct error *err) MUST_CHECK;

/*
 * The value of webhook-signature (Standard Webhooks 1.0): "v1," and the
 * base64 of HMAC-SHA256 over "<id>.<timestamp>.<body>". secret: "whsec_" and
 * the key in base64. Appends; a second call adds a second signature behind a
 * space, for the time when a secret is changed.
 */
int hooks_sign(struct strbuf *out, struct slice secret, struct slice id,
    int64_t timestamp_s, struct slice body, struct error *err) MUST_CHECK;

#endif
