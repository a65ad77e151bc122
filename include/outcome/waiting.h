/*
 * outcome/waiting.h - why a recipient is not finished yet, for people: the API
 * and verpost queue show say the same. Pure.
 */
#ifndef OUTCOME_WAITING_H
#define OUTCOME_WAITING_H

#include "base/strbuf.h"
#include "outcome/canceled.h"
#include "queue/rules.h"
#include "store/emails.h"

/* What a rule makes of it: canceled as soon as somebody comes across it. */
enum status waiting_status(const struct store_recipient *r,
    const struct store_rule *rule);

/* What is written of who canceled it when a rule does; NULL: it is gone. Texts
 * are the rule's. */
struct canceled canceled_by_rule(const struct store_rule *rule);
/*
 * Who canceled it; false: nobody did. rule: as above, which may do so yet.
 * Texts are the rule's, or in the arena.
 */
bool waiting_canceled(struct arena *arena, const struct store_recipient *r,
    const struct store_rule *rule, struct canceled *out);

/* "on hold: domain example.com (their wish), account shop" */
void waiting_add_holds(struct strbuf *out, const struct store_rule *const *hold,
    size_t count);
/*
 * Appends one line. found: what applies to it (rules_find_all). lane_why: what
 * the schedule says about its lane, or len 0. False, and nothing appended, when
 * it is finished.
 */
bool waiting_because(struct strbuf *out, const struct store_recipient *r,
    const struct rules_found *found, struct slice lane_why, int64_t now_ms);

#endif
