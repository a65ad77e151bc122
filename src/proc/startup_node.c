/*
 * Whether another verpost serves under the name of this node: each would take
 * the other's processes for dead ones of its own, and their sources, again and
 * again. Only who beats is alive, and a beat is awaited only where somebody of
 * that name may be: a process that has just been killed does not hold up who
 * starts in its place.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "delivery/mta.h"
#include "net/loop.h"
#include "proc/startup_priv.h"
#include "store/pg.h"
#include "store/workers.h"

#define LOOK_EVERY_MS 200
#define ANSWER_MS 5000
/* One beat and what it may be late. */
#define BEAT_WAIT_MS (STORE_HEARTBEAT_MS + 2000)

struct node {
	struct slice name;
	const char *run_dir;
	char boot_id[CLOCK_BOOT_ID_LEN];
	int64_t began_mono_ms;
	bool done;
	bool is_perhaps; /* somebody of the name may be alive */
	int pid;	 /* of who has beaten since, or 0 */
	bool is_here;	 /* on this machine */
	struct error err;
};

/* It has ended, and its row is not set dead yet, or ends without its master,
 * and whoever takes its slot waits for that. */
static bool
is_over(const struct node *n, const struct store_worker *w)
{
	if (!slice_eq_text(w->boot_id, n->boot_id))
		return false;
	return (kill((pid_t)w->pid, 0) != 0 && errno == ESRCH) ||
	    mta_slot_is_held(n->run_dir, (unsigned int)w->slot);
}

/* A time that has not come yet says nothing. */
static bool
may_be_alive(const struct node *n, const struct store_worker *w)
{
	return slice_eq(w->node, n->name) && slice_eq_text(w->role, "mta") &&
	    w->unseen_ms >= 0 &&
	    w->unseen_ms < clock_patience_ms(STORE_UNSEEN_MS) && !is_over(n, w);
}

static void
got_workers(void *ctx, const struct store_worker *worker, size_t count,
    const struct error *err)
{
	struct node *n = ctx;
	int64_t since_ms = clock_mono_ms() - n->began_mono_ms;

	n->done = true;
	n->is_perhaps = false;
	if (err != NULL)
		n->err = *err;
	for (size_t i = 0; err == NULL && i < count; i++) {
		const struct store_worker *w = &worker[i];

		if (!may_be_alive(n, w))
			continue;
		n->is_perhaps = true;
		if (w->unseen_ms < since_ms) {
			n->pid = w->pid;
			n->is_here = slice_eq_text(w->boot_id, n->boot_id);
		}
	}
}

static int
look(struct node *n, struct loop *loop, struct pg *pg)
{
	n->done = false;
	store_worker_list(pg, got_workers, n);
	if (pg_run_until(loop, &n->done, ANSWER_MS, &n->err) != 0 ||
	    n->err.kind != ERR_NONE)
		return -1;
	return 0;
}

static void
wait_for_beat(struct node *n, struct loop *loop, struct pg *pg)
{
	int64_t until_ms = n->began_mono_ms + clock_patience_ms(BEAT_WAIT_MS);

	while (n->is_perhaps && n->pid == 0 && clock_mono_ms() < until_ms) {
		int64_t next_ms = clock_mono_ms() + LOOK_EVERY_MS;

		while (clock_mono_ms() < next_ms)
			loop_turn(loop, LOOK_EVERY_MS);
		if (look(n, loop, pg) != 0)
			return;
	}
}

void
startup_node(const struct settings *s, struct loop *loop, struct pg *pg,
    startup_say *say, void *ctx)
{
	struct node n = { .name = slice_of(s->node),
		.run_dir = s->run_dir,
		.began_mono_ms = clock_mono_ms() };
	char text[STARTUP_TEXT];

	clock_boot_id(n.boot_id);
	if (look(&n, loop, pg) == 0)
		wait_for_beat(&n, loop, pg);
	if (n.err.kind != ERR_NONE)
		say(ctx, FINDING_BAD, "node", n.err.text);
	if (n.err.kind != ERR_NONE || n.pid == 0)
		return;
	snprintf(text, sizeof(text),
	    "another verpost serves as node '%s' (process %d of %s): give each "
	    "node a name, a run_dir, a state_dir and addresses of its own",
	    s->node, n.pid, n.is_here ? "this machine" : "another machine");
	say(ctx, FINDING_BAD, "node", text);
}
