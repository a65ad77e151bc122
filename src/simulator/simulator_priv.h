/* simulator/simulator_priv.h - the parts of the simulator. */
#ifndef SIMULATOR_SIMULATOR_PRIV_H
#define SIMULATOR_SIMULATOR_PRIV_H

#include "base/list.h"
#include "base/log.h"
#include "base/slice.h"
#include "base/strbuf.h"
#include "model/id.h"
#include "net/conn.h"
#include "net/loop.h"
#include "simulator/script.h"
#include "simulator/simulator.h"

struct pg;

/*
 * memory.c: who was deferred once. Bounded: the oldest are forgotten.
 */
struct simulator_memory;
struct simulator_memory *simulator_memory_new(size_t max);
void simulator_memory_free(struct simulator_memory **m);
/* True the first time; the next time false, and it is forgotten. */
bool simulator_memory_is_new(struct simulator_memory *m, struct slice from,
    struct slice to);

/*
 * capture.c: mails on their way into the store, in batches, behind the
 * sender's back. What does not fit is not kept; a reply never waits.
 */
struct simulator_capture;
struct simulator_capture *simulator_capture_new(struct loop *l, struct pg *pg,
    size_t mails_max, size_t mail_bytes, void (*idle)(void *ctx), void *ctx);
void simulator_capture_free(struct simulator_capture **c);
void simulator_capture_add(struct simulator_capture *c, struct slice from,
    struct slice to, const char *outcome, struct slice raw);
bool simulator_capture_is_idle(const struct simulator_capture *c);

/*
 * bouncer.c: DSNs to be sent, over SMTP like anybody's. idle is called when
 * the last one is gone.
 */
struct simulator_bouncer;
struct simulator_bouncer *simulator_bouncer_new(struct loop *l,
    const struct net_addr *to, const char *hostname, int64_t delay_ms,
    void (*idle)(void *ctx), void *ctx);
void simulator_bouncer_free(struct simulator_bouncer **b);
/* to: the recipient that fails; message: only its header is kept. */
void simulator_bouncer_add(struct simulator_bouncer *b,
    struct slice return_path, struct slice to, struct slice message);
/* All of them now. */
void simulator_bouncer_hurry(struct simulator_bouncer *b);
bool simulator_bouncer_is_idle(const struct simulator_bouncer *b);

/* dsn.c */
struct simulator_dsn {
	const char *hostname;
	struct slice return_path, recipient;
	struct slice header; /* of the mail that came, whole lines */
	int64_t arrived_ms, now_ms;
	struct id id; /* makes Message-ID and boundary */
};
void simulator_dsn_build(struct strbuf *out, const struct simulator_dsn *dsn);
/* The header of a message, at most max octets of whole lines. */
struct slice simulator_dsn_header(struct slice message, size_t max);

struct simulator {
	unsigned int magic;
	struct simulator_options opt;
	char *hostname;
	struct log_ctx log;
	struct listener **listeners;
	size_t listener_count;
	struct simulator_memory *memory;
	struct simulator_capture *capture; /* NULL: nothing is kept */
	struct simulator_bouncer *bouncer; /* NULL: nowhere to bounce to */
	struct list sessions;
	size_t session_count;
	struct timer *drain_timer;
	struct loop_call drain_call;
	bool draining;
	void (*drained)(void *ctx);
	void *drained_ctx;
};

/* session.c */
void simulator_session_start(struct simulator *sim, int fd);
void simulator_session_drain(struct list *node);
void simulator_session_kill(struct list *node);
/* Something that a drain waits for has ended. */
void simulator_check_drained(struct simulator *sim);

#endif
