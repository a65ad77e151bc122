/*
 * delivery_priv.h - the engine's parts and how a job walks through them.
 *
 *   lease.c   Redis lanes -> jobs        one lane_state per lane
 *   job.c     read the row, decide       finished? not due? expired?
 *   rules.c   holds and cancels          park, or claim and end
 *   route.c   domain -> mail hosts       struct route, cached, single flight
 *   dest.c    route x source             waiting jobs, claims; dest_links.c:
 *                                        sessions, back-off; dest_table.c
 *   scope.c   source x site or provider  limits (limit.c), whose turn it is
 *   claim.c   attempts row, committed    only what is claimed is sent
 *   content.c its email's record         beside the claim, within a budget
 *   renew.c   the same, kept alive       what takes long
 *   message.c MIME and DKIM              identity.c: the domain's key
 *   session.c one connection             smtp/client over net/conn
 *   finish.c  verdict -> outcome -> ack or defer
 *   owner.c   worker row, heartbeat, sources
 *   slot.c    how far each claim is, for whoever comes after kill -9
 *   resolve.c settles what the slot's last process left
 *
 * A job is on exactly one list at a time besides its lane's, named by state.
 */
#ifndef DELIVERY_PRIV_H
#define DELIVERY_PRIV_H

#include <stdbool.h>

#include "base/arena.h"
#include "base/hash.h"
#include "base/list.h"
#include "base/log.h"
#include "base/strbuf.h"
#include "delivery/mta.h"
#include "delivery/quota.h"
#include "delivery/scope.h"
#include "mail/address.h"
#include "mail/dkim.h"
#include "net/conn.h"
#include "net/resolver.h"
#include "outcome/outcome.h"
#include "queue/queue.h"
#include "queue/shaping.h"
#include "slot.h"
#include "smtp/client.h"
#include "smtp/transcript.h"

#define JOB_MAGIC 0x6a6f6231u
#define SESSION_MAGIC 0x73657331u

enum job_state {
	JOB_READING,   /* its row is asked for */
	JOB_ROUTING,   /* waits for its domain's key or DNS */
	JOB_WAITING,   /* dest->waiting, by fair tag */
	JOB_CLAIMING,  /* its attempts row is being committed */
	JOB_LOADING,   /* claimed; its content is read, or waits for room */
	JOB_RENEWING,  /* claimed long ago: the claim is being renewed */
	JOB_CLAIMED,   /* dest->claimed: next on a session */
	JOB_SENDING,   /* session->mails */
	JOB_WRITING,   /* its outcome is being committed */
	JOB_RELEASING, /* its claim is being taken back, unused */
};

/* The record of an email, shared by its recipients in hand; content.c. */
struct content {
	struct mta *mta;
	struct id email;
	unsigned int refs; /* jobs, and the read under way */
	size_t bytes;	   /* charged to the budget */
	char *ptr;	   /* NULL: not read */
	bool is_reading;
	struct list waiting; /* claimed jobs, JOB_LOADING */
	bool has_text;	     /* a text was made of its html: */
	struct strbuf text;  /* made once, as it costs more than the rest */
};

struct job {
	unsigned int magic;
	enum job_state state;
	struct mta *mta;
	struct lane_state *lane;
	struct list lane_node; /* lane->held */
	struct list node;      /* the list its state names */
	bool is_fresh;	       /* counted in lane->fresh_count */
	struct queue_job q;
	struct arena arena;

	/* from its row */
	int account, domain;
	unsigned int n;	   /* the attempt about to be made */
	bool exactly_once; /* rather not delivered than sent twice */
	struct mail_address address;
	struct slice address_key;
	struct content
	    *content; /* counted; NULL: not asked for, or done with */
	size_t content_bytes;
	struct id email;
	struct slice message_id; /* set by the sender, or len 0 */
	int64_t created_at_ms, expires_at_ms;
	int rules;  /* generation of the list it was looked at with */
	int cancel; /* number of the rule, with JOB_END_CANCELED */

	/* Ends without a destination, once claimed. */
	enum {
		JOB_END_NONE,
		JOB_END_DNS,
		JOB_END_EXPIRED,
		JOB_END_SUPPRESSED,
		JOB_END_CANCELED,
		JOB_END_LOG,
		JOB_END_ADDRESS
	} end;

	struct route *route; /* counted reference, or NULL */
	bool awaits_route;   /* on its list */
	struct dest *dest;
	bool claim_asked;    /* the answer was lost: the claim may stand */
	int64_t asked_at_ms; /* when first: ours is not older; 0: never */
	unsigned int entry;  /* in the slot file; 0: none */
	int64_t claimed_at_ms;
	struct renewal *renewal; /* asked for since the claim got old */
	/* The final dot: in smtp/client's output, with the connection, with
	 * the network. */
	enum { DOT_NONE, DOT_OUT, DOT_GIVEN, DOT_WRITTEN } dot;
	int quota_day;		     /* of the unit that it has spent */
	unsigned int host_tries;     /* links lost under it, this attempt */
	struct strbuf message;	     /* built and signed, while sending */
	struct smtp_transcript said; /* in the last transaction */
	bool smtputf8; /* its header or its recipient asks for that */
	char return_path[MAIL_LOCAL_MAX + MAIL_DOMAIN_MAX + 2];
};

/* -- lease.c ------------------------------------------------------------ */

struct lane_state {
	struct mta *mta;
	struct queue_lane lane;
	struct list held; /* every job of this lane in this process */
	size_t held_count;
	size_t waiting_count; /* of those, JOB_WAITING */
	size_t fresh_count;   /* and those that have no destination yet */
	bool is_served;	      /* a source of its pool is owned */
	bool asking;	      /* a lease call is under way */
	bool woken;	      /* work arrived since that call */
	bool has_more;	      /* ask again as soon as there is room */
	int provider;	      /* whose lane it is; -1: a hash lane */
	size_t asked;	      /* of the call under way */
	int64_t due_mono_ms;  /* of what it has for later; 0: unknown */
	size_t room;	      /* room.c: as it was then */
	int64_t room_at_mono_ms, opens_us;
	const char *why; /* Redis was told; NULL: nothing */
	int64_t why_said_mono_ms;
	struct queue_job acks[100], defers[100];
	size_t ack_count, defer_count;
	struct queue_job parks[100];
	size_t park_count;
	int park_hold; /* that those are parked for */
};

void lanes_init(struct mta *m);
void lanes_fini(struct mta *m);
/* Makes lanes for the pools of the sources owned. */
void lanes_update(struct mta *m);
/* Once a second: tells Redis what is held, each lane once a minute. An ack
 * whose answer was lost would leave a job with a live process for ever. */
void lanes_tick(struct mta *m);
bool lanes_are_asking(const struct mta *m);
/* Asks every lane for which there is room and no question under way. */
void lanes_ask(struct mta *m);
/* Done with a job in Redis: it is freed. */
void lane_ack(struct job *j);
/* Back to the schedule after delay_ms (0: in front); it is freed. */
void lane_defer(struct job *j, int64_t delay_ms);

/* Jobs in the smallest lease that is worth its cost in a busy lane. */
#define LEASE_SMALL ((size_t)16)

/* -- room.c: what of a lane could start soon. */
size_t lane_room(struct lane_state *lane);
/* It was not asked for that reason: the lanes are looked at when it opens. */
void lane_closed(struct lane_state *lane);
/* Nothing is left in it that waits for room. */
void lane_is_drained(struct lane_state *lane);

/* All held jobs but those whose outcome is not yet written or which are being
 * sent: back to the schedule; claims are taken back. For draining. */
void lanes_give_back(struct mta *m);

/* -- job.c -------------------------------------------------------------- */

struct job *job_new(struct lane_state *lane, const struct queue_job *q);
void job_free(struct job *j); /* takes it off all lists */
/* It has come as far as a destination, or to its end. */
void job_is_placed(struct job *j);
struct job *job_find(struct mta *m, struct id recipient); /* in hand, or NULL */
/* Reads the rows of freshly leased jobs, all JOB_READING on the list. */
void jobs_read(struct mta *m, struct list *fresh);
void jobs_fini(struct mta *m);
/* The domain's identity is known: on to the route. */
void job_identified(struct job *j);
/* Its route is known: to a destination, or to an end. */
void job_routed(struct job *j);
/* Its max age is over: it ends, wherever it stood (a transaction under way is
 * let to its end). Each stage looks once a second. */
void job_expired(struct job *j);
/* It was claimed (at j->claimed_at_ms): to its destination, or ends. */
void job_claimed(struct job *j);

/* -- rules.c ------------------------------------------------------------ */

struct store_job;

/* Once a second: reads the list again with every heartbeat. */
void rules_tick(struct mta *m);
/* Rows are about to be read: whether with their heads. */
bool rules_before_read(struct mta *m);
/* A hold applies and the job is parked, or a cancel and it will end. */
bool job_is_ruled_out(struct job *j, const struct store_job *row, bool has_head,
    int64_t now_ms);
/* Its claim was refused, for rules have changed: back, to be read again. */
void job_rules_changed(struct job *j);
/* Rules have changed since it was looked at, as far as is known here. */
bool job_rules_are_old(const struct job *j);
/* Whether nothing may leave from an address at the moment. */
bool rules_hold(const struct mta *m, struct slice ip);
/* Its source is held: to be given back instead of claimed. */
bool job_source_is_held(const struct job *j);
/* It waits in Redis for the end of the hold; it is freed. */
void lane_park(struct job *j, int hold);
void lane_flush_parks(struct lane_state *lane);

/* -- publish.c ---------------------------------------------------------- */

/* Once a second: tells who asks what the destinations do. */
void publish_tick(struct mta *m);

/* -- route.c ------------------------------------------------------------ */

#define ROUTE_HOSTS_MAX 8
#define ROUTE_HOST_ADDRS 4
#define ROUTE_ADDRS_MAX 16

struct route_host {
	uint16_t preference;
	struct slice name;
	size_t addr_count;
	struct net_addr *addr; /* ROUTE_HOST_ADDRS */
};

struct route {
	struct mta *mta;
	struct slice domain;
	unsigned int refs; /* jobs, destinations, the table */
	enum { ROUTE_ASKING, ROUTE_READY, ROUTE_NONE } state;
	enum verdict_dns why_none; /* ROUTE_NONE */
	bool is_simulator;
	int64_t expires_at_ms; /* clock_mono_ms */
	int64_t used_at_mono_ms;
	uint32_t ttl_s;	  /* smallest of all answers */
	struct list jobs; /* waiting for the answer */
	size_t job_count;
	struct list asking_node; /* mta->asking */
	int64_t asked_at_mono_ms;
	int64_t turn_mono_ms; /* of the last that was too many */
	size_t host_count;
	struct route_host host[ROUTE_HOSTS_MAX]; /* by preference */
	struct slice site; /* canonical name of the MX set */
	int provider;	   /* by its hosts, else by its domain; or -1 */
	struct shaping_limits limits;
	struct arena arena;
	/* while asking */
	struct dns_query *query[1 + 2 * ROUTE_HOSTS_MAX];
	unsigned int open_queries;
	bool address_failed;  /* some address lookup had no answer */
	bool address_refused; /* some address was refused by the guard */
	bool implicit;	      /* no MX: the domain is its own host */
};

void routes_init(struct mta *m);
void routes_fini(struct mta *m);
/* Finds or asks; job_routed is called now when the answer is known. When too
 * many wait for answers it goes back to the schedule for a while. */
void route_job(struct job *j);
/* It does not wait for the answer any more, whatever becomes of it. */
void route_leave(struct job *j);
struct route *route_ref(struct route *r);
void route_unref(struct route *r);
/* Whether a host has an address of that family. */
bool route_has_family(const struct route *r, int family);
/* Once a second: forgets what is old and unused. */
void routes_tick(struct mta *m);

/* -- dest.c ------------------------------------------------------------- */

struct source {
	int number;
	int pool;
	unsigned int weight;
	int daily;	      /* mails in a UTC day; 0: no limit */
	struct net_addr addr; /* port 0 */
	char helo[256];
	int64_t owned_at_us; /* clock_mono_us: since when nobody else's */
};

struct dest {
	struct mta *mta;
	struct slice key;
	struct list work_node;	   /* mta->work: has something to look at */
	struct route *route;	   /* the newest one; counted */
	struct source source;	   /* copied */
	struct list waiting;	   /* transactional mail first, then by tag */
	unsigned int passed_count; /* urgent ones in a row that went before
				      others */
	struct list claimed;
	struct list sessions;
	size_t waiting_count, claimed_count, claiming_count, sending_count;
	unsigned int session_count;    /* all */
	unsigned int idle_count;       /* usable, and without work */
	unsigned int connecting_count; /* not yet usable; none of the next */
	unsigned int quitting_count;   /* take no more mail */
	size_t scope_count;
	struct scope *scope[SCOPES_MAX];
	struct limit *limit[SCOPES_MAX];     /* of these */
	struct list mail_node, connect_node; /* lines of a scope */
	size_t quota_count;
	struct quota *quota[QUOTAS_MAX];
	struct list quota_node;	  /* waits for a block of one of them */
	int quota_waiting;	  /* jobs, claimed ones included */
	unsigned int quota_looks; /* since one of them began to be sent */
	bool mail_is_first;	 /* there among those that could send at once */
	bool is_called;		 /* its turn has come */
	double rate;		 /* mails a second, smoothed; first a guess */
	unsigned int rate_looks; /* at a backlog, in a row, that it is of */
	unsigned int done_count; /* ended since the last tick */
	int64_t dot_ms; /* from a dot to its reply, smoothed; -1: not known */
	bool stands_still;	 /* nothing did in the last second */
	int64_t turn_at_mono_ms; /* when the next one beyond the cap is due */
	int64_t full_since_mono_ms;   /* more came than may wait; 0: not so */
	unsigned int fail_count;      /* rounds over all hosts, in a row */
	int64_t retry_at_mono_ms;     /* no connection before */
	unsigned int more_fail_count; /* refused beside connections that work */
	int64_t more_at_mono_ms;      /* no further connection before */
	bool is_retired;	      /* its source is not owned any more */
	struct smtp_outcome last_failure; /* why the last round failed */
	char last_host[NET_ADDR_TEXT + MAIL_DOMAIN_MAX + 4];
	struct strbuf last_said; /* the transcript of that */
	bool clear_text_only;	 /* STARTTLS broke: until tls_again */
	int64_t tls_again_mono_ms;
	int64_t used_at_mono_ms;
};

void dests_init(struct mta *m);
void dests_fini(struct mta *m);
void dests_tick(struct mta *m);
/* Queues the job on a destination of its route. */
void dest_add(struct job *j);
/* A claimed job for a session that can send, or NULL: there is none, or the
 * limits let none begin now; asks for claims. */
struct job *dest_take(struct dest *d);
/* A claim came back for the job. */
void dest_claimed(struct job *j);
/* The job was not claimed or is over: counters only. */
void dest_forget(struct job *j);
/* A job whose link died before the dot: to the front of the claimed. */
void dest_return(struct job *j);
/* One taken for a session whose claim is too old to begin with: renewed, and
 * claimed anew. */
void dest_renew(struct job *j);
/* A session, or what is left of it. */
struct session_end {
	bool was_ready, was_quitting;
	/* Of no use to any mail: the destination rests, or opens no more. */
	bool failed;
	const struct smtp_outcome *why; /* borrowed */
	const char *host;
	struct slice transcript;
};
void dest_session_over(struct dest *d, const struct session_end *end);
/* Its connection is closed, and counts no more. */
void dest_session_gone(struct dest *d);
void dest_session_ready(struct dest *d);
/* It is to be tried on another host. */
void dest_session_unready(struct dest *d);
/* It will QUIT: takes no more mail. was_ready: as above. */
void dest_session_quits(struct dest *d, bool was_ready);
/* A mail got an answer: the host works. */
void dest_progress(struct dest *d);
/*
 * A mail whose commands leave together with the dot of another saves a round
 * trip, but it waits for the reply to that dot (contrib/notes/0020). Only where
 * replies are known to come within DEST_RIDE_MS, and only what is left when
 * each connection that is idle or on its way gets one.
 */
#define DEST_RIDE_MS 500
bool dest_may_ride(const struct dest *d);
void dest_dot_took(struct dest *d, int64_t ms);
/* At the end of this turn: kicks its connections, opens more, asks for
 * claims, as the backlog needs. */
void dest_work_soon(struct dest *d);
void dest_work(struct dest *d);
void dests_close_sessions(struct mta *m);
/* After the sources changed: what leaves from one that is not owned any more
 * ends with the transactions under way, the rest goes back. */
void dests_retire(struct mta *m);

/* -- claim.c ------------------------------------------------------------ */

void claims_init(struct mta *m);
void claims_fini(struct mta *m);
/* Puts a job into the next claim batch. */
void claim_job(struct job *j);
/* Sends the batches of which none is under way. */
void claims_flush(struct mta *m);
/* Takes the claim of a job back, which sent nothing, and then gives the job
 * back to the schedule. */
void claim_release(struct job *j);
/* Jobs that wait for a claim: back to the schedule. */
void claims_give_back(struct mta *m);

/* -- content.c ---------------------------------------------------------- */

void contents_init(struct mta *m);
void contents_fini(struct mta *m);
/* Reads what these jobs, about to be claimed, need and is not here. */
void contents_read(struct mta *m, struct list *jobs);
/* The job is claimed: to its destination, now or when its content is here. */
void content_await(struct job *j);
/* It is not needed any more. */
void job_drop_content(struct job *j);
/* Once a second: ends claimed jobs that have waited for it for too long. */
void contents_tick(struct mta *m);
/* -- renew.c ------------------------------------------------------------ */

/* A claim older than this starts no transaction, and is renewed in one. */
#define CLAIM_OLD_MS (3 * 60 * 1000)

/* Of a mail in a transaction: j->claimed_at_ms moves on when it is done. Once
 * asked it does nothing until then. */
void renew_under_way(struct job *j);
/* True from the question until it has succeeded. */
bool renew_was_asked(const struct job *j);
/* JOB_RENEWING; then dest_claimed is called, or it goes back to the schedule
 * because the claim was over. */
void renew_then_send(struct job *j);
void renew_cancel(struct job *j);

/* -- identity.c --------------------------------------------------------- */

struct identity { /* what a sending domain signs with */
	struct mta *mta;
	int domain;
	bool is_loaded;	  /* once at least; usable says how it went */
	struct list jobs; /* waiting for the first load */
	struct pg_tx *loading;
	char name[MAIL_DOMAIN_MAX + 1];
	char return_path_host[MAIL_DOMAIN_MAX + 1];
	bool usable;
	char why_not[288]; /* not usable: for people */
	struct dkim_key *key;
	int64_t loaded_at_mono_ms, used_at_mono_ms;
};

void identities_init(struct mta *m);
void identities_fini(struct mta *m);
/*
 * The identity of a domain, or NULL while it is being loaded for the first
 * time: jobs of that domain then wait in identity_wait. Borrowed for the turn.
 */
struct identity *identity_get(struct mta *m, int domain);
/* job_identified is called once it is there (usable or not). */
void identity_wait(struct job *j);
/* Once a second: ends what waits beyond its max age, forgets what was not used
 * for a while. */
void identities_tick(struct mta *m);

/* -- message.c ---------------------------------------------------------- */

/* Builds and signs into j->message and j->return_path. */
int message_build(struct job *j, struct identity *i,
    struct error *err) MUST_CHECK;

/* -- session.c ---------------------------------------------------------- */

struct session *session_new(struct dest *d);
/* There may be something to send. */
void session_kick(struct session *s);
void session_quit(struct session *s);
/* Without farewell; jobs go back to the destination. */
void session_abort(struct session *s);
/* Once a second: ends one that has stood at the same step for too long. */
void session_watch(struct session *s, int64_t now_mono_ms);
struct list *session_node(struct session *s);
struct session *session_of(struct list *node);
struct session *session_of_idle(struct list *idle_node);

/* -- finish.c ----------------------------------------------------------- */

/* A transaction, or the attempt to make one, ended. host and transcript: for
 * people. */
void finish_attempt(struct job *j, const struct smtp_outcome *outcome,
    const char *host, const char *tls, struct slice transcript);
/* Claimed long ago, and had no turn: deferred. */
void finish_aged(struct job *j);
/* Suppressed since it was accepted; cancelled. The job is claimed. */
void finish_suppressed(struct job *j);
void finish_canceled(struct job *j);
/* An open claim of a worker that is gone, too old to be alive: the outcome of
 * that attempt is unknown. */
void finish_abandoned(struct job *j, int holder, unsigned int n,
    int64_t claimed_at_ms);
/* Its max age is over: no attempt. The job is claimed. */
void finish_expired(struct job *j);
/* DNS decided. The job is claimed. */
void finish_dns(struct job *j, enum verdict_dns what);
/* We decided (content, log_mode). The job is claimed. */
void finish_local(struct job *j, enum verdict v, const char *reason,
    const char *status, const char *text);

/* -- trace.c ------------------------------------------------------------ */

void trace_init(struct mta *m);
void trace_fini(struct mta *m);
/* Somebody wants to see something: then each line is shown to trace_line. */
bool trace_is_asked(const struct mta *m);
/* j: whose transaction, or NULL. */
void trace_line(const struct session *s, const struct job *j, char who,
    struct slice line);
/* Once a second: forgets questions that are not asked any more. */
void trace_tick(struct mta *m);
/* Parts of it, also for what another process has sent. The verdict, and what
 * was said: texts borrowed from outcome. */
void attempt_of_smtp(struct outcome_attempt *a,
    const struct smtp_outcome *outcome);
/* When it is tried again: returns the delay, or -1. Sets at_ms. */
int64_t attempt_settle(const struct mta *m, struct outcome_attempt *a);
void attempt_log(const struct mta *m, const struct outcome_attempt *a,
    int64_t created_at_ms);

/* -- resolve.c ---------------------------------------------------------- */

/*
 * Opens m->slot, as soon as no other process holds it, and has everything
 * settled in Postgres that is left in it, under the number of the process that
 * left it. Then it is empty, and done is called; that takes as long as it
 * takes.
 */
struct resolve *resolve_start(struct mta *m, const char *boot_id,
    void (*done)(struct mta *m));
void resolve_free(struct resolve **r);

/* -- owner.c ------------------------------------------------------------ */

/* Registers, takes over from a dead predecessor, beats every 5 s. */
void owner_start(struct mta *m);
void owner_stop(struct mta *m, void (*done)(struct mta *m));
void owner_fini(struct mta *m);
/* Redis is there: gives back what processes held that are gone. */
void owner_reap(struct mta *m);
/* May MAIL FROM be sent now? False STORE_FENCE_MS after the last good heartbeat
 * was sent (contrib/notes/0080). */
bool owner_is_alive(const struct mta *m);

/* -- mta.c -------------------------------------------------------------- */

struct owner;
struct claims;
struct trace;

struct mta {
	struct mta_options opt;
	struct log_ctx log;
	struct queue *queue;
	struct resolver *resolver;
	struct net_guard open_guard; /* for the simulator */
	struct dkim_signer *signer;
	struct outcome_writer *outcomes;
	struct ssl_ctx_st *tls;
	struct slot *slot; /* NULL: none */
	int worker;	   /* 0: not yet registered */
	size_t source_count;
	struct source *sources;
	size_t lane_count;
	struct lane_state **lanes;
	struct hash *routes;	      /* domain -> struct route */
	struct list asking;	      /* routes, the oldest question first */
	size_t routing_count;	      /* jobs that wait for their answers */
	int64_t routing_turn_mono_ms; /* of the last that was too many */
	struct hash *dests;	      /* key -> struct dest */
	struct hash *scopes;	      /* key -> struct scope */
	struct hash *quotas;	      /* key -> struct quota */
	struct hash *identities;      /* number -> struct identity */
	struct hash *held;	      /* recipient -> struct job in hand */
	struct claims *claims;
	struct owner *owner;
	struct rules *rules;
	int64_t rules_due_mono_ms, publish_due_mono_ms;
	struct trace *trace;
	unsigned int session_number; /* of the last one made; for people */
	size_t in_hand;
	struct list reads;	   /* struct read under way */
	struct hash *contents;	   /* email -> struct content */
	size_t content_bytes;	   /* of them all */
	struct list content_reads; /* under way */
	struct list unread;	   /* claimed jobs that wait for room */
	struct loop_call content_call;
	size_t next_lane;		    /* asked first next time */
	size_t next_sync;		    /* lane to sync next */
	size_t session_count, sessions_max; /* descriptors are finite */
	struct timer *tick;
	struct timer *room_opens; /* of a lane that is closed */
	int64_t room_opens_us;
	struct timer *due; /* of what a lane has for later */
	int64_t due_mono_ms;
	struct timer *yield;	     /* a lane said: ask again in 2 ms */
	struct loop_call flush_call; /* acks, defers and new leases */
	struct list work;	     /* destinations with something to do */
	struct loop_call work_call;
	bool draining;
	void (*drained)(void *ctx);
	void *drained_ctx;
	struct timer *drain_deadline;
};

/* Flushes acks and asks for more jobs at the end of this turn. */
void mta_flush_soon(struct mta *m);

#endif
