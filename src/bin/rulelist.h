/*
 * bin/rulelist.h - holds and cancels as 'verpost queue rules' lists them; the
 * commands that make and end them print one as JSON, with the same members.
 */
#ifndef BIN_RULELIST_H
#define BIN_RULELIST_H

#include "store/rules.h"

struct session;

/*
 * The rule as it stands in the database: a hold that was there before has kept
 * its id. What was asked for when there is none (any more). Texts are in the
 * arena, or like's.
 */
struct store_rule rulelist_read(struct session *s, struct arena *arena,
    const struct store_rule *like);
/* What was written. */
void rulelist_print(struct session *s, struct arena *arena,
    const struct store_rule *written);
/* given_back: how many recipients go on; -1: not known, the keeper sees to
 * it. */
void rulelist_print_released(struct session *s, const struct store_rule *rule,
    int64_t given_back);

#endif
