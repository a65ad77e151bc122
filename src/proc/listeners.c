#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "net/conn.h"
#include "proc/listeners.h"

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

static int
bind_one(struct listeners *l, enum port port, struct net_addr addr,
    int64_t until_ms, struct error *err)
{
	char text[NET_ADDR_TEXT];
	bool told = false;
	int fd;

	if (l->count == LISTENERS_MAX)
		return error_set(err, ERR_CONFIG,
		    "more than %d addresses to listen on", LISTENERS_MAX);
	net_addr_format_port(&addr, text);
	while ((fd = net_listen(&addr, BACKLOG, err)) < 0) {
		if (err->sys != EADDRINUSE || clock_mono_ms() >= until_ms)
			return error_add(err, "%s_listen", port_name(port));
		if (!told)
			log_info(NULL, "listen.wait",
			    log_text("port", port_name(port)),
			    log_text("address", text));
		told = true;
		poll(NULL, 0, RETRY_MS);
	}
	resolve_port(fd, &addr);
	l->entry[l->count++] = (struct listeners_entry){ port, fd, addr };
	net_addr_format_port(&addr, text);
	log_info(NULL, "listen", log_text("port", port_name(port)),
	    log_text("address", text));
	return 0;
}

static int
bind_list(struct listeners *l, enum port port, const char *list,
    int64_t until_ms, struct error *err)
{
	struct slice rest = slice_trim(slice_of(list));
	struct net_addr addr;

	while (rest.len > 0) {
		struct slice one = slice_take_until(&rest, ' ');

		if (one.len == 0)
			continue;
		if (net_addr_parse_listen(one, &addr, err) != 0 ||
		    bind_one(l, port, addr, until_ms, err) != 0)
			return -1;
	}
	return 0;
}

/* Only our own processes may talk to the parser. */
static int
bind_parser(struct listeners *l, const struct settings *s,
    const struct identity *who, int64_t until_ms, struct error *err)
{
	char *path = listeners_parser_path(s);
	char *text = xasprintf("unix:%s", path);
	mode_t mask = umask(0177);
	struct net_addr addr;
	int rc = net_addr_parse_listen(slice_of(text), &addr, err);

	if (rc == 0)
		rc = bind_one(l, PORT_PARSER, addr, until_ms, err);
	umask(mask);
	if (rc == 0 && who->change && chown(path, who->uid, who->gid) != 0)
		rc = error_sys(err, "giving socket %s to %s", path, who->name);
	free(text);
	free(path);
	return rc;
}

int
listeners_open(struct listeners *l, const struct settings *s,
    const struct identity *who, int64_t patience_ms, struct error *err)
{
	int64_t until_ms = clock_mono_ms() + patience_ms;
	int rc = 0;

	l->count = 0;
	if (s->httpd_processes > 0)
		rc = bind_list(l, PORT_HTTP, s->http_listen, until_ms, err);
	if (rc == 0 && s->smtpd_processes > 0)
		rc = bind_list(l, PORT_SMTP_IN, s->smtp_in_listen, until_ms,
		    err);
	if (rc == 0)
		rc = bind_list(l, PORT_SIMULATOR, s->simulator_listen, until_ms,
		    err);
	if (rc == 0 && s->smtpd_processes > 0)
		rc = bind_parser(l, s, who, until_ms, err);
	if (rc != 0)
		listeners_close(l);
	return rc;
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
