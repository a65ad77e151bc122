/*
 * What a client may send. The first octet is the size of the pieces it comes
 * in, the second chooses what the owner does.
 *
 * fuzz-rooms: smtp mail base
 * fuzz-packages: libidn2 libcrypto opendkim
 */
#include "fuzz.h"

#include <string.h>

#include "smtp/server.h"

#define SIZE_LIMIT 200

struct owner {
	struct smtp_server *server;
	uint8_t mood;
	unsigned int rcpts, closed;
	bool open, waits, wants_tls;
};

static void
check_octets(struct slice s)
{
	for (size_t i = 0; i < s.len; i++)
		invariant((unsigned char)s.ptr[i] >= 0x20 && s.ptr[i] != 0x7f);
}

static void
on_mail(void *ctx, const struct mail_address *from, struct smtp_decision *d)
{
	struct owner *o = ctx;

	invariant(!o->open);
	check_octets(from->local);
	check_octets(from->domain);
	if ((o->mood & 1) != 0 && from->local.len % 2 == 1)
		d->code = 450;
	else
		o->open = true;
}

static void
on_rcpt(void *ctx, const struct mail_address *to, struct smtp_decision *d)
{
	struct owner *o = ctx;

	invariant(o->open && to->local.len > 0);
	check_octets(to->local);
	check_octets(to->domain);
	if ((o->mood & 2) != 0 && to->local.len % 2 == 1)
		d->code = 550;
	else
		o->rcpts++;
	invariant(o->rcpts <= 100);
}

static void
on_message(void *ctx, struct slice message)
{
	struct owner *o = ctx;
	struct smtp_decision d = { 0 };

	invariant(o->open && o->rcpts > 0 && !o->waits);
	invariant(message.len <= SIZE_LIMIT);
	for (size_t i = 0; i < message.len; i++) {
		bool cr = message.ptr[i] == '\r', lf = message.ptr[i] == '\n';

		invariant(!lf || (i > 0 && message.ptr[i - 1] == '\r'));
		invariant(
		    !cr || (i + 1 < message.len && message.ptr[i + 1] == '\n'));
	}
	if ((o->mood & 4) != 0)
		o->waits = true;
	else
		smtp_server_answer(o->server, &d);
}

static void
on_reset(void *ctx)
{
	struct owner *o = ctx;

	invariant(o->open);
	o->open = false;
	o->rcpts = 0;
}

static void
on_need_tls(void *ctx)
{
	struct owner *o = ctx;

	o->wants_tls = true;
}

static void
on_closed(void *ctx)
{
	struct owner *o = ctx;

	o->closed++;
	invariant(o->closed == 1);
}

static const struct smtp_server_ops ops = { on_mail, on_rcpt, NULL, on_message,
	on_reset, on_need_tls, on_closed };

/* Whatever the client says, we answer in whole lines with a code each. */
static void
check_output(struct owner *o)
{
	struct slice s = strbuf_slice(smtp_server_output(o->server)), line;

	while (s.len > 0) {
		size_t lf = slice_find_char(s, '\n');

		invariant(lf < s.len && lf >= 4 && s.ptr[lf - 1] == '\r');
		line = slice_first(s, lf - 1);
		invariant(*line.ptr >= '2' && *line.ptr <= '5');
		check_octets(line);
		s = slice_from(s, lf + 1);
	}
	strbuf_reset(smtp_server_output(o->server));
}

static void
feed(struct owner *o, struct slice data, size_t piece)
{
	size_t have = 0;

	while (data.len > 0 && o->closed == 0) {
		struct smtp_decision d = { 0 };
		size_t used;

		have = MIN(have + piece, data.len);
		used = smtp_server_feed(o->server, slice_first(data, have));
		invariant(used <= have);
		data = slice_from(data, used);
		have -= used;
		check_output(o);
		if (o->wants_tls) {
			o->wants_tls = false;
			smtp_server_tls_done(o->server);
		} else if (o->waits) {
			o->waits = false;
			d.code = (o->mood & 8) != 0 ? 451 : 0;
			smtp_server_answer(o->server, &d);
			check_output(o);
		} else if (used == 0 && have == data.len) {
			break;
		}
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct smtp_server_options opt = { .hostname = "in.example",
		.size_max = SIZE_LIMIT,
		.rcpt_max = 100 };
	struct owner o = { 0 };

	if (size < 2)
		return 0;
	o.mood = data[1];
	opt.smtputf8 = (data[1] & 16) != 0;
	o.server = smtp_server_new(&opt, &ops, &o);
	feed(&o, slice_mem(data + 2, size - 2), (size_t)data[0] + 1);
	smtp_server_shutdown(o.server);
	check_output(&o);
	invariant(o.closed == 1);
	smtp_server_free(&o.server);
	return 0;
}
