/*
 * proc/settings.h - the settings of a node: one struct, one table.
 *
 * The table (settings_rows) reads, checks, prints and documents every setting;
 * etc/verpost.conf is made from it. Rooms never see this struct: proc/role_*.c
 * hands each of them what it needs.
 */
#ifndef PROC_SETTINGS_H
#define PROC_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/config.h"
#include "base/error.h"
#include "base/strbuf.h"

enum mode {
	MODE_SIMULATOR, /* every MX is the simulator; no DNS question is asked
			 */
	MODE_LOG,	/* accept, write a line, end as failed: log_mode */
	MODE_LIVE,
};

/* Times are milliseconds, sizes are octets; lists are separated by blanks. */
struct settings {
	int mode; /* enum mode */
	char *node;
	int log_level; /* enum log_level */

	char *run_dir;
	char *state_dir;
	char *user;
	char *group;
	char *key_file;
	char *postgres;
	char *redis;
	char *dns_servers;

	uint64_t httpd_processes;
	uint64_t mta_processes;
	uint64_t smtpd_processes;
	uint64_t hooks_processes;
	uint64_t drain_time;

	char *http_listen;
	uint64_t http_body_max;
	uint64_t http_connections_max;
	uint64_t http_request_time;

	char *smtp_in_listen;
	char *smtp_in_hostname;
	char *smtp_in_cert;
	char *smtp_in_key;
	uint64_t smtp_in_connections_max;
	uint64_t return_size_max;

	uint64_t message_size_max;
	uint64_t recipients_max;
	uint64_t queue_max;

	char *shaping_file;
	uint64_t smtp_port;
	char *mx_private;
	uint64_t max_age;
	uint64_t retry_first;
	uint64_t retry_longest;
	uint64_t retry_unknown;
	uint64_t in_hand_max;
	uint64_t in_hand_bytes_max;
	uint64_t recent_bytes_max;
	uint64_t connection_idle;

	char *webhook_private;
	char *webhook_ca_file;
	uint64_t webhook_timeout;

	char *simulator_listen;
	uint64_t simulator_dsn_delay;

	uint64_t retention;
	uint64_t retention_content;
	uint64_t retention_returns;
	uint64_t retention_simulator;
};

extern const struct config_row settings_rows[];
extern const size_t settings_row_count;

/* Where serve and check look without -c. */
#define SETTINGS_PATH "/etc/verpost/verpost.conf"

/*
 * Fills *s (zeroed by the caller) from the file, fills what is empty from the
 * machine (node, host name) and looks at what one value alone cannot tell: a
 * certificate without a key, a simulator that nobody can reach. Opens no
 * socket. mistake, which may be NULL, is told all that is wrong, each with
 * file and line; err gets the first. On failure *s is empty.
 */
int settings_load(struct settings *s, const char *path, config_mistake *mistake,
    void *ctx, struct error *err) MUST_CHECK;
/* The same from text; name is for messages. */
int settings_parse(struct settings *s, struct slice text, const char *name,
    config_mistake *mistake, void *ctx, struct error *err) MUST_CHECK;
void settings_fini(struct settings *s);

/* Whether smtp_in_hostname can stand in an MX record: a host name of one
 * label, which many machines have, cannot. */
bool settings_has_full_hostname(const struct settings *s);

/* Warns about what differs and takes a restart, not a reload: ports, users,
 * directories. */
void settings_warn_fixed(const struct settings *old,
    const struct settings *fresh);

/* The commented example file, etc/verpost.conf. */
void settings_document(struct strbuf *out);
/* Every setting as now set; the password in postgres is masked. */
void settings_print(const struct settings *s, struct strbuf *out);

const char *mode_name(int mode);

#endif
