#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/mem.h"
#include "net/conn.h"

/* Few, so that the processes sharing the socket share the work as well. */
#define ACCEPTS_PER_TURN 16
#define FULL_PAUSE_MS 100
#define DESCRIPTORS_KEPT 40

struct listener {
	struct loop *loop;
	struct watch *watch;
	struct timer *pause; /* set while descriptors or memory are short */
	struct loop_call bury;
	int fd;
	bool paused, closed;
	void (*on_accept)(void *ctx, int fd, const struct net_addr *peer);
	void *ctx;
};

static void
update(struct listener *l)
{
	watch_set(l->watch, !l->paused && !timer_is_set(l->pause), false);
}

static void
on_pause_over(void *ctx)
{
	update(ctx);
}

static void
on_ready(void *ctx, bool readable, bool writable)
{
	struct listener *l = ctx;

	(void)readable;
	(void)writable;
	for (int i = 0; i < ACCEPTS_PER_TURN && !l->closed && !l->paused; i++) {
		struct net_addr peer = { .len = sizeof(peer.ss) };
		int one = 1;
		int fd = accept4(l->fd, (struct sockaddr *)&peer.ss, &peer.len,
		    SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd < 0) {
			/* A lack of resources is waited out; the errors of
			 * one connection (ECONNABORTED) concern nobody. */
			if (errno == EMFILE || errno == ENFILE ||
			    errno == ENOBUFS || errno == ENOMEM) {
				timer_set(l->pause, FULL_PAUSE_MS);
				update(l);
			}
			return;
		}
		if (net_addr_family(&peer) != AF_UNIX)
			setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one,
			    sizeof(one));
		l->on_accept(l->ctx, fd, &peer);
	}
}

struct listener *
listener_new(struct loop *loop, int fd,
    void (*on_accept)(void *ctx, int fd, const struct net_addr *peer),
    void *ctx)
{
	struct listener *l = xmalloc(sizeof(*l));

	l->loop = loop;
	l->fd = fd;
	l->on_accept = on_accept;
	l->ctx = ctx;
	l->watch = watch_new(loop, fd, on_ready, l);
	l->pause = timer_new(loop, on_pause_over, l);
	update(l);
	return l;
}

void
listener_free(struct listener **lp)
{
	struct listener *l = *lp;

	if (l == NULL)
		return;
	*lp = NULL;
	l->closed = true;
	watch_free(&l->watch);
	timer_free(&l->pause);
	l->bury.is_deferred = true;
	loop_call_schedule(l->loop, &l->bury, free, l);
}

void
listener_pause(struct listener *l, bool paused)
{
	l->paused = paused;
	update(l);
}

/*
 * A socket file that nobody listens on any more is in the way of bind. One
 * that answers belongs to a running server and stays.
 */
static int
remove_stale(const struct net_addr *a, struct error *err)
{
	struct sockaddr_un sun;
	struct stat st;
	int fd, rc;

	memcpy(&sun, &a->ss, sizeof(sun));
	if (lstat(sun.sun_path, &st) < 0)
		return 0;
	if (!S_ISSOCK(st.st_mode))
		return error_set(err, ERR_CONFLICT,
		    "%s is there and is no socket", sun.sun_path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return error_sys(err, "opening a socket");
	rc = connect(fd, (const struct sockaddr *)&a->ss, a->len);
	close(fd);
	if (rc == 0 || errno == EAGAIN)
		return error_set(err, ERR_CONFLICT,
		    "another process listens on %s", sun.sun_path);
	if (unlink(sun.sun_path) < 0 && errno != ENOENT)
		return error_sys(err, "removing the old %s", sun.sun_path);
	return 0;
}

static int
prepare(int fd, const struct net_addr *a, struct error *err)
{
	int one = 1;

	if (net_addr_family(a) == AF_UNIX)
		return remove_stale(a, err);
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0 ||
	    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) < 0)
		return error_sys(err, "setting socket options");
	if (net_addr_family(a) == AF_INET6 &&
	    setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one)) < 0)
		return error_sys(err, "setting socket options");
	return 0;
}

int
net_listen(const struct net_addr *a, int backlog, struct error *err)
{
	char text[NET_ADDR_TEXT];
	int fd;

	net_addr_format_port(a, text);
	fd = socket(net_addr_family(a),
	    SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return error_sys(err, "listening on %s", text);
	if (prepare(fd, a, err) < 0) {
		error_add(err, "listening on %s", text);
		close(fd);
		return -1;
	}
	if (bind(fd, (const struct sockaddr *)&a->ss, a->len) < 0 ||
	    listen(fd, backlog) < 0) {
		error_sys(err, "listening on %s", text);
		close(fd);
		return -1;
	}
	return fd;
}

bool
net_is_here(const struct net_addr *a, struct error *err)
{
	struct net_addr any_port = *a;
	bool ok;
	int fd = socket(net_addr_family(a), SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0) {
		error_sys(err, "opening a socket");
		return false;
	}
	net_addr_set_port(&any_port, 0);
	ok = bind(fd, (const struct sockaddr *)&any_port.ss, a->len) == 0;
	if (!ok)
		error_sys(err, "binding to it");
	close(fd);
	return ok;
}

size_t
net_connections_max(size_t wanted)
{
	struct rlimit limit;
	size_t room;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0 ||
	    limit.rlim_cur == RLIM_INFINITY)
		return wanted;
	room = (size_t)limit.rlim_cur;
	room = room > (size_t)2 * DESCRIPTORS_KEPT ? room - DESCRIPTORS_KEPT
						   : room / 2;
	return MAX(MIN(wanted, room), (size_t)1);
}
