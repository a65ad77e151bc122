/*
 * cluster.h - a Redis server in cluster mode, one node with all slots, for the
 * test that includes it after queue_world.h. cluster_start puts it in the
 * place of servers.redis, cluster_stop puts that back.
 */
#ifndef MODEL_CLUSTER_H
#define MODEL_CLUSTER_H

#include <arpa/inet.h>
#include <signal.h>
#include <sys/socket.h>

#include "tests/integration/queue_world.h"

static char cluster_before_[sizeof(servers.redis)];

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

/* Exit status of a command. */
static inline int PRINTF_LIKE(1, 2)
cluster_sh_(const char *format, ...)
{
	char line[1024];
	va_list ap;

	va_start(ap, format);
	vsnprintf(line, sizeof(line), format, ap);
	va_end(ap);
	return system(line); // NOLINT(cert-env33-c): our own server
}

static inline void
cluster_start(void)
{
	int64_t end_ms = clock_mono_ms() + 20000;

	memcpy(cluster_before_, servers.redis, sizeof(servers.redis));
	snprintf(servers.redis, sizeof(servers.redis), "unix:%s/cluster.sock",
	    servers.dir);
	assert_int_equal(
	    cluster_sh_("redis-server --port %d --bind 127.0.0.1 "
			"--cluster-port %d --cluster-enabled yes "
			"--cluster-config-file nodes.conf --unixsocket '%s' "
			"--save '' --appendonly no --daemonize yes --dir '%s' "
			"--pidfile '%s/cluster.pid' --logfile cluster.log",
		cluster_port_(), cluster_port_(), servers.redis + 5,
		servers.dir, servers.dir),
	    0);
	while (access(servers.redis + 5, F_OK) == -1)
		assert_true(clock_mono_ms() < end_ms);
	redis_cli("cluster addslotsrange 0 16383");
	while (cluster_sh_("redis-cli -s '%s' cluster info 2>/dev/null | "
			   "grep -q cluster_state:ok",
		   servers.redis + 5) != 0)
		assert_true(clock_mono_ms() < end_ms);
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
	char path[128], text[32] = "";
	FILE *f;

	snprintf(path, sizeof(path), "%s/cluster.pid", servers.dir);
	f = fopen(path, "r");
	if (f != NULL && fgets(text, sizeof(text), f) != NULL)
		kill((pid_t)strtol(text, NULL, 10), SIGKILL);
	if (f != NULL)
		fclose(f);
	memcpy(servers.redis, cluster_before_, sizeof(servers.redis));
}

#endif
