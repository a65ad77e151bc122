/*
 * bin/dev.h - "verpost dev": a whole installation in one directory.
 *
 *   DIR/lock          held while a dev runs on DIR
 *   DIR/runtime       path of the runtime directory of the last start
 *   DIR/postgres/     the cluster      DIR/redis/   its append-only file
 *   DIR/keys          key file         DIR/verpost.conf  made at every start
 *   DIR/dev.json      what a client needs to know (0600)
 *   DIR/postgres.log, redis.log, verpost.log   what they wrote
 *
 * Unix sockets lie in the runtime directory, whose path is short however long
 * that of DIR is. Servers get DIR/postgres and DIR/redis as open descriptors
 * (/proc/self/fd/N), so that their user needs no way to it, and so that no
 * path is too long for them (PostgreSQL stops at 1,023 octets).
 */
#ifndef BIN_DEV_H
#define BIN_DEV_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/strbuf.h"
#include "bin/command.h"
#include "proc/privileges.h"

#define DEV_DOMAIN "dev.test"
#define DEV_ACCOUNT "dev"
#define DEV_SOURCE "127.0.0.1"
#define DEV_DB_USER "verpost"

#define DEV_HTTP_USUAL 8025
enum dev_port { DEV_HTTP, DEV_SMTP_IN, DEV_SIMULATOR, DEV_PORT_COUNT };

struct children;

struct dev {
	char *dir; /* real path */
	int dir_fd;
	int lock_fd;
	int postgres_fd, redis_fd;
	char *pg_bin;  /* directory of postgres and initdb */
	char *runtime; /* mkdtemp, 0700, owned by who */
	char *config;  /* DIR/verpost.conf */
	char *conninfo;
	char *redis_url;
	struct identity who; /* of the servers and of our children */
	uint16_t port[DEV_PORT_COUNT];
	char *api_key; /* from an earlier start, or NULL */
	struct children *children;
	int signal_fd;
	int notify_fd;
	pid_t pid; /* of the dev process itself */
};

/* ---- dev_data.c: the directory ------------------------------------------ */

/* Makes DIR if needed, takes its lock, reads what an earlier start left. */
int dev_data_open(struct dev *d, const char *dir, struct error *err) MUST_CHECK;
/* Ends servers of an earlier start that outlived it, removes its runtime
 * directory, makes a new one, and the directories of the servers. */
int dev_data_prepare(struct dev *d, struct error *err) MUST_CHECK;
/* Removes the runtime directory and frees what d holds. */
void dev_data_close(struct dev *d);
/* Writes DIR/name through a temporary file, mode 0600. */
int dev_data_write(const struct dev *d, const char *name, struct slice text,
    struct error *err) MUST_CHECK;
/* Opens DIR/name for appending; a large one begins anew. -1 on failure. */
int dev_data_open_log(const struct dev *d, const char *name);
/* Prints the last lines of DIR/name to standard error. */
void dev_data_show_log(const struct dev *d, const char *name);

/* ---- dev_leftover.c: processes of an earlier start ----------------------- */

/*
 * Ends the process named in the first line of dir_fd/pid_file, if its working
 * directory is dir_fd: that proves that it is the server of this directory
 * and not a stranger who got its number.
 */
int dev_leftover_end(int dir_fd, const char *pid_file, const char *what,
    int polite_signal, struct error *err) MUST_CHECK;
/* Ends the master whose locked pid file that is. */
int dev_leftover_end_master(const char *pid_path, struct error *err) MUST_CHECK;

/* ---- dev_servers.c: PostgreSQL and Redis --------------------------------- */

int dev_servers_find(struct dev *d, struct error *err) MUST_CHECK;
/* initdb, unless DIR/postgres is a cluster; opens both directories. */
int dev_servers_init(struct dev *d, struct error *err) MUST_CHECK;
/* Bodies of children. */
int dev_postgres_run(void *ctx);
int dev_redis_run(void *ctx);
/* In a new process: default signals, an own session (Ctrl-C is for dev, which
 * ends the others in order), and an end when dev dies. */
void dev_child_begin(const struct dev *d, int end_signal);

/* ---- dev_setup.c: what makes it usable ----------------------------------- */

/* Chooses the ports: those of the last start, else defaults, else any. */
int dev_setup_ports(struct dev *d, struct error *err) MUST_CHECK;
/* Writes verpost.conf. */
int dev_setup_config(struct dev *d, struct error *err) MUST_CHECK;
/* In a child: migrates, makes account, domain, key and source, and writes
 * dev.json. Returns its exit status. */
int dev_setup_run(struct dev *d);

#endif
