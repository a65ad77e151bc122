/*
 * api/members.h - whether all members of a JSON object are known. A misspelt
 * member that was passed over would send another mail than was meant. Pure.
 */
#ifndef API_MEMBERS_H
#define API_MEMBERS_H

#include "base/json.h"
#include "intake/answer.h"

/* What people write, and what it is called here. */
struct member_word {
	const char *word, *meant;
};

struct members {
	const char *of; /* "an email" */
	const char *const *known;
	const struct member_word *word;
	size_t known_count, word_count;
};

/*
 * path: of the object, "attachments[0]", or NULL for the outermost. A member
 * that is null counts as absent. Returns 0, or -1 with 422 in *no, which names
 * the member and the one that may be meant.
 */
int members_check(const struct members *m, const char *path,
    const struct json *obj, struct intake_answer *no) MUST_CHECK;

#endif
