/*
 * cluster.h - a Redis server in cluster mode, one node with all slots, for the
 * test that includes it after queue_world.h. cluster_start puts it in the
 * place of servers.redis, cluster_stop puts that back.
 */
#ifndef MODEL_CLUSTER_H
#define MODEL_CLUSTER_H

#include <arpa/inet.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include "tests/integration/queue_world.h"

static char cluster_before_[sizeof(servers.redis)];
static pid_t cluster_pid_;

/* A port that is free, and its bus on another that is. */
static inline int
cluster_port_(void)
{
	struct sockaddr_in a = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
	close(fd);
	return ntohs(a.sin_port);
}

/* The server ends with us, however we end. */
static inline void
cluster_fork_(void)
{
	char port[12], bus[12], path[sizeof(servers.dir) + 16];

	/* One that was killed may have left half a file. */
	snprintf(path, sizeof(path), "%s/nodes.conf", servers.dir);
	unlink(path);
	snprintf(port, sizeof(port), "%d", cluster_port_());
	snprintf(bus, sizeof(bus), "%d", cluster_port_());
	cluster_pid_ = fork();
	assert_true(cluster_pid_ >= 0);
	if (cluster_pid_ > 0)
		return;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	execlp("redis-server", "redis-server", "--port", port, "--cluster-port",
	    bus, "--bind", "127.0.0.1", "--unixsocket", servers.redis + 5,
	    "--dir", servers.dir, "--cluster-enabled", "yes",
	    "--cluster-config-file", "nodes.conf", "--save", "", "--appendonly",
	    "no", "--logfile", "cluster.log", (char *)NULL);
	_exit(127);
}

/* It may not listen yet, or have its slots already. */
static inline bool
cluster_is_ok_(void)
{
	char line[2048];

	snprintf(line, sizeof(line),
	    "{ redis-cli -s '%s' cluster addslotsrange 0 16383; "
	    "redis-cli -s '%s' cluster info; } 2>/dev/null | "
	    "grep -q cluster_state:ok",
	    servers.redis + 5, servers.redis + 5);
	return system(line) == 0; // NOLINT(cert-env33-c): our own server
}

static inline void
cluster_start(void)
{
	int64_t end_ms = clock_mono_ms() + 20000;

	memcpy(cluster_before_, servers.redis, sizeof(servers.redis));
	snprintf(servers.redis, sizeof(servers.redis), "unix:%s/cluster.sock",
	    servers.dir);
	unlink(servers.redis + 5);
	cluster_fork_();
	while (!cluster_is_ok_()) {
		assert_true(clock_mono_ms() < end_ms);
		/* Somebody was faster at one of its ports. */
		if (waitpid(cluster_pid_, NULL, WNOHANG) == cluster_pid_)
			cluster_fork_();
	}
}

/*
 * Any other key than these of the lane is refused from now on, also inside of
 * functions. (Cluster mode alone refuses only keys of other slots.)
 */
static inline void
cluster_allow_only(const struct queue_lane *l, const char *parts)
{
	char line[1024];
	size_t len = (size_t)snprintf(line, sizeof(line),
	    "acl setuser default resetkeys");

	for (size_t i = 0; parts[i] != '\0'; i++)
		len += (size_t)snprintf(line + len, sizeof(line) - len,
		    " '~q:{p%d.%s}:%c'", l->pool, l->name, parts[i]);
	redis_cli(line);
}

static inline void
cluster_stop(void)
{
	kill(cluster_pid_, SIGKILL);
	waitpid(cluster_pid_, NULL, 0);
	memcpy(servers.redis, cluster_before_, sizeof(servers.redis));
}

#endif
