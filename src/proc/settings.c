/*
 * One table: a row is read, checked, printed and documented by base/config.
 * What a text must look like is in settings_form.c; what needs more than one
 * value is in check_together.
 */
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "proc/settings_priv.h"

static const char *const mode_choices[] = { "simulator", "log", "live", NULL };
static const char *const level_choices[] = { "error", "warn", "info", "debug",
	NULL };

/* clang-format off */
#define TEXT(key, dflt, help)                                                  \
	{ #key, CONFIG_TEXT, offsetof(struct settings, key), dflt, 0, 0, NULL, \
	    help, NULL }
#define FORM(key, dflt, form, help)                                            \
	{ #key, CONFIG_TEXT, offsetof(struct settings, key), dflt, 0, 0, NULL, \
	    help, &settings_form_##form }
#define UINT(key, dflt, low, high, help)                                       \
	{ #key, CONFIG_UINT, offsetof(struct settings, key), dflt, low, high,  \
	    NULL, help, NULL }
#define SIZE(key, dflt, low, high, help)                                       \
	{ #key, CONFIG_SIZE, offsetof(struct settings, key), dflt, low, high,  \
	    NULL, help, NULL }
#define TIME(key, dflt, low, high, help)                                       \
	{ #key, CONFIG_DURATION, offsetof(struct settings, key), dflt, low,    \
	    high, NULL, help, NULL }
#define BOOL(key, dflt, help)                                                  \
	{ #key, CONFIG_BOOL, offsetof(struct settings, key), dflt, 0, 0, NULL, \
	    help, NULL }
#define CHOICE(key, dflt, choices, help)                                       \
	{ #key, CONFIG_CHOICE, offsetof(struct settings, key), dflt, 0, 0,     \
	    choices, help, NULL }

#define SECOND ((uint64_t)1000)
#define HOUR (3600 * SECOND)
#define DAY (24 * HOUR)
#define KILO ((uint64_t)1024)
#define MEGA (1024 * KILO)

const struct config_row settings_rows[] = {
	CHOICE(mode, "simulator", mode_choices,
	    "What happens to accepted mail. simulator: it is delivered over "
	    "SMTP to the built-in simulator and nothing leaves this machine. "
	    "log: it ends as failed with reason log_mode. live: it goes to "
	    "the recipients' mail servers; verpost refuses to start while "
	    "something this needs is missing."),
	TEXT(node, "",
	    "Name of this machine among those that share the database. Empty: "
	    "the host name."),
	CHOICE(log_level, "info", level_choices,
	    "Least important lines to write to standard error."),

	FORM(run_dir, "/run/verpost", path,
	    "Directory for the process number, the lock of the master, Unix "
	    "sockets, and the files that say what each mail process has in "
	    "hand. Local, in memory or on disk; should survive a restart of "
	    "verpost (that saves mail from being unknown), need not survive "
	    "one of the machine."),
	FORM(state_dir, "/var/lib/verpost", path,
	    "Directory for files that must survive a restart."),
	TEXT(user, "verpost",
	    "User that the processes change to when started as root."),
	TEXT(group, "",
	    "Group that the processes change to. Empty: the user's own."),
	FORM(key_file, "/etc/verpost/keys", path,
	    "File with the keys that seal secrets in the database and sign "
	    "return paths. Made by 'verpost keyfile create'; mode 0600. Keep "
	    "a copy elsewhere: without it DKIM keys cannot be read."),
	TEXT(postgres, "host=/run/postgresql dbname=verpost user=verpost",
	    "How to reach PostgreSQL, as a libpq connection string. Use a "
	    "socket directory (host=/...) or hostaddr, never a host name: "
	    "looking it up would block."),
	FORM(redis, "127.0.0.1:6379", redis,
	    "Where Redis is: address:port, or unix:/path."),
	FORM(dns_servers, "", servers,
	    "Resolvers to ask, as address or address:port. Empty: those of "
	    "/etc/resolv.conf. A validating resolver on 127.0.0.1 is best."),

	UINT(httpd_processes, "1", 0, 64,
	    "Processes that answer the HTTP API. 0: none on this node."),
	UINT(mta_processes, "1", 0, 64,
	    "Processes that deliver. Each source address belongs to one of "
	    "them, so more processes than sources are of no use."),
	UINT(smtpd_processes, "1", 0, 64,
	    "Processes that receive bounces. 0: none on this node."),
	UINT(hooks_processes, "1", 0, 16,
	    "Processes that send webhooks. 0: none on this node."),
	TIME(drain_time, "30s", SECOND, 600 * SECOND,
	    "How long a process may take to finish what it has begun when it "
	    "is asked to stop."),

	FORM(http_listen, "127.0.0.1:8025", listen,
	    "Addresses the HTTP API listens on. Put a proxy with TLS in front "
	    "of it before opening it to others."),
	SIZE(http_body_max, "60M", 64 * KILO, 1024 * MEGA,
	    "Largest request body; what is larger gets 413."),
	UINT(http_connections_max, "10000", 10, 100000,
	    "Open HTTP connections per process."),
	TIME(http_request_time, "60s", SECOND, 3600 * SECOND,
	    "Longest time from the first octet of a request to its last."),

	FORM(smtp_in_listen, "127.0.0.1:2525", listen,
	    "Addresses that bounces come back to. Live: port 25 of every "
	    "address that the MX of a return-path host resolves to."),
	FORM(smtp_in_hostname, "", host,
	    "Name of this machine in SMTP, as the MX of the return-path hosts "
	    "says it. Empty: the host name."),
	FORM(smtp_in_cert, "", file,
	    "Certificate chain (PEM) to offer STARTTLS with. Empty: no "
	    "STARTTLS on the return-path port."),
	FORM(smtp_in_key, "", file,
	    "Private key (PEM) of smtp_in_cert."),
	UINT(smtp_in_connections_max, "200", 1, 10000,
	    "Open connections on the return-path port per process."),
	SIZE(return_size_max, "10M", 64 * KILO, 100 * MEGA,
	    "Largest mail taken on the return-path port."),
	SIZE(message_size_max, "40M", 64 * KILO, 100 * MEGA,
	    "Largest email accepted, attachments after base64 included."),
	UINT(recipients_max, "50", 1, 100,
	    "Most recipients of one email."),

	UINT(queue_max, "2000000", 1000, 1000000000,
	    "Most recipients in the queue. Above it new mail is refused with "
	    "429 and a Retry-After, the last tenth being kept for transactional "
	    "mail. A million take about 130 MB of Redis."),

	FORM(shaping_file, "", file,
	    "File with the limits for sites and providers: connections, "
	    "messages in a time, messages in a day. Empty: what is built in, "
	    "which is also there to read as shaping.conf. All nodes have the "
	    "same."),
	UINT(smtp_port, "25", 1, 65535,
	    "Port that mail exchangers are connected to. Anything but 25 is "
	    "for tests."),
	FORM(mx_private, "", networks,
	    "Networks (address/bits) that mail may be delivered to although "
	    "they are private, loopback or link-local."),
	TIME(max_age, "72h", 60 * SECOND, 30 * DAY,
	    "How long delivery of an email is tried."),
	TIME(retry_first, "1m", SECOND, 12 * HOUR,
	    "Pause after the first deferral; it doubles from then on. "
	    "Greylisting (5m), full mailboxes (1h), rate limits (10m) and "
	    "policy refusals (30m) have a pause of their own, or the one that "
	    "the far end asks for."),
	TIME(retry_longest, "4h", SECOND, 24 * HOUR,
	    "Longest pause between two attempts, except after those."),
	TIME(retry_unknown, "15m", 900 * SECOND, 24 * HOUR,
	    "Pause after an attempt whose end nobody knows: the message was "
	    "handed over and no reply came. At least 15 minutes, so that two "
	    "copies are never under way at once."),
	UINT(in_hand_max, "2000", 10, 100000,
	    "Recipients that one process takes from the queue at a time."),
	SIZE(in_hand_bytes_max, "128M", MEGA, 4096 * MEGA,
	    "Memory for the content of the emails that are about to be sent."),
	SIZE(recent_bytes_max, "128M", 0, 65536 * MEGA,
	    "Memory, shared by the processes of this node, for the content of "
	    "the emails that it accepted last: what is sent soon need not be "
	    "read back from PostgreSQL. 0: none."),
	TIME(connection_idle, "30s", SECOND, 300 * SECOND,
	    "How long an unused connection is kept for the next message."),

	FORM(webhook_private, "", networks,
	    "Networks (address/bits) that webhooks may be sent to although "
	    "they are private, loopback or link-local."),
	FORM(webhook_ca_file, "", file,
	    "Additional certificates (PEM) to trust for webhooks."),
	TIME(webhook_timeout, "15s", SECOND, 120 * SECOND,
	    "How long an endpoint may take to answer."),

	FORM(simulator_listen, "127.0.0.1:8027", listen,
	    "Address of the built-in simulator, which takes all mail in mode "
	    "simulator. Empty: no simulator (not in mode simulator)."),
	TIME(simulator_dsn_delay, "1s", 0, 3600 * SECOND,
	    "Pause before the simulator sends the bounce of a mail that it "
	    "took first."),

	TIME(retention, "40d", DAY, 3650 * DAY,
	    "How long emails, recipients and events are kept, from the day of "
	    "the email. Days with unfinished mail are kept in any case. "
	    "Bounces can be matched as long."),
	TIME(retention_content, "7d", DAY, 3650 * DAY,
	    "How long the content of emails is kept."),
	TIME(retention_returns, "30d", DAY, 3650 * DAY,
	    "How long mail that came back is kept."),
	TIME(retention_simulator, "7d", DAY, 3650 * DAY,
	    "How long mail that the simulator took is kept."),
};
/* clang-format on */

const size_t settings_row_count = ARRAY_LEN(settings_rows);

const char *
mode_name(int mode)
{
	return mode_choices[mode];
}

static void
check_together(const struct settings *s, struct config_report *report)
{
	const struct {
		bool wrong;
		const char *key, *other, *why;
	} rules[] = {
		{ (s->smtp_in_cert[0] == '\0') != (s->smtp_in_key[0] == '\0'),
		    "smtp_in_cert", "smtp_in_key",
		    "smtp_in_cert and smtp_in_key go together: set both or "
		    "neither" },
		{ s->retry_first > s->retry_longest, "retry_first",
		    "retry_longest",
		    "retry_first is longer than retry_longest" },
		{ s->mode == MODE_SIMULATOR && s->simulator_listen[0] == '\0',
		    "simulator_listen", "mode",
		    "mode simulator needs an address in simulator_listen" },
		{ s->http_body_max < s->message_size_max, "http_body_max",
		    "message_size_max",
		    "http_body_max is smaller than message_size_max" },
		{ s->mode == MODE_LIVE && !settings_has_full_hostname(s),
		    "smtp_in_hostname", "mode",
		    "mode live needs a full name in smtp_in_hostname, like "
		    "mx.example.com: it is what the MX records of return-path "
		    "hosts say" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rules); i++)
		if (rules[i].wrong)
			config_refuse(settings_rows, settings_row_count, report,
			    rules[i].key, rules[i].other, rules[i].why);
}

bool
settings_has_full_hostname(const struct settings *s)
{
	return strchr(s->smtp_in_hostname, '.') != NULL;
}

void
settings_warn_fixed(const struct settings *old, const struct settings *fresh)
{
	const struct {
		const char *key, *was, *is;
	} fixed[] = {
		{ "run_dir", old->run_dir, fresh->run_dir },
		{ "user", old->user, fresh->user },
		{ "group", old->group, fresh->group },
		{ "http_listen", old->http_listen, fresh->http_listen },
		{ "smtp_in_listen", old->smtp_in_listen,
		    fresh->smtp_in_listen },
		{ "simulator_listen", old->simulator_listen,
		    fresh->simulator_listen },
	};

	for (size_t i = 0; i < ARRAY_LEN(fixed); i++)
		if (strcmp(fixed[i].was, fixed[i].is) != 0)
			log_warn(NULL, "master.reload",
			    log_text("setting", fixed[i].key),
			    log_text("takes_effect", "after a restart"));
}

static void
fill_host_name(char **text)
{
	char host[256] = "";

	if ((*text)[0] != '\0')
		return;
	if (gethostname(host, sizeof(host) - 1) != 0 || host[0] == '\0')
		memcpy(host, "localhost", sizeof("localhost"));
	free(*text);
	*text = xstrdup(host);
}

/* What is left when the values of the file, or the defaults, are there. */
static int
finish(struct settings *s, struct config_report *report, struct error *err)
{
	if (report->place != NULL) {
		fill_host_name(&s->node);
		fill_host_name(&s->smtp_in_hostname);
		check_together(s, report);
	}
	if (config_report_end(report, err) == 0)
		return 0;
	settings_fini(s);
	return -1;
}

static struct config_report
report_new(const char *name, config_mistake *mistake, void *ctx)
{
	return (struct config_report){
		.name = name,
		.help = "'verpost check --example' prints all there are",
		.mistake = mistake,
		.ctx = ctx,
	};
}

int
settings_load(struct settings *s, const char *path, config_mistake *mistake,
    void *ctx, struct error *err)
{
	struct config_report report = report_new(path, mistake, ctx);

	(void)!config_load(settings_rows, settings_row_count, path, s, &report);
	return finish(s, &report, err);
}

int
settings_parse(struct settings *s, struct slice text, const char *name,
    config_mistake *mistake, void *ctx, struct error *err)
{
	struct config_report report = report_new(name, mistake, ctx);

	(void)!config_parse(settings_rows, settings_row_count, text, s,
	    &report);
	return finish(s, &report, err);
}

void
settings_fini(struct settings *s)
{
	config_fini(settings_rows, settings_row_count, s);
	memset(s, 0, sizeof(*s));
}

void
settings_document(struct strbuf *out)
{
	strbuf_add_text(out,
	    "# verpost.conf - the settings of Verpost, with their defaults.\n"
	    "# \"key = value\" lines; '#' starts a comment. What is commented\n"
	    "# out has the value shown. 'verpost check' reads this file and\n"
	    "# says what is wrong with it.\n\n");
	config_document(settings_rows, settings_row_count, out);
}

/* Each "password=x" or "password = 'x y'" inside a connection string. */
static void
mask_passwords(char *conninfo)
{
	char *at = conninfo;

	while ((at = strstr(at, "password")) != NULL) {
		char end = ' ';

		at += strlen("password");
		while (*at == ' ' || *at == '=')
			at++;
		if (*at == '\'')
			end = *at++;
		for (; *at != '\0' && *at != end; at++)
			*at = '*';
	}
}

void
settings_print(const struct settings *s, struct strbuf *out)
{
	struct settings shown = *s;

	shown.postgres = xstrdup(s->postgres);
	mask_passwords(shown.postgres);
	config_print(settings_rows, settings_row_count, &shown, out);
	free(shown.postgres);
}
