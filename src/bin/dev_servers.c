#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <glob.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "bin/dev.h"

#define PG_BIN_GLOB "/usr/lib/postgresql/*/bin"

/* ---- Where they are ------------------------------------------------------ */

static uint64_t
version_of(const char *bin)
{
	struct slice rest = slice_of(bin);
	uint64_t version = 0;

	rest = slice_from(rest, strlen("/usr/lib/postgresql/"));
	if (!slice_to_u64(slice_take_until(&rest, '/'), &version))
		return 0;
	return version;
}

/* The version that made the cluster; 0: there is none yet. */
static uint64_t
cluster_version(const struct dev *d)
{
	char text[16] = "";
	uint64_t version = 0;
	int fd = openat(d->dir_fd, "postgres/PG_VERSION", O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return 0;
	n = read(fd, text, sizeof(text));
	close(fd);
	if (n <= 0 ||
	    !slice_to_u64(slice_trim_lines(slice_mem(text, (size_t)n)),
		&version))
		return 0;
	return version;
}

int
dev_servers_find(struct dev *d, struct error *err)
{
	uint64_t want = cluster_version(d), best = 0;
	glob_t found;

	if (glob(PG_BIN_GLOB, 0, NULL, &found) != 0)
		return error_set(err, ERR_CONFIG,
		    "PostgreSQL is missing: apt-get install postgresql");
	for (size_t i = 0; i < found.gl_pathc; i++) {
		uint64_t version = version_of(found.gl_pathv[i]);
		char *initdb = xasprintf("%s/initdb", found.gl_pathv[i]);

		if (access(initdb, X_OK) == 0 &&
		    (want == 0 ? version > best : version == want)) {
			best = version;
			free(d->pg_bin);
			d->pg_bin = xstrdup(found.gl_pathv[i]);
		}
		free(initdb);
	}
	globfree(&found);
	if (d->pg_bin == NULL && want != 0)
		return error_set(err, ERR_CONFIG,
		    "%s/postgres was made by PostgreSQL %llu, which is not "
		    "here: apt-get install postgresql-%llu, or remove the "
		    "directory",
		    d->dir, (unsigned long long)want, (unsigned long long)want);
	if (d->pg_bin == NULL)
		return error_set(err, ERR_CONFIG,
		    "PostgreSQL is missing: apt-get install postgresql");
	if (access("/usr/bin/redis-server", X_OK) != 0)
		return error_set(err, ERR_CONFIG,
		    "Redis is missing: apt-get install redis-server");
	return 0;
}

/* ---- New processes ------------------------------------------------------- */

void
dev_child_begin(const struct dev *d, int end_signal)
{
	sigset_t none;

	signal(SIGPIPE, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	setsid();
	prctl(PR_SET_PDEATHSIG, end_signal);
	if (getppid() != d->pid)
		_exit(1);
}

/* Becomes the user of the servers with the output in a log of DIR. */
static void
become_server(const struct dev *d, int end_signal, const char *log)
{
	struct error err = { 0 };
	int fd = dev_data_open_log(d, log);

	if (fd >= 0) {
		dup2(fd, STDOUT_FILENO);
		dup2(fd, STDERR_FILENO);
	}
	fd = open("/dev/null", O_RDONLY);
	if (fd >= 0)
		dup2(fd, STDIN_FILENO);
	if (identity_assume(&d->who, &err) != 0 || chdir("/") != 0)
		die("%s", err.text);
	umask(077);
	/* After the change of user, which takes the death signal away. */
	dev_child_begin(d, end_signal);
}

/* "/proc/self/fd/N", where N stays open over exec. */
static char *
hand_over(int fd)
{
	(void)fcntl(fd, F_SETFD, 0);
	return xasprintf("/proc/self/fd/%d", fd);
}

/* execv wants strings that may be changed. */
NORETURN static void
execute(const char *program, const char *const *argv)
{
	size_t n = 0;
	char **copy;

	invariant(program != NULL);
	while (argv[n] != NULL)
		n++;
	copy = xcalloc(n + 1, sizeof(*copy));
	for (size_t i = 0; i < n; i++)
		copy[i] = xstrdup(argv[i]);
	execv(program, copy);
	die("starting %s: %s", program, strerror(errno));
}

int
dev_postgres_run(void *ctx)
{
	const struct dev *d = ctx;
	char *program = xasprintf("%s/postgres", d->pg_bin);
	char *data = hand_over(d->postgres_fd);
	char *sockets = xasprintf("unix_socket_directories=%s", d->runtime);
	const char *argv[] = { program, "-D", data, "-c",
		"listen_addresses=", "-c", sockets, "-c",
		"unix_socket_permissions=0700", "-c", "max_connections=60",
		"-c", "shared_buffers=32MB", "-c", "wal_level=minimal", "-c",
		"max_wal_senders=0", "-c", "max_wal_size=256MB", "-c",
		"jit=off", "-c", "logging_collector=off", "-c",
		"log_checkpoints=off", "-c", "timezone=UTC", NULL };

	/*
	 * When dev is killed the master drains, and what it still has to say
	 * must find a database: the "smart" shutdown waits until its clients
	 * have gone.
	 */
	become_server(d, SIGTERM, "postgres.log");
	execute(program, argv);
}

int
dev_redis_run(void *ctx)
{
	const struct dev *d = ctx;
	char *data = hand_over(d->redis_fd);
	char *sock = xasprintf("%s/redis.sock", d->runtime);
	const char *argv[] = { "redis-server", "--port", "0", "--unixsocket",
		sock, "--unixsocketperm", "700", "--dir", data, "--pidfile",
		"redis.pid", "--daemonize", "no", "--appendonly", "yes",
		"--appendfsync", "everysec", "--save", "", "--maxmemory-policy",
		"noeviction", NULL };

	become_server(d, SIGTERM, "redis.log");
	execute("/usr/bin/redis-server", argv);
}

/* ---- A new cluster ------------------------------------------------------- */

NORETURN static void
run_initdb(const struct dev *d, int fd)
{
	char *program = xasprintf("%s/initdb", d->pg_bin);
	char *data = hand_over(fd);
	const char *argv[] = { program, "-D", data, "-U", DEV_DB_USER,
		"--auth=trust", "--encoding=UTF8", "--no-locale",
		"--no-instructions", NULL };

	become_server(d, SIGTERM, "postgres.log");
	execute(program, argv);
}

/* What an initdb that did not get to its end left behind. */
static void
remove_tree(const struct dev *d, const char *name)
{
	char *path = xasprintf("%s/%s", d->dir, name);
	char *const paths[] = { path, NULL };
	FTS *fts = fts_open(paths, FTS_PHYSICAL | FTS_NOCHDIR | FTS_XDEV, NULL);
	const FTSENT *entry;

	while (fts != NULL && (entry = fts_read(fts)) != NULL) {
		if (entry->fts_info == FTS_DP)
			(void)rmdir(entry->fts_accpath);
		else if (entry->fts_info != FTS_D)
			(void)unlink(entry->fts_accpath);
	}
	if (fts != NULL)
		fts_close(fts);
	free(path);
}

static int
open_owned(const struct dev *d, const char *name, struct error *err)
{
	int fd = openat(d->dir_fd, name,
	    O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0)
		return error_sys(err, "opening %s/%s", d->dir, name);
	if (d->who.change && fchown(fd, d->who.uid, d->who.gid) != 0) {
		error_sys(err, "giving %s/%s to %s", d->dir, name, d->who.name);
		close(fd);
		return -1;
	}
	return fd;
}

/* In a directory of its own, renamed when it is whole. */
static int
make_cluster(const struct dev *d, struct error *err)
{
	int fd, status = -1;
	pid_t pid;

	remove_tree(d, "postgres.new");
	if (mkdirat(d->dir_fd, "postgres.new", 0700) != 0)
		return error_sys(err, "creating %s/postgres.new", d->dir);
	fd = open_owned(d, "postgres.new", err);
	if (fd < 0)
		return -1;
	pid = fork();
	if (pid == 0)
		run_initdb(d, fd);
	close(fd);
	if (pid < 0)
		return error_sys(err, "starting initdb");
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
		dev_data_show_log(d, "postgres.log");
		return error_set(err, ERR_SYS, "initdb failed in %s", d->dir);
	}
	if (renameat(d->dir_fd, "postgres.new", d->dir_fd, "postgres") != 0)
		return error_sys(err, "renaming %s/postgres.new", d->dir);
	return 0;
}

int
dev_servers_init(struct dev *d, struct error *err)
{
	if (cluster_version(d) == 0 && make_cluster(d, err) != 0)
		return -1;
	d->postgres_fd = open_owned(d, "postgres", err);
	return d->postgres_fd < 0 ? -1 : 0;
}
