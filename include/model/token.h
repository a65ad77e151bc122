/*
 * model/token.h - the signed return-path token: who a bounce is about.
 *
 * lower-case base32 of recipient id (16 octets), key number (1), HMAC-SHA256
 * over "return-path", key number and id, cut to 80 bits (10): 27 octets, 44
 * characters; "b-" in front makes the local part of 46 octets. Read without
 * regard to case. The token alone says who bounced; addresses inside a report
 * are evidence, never a key.
 */
#ifndef MODEL_TOKEN_H
#define MODEL_TOKEN_H

#include <stdbool.h>

#include "base/crypto.h"
#include "model/id.h"

#define TOKEN_LEN 44
#define TOKEN_LOCAL_LEN 46 /* "b-" + token */

enum token_purpose {
	TOKEN_RETURN_PATH,
};

/* Writes "b-<token>" and a NUL. */
void token_format(const struct keyring *ring, enum token_purpose purpose,
    struct id recipient, char out[TOKEN_LOCAL_LEN + 1]);
/* local_part: with the "b-". False when it is not ours. */
bool token_verify(const struct keyring *ring, enum token_purpose purpose,
    struct slice local_part, struct id *recipient);
/* Whom it names, with nothing verified: for showing, never for acting. */
bool token_peek(struct slice local_part, struct id *recipient);

#endif
