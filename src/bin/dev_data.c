#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/json.h"
#include "base/mem.h"
#include "bin/dev.h"
#include "proc/children.h"

#define LOG_MAX_BYTES (20 << 20)
#define LOG_TAIL_BYTES 2000
#define SMALL_FILE_MAX 8192

/* ---- Files --------------------------------------------------------------- */

/* mkdir -p, one component at a time, so that the length of the whole does not
 * matter. Returns a descriptor of the last one. */
static int
open_dirs(const char *path, struct error *err)
{
	struct slice rest = slice_of(path);
	int fd = open(path[0] == '/' ? "/" : ".",
	    O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	while (fd >= 0 && rest.len > 0) {
		char *name = slice_dup(slice_take_until(&rest, '/'));
		int next = fd;

		if (name[0] != '\0') {
			if (mkdirat(fd, name, 0700) != 0 && errno != EEXIST)
				next = -1;
			else
				next = openat(fd, name,
				    O_RDONLY | O_DIRECTORY | O_CLOEXEC);
			close(fd);
		}
		free(name);
		fd = next;
	}
	if (fd < 0)
		return error_sys(err, "opening directory %s", path);
	return fd;
}

/* A short text file whole; NUL-terminated. False when there is none. */
static bool
read_small(int dir_fd, const char *name, char *out, size_t size)
{
	int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	ssize_t n;

	if (fd < 0)
		return false;
	n = read(fd, out, size - 1);
	close(fd);
	out[n > 0 ? n : 0] = '\0';
	return n > 0;
}

int
dev_data_write(const struct dev *d, const char *name, struct slice text,
    struct error *err)
{
	char *temporary = xasprintf("%s.new", name);
	int rc = -1;
	int fd = openat(d->dir_fd, temporary,
	    O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd < 0)
		error_sys(err, "creating %s/%s", d->dir, temporary);
	else if (write(fd, text.ptr, text.len) != (ssize_t)text.len ||
	    fsync(fd) != 0)
		error_sys(err, "writing %s/%s", d->dir, temporary);
	else if (renameat(d->dir_fd, temporary, d->dir_fd, name) != 0)
		error_sys(err, "writing %s/%s", d->dir, name);
	else
		rc = 0;
	if (fd >= 0)
		close(fd);
	free(temporary);
	return rc;
}

int
dev_data_open_log(const struct dev *d, const char *name)
{
	struct stat st;
	int fd = openat(d->dir_fd, name,
	    O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd >= 0 && fstat(fd, &st) == 0 && st.st_size > LOG_MAX_BYTES &&
	    ftruncate(fd, 0) != 0) {
		close(fd);
		return -1;
	}
	return fd;
}

void
dev_data_show_log(const struct dev *d, const char *name)
{
	char tail[LOG_TAIL_BYTES + 1];
	struct stat st;
	int fd = openat(d->dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	ssize_t n = 0;

	if (fd < 0)
		return;
	if (fstat(fd, &st) == 0)
		n = pread(fd, tail, LOG_TAIL_BYTES,
		    MAX(st.st_size - LOG_TAIL_BYTES, 0));
	close(fd);
	tail[n > 0 ? n : 0] = '\0';
	fprintf(stderr, "The end of %s/%s:\n%s\n", d->dir, name, tail);
}

/* ---- The directory ------------------------------------------------------- */

static int
take_lock(struct dev *d, struct error *err)
{
	char text[32];
	int len = snprintf(text, sizeof(text), "%ld\n", (long)getpid());

	d->lock_fd = openat(d->dir_fd, "lock",
	    O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (d->lock_fd < 0)
		return error_sys(err, "opening %s/lock", d->dir);
	if (flock(d->lock_fd, LOCK_EX | LOCK_NB) != 0) {
		ssize_t n = read(d->lock_fd, text, sizeof(text) - 1);

		text[n > 0 ? n : 0] = '\0';
		text[strcspn(text, "\n")] = '\0';
		return error_set(err, ERR_CONFLICT,
		    "another 'verpost dev' (process %s) runs on %s: stop it, "
		    "or give this one another --data",
		    text, d->dir);
	}
	if (ftruncate(d->lock_fd, 0) != 0 ||
	    pwrite(d->lock_fd, text, (size_t)len, 0) != len)
		return error_sys(err, "writing %s/lock", d->dir);
	return 0;
}

static uint16_t
port_of(struct slice address)
{
	size_t colon = address.len;
	uint64_t port;

	while (colon > 0 && address.ptr[colon - 1] != ':')
		colon--;
	if (colon == 0 || !slice_to_u64(slice_from(address, colon), &port) ||
	    port > 65535)
		return 0;
	return (uint16_t)port;
}

/* The key and the ports of the last start; nothing when it cannot be read. */
static void
read_json(struct dev *d)
{
	struct arena arena = ARENA_INIT;
	char text[SMALL_FILE_MAX];
	const struct json *json = NULL;
	struct slice key;

	if (read_small(d->dir_fd, "dev.json", text, sizeof(text)) &&
	    json_parse(&arena, text, strlen(text), &json, NULL) == 0) {
		key = json_get_text(json, "api_key");
		if (key.len > 0)
			d->api_key = slice_dup(key);
		d->port[DEV_HTTP] = port_of(json_get_text(json, "http"));
		d->port[DEV_SMTP_IN] = port_of(json_get_text(json, "smtp_in"));
		d->port[DEV_SIMULATOR] =
		    port_of(json_get_text(json, "simulator"));
	}
	explicit_bzero(text, sizeof(text));
	arena_fini(&arena);
}

int
dev_data_open(struct dev *d, const char *dir, struct error *err)
{
	char proc[64];

	for (const char *p = dir; *p != '\0'; p++)
		if ((unsigned char)*p < 0x20)
			return error_set(err, ERR_CONFIG,
			    "the name of the directory holds a control "
			    "octet: choose another --data");
	d->dir_fd = open_dirs(dir, err);
	if (d->dir_fd < 0)
		return -1;
	snprintf(proc, sizeof(proc), "/proc/self/fd/%d", d->dir_fd);
	d->dir = realpath(proc, NULL);
	if (d->dir == NULL)
		return error_sys(err, "finding the way to %s", dir);
	if (fchmod(d->dir_fd, 0700) != 0)
		return error_sys(err, "setting the mode of %s", d->dir);
	if (take_lock(d, err) != 0)
		return -1;
	read_json(d);
	d->config = xasprintf("%s/verpost.conf", d->dir);
	return 0;
}

/* ---- The runtime directory ----------------------------------------------- */

#define RUNTIME_NAME "verpost-dev-"

/* Only what we put there, and only if it looks like ours. */
static void
remove_runtime(const char *path)
{
	static const char *const names[] = { ".s.PGSQL.5432",
		".s.PGSQL.5432.lock", "redis.sock", "notify", "verpost.pid",
		"parser.sock", "mta-0.slots" };
	const char *name = strrchr(path, '/');
	int fd;

	if (name == NULL ||
	    strncmp(name + 1, RUNTIME_NAME, strlen(RUNTIME_NAME)) != 0)
		return;
	fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return;
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		(void)unlinkat(fd, names[i], 0);
	close(fd);
	(void)rmdir(path);
}

static int
make_runtime(struct dev *d, struct error *err)
{
	const char *user_dir = getenv("XDG_RUNTIME_DIR");
	const char *const parents[] = { geteuid() == 0 ? "/run" : user_dir,
		"/tmp" };

	for (size_t i = 0; i < ARRAY_LEN(parents); i++) {
		/* Names behind it take at most 20 octets of the 107. */
		if (parents[i] == NULL || strlen(parents[i]) > 60)
			continue;
		d->runtime = xasprintf("%s/" RUNTIME_NAME "XXXXXX", parents[i]);
		if (mkdtemp(d->runtime) != NULL)
			break;
		free(d->runtime);
		d->runtime = NULL;
	}
	if (d->runtime == NULL)
		return error_sys(err,
		    "making a directory for sockets in /run or /tmp");
	if (d->who.change && chown(d->runtime, d->who.uid, d->who.gid) != 0)
		return error_sys(err, "giving %s to %s", d->runtime,
		    d->who.name);
	return dev_data_write(d, "runtime", slice_of(d->runtime), err);
}

/* A directory of a server, which its user owns. */
static int
make_server_dir(const struct dev *d, const char *name, struct error *err)
{
	int fd;

	if (mkdirat(d->dir_fd, name, 0700) != 0 && errno != EEXIST)
		return error_sys(err, "creating %s/%s", d->dir, name);
	fd = openat(d->dir_fd, name,
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

static int
end_leftovers(struct dev *d, struct error *err)
{
	char old[PATH_MAX];
	char *pid_path;
	int fd, rc;

	if (read_small(d->dir_fd, "runtime", old, sizeof(old))) {
		pid_path = xasprintf("%s/verpost.pid", old);
		rc = dev_leftover_end_master(pid_path, err);
		free(pid_path);
		if (rc != 0)
			return -1;
	} else {
		old[0] = '\0';
	}
	fd = openat(d->dir_fd, "postgres", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd >= 0) {
		rc = dev_leftover_end(fd, "postmaster.pid", "PostgreSQL",
		    SIGINT, err);
		close(fd);
		if (rc != 0)
			return -1;
	}
	if (dev_leftover_end(d->redis_fd, "redis.pid", "Redis", SIGTERM, err) !=
	    0)
		return -1;
	if (old[0] != '\0')
		remove_runtime(old);
	return 0;
}

int
dev_data_prepare(struct dev *d, struct error *err)
{
	int fd;

	d->redis_fd = make_server_dir(d, "redis", err);
	if (d->redis_fd < 0 || end_leftovers(d, err) != 0 ||
	    make_runtime(d, err) != 0)
		return -1;
	fd = make_server_dir(d, "state", err);
	if (fd < 0)
		return -1;
	close(fd);
	return 0;
}

void
dev_data_close(struct dev *d)
{
	char *const texts[] = { d->dir, d->pg_bin, d->runtime, d->config,
		d->conninfo, d->redis_url };

	if (d->runtime != NULL)
		remove_runtime(d->runtime);
	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		free(texts[i]);
	if (d->api_key != NULL)
		mem_wipe_free(d->api_key, strlen(d->api_key));
	children_free(&d->children);
}
