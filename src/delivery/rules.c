/*
 * Holds and cancels, applied where a job's row is read: what is held is parked
 * in Redis until the hold is over, what is cancelled is claimed and ends.
 *
 * The job keeps the generation of the list it was looked at with. Its claim is
 * refused when there is a newer one; it then goes back to the schedule, and is
 * read and looked at again. So nobody has to be told of a new rule. What was
 * claimed before and still waits for a connection is given back as soon as the
 * new list is here, which is with the next heartbeat. While there
 * are rules, the list is read with every batch of rows, so that nothing is
 * parked for a hold that was just released.
 */
#include "delivery/delivery_priv.h"

#include "base/clock.h"
#include "queue/rules.h"
#include "store/jobs.h"
#include "store/workers.h"

/* Before a job is tried again whose claim was refused under the newest list
 * that we have. */
#define AGAIN_MS 50

void
rules_tick(struct mta *m)
{
	int64_t now_ms = clock_mono_ms();

	if (now_ms < m->rules_due_mono_ms)
		return;
	m->rules_due_mono_ms = now_ms + clock_patience_ms(STORE_HEARTBEAT_MS);
	rules_refresh(m->rules);
}

bool
rules_before_read(struct mta *m)
{
	size_t n;
	const struct store_rule *list = rules_list(m->rules, &n);

	/* Its answer comes before the rows: what is parked is held now. */
	if (rules_generation(m->rules) < 0 || n > 0)
		rules_refresh(m->rules);
	return rules_want_heads(list, n);
}

bool
rules_hold(const struct mta *m, struct slice ip)
{
	size_t n;
	const struct store_rule *list = rules_list(m->rules, &n);

	return rules_hold_source(list, n, ip, clock_now_ms());
}

/* Sources are looked at with the heartbeat; this is for the time until then.
 * A claim that may stand is not left behind: it is asked for again. */
bool
job_source_is_held(const struct job *j)
{
	char ip[NET_ADDR_TEXT];
	size_t n;

	rules_list(j->mta->rules, &n);
	if (n == 0 || j->dest == NULL || j->claim_asked)
		return false;
	net_addr_format(&j->dest->source.addr, ip);
	return rules_hold(j->mta, slice_of(ip));
}

bool
job_is_ruled_out(struct job *j, const struct store_job *row, bool has_head,
    int64_t now_ms)
{
	struct rules *rules = j->mta->rules;
	size_t n;
	const struct store_rule *list = rules_list(rules, &n), *found;
	struct rules_subject what = {
		.account = j->account,
		.address = row->address,
		.head = row->head,
		.accepted_at_ms = id_time_ms(row->id),
	};

	/* Read without its head, and a rule about tags has come: cannot tell,
	 * no generation is that. */
	j->rules = has_head || !rules_want_heads(list, n)
	    ? rules_generation(rules)
	    : -1;
	found = n > 0 ? rules_find(list, n, &what, now_ms) : NULL;
	if (found == NULL)
		return false;
	if (found->kind == RULE_HOLD) {
		lane_park(j, found->number);
		return true;
	}
	j->end = JOB_END_CANCELED;
	j->cancel = found->number;
	claim_job(j);
	claims_flush(j->mta);
	return true;
}

bool
job_rules_are_old(const struct job *j)
{
	return j->rules != rules_generation(j->mta->rules);
}

void
job_rules_changed(struct job *j)
{
	struct rules *rules = j->mta->rules;
	bool is_newest = j->rules == rules_generation(rules);

	rules_refresh(rules);
	lane_defer(j, is_newest ? AGAIN_MS : 0);
}

/* -- parking -----------------------------------------------------------------
 */

void
lane_flush_parks(struct lane_state *lane)
{
	struct mta *m = lane->mta;

	if (lane->park_count > 0)
		queue_park(m->queue, &lane->lane, m->worker, lane->park_hold,
		    lane->parks, lane->park_count, NULL, NULL);
	lane->park_count = 0;
}

void
lane_park(struct job *j, int hold)
{
	struct lane_state *lane = j->lane;

	if (lane->park_count == ARRAY_LEN(lane->parks) ||
	    lane->park_hold != hold)
		lane_flush_parks(lane);
	lane->park_hold = hold;
	lane->parks[lane->park_count++] = j->q;
	mta_flush_soon(j->mta);
	job_free(j);
}
