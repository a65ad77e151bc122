/* How a connection begins: the socket, its source, and what the guard says. */
#include "net/conn_priv.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

static void
set_nodelay(int fd, int family)
{
	int one = 1;

	if (family == AF_INET || family == AF_INET6)
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
}

static int
bind_source(int fd, const struct net_addr *to, const struct net_addr *source,
    struct error *why)
{
	struct net_addr from = *source;
	char text[NET_ADDR_TEXT];
	int one = 1;

	net_addr_format(source, text);
	if (net_addr_family(source) != net_addr_family(to))
		return error_set(why, ERR_NET,
		    "the source %s is of another address family", text);
	net_addr_set_port(&from, 0);
	/* The port is chosen at connect, so that one source can have more
	 * connections than there are ports. */
	setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof(one));
	if (bind(fd, (const struct sockaddr *)&from.ss, from.len) < 0) {
		error_sys(why, "binding to the source %s", text);
		why->kind = ERR_NET;
		return -1;
	}
	return 0;
}

/* The descriptor of a connect under way, or -1 with why. */
static int
open_socket(const struct net_addr *to, const struct net_addr *source,
    const struct net_guard *guard, struct error *why)
{
	const char *refusal = net_guard_refusal(guard, to);
	char text[NET_ADDR_TEXT];
	int fd;

	net_addr_format_port(to, text);
	if (refusal != NULL)
		return error_set(why, ERR_DENIED, "%s is refused: %s", text,
		    refusal);
	fd = socket(net_addr_family(to),
	    SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return conn_sys_error(why, "opening a socket");
	set_nodelay(fd, net_addr_family(to));
	if (source != NULL && net_addr_family(source) != AF_UNSPEC &&
	    bind_source(fd, to, source, why) < 0) {
		close(fd);
		return -1;
	}
	if (connect(fd, (const struct sockaddr *)&to->ss, to->len) < 0 &&
	    errno != EINPROGRESS) {
		error_sys(why, "connecting to %s", text);
		why->kind = ERR_NET;
		close(fd);
		return -1;
	}
	return fd;
}

struct conn *
conn_connect(struct loop *l, const struct net_addr *to,
    const struct net_addr *source, const struct net_guard *guard,
    int64_t timeout_ms, const struct conn_ops *ops, void *ctx)
{
	struct error why = { 0 };
	int fd = open_socket(to, source, guard, &why);
	struct conn *c = conn_create(l, fd, ops, ctx);

	c->peer = *to;
	if (fd < 0) {
		conn_finish_later(c, &why);
		return c;
	}
	c->state = CONN_CONNECTING;
	conn_set_deadline(c, timeout_ms, "connect");
	conn_update_events(c);
	return c;
}

struct conn *
conn_accept(struct loop *l, int fd, const struct conn_ops *ops, void *ctx)
{
	struct conn *c = conn_create(l, fd, ops, ctx);

	c->state = CONN_OPEN;
	c->peer.len = sizeof(c->peer.ss);
	if (getpeername(fd, (struct sockaddr *)&c->peer.ss, &c->peer.len) < 0)
		c->peer.len = 0;
	conn_update_events(c);
	return c;
}

const struct net_addr *
conn_peer(const struct conn *c)
{
	return &c->peer;
}

struct net_addr
conn_local(const struct conn *c)
{
	struct net_addr a = { .len = sizeof(a.ss) };

	if (c->fd < 0 ||
	    getsockname(c->fd, (struct sockaddr *)&a.ss, &a.len) < 0)
		a.len = 0;
	return a;
}

int
conn_fd(const struct conn *c)
{
	return c->fd;
}
