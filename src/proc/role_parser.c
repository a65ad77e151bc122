#include "bounce/parser.h"
#include "proc/role_priv.h"

static unsigned int
count(const struct settings *s)
{
	return s->smtpd_processes > 0 ? 1 : 0;
}

static void *
start(struct worker *w, struct error *err)
{
	struct parser_options o = { .loop = w->loop };

	if (listeners_fds(w->listeners, PORT_PARSER, &o.listen_fd, 1) != 1) {
		error_set(err, ERR_SYS, "the parser has no socket");
		return NULL;
	}
	return parser_new(&o, err);
}

static void
drain(void *self, int64_t timeout_ms, void (*done)(void *ctx), void *ctx)
{
	parser_drain(self, timeout_ms, done, ctx);
}

static void
stop(void *self)
{
	struct parser *p = self;

	parser_free(&p);
}

const struct role role_parser = {
	.name = "parser",
	.stage = ROLE_STAGE_BACK,
	.ports = PORT_BIT(PORT_PARSER),
	.count = count,
	.start = start,
	.drain = drain,
	.stop = stop,
};
