/*
 * Captures gather while a batch is being committed, and go together when it
 * is; the first of an idle simulator goes at once. Three bounds: octets that
 * wait, mails per second (a bench must not measure this table), and rows that
 * are kept.
 */
#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"
#include "simulator/simulator_priv.h"
#include "store/simulator.h"

#define BATCH_MAX 64
#define WAITING_BYTES_MAX ((size_t)32 * 1024 * 1024)
#define PER_SECOND 200
#define BURST 5000
#define TRIM_EVERY 500
#define SKIPPED_LOG_MS 10000

struct capture {
	struct list node;
	struct store_simulator_mail mail; /* its texts lie in data */
	size_t bytes;
	char data[];
};

struct simulator_capture {
	struct loop *loop;
	struct pg *pg;
	size_t mails_max, mail_bytes;
	void (*idle)(void *ctx);
	void *ctx;
	struct list waiting;
	size_t waiting_bytes;
	struct pg_tx *adding, *trimming;
	struct loop_call flush;
	size_t since_trim;
	int64_t credit; /* thousandths of a mail */
	int64_t credit_at_ms;
	size_t skipped;
	int64_t skipped_log_ms;
};

struct simulator_capture *
simulator_capture_new(struct loop *l, struct pg *pg, size_t mails_max,
    size_t mail_bytes, void (*idle)(void *ctx), void *ctx)
{
	struct simulator_capture *c = xmalloc(sizeof(*c));

	c->loop = l;
	c->pg = pg;
	c->mails_max = mails_max;
	c->mail_bytes = mail_bytes;
	c->idle = idle;
	c->ctx = ctx;
	list_init(&c->waiting);
	c->credit = BURST * 1000;
	c->credit_at_ms = clock_mono_ms();
	return c;
}

static void
drop_first(struct simulator_capture *c)
{
	struct list *node = list_pop(&c->waiting);
	struct capture *m;

	if (node == NULL)
		return;
	m = list_entry(node, struct capture, node);
	c->waiting_bytes -= m->bytes;
	free(m);
}

void
simulator_capture_free(struct simulator_capture **c)
{
	if (*c == NULL)
		return;
	pg_tx_cancel(&(*c)->adding);
	pg_tx_cancel(&(*c)->trimming);
	loop_call_cancel(&(*c)->flush);
	while (!list_is_empty(&(*c)->waiting))
		drop_first(*c);
	free(*c);
	*c = NULL;
}

bool
simulator_capture_is_idle(const struct simulator_capture *c)
{
	return list_is_empty(&c->waiting) && c->adding == NULL;
}

static void flush(void *ctx);

static void
on_trimmed(void *ctx, const struct error *err)
{
	struct simulator_capture *c = ctx;

	c->trimming = NULL;
	if (err != NULL)
		log_warn(NULL, "simulator.trim", log_err(err));
}

static void
on_added(void *ctx, const struct error *err)
{
	struct simulator_capture *c = ctx;

	c->adding = NULL;
	if (err != NULL)
		log_warn(NULL, "simulator.capture", log_err(err));
	if (c->since_trim >= TRIM_EVERY && c->trimming == NULL) {
		c->since_trim = 0;
		c->trimming =
		    store_simulator_trim(c->pg, c->mails_max, on_trimmed, c);
	}
	if (!list_is_empty(&c->waiting))
		flush(c);
	else
		c->idle(c->ctx);
}

static void
flush(void *ctx)
{
	struct simulator_capture *c = ctx;
	struct store_simulator_mail batch[BATCH_MAX];
	size_t n = 0;

	if (c->adding != NULL || list_is_empty(&c->waiting))
		return;
	list_each (node, &c->waiting) {
		if (n == BATCH_MAX)
			break;
		batch[n++] = list_entry(node, struct capture, node)->mail;
	}
	/* The values are copied into the unit of work. */
	c->adding = store_simulator_add(c->pg, batch, n, on_added, c);
	c->since_trim += n;
	while (n-- > 0)
		drop_first(c);
}

/* One more within the rate? */
static bool
take_credit(struct simulator_capture *c)
{
	int64_t now = clock_mono_ms();

	c->credit = MIN(c->credit + (now - c->credit_at_ms) * PER_SECOND,
	    (int64_t)BURST * 1000);
	c->credit_at_ms = now;
	if (c->credit < 1000)
		return false;
	c->credit -= 1000;
	return true;
}

static void
skip(struct simulator_capture *c)
{
	int64_t now = clock_mono_ms();

	c->skipped++;
	if (now - c->skipped_log_ms < SKIPPED_LOG_MS)
		return;
	c->skipped_log_ms = now;
	log_info(NULL, "simulator.not_kept", log_uint("mails", c->skipped));
	c->skipped = 0;
}

static struct slice
put(char **at, struct slice s)
{
	struct slice copy = { *at, s.len };

	if (s.len > 0)
		memcpy(*at, s.ptr, s.len);
	*at += s.len;
	return copy;
}

void
simulator_capture_add(struct simulator_capture *c, struct slice from,
    struct slice to, const char *outcome, struct slice raw)
{
	struct capture *m;
	char *at;

	raw = slice_first(raw, c->mail_bytes);
	if (c->waiting_bytes + raw.len > WAITING_BYTES_MAX || !take_credit(c)) {
		skip(c);
		return;
	}
	m = xmalloc(sizeof(*m) + from.len + to.len + raw.len);
	at = m->data;
	m->bytes = sizeof(*m) + from.len + to.len + raw.len;
	m->mail.id = id_new(clock_now_ms());
	m->mail.mail_from = put(&at, from);
	m->mail.rcpt_to = put(&at, to);
	m->mail.raw = put(&at, raw);
	m->mail.raw_bytes = raw.len;
	m->mail.outcome = slice_of(outcome);
	list_append(&c->waiting, &m->node);
	c->waiting_bytes += m->bytes;
	loop_call_schedule(c->loop, &c->flush, flush, c);
}
