/*
 * The input of a connection lies in one contiguous run, because parsers want
 * that and most of the time it is a line: it costs nothing while a connection
 * is idle.
 */
#include <string.h>

#include "base/mem.h"
#include "net/conn_priv.h"

#define READ_BUDGET_BYTES ((size_t)128 * 1024) /* per event, for fairness */
#define INPUT_KEEP_BYTES ((size_t)1024)

static void
input_add(struct conn *c, const char *ptr, size_t len)
{
	if (c->in.cap - c->in.off - c->in.len < len) {
		size_t need = c->in.len + len;
		size_t cap = 512;
		char *fresh;

		while (cap < need)
			cap *= 2;
		fresh = cap > c->in.cap ? xmalloc(cap) : c->in.ptr;
		if (c->in.len > 0)
			memmove(fresh, c->in.ptr + c->in.off, c->in.len);
		if (fresh != c->in.ptr) {
			free(c->in.ptr);
			c->in.ptr = fresh;
			c->in.cap = cap;
		}
		c->in.off = 0;
	}
	memcpy(c->in.ptr + c->in.off + c->in.len, ptr, len);
	c->in.len += len;
}

static void
input_drop(struct conn *c, size_t n)
{
	c->in.off += n;
	c->in.len -= n;
	if (c->in.len > 0)
		return;
	c->in.off = 0;
	if (c->in.cap > INPUT_KEEP_BYTES) {
		free(c->in.ptr);
		c->in.ptr = NULL;
		c->in.cap = 0;
	}
}

bool
conn_has_room(const struct conn *c)
{
	return !c->paused && !c->read_ended && c->in.len < c->in_max;
}

size_t
conn_take_in(struct conn *c, bool *ended, struct error *why)
{
	size_t got = 0, scratch_len;
	char *scratch = loop_scratch(c->loop, &scratch_len);

	*ended = false;
	c->has_inside = c->io->has_inside;
	while (conn_has_room(c) && got < READ_BUDGET_BYTES) {
		size_t want = MIN(scratch_len, c->in_max - c->in.len);
		ssize_t n = c->io->read(c, scratch, want, why);

		if (n <= 0) {
			c->has_inside = false;
			*ended = n < 0;
			break;
		}
		input_add(c, scratch, (size_t)n);
		got += (size_t)n;
		if (!c->io->has_inside && (size_t)n < want)
			break;
	}
	if (c->has_inside && !*ended && conn_has_room(c))
		loop_call_schedule(c->loop, &c->resume, conn_resume, c);
	return got;
}

static void
tell_ended(void *ctx)
{
	struct conn *c = ctx;
	struct error why = { 0 };

	OBJ_CHECK(c, CONN_MAGIC);
	if (c->ops->ended != NULL) {
		c->ops->ended(c->ctx);
		return;
	}
	/* The owner has changed meanwhile. */
	error_set(&why, ERR_NONE, "closed by the far end");
	conn_finish(c, &why);
}

void
conn_read_some(struct conn *c)
{
	struct error why = { 0 };
	bool ended;
	size_t got = conn_take_in(c, &ended, &why);

	c->read_ended = ended && why.kind == ERR_NONE && c->ops->ended != NULL;
	if (ended && !c->read_ended) {
		if (got == 0) {
			conn_finish(c, &why);
			return;
		}
		conn_finish_later(c, &why);
	} else {
		conn_update_events(c);
	}
	if (c->read_ended)
		loop_call_schedule(c->loop, &c->notify, tell_ended, c);
	if (got > 0)
		c->ops->readable(c->ctx);
}

void
conn_resume(void *ctx)
{
	struct conn *c = ctx;

	OBJ_CHECK(c, CONN_MAGIC);
	if (c->state == CONN_OPEN && conn_has_room(c))
		conn_read_some(c);
}

void
conn_resume_reading(struct conn *c)
{
	if (c->state != CONN_OPEN)
		return;
	conn_update_events(c);
	if (c->has_inside && conn_has_room(c))
		loop_call_schedule(c->loop, &c->resume, conn_resume, c);
}

size_t
conn_input_len(const struct conn *c)
{
	OBJ_CHECK(c, CONN_MAGIC);
	return c->in.len;
}

struct slice
conn_peek(struct conn *c)
{
	OBJ_CHECK(c, CONN_MAGIC);
	return c->in.len > 0 ? slice_mem(c->in.ptr + c->in.off, c->in.len)
			     : SLICE("");
}

void
conn_consume(struct conn *c, size_t n)
{
	OBJ_CHECK(c, CONN_MAGIC);
	invariant(n <= c->in.len);
	input_drop(c, n);
	if (!c->reads || c->has_inside)
		conn_resume_reading(c);
}

void
conn_set_input_max(struct conn *c, size_t bytes)
{
	OBJ_CHECK(c, CONN_MAGIC);
	c->in_max = bytes;
	conn_resume_reading(c);
}

void
conn_pause_reading(struct conn *c, bool paused)
{
	OBJ_CHECK(c, CONN_MAGIC);
	c->paused = paused;
	conn_resume_reading(c);
}
