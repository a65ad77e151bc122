/*
 * Live transcripts for whoever asks (delivery/trace.h). While nobody does, a
 * line costs one comparison. Each question gets at most so many lines a second
 * from a process; what is beyond is counted, and the count is told.
 */
#include "delivery/trace.h"

#include <stdio.h>

#include "base/clock.h"
#include "base/mem.h"
#include "delivery/session_priv.h"
#include "store/redis.h"

#define QUESTIONS_MAX 8
#define LINES_PER_TICK 200
#define PENDING_MAX 2000 /* publications that Redis has not answered */
#define FORGET_MS (4 * TRACE_EVERY_MS)

struct question {
	char channel[sizeof(TRACE_ANSWER) + TRACE_TOKEN_LEN];
	char target[MAIL_DOMAIN_MAX + 1];
	int64_t until_mono_ms;
	size_t lines; /* since the last tick */
	size_t left_out;
};

struct trace {
	struct mta *mta;
	struct redis *asking;  /* listens to questions */
	struct redis *telling; /* NULL until the first one */
	size_t count;
	struct question question[QUESTIONS_MAX];
};

/* -- questions ---------------------------------------------------------------
 */

static bool
is_token(struct slice s)
{
	for (size_t i = 0; i < s.len; i++)
		if (!ascii_is_alnum(s.ptr[i]) ||
		    ascii_lower(s.ptr[i]) != s.ptr[i])
			return false;
	return s.len == TRACE_TOKEN_LEN;
}

static struct question *
find_or_add(struct trace *t, const char *channel)
{
	struct question *q = t->question;

	for (size_t i = 0; i < t->count; i++, q++)
		if (strcmp(q->channel, channel) == 0)
			return q;
	if (t->count == QUESTIONS_MAX)
		return NULL;
	*q = (struct question){ 0 };
	t->count++;
	return q;
}

static void
on_question(void *ctx, struct slice ask, struct slice payload)
{
	struct trace *t = ctx;
	struct mta *m = t->mta;
	struct slice token = slice_take_until(&payload, ' ');
	char channel[sizeof(t->question[0].channel)];
	struct question *q;

	(void)ask;
	if (!is_token(token) || payload.len == 0 ||
	    payload.len > MAIL_DOMAIN_MAX)
		return;
	snprintf(channel, sizeof(channel), TRACE_ANSWER "%.*s",
	    SLICE_FMT(token));
	q = find_or_add(t, channel);
	if (q == NULL)
		return;
	memcpy(q->channel, channel, sizeof(q->channel));
	for (size_t i = 0; i < payload.len; i++)
		q->target[i] = ascii_lower(payload.ptr[i]);
	q->target[payload.len] = '\0';
	q->until_mono_ms = loop_mono_ms(m->opt.loop) + FORGET_MS;
	if (t->telling == NULL)
		t->telling = redis_new(m->opt.loop, m->opt.redis, 0, NULL, t);
}

static const struct redis_ops ask_ops = { .message = on_question };

void
trace_init(struct mta *m)
{
	struct trace *t = xmalloc(sizeof(*t));

	t->mta = m;
	t->asking =
	    redis_new_subscriber(m->opt.loop, m->opt.redis, 0, &ask_ops, t);
	redis_subscribe(t->asking, SLICE(TRACE_ASK));
	m->trace = t;
}

void
trace_fini(struct mta *m)
{
	if (m->trace == NULL)
		return;
	redis_free(&m->trace->asking);
	redis_free(&m->trace->telling);
	free(m->trace);
	m->trace = NULL;
}

/* -- answers -----------------------------------------------------------------
 */

static void
tell(struct trace *t, const struct question *q, struct slice line)
{
	struct slice argv[] = { SLICE("PUBLISH"), slice_of(q->channel), line };

	if (redis_is_up(t->telling) && redis_pending(t->telling) < PENDING_MAX)
		redis_command(t->telling, argv, ARRAY_LEN(argv), NULL, NULL);
}

/* "a.example" and what ends in ".a.example". */
static bool
is_or_ends(struct slice name, struct slice target)
{
	return slice_eq_nocase(name, target) ||
	    (name.len > target.len && slice_ends_nocase(name, target) &&
		name.ptr[name.len - target.len - 1] == '.');
}

/* The recipient's domain, the site, or the host. */
static bool
is_about(const struct session *s, const struct job *j, struct slice target)
{
	struct slice host = slice_first(slice_of(s->host),
	    slice_find_char(slice_of(s->host), '['));

	if (j != NULL && slice_eq_nocase(j->address.domain, target))
		return true;
	return slice_eq_nocase(s->dest->route->domain, target) ||
	    slice_eq_nocase(s->dest->route->site, target) ||
	    is_or_ends(host, target);
}

/* "12:00:01.123 node/0 mx.example.com[192.0.2.1]:25 #7 < 250 ok" */
static void
add_line(const struct session *s, char who, struct slice line,
    struct strbuf *out)
{
	char when[CLOCK_ISO_LEN];

	clock_format_iso(clock_now_ms(), when);
	strbuf_add_fmt(out, "%.12s %s/%u %s #%u ", when + 11, s->mta->opt.node,
	    s->mta->opt.slot, s->host, s->number);
	smtp_transcript_format(out, who, line);
	strbuf_truncate(out, out->len - 1); /* without its LF */
}

void
trace_line(const struct session *s, const struct job *j, char who,
    struct slice line)
{
	struct trace *t = s->mta->trace;
	struct strbuf text = STRBUF_INIT;

	for (size_t i = 0; i < t->count; i++) {
		struct question *q = &t->question[i];

		if (!is_about(s, j, slice_of(q->target)))
			continue;
		if (q->lines++ >= LINES_PER_TICK) {
			q->left_out++;
			continue;
		}
		if (text.len == 0)
			add_line(s, who, line, &text);
		tell(t, q, strbuf_slice(&text));
	}
	strbuf_fini(&text);
}

bool
trace_is_asked(const struct mta *m)
{
	return m->trace->count > 0;
}

static void
tell_left_out(struct trace *t, struct question *q)
{
	char text[160];

	if (q->left_out > 0) {
		snprintf(text, sizeof(text),
		    "* %.64s/%u left out %zu lines: more than %d a second",
		    t->mta->opt.node, t->mta->opt.slot, q->left_out,
		    LINES_PER_TICK);
		tell(t, q, slice_of(text));
	}
	q->lines = q->left_out = 0;
}

void
trace_tick(struct mta *m)
{
	struct trace *t = m->trace;
	int64_t now = loop_mono_ms(m->opt.loop);
	size_t kept = 0;

	for (size_t i = 0; i < t->count; i++) {
		struct question *q = &t->question[i];

		tell_left_out(t, q);
		if (q->until_mono_ms > now)
			t->question[kept++] = *q;
	}
	t->count = kept;
}
