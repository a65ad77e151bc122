#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "net/conn.h"
#include "proc/listeners.h"
#include "proc/runlock.h"

#define BACKLOG 1024
#define RETRY_MS 100

const char *
port_name(enum port port)
{
	static const char *const names[PORT_COUNT] = {
		[PORT_HTTP] = "http",
		[PORT_SMTP_IN] = "smtp_in",
		[PORT_SIMULATOR] = "simulator",
		[PORT_PARSER] = "parser",
	};

	return names[port];
}

char *
listeners_parser_path(const struct settings *s)
{
	return xasprintf("%s/parser.sock", s->run_dir);
}

/* What the kernel chose for port 0. */
static void
resolve_port(int fd, struct net_addr *addr)
{
	struct sockaddr_storage ss = { 0 };
	socklen_t len = sizeof(ss);

	if (net_addr_port(addr) == 0 && net_addr_family(addr) != AF_UNIX &&
	    getsockname(fd, (struct sockaddr *)&ss, &len) == 0) {
		addr->ss = ss;
		addr->len = len;
	}
}

/* What the open ones are opened with. */
struct opening {
	struct listeners *l;
	int64_t until_ms;
	int stop_fd;
};

static int
add(struct listeners *l, enum port port, int fd, struct net_addr addr)
{
	if (l->count == LISTENERS_MAX) {
		close(fd);
		return -1;
	}
	resolve_port(fd, &addr);
	l->entry[l->count++] = (struct listeners_entry){ port, fd, addr };
	return 0;
}

static int
bind_one(struct opening *o, enum port port, struct net_addr addr,
    struct error *err)
{
	char text[NET_ADDR_TEXT];
	bool told = false;
	int fd;

	net_addr_format_port(&addr, text);
	while ((fd = net_listen(&addr, BACKLOG, err)) < 0) {
		if (err->sys != EADDRINUSE || clock_mono_ms() >= o->until_ms)
			return error_add(err, "%s_listen", port_name(port));
		if (!told)
			log_info(NULL, "listen.wait",
			    log_text("port", port_name(port)),
			    log_text("address", text));
		told = true;
		if (runlock_stop_asked(o->stop_fd, RETRY_MS))
			return error_set(err, ERR_UNAVAIL, "asked to stop");
	}
	if (add(o->l, port, fd, addr) != 0)
		return error_set(err, ERR_CONFIG,
		    "more than %d addresses to listen on", LISTENERS_MAX);
	net_addr_format_port(&o->l->entry[o->l->count - 1].addr, text);
	log_info(NULL, "listen", log_text("port", port_name(port)),
	    log_text("address", text));
	return 0;
}

/* The setting of a port; "" when no process of this node needs it. */
static const char *
port_list(const struct settings *s, enum port port)
{
	switch (port) {
	case PORT_HTTP:
		return s->httpd_processes > 0 ? s->http_listen : "";
	case PORT_SMTP_IN:
		return s->smtpd_processes > 0 ? s->smtp_in_listen : "";
	case PORT_SIMULATOR:
		return s->simulator_listen;
	case PORT_PARSER:
	case PORT_COUNT:
		break;
	}
	return "";
}

static int
bind_list(struct opening *o, const struct settings *s, enum port port,
    struct error *err)
{
	struct slice rest = slice_of(port_list(s, port));
	struct net_addr addr;

	while (rest.len > 0) {
		struct slice one = slice_take_until(&rest, ' ');

		if (one.len == 0)
			continue;
		if (net_addr_parse_listen(one, &addr, err) != 0 ||
		    bind_one(o, port, addr, err) != 0)
			return -1;
	}
	return 0;
}

/* Only our own processes may talk to the parser. */
static int
bind_parser(struct opening *o, const struct settings *s,
    const struct identity *who, struct error *err)
{
	char *path = listeners_parser_path(s);
	char *text = xasprintf("unix:%s", path);
	mode_t mask = umask(0177);
	struct net_addr addr;
	int rc = net_addr_parse_listen(slice_of(text), &addr, err);

	if (rc == 0)
		rc = bind_one(o, PORT_PARSER, addr, err);
	umask(mask);
	if (rc == 0 && who->change && chown(path, who->uid, who->gid) != 0)
		rc = error_sys(err, "giving socket %s to %s", path, who->name);
	free(text);
	free(path);
	return rc;
}

int
listeners_open(struct listeners *l, const struct settings *s,
    const struct identity *who, int64_t patience_ms, int stop_fd,
    struct error *err)
{
	struct opening o = { l, clock_mono_ms() + patience_ms, stop_fd };
	int rc = 0;

	l->count = 0;
	for (int port = 0; rc == 0 && port < PORT_PARSER; port++)
		rc = bind_list(&o, s, (enum port)port, err);
	if (rc == 0 && s->smtpd_processes > 0)
		rc = bind_parser(&o, s, who, err);
	if (rc != 0)
		listeners_close(l);
	return rc;
}

static void
try_one(struct listeners *l, enum port port, struct slice word,
    listeners_tried *tried, void *ctx)
{
	char key[32], text[NET_ADDR_TEXT];
	struct error err = { 0 };
	struct net_addr addr;
	int fd = -1;

	if (net_addr_parse_listen(word, &addr, &err) == 0) {
		if (net_addr_family(&addr) == AF_UNIX)
			return;
		fd = net_listen(&addr, 1, &err);
	}
	snprintf(key, sizeof(key), "%s_listen", port_name(port));
	snprintf(text, sizeof(text), "%.*s", SLICE_FMT(word));
	if (fd >= 0 && add(l, port, fd, addr) != 0)
		error_set(&err, ERR_CONFIG,
		    "more than %d addresses to listen on", LISTENERS_MAX);
	tried(ctx, key, text, err.kind == ERR_NONE ? NULL : &err);
}

void
listeners_try(const struct settings *s, listeners_tried *tried, void *ctx)
{
	struct listeners l = { 0 };

	for (int port = 0; port < PORT_PARSER; port++) {
		struct slice rest = slice_of(port_list(s, (enum port)port));

		while (rest.len > 0) {
			struct slice one = slice_take_until(&rest, ' ');

			if (one.len > 0)
				try_one(&l, (enum port)port, one, tried, ctx);
		}
	}
	listeners_close(&l);
}

void
listeners_keep(struct listeners *l, unsigned int ports)
{
	size_t kept = 0;

	for (size_t i = 0; i < l->count; i++) {
		if ((ports & PORT_BIT(l->entry[i].port)) != 0)
			l->entry[kept++] = l->entry[i];
		else
			close(l->entry[i].fd);
	}
	l->count = kept;
}

void
listeners_close(struct listeners *l)
{
	listeners_keep(l, 0);
}

size_t
listeners_fds(const struct listeners *l, enum port port, int *out, size_t max)
{
	size_t n = 0;

	for (size_t i = 0; i < l->count && n < max; i++)
		if (l->entry[i].port == port)
			out[n++] = l->entry[i].fd;
	return n;
}

const struct net_addr *
listeners_addr(const struct listeners *l, enum port port)
{
	for (size_t i = 0; i < l->count; i++)
		if (l->entry[i].port == port)
			return &l->entry[i].addr;
	return NULL;
}
