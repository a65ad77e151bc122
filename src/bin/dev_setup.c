#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/crypto.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "bin/dev.h"
#include "bin/provision.h"
#include "bin/session.h"
#include "net/loop.h"
#include "proc/settings.h"
#include "store/domains.h"
#include "store/keys.h"
#include "store/migrate.h"
#include "store/sources.h"

#define CONNECT_MS 30000

/* ---- Ports --------------------------------------------------------------- */

/* Binds 127.0.0.1:port (0: any); the port it got, or 0. */
static uint16_t
try_port(uint16_t port, int *fd)
{
	struct sockaddr_in sin = { .sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(sin);
	int one = 1;

	*fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (*fd < 0)
		return 0;
	(void)setsockopt(*fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(*fd, (const struct sockaddr *)&sin, sizeof(sin)) == 0 &&
	    listen(*fd, 1) == 0 &&
	    getsockname(*fd, (struct sockaddr *)&sin, &len) == 0)
		return ntohs(sin.sin_port);
	close(*fd);
	*fd = -1;
	return 0;
}

/* All are held until the last is chosen, so that no two are the same. */
int
dev_setup_ports(struct dev *d, struct error *err)
{
	static const uint16_t defaults[DEV_PORT_COUNT] = {
		[DEV_HTTP] = DEV_HTTP_USUAL,
		[DEV_SMTP_IN] = 2525,
		[DEV_SIMULATOR] = 8027,
	};
	int fd[DEV_PORT_COUNT];
	int rc = 0;

	for (size_t i = 0; i < DEV_PORT_COUNT; i++) {
		const uint16_t wish[] = { d->port[i], defaults[i], 0 };

		fd[i] = -1;
		d->port[i] = 0;
		for (size_t k = wish[0] == 0 ? 1 : 0;
		     k < ARRAY_LEN(wish) && d->port[i] == 0; k++)
			d->port[i] = try_port(wish[k], &fd[i]);
		if (d->port[i] == 0)
			rc = error_sys(err,
			    "finding a free port on 127.0.0.1 (is the loopback "
			    "interface up?)");
	}
	for (size_t i = 0; i < DEV_PORT_COUNT; i++)
		if (fd[i] >= 0)
			close(fd[i]);
	return rc;
}

/* ---- Settings ------------------------------------------------------------ */

static void
set_text(char **field, char *value)
{
	free(*field);
	*field = value;
}

static int
write_config(const struct dev *d, struct settings *s, struct error *err)
{
	struct strbuf out = STRBUF_INIT;
	int rc;

	strbuf_add_text(&out, "# Made by 'verpost dev' at every start.\n");
	settings_print(s, &out);
	rc = dev_data_write(d, "verpost.conf", strbuf_slice(&out), err);
	strbuf_fini(&out);
	return rc;
}

int
dev_setup_config(struct dev *d, struct error *err)
{
	struct settings s = { 0 };
	int rc;

	d->conninfo = xasprintf("host=%s user=" DEV_DB_USER " dbname=postgres",
	    d->runtime);
	d->redis_url = xasprintf("unix:%s/redis.sock", d->runtime);
	if (settings_parse(&s, SLICE(""), "dev", NULL, NULL, err) != 0)
		return -1;
	s.mode = MODE_SIMULATOR;
	s.drain_time = 5000;
	s.retry_first = 5000; /* a demonstration does not wait a minute */
	set_text(&s.node, xstrdup("dev"));
	set_text(&s.run_dir, xstrdup(d->runtime));
	set_text(&s.state_dir, xasprintf("%s/state", d->dir));
	set_text(&s.user, xstrdup(d->who.change ? d->who.name : ""));
	set_text(&s.key_file, xasprintf("%s/keys", d->dir));
	set_text(&s.postgres, xstrdup(d->conninfo));
	set_text(&s.redis, xstrdup(d->redis_url));
	set_text(&s.smtp_in_hostname, xstrdup("mx." DEV_DOMAIN));
	set_text(&s.http_listen,
	    xasprintf("127.0.0.1:%u", (unsigned int)d->port[DEV_HTTP]));
	set_text(&s.smtp_in_listen,
	    xasprintf("127.0.0.1:%u", (unsigned int)d->port[DEV_SMTP_IN]));
	set_text(&s.simulator_listen,
	    xasprintf("127.0.0.1:%u", (unsigned int)d->port[DEV_SIMULATOR]));
	set_text(&s.mx_private, xstrdup("127.0.0.0/8"));
	set_text(&s.webhook_private, xstrdup("127.0.0.0/8 ::1/128"));
	rc = write_config(d, &s, err);
	settings_fini(&s);
	return rc;
}

/* ---- What to send with --------------------------------------------------- */

struct setup {
	struct session s;
	bool key_known, domain_known, source_known;
};

static void
got_key(void *ctx, const struct store_key_auth *auth, const struct error *err)
{
	struct setup *setup = ctx;

	setup->key_known = err == NULL && auth != NULL;
	session_end(&setup->s,
	    err != NULL && err->kind == ERR_NOTFOUND ? NULL : err);
}

/* The key of an earlier start serves as long as the database knows it. */
static void
provide_key(struct dev *d, struct setup *setup, int account)
{
	struct provision_key key = { .account = account, .name = "dev" };
	uint8_t hash[SHA256_LEN];
	char text[PROVISION_KEY_LEN + 1];

	if (d->api_key != NULL) {
		crypto_sha256(slice_of(d->api_key), hash);
		store_key_find(setup->s.pg, hash, got_key, setup);
		session_wait(&setup->s, "looking for the API key");
		if (setup->key_known)
			return;
		free(d->api_key);
	}
	provision_key(&setup->s, &key, text);
	d->api_key = xstrdup(text);
	explicit_bzero(text, sizeof(text));
}

static void
got_domain(void *ctx, const struct store_domain *domain, size_t count,
    const struct error *err)
{
	struct setup *setup = ctx;

	(void)domain;
	setup->domain_known = err == NULL && count > 0;
	session_end(&setup->s,
	    err != NULL && err->kind == ERR_NOTFOUND ? NULL : err);
}

static void
provide_domain(struct setup *setup, int account)
{
	struct provision_domain domain = { .account = account,
		.name = DEV_DOMAIN,
		.verified = true };
	struct error err = { 0 };

	store_domain_find_name(setup->s.pg, 0, SLICE(DEV_DOMAIN), got_domain,
	    setup);
	session_wait(&setup->s, "looking for domain " DEV_DOMAIN);
	if (!setup->domain_known &&
	    provision_domain(&setup->s, &domain, &err) != 0)
		die("adding domain " DEV_DOMAIN ": %s", err.text);
}

static void
got_sources(void *ctx, const struct store_source *source, size_t count,
    const struct error *err)
{
	struct setup *setup = ctx;

	for (size_t i = 0; err == NULL && i < count; i++)
		if (slice_eq_text(source[i].address, DEV_SOURCE))
			setup->source_known = true;
	session_end(&setup->s, err);
}

static void
provide_source(struct setup *setup)
{
	int64_t now_ms = clock_now_ms();
	struct store_source source = {
		.id = id_new(now_ms),
		.address = SLICE(DEV_SOURCE),
		.helo = SLICE("mta." DEV_DOMAIN),
		.pool_name = SLICE("default"),
		.weight = 1,
		.created_at_ms = now_ms,
	};

	store_source_list(setup->s.pg, slice_of(NULL), got_sources, setup);
	session_wait(&setup->s, "listing sources");
	if (setup->source_known)
		return;
	store_source_add(setup->s.pg, &source, session_done, &setup->s);
	session_wait(&setup->s, "adding source " DEV_SOURCE);
}

static int
write_json(const struct dev *d, struct error *err)
{
	struct strbuf out = STRBUF_INIT;
	struct json_writer w;
	char text[64];
	int rc;

	json_writer_init(&w, &out);
	json_begin_object(&w, NULL);
	snprintf(text, sizeof(text), "http://127.0.0.1:%u",
	    (unsigned int)d->port[DEV_HTTP]);
	json_cstr(&w, "http", text);
	snprintf(text, sizeof(text), "127.0.0.1:%u",
	    (unsigned int)d->port[DEV_SMTP_IN]);
	json_cstr(&w, "smtp_in", text);
	snprintf(text, sizeof(text), "127.0.0.1:%u",
	    (unsigned int)d->port[DEV_SIMULATOR]);
	json_cstr(&w, "simulator", text);
	json_cstr(&w, "api_key", d->api_key);
	json_cstr(&w, "domain", DEV_DOMAIN);
	json_cstr(&w, "config", d->config);
	json_int(&w, "pid", d->pid);
	json_end(&w);
	strbuf_add_char(&out, '\n');
	rc = dev_data_write(d, "dev.json", strbuf_slice(&out), err);
	explicit_bzero(out.ptr, out.cap);
	strbuf_fini(&out);
	return rc;
}

/* The server may still be starting: pg_wait_up tries again and again. */
static void
wait_for_postgres(const struct dev *d)
{
	struct loop *loop = loop_new();
	struct pg_options options = { .conninfo = d->conninfo };
	struct pg *pg = pg_new(loop, &options, NULL, NULL);
	struct error err = { 0 };

	if (pg_wait_up(pg, CONNECT_MS, &err) != 0)
		die("waiting for PostgreSQL: %s", err.text);
	pg_free(&pg);
	loop_free(&loop);
}

int
dev_setup_run(struct dev *d)
{
	struct args args = { .config = d->config, .config_given = true };
	char *keys = xasprintf("%s/keys", d->dir);
	struct setup setup = { 0 };
	struct error err = { 0 };
	int account;

	log_setup("dev", LOG_LEVEL_ERROR);
	wait_for_postgres(d);
	if (keyring_create(keys, &err) != 0 && err.kind != ERR_CONFLICT)
		die("%s", err.text);
	if (migrate_run(d->conninfo, clock_now_ms(), NULL, NULL, &err) != 0)
		die("migrating: %s", err.text);
	session_open(&setup.s, &args, SESSION_KEYS);
	account = provision_account(&setup.s, DEV_ACCOUNT);
	provide_domain(&setup, account);
	provide_source(&setup);
	provide_key(d, &setup, account);
	session_close(&setup.s);
	if (write_json(d, &err) != 0)
		die("%s", err.text);
	free(keys);
	return 0;
}
