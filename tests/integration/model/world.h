/*
 * world.h - a model of the whole way of a mail, with faults, on the real Redis
 * functions, the real statements of PostgreSQL, the real walks, reaper and
 * expiry, and the real slot files. Simulated is the rest of the mta processes,
 * and the far end. Everything happens in one thread, one step after the other,
 * in an order that the seed gives.
 *
 * After each step the rows that it may have touched are read again and compared
 * with what they were: see observe(). What a step must not do fails the test
 * with a line "invariant: ...".
 */
#ifndef MODEL_WORLD_H
#define MODEL_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/attr.h"
#include "base/error.h"
#include "model/status.h"
#include "queue/queue.h"
#include "queue/shaping.h"
#include "store/attempts.h"
#include "store/rules.h"
#include "tests/integration/model/dice.h"

#define MINUTE_MS ((int64_t)60000)
/* What the product promises, in words of its own. */
#define CLAIM_LIFE_MS (15 * MINUTE_MS) /* then nobody sends under it */
#define DOT_AGE_MS (4 * MINUTE_MS)     /* no dot under an older claim */
#define REPLY_MS (10 * MINUTE_MS)      /* so long a reply is awaited */
#define FENCE_MS ((int64_t)20000)      /* no MAIL FROM after it */
#define UNSEEN_MS ((int64_t)30000)     /* then a worker is dead */

#define LANES 3
#define FLOWS 6
#define NODES 2
#define PROCESSES 4 /* two of each node */
#define HAND 24	    /* jobs in hand of a process */
#define MAILS 400   /* recipients of a round */
#define ATTEMPTS 40 /* of a recipient */
#define DOMAINS 3
#define TAGS 3
#define RULES 40 /* of a round */
#define SOURCES 4
#define SHAPINGS 4
#define DAYS 24 /* of a seed, by the day's limits */

/* As RETRY stores it in recipients.flags. */
#define EXACTLY_ONCE 0x04

struct attempt_row {
	int n, worker, outcome; /* outcome 0: open */
	int64_t claimed_at_ms;
};

/* A recipient: its row as last read, and what the far end knows. */
struct mail {
	struct id id;
	uint32_t flow;
	uint8_t flags;
	size_t lane, domain, tag;
	char key[40];
	int64_t accepted_at_ms, expires_at_ms;
	bool is_suppressed;
	/* as last read */
	bool is_known, is_final;
	enum status status;
	int attempts;
	int64_t retry_at_ms;
	size_t row_count;
	struct attempt_row row[ATTEMPTS];
	/* since ever */
	unsigned int unknown; /* times recorded so */
	unsigned int taken;   /* times the far end took it */
	unsigned int refused; /* ... refused it for good */
	bool has_dsn;
	bool is_recalled; /* canceled by its sender */
};

/* Of the operator, as the model knows it. */
struct rule {
	enum store_rule_kind kind;
	enum store_rule_scope scope;
	size_t value; /* domain or tag; TAGS: any of them */
	int account;  /* 0: of any */
	int64_t issued_at_ms, expires_at_ms;
	bool is_on; /* the command has returned, and it is not released */
};

enum phase {
	FREE,
	WAIT,	 /* leased; with n: read */
	ABANDON, /* another's claim, to be recorded as unknown */
	CLAIMED,
	SENT,	 /* the dot was given to the network */
	REPLIED, /* also: no reply will come, and ends without a transaction */
};

enum said {
	SAID_NOTHING, /* after the dot: unknown */
	SAID_YES,
	SAID_LATER,
	SAID_NO,
};

struct mail_reply {
	unsigned int code;
	const char *text;
	int outcome; /* what is recorded for it */
};

/* A job in hand. What a process knew of it when it was killed stays, to see
 * that the next one learns the same. */
struct entry {
	enum phase phase;
	struct mail *mail;
	int n;
	enum said said;	 /* REPLIED; SENT: what is on its way to us */
	enum status end; /* to be ended so, not sent; or 0 */
	int64_t claimed_at_ms, sent_at_ms;
	int64_t asked_at_ms; /* first */
	unsigned int slot;   /* its entry in the slot file, or 0 */
	bool has_heard;	     /* REPLIED: said came from the far end */
	bool is_read, has_asked, has_begun; /* MAIL FROM */
	int rules;  /* generation of the list it was looked at with */
	int source; /* number, or 0: none was chosen yet */
	bool has_spent;
	int quota_day;	    /* of the unit */
	int holder, open_n; /* ABANDON */
};

struct dest;
struct mta;
struct pg;
struct pg_stmt;

struct process {
	int node, slot;
	int worker; /* 0: none was had yet */
	bool is_up, is_paused, has_file, must_sync;
	int64_t beat_ms;
	struct entry hand[HAND];       /* as it was last, when it is down */
	struct mta *mta;	       /* NULL: it is down */
	struct rules *rules;	       /* its list */
	struct dest *dest[SOURCES][2]; /* of the provider, of others */
	struct pg *pg;
};

/* The first four are what it is about. */
struct counts {
	unsigned int recipients, ended, twice, unknown;
	unsigned int steps, sent, kills;
	unsigned int files_lost, nodes_lost, pauses, declared_dead, keepers;
	unsigned int answers_lost, flushes;
	unsigned int dumps, unloads, rules, released, refused, canceled;
	unsigned int expired, dsns, suppressed, begun, blocks, limits, stops;
};
#define COUNT_NAMES                                                            \
	{                                                                      \
		"recipients", "ended", "sent twice", "unknown", "steps",       \
		    "sent", "kills", "slot files lost", "nodes lost",          \
		    "pauses", "declared dead", "keepers", "answers lost",      \
		    "flushes", "old dumps", "functions lost", "rules",         \
		    "released", "refused for rules", "canceled one by one",    \
		    "expired or canceled unleased", "DSNs", "suppressed",      \
		    "MAIL FROM", "blocks", "limits changed", "stopped"         \
	}

struct world {
	struct loop *loop;
	const char *conninfo, *redis_url, *dir;
	struct pg *pg;
	struct queue *queue;
	struct redis *raw;
	struct shaping *shapings[SHAPINGS];
	const struct shaping *shaping; /* one of them */
	struct walk *walk;
	struct reap *reap;
	struct expire *expire;
	struct unpark *unpark;
	struct rules *rules; /* the keeper's list */
	void (*advance)(int64_t ms);
	struct dice dice;
	unsigned int seed, round, step;
	const char *what; /* the step under way */
	bool is_calm;	  /* no more faults: it must come to an end */

	size_t mail_count;
	struct mail mail[MAILS];
	struct process process[PROCESSES];
	unsigned int boot[NODES + 1]; /* the last one is the keeper's */
	int keeper;		      /* its worker */
	struct {
		int number;
		size_t process; /* that is to have it */
	} source[SOURCES];
	int64_t first_day;
	bool is_midnight; /* now, as soon as something takes long */
	unsigned int sent[SOURCES][DAYS][2]; /* MAIL FROM: all, provider's */
	size_t rule_count;
	struct rule rule[RULES];
	struct counts counts;
};

extern const struct queue_lane lanes[LANES];

/* Fails the test. */
NORETURN void world_violates(const struct world *w, const char *invariant,
    const char *format, ...) PRINTF_LIKE(3, 4);

/* world.c: the servers, and waiting for them. ------------------------------ */

struct call {
	bool done;
	size_t count;
	struct error err;
};

void call_counted(void *ctx, size_t count, const struct error *err);
void call_done(void *ctx, const struct error *err);
/* Waits; a call that fails ends the test. */
void call_wait(struct world *w, struct call *call);

void world_open(struct world *w);
void world_close(struct world *w);
void world_open_keeper(struct world *w);
void world_close_keeper(struct world *w);
/* A number out of SQL with one parameter, $1::int8. */
int64_t world_number(struct world *w, const struct pg_stmt *stmt,
    int64_t parameter);
/* What was asked of the connection before is answered, wanted or not. */
void world_settle(struct world *w, struct pg *pg);
/* A new worker's number. */
int world_worker(struct world *w, const char *role, int node, int slot);
struct mail *world_mail(struct world *w, struct id id);
bool world_percent(struct world *w, unsigned int percent);
size_t world_below(struct world *w, size_t n);
/* In a calm world never. */
bool world_fault(struct world *w, unsigned int percent);
int64_t world_now(void);

struct queue_job job_of(const struct mail *m, int64_t delay_ms);

/* check.c: what must always hold. ----------------------------------------- */

/*
 * Reads the rows again. actor: the worker that did something; nobody else's
 * open claim may have gone, but into unknown after its life.
 */
void observe(struct world *w, struct mail *const *mails, size_t n, int actor);
void observe_all(struct world *w, int actor);
/* A claim to send was given to a process. */
void check_granted(struct world *w, const struct mail *m, int64_t now_ms);
/* The last dot is about to be given to the network. */
void check_dot(struct world *w, const struct mail *m, int n, int worker);
/* The far end took a mail. */
void check_taken(struct world *w, const struct mail *m);
/* Every id in at most one zset. */
void check_zsets(struct world *w);
/* All mail is final, and no job left. */
bool world_is_over(struct world *w);
/* When all is over: how it ended, and that nothing is left. */
void check_end(struct world *w);

/* process.c and sending.c: the mta.
 * ------------------------------------------------------ */

bool process_is_working(const struct process *p);
/* Too long since it was last heard of: no MAIL FROM. */
bool process_is_fenced(const struct process *p);
/* Said to Redis, heard or not, and out of hand. */
void process_ack(struct world *w, struct process *p, struct entry *e);
void process_defer(struct world *w, struct process *p, struct entry *e,
    int64_t delay_ms);
void process_lease(struct world *w, struct process *p);
void process_read(struct world *w, struct process *p);
/* Nothing was sent under its claim. */
void process_give_back(struct world *w, struct process *p, struct entry *e,
    int64_t delay_ms);
/* Of two at the same time, or q NULL. */
void process_claim(struct world *w, struct process *p, struct process *q);
void process_begin(struct world *w, struct process *p); /* MAIL FROM */
void process_dot(struct world *w, struct process *p);
void process_reply(struct world *w, struct process *p);
void process_write(struct world *w, struct process *p);
void process_sync(struct world *w, struct process *p);
void process_beat(struct world *w, struct process *p);

/* engine.c: what of an mta is real. ---------------------------------------- */

/* Opens the slot file as it was left and has it settled; false: killed
 * meanwhile, the next one begins again. */
bool engine_resolve(struct world *w, struct process *p);
/* It has a number: entries are of that. */
void engine_begin(struct process *p);
void engine_open(struct world *w, struct process *p);
void engine_close(struct process *p);
void engine_lose_file(struct world *w, struct process *p);

/* The entry's place in the slot file. */
void entry_ask(struct process *p, struct entry *e, int64_t now_ms);
void entry_claimed(struct process *p, struct entry *e);
void entry_sent(struct process *p, struct entry *e);
void entry_unsent(struct process *p, struct entry *e);
void entry_replied(struct process *p, struct entry *e);
void entry_unclaimed(struct process *p, struct entry *e);
/* Out of hand. */
void entry_free(struct process *p, struct entry *e);

/* limits.c: sources, and what may leave from them in a day. -----------------
 */

void limits_open(struct world *w);
void limits_close(struct world *w);
void limits_begin_round(struct world *w);
void limits_calm(struct world *w);
/* It sends while the day ends. */
void process_at_midnight(struct world *w, struct process *p);
void source_move(struct world *w);
void source_limit(struct world *w);
/* A process takes, keeps and gives up sources; at its orderly end. */
void limits_beat(struct world *w, struct process *p);
void limits_stop(struct world *w, struct process *p);
void limits_tick(struct world *w, struct process *p);
void limits_free(struct process *p);
/* Where the entry's mail is to leave from; false: the process has no source. */
bool limits_pick(struct world *w, struct process *p, struct entry *e);
enum limits_say {
	LIMITS_GO,    /* MAIL FROM has left */
	LIMITS_WAIT,  /* for a block, or a connection */
	LIMITS_OTHER, /* not from here now: after wait_ms */
};
enum limits_say limits_begin(struct world *w, struct process *p,
    struct entry *e, int64_t *wait_ms);
/* It only looks whether it could. */
void limits_look(struct world *w, struct process *p, const struct entry *e);
void check_limits(struct world *w);

/* life.c: how processes come and go. --------------------------------------- */

void process_kill(struct world *w, struct process *p);
void process_start(struct world *w, struct process *p);
/* In good order, if nothing is under way; else it gives back what it can. */
void process_stop(struct world *w, struct process *p);
void node_lose(struct world *w, int node);

/* outcome.c: what is written. ------------------------------------------------
 */

/* Writes the entries of phase REPLIED and ABANDON; false: the answer is lost,
 * or nothing was written at all. worker: under whose number. */
bool outcome_write(struct world *w, struct pg *pg, int worker,
    struct entry *const *entries, size_t n);
/* When the entry's job is due again; 0: it is over. */
int64_t outcome_retry_at(const struct entry *e);
struct mail_reply reply_of(enum said said);

/* doors.c: what comes from outside. -----------------------------------------
 */

void accept_some(struct world *w);
void address_suppress(struct world *w);
void dsn_arrive(struct world *w);

/* rules.c: holds and cancels.
 * ------------------------------------------------- */

/* The mail's record, with its tags. Borrowed until rules_forget. */
struct slice head_of(const struct mail *m);
void rules_forget(void);
/* Issues one; on from when the caller says so. NULL: there are many. */
struct rule *rule_start(struct world *w, enum store_rule_kind kind,
    struct call *call);
void rule_hold(struct world *w);
void rule_cancel(struct world *w);
void rule_release(struct world *w);
void rules_release_all(struct world *w);
void rules_unpark(struct world *w);
void rules_trim(struct world *w);
bool rules_hold_any(const struct world *w);
/* Of an email, at the same time as q claims, or q NULL. */
void api_cancel(struct world *w, struct process *q);
/* A claim to send was given at now_ms. */
void check_rules(struct world *w, const struct mail *m, int64_t now_ms);
/* In the end. */
void check_canceled(struct world *w, const struct mail *m);
/* Nothing is parked. */
void check_released(struct world *w);
/* What is past its max age for so long has ended. */
void check_aged(struct world *w, int64_t for_ms);

/* keeper.c: the keeper, what befalls Redis, and time. ------------------------
 */

void keeper_walk(struct world *w);
void keeper_reap(struct world *w);
void keeper_restart(struct world *w);
/* What was asked of Redis before is answered. */
void redis_settle(struct world *w);
void redis_flush(struct world *w);
void redis_save(struct world *w);
void redis_restore(struct world *w);
void redis_forget(void); /* what was saved */
void redis_unload(struct world *w);
void time_pass(struct world *w, int64_t ms);

#endif
