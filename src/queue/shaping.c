#include "queue/shaping.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/hash.h"
#include "base/mem.h"
#include "base/strbuf.h"
#include "queue/lane.h"

/*
 * The file is cut into sections, and each is read by base/config through the
 * rows that its kind may set. A provider begins with the values of
 * [default], which therefore comes first, or not at all.
 */

#define PROVIDERS_MAX 64
#define CONNECTIONS_MAX 10000
#define RATE_MAX 1000000
#define MAILS_MAX 1000000000

extern const char *const shaping_default_data[];
extern const size_t shaping_default_lens[];

struct provider {
	char name[QUEUE_LANE_NAME_MAX];
	struct shaping_limits limits;
};

struct site {
	struct shaping_limits limits; /* UNSET: as its provider */
};

struct shaping {
	struct shaping_limits fallback;
	size_t provider_count;
	struct provider provider[PROVIDERS_MAX];
	struct hash *names, *domains, *hosts; /* -> struct provider */
	struct hash *sites;		      /* -> struct site */
};

/* What a section says. */
struct section {
	struct shaping_limits limits;
	char *domains, *mx;
};

#define AT(field) offsetof(struct section, limits.field)
#define COUNT(key, most)                                                       \
	{                                                                      \
#key, CONFIG_UINT, AT(key), NULL, 0, most, NULL, "", NULL      \
	}
#define RATE(key)                                                              \
	{                                                                      \
#key, CONFIG_RATE, AT(key), NULL, 0, RATE_MAX, NULL, "", NULL  \
	}
#define NAMES(key)                                                             \
	{                                                                      \
#key, CONFIG_TEXT, offsetof(struct section, key), NULL, 0, 0,  \
		    NULL, "", NULL                                             \
	}

/* A [site] may set the first of these, [default] more, [provider] all. */
static const struct config_row rows[] = {
	COUNT(site_connections, CONNECTIONS_MAX),
	RATE(site_connection_rate),
	RATE(site_mail_rate),
	COUNT(connection_mails, MAILS_MAX),
	COUNT(provider_connections, CONNECTIONS_MAX),
	RATE(provider_connection_rate),
	RATE(provider_mail_rate),
	COUNT(provider_daily, MAILS_MAX),
	NAMES(domains),
	NAMES(mx),
};
#define SITE_ROWS 4
#define DEFAULT_ROWS 8
#define DOMAINS_ROW 8
#define MX_ROW 9

struct reader {
	struct shaping *s;
	unsigned int line; /* of the section's head */
	bool has_default;
	struct config_report report;
};

static void PRINTF_LIKE(3, 4)
    refuse(struct reader *r, unsigned int line, const char *fmt, ...)
{
	struct error err = { 0 };
	char text[sizeof(err.text)];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	error_set(&err, ERR_CONFIG, "%s", text);
	config_report_add(&r->report, line, &err);
}

/* -- names
 * -------------------------------------------------------------------- */

/* It is part of the names of Redis keys, and h0 to h15 are taken. */
static bool
is_provider_name(struct slice name)
{
	bool only_digits = name.len > 1;

	if (name.len == 0 || name.len >= QUEUE_LANE_NAME_MAX ||
	    name.ptr[0] < 'a' || name.ptr[0] > 'z')
		return false;
	for (size_t i = 0; i < name.len; i++) {
		char c = name.ptr[i];

		if ((c < 'a' || c > 'z') && !ascii_is_digit(c) && c != '-')
			return false;
		if (i > 0 && !ascii_is_digit(c))
			only_digits = false;
	}
	return name.ptr[0] != 'h' || !only_digits;
}

/* Lower-case A-labels, without a dot at either end. */
static bool
is_host_name(struct slice name)
{
	char before = '.';

	if (name.len == 0 || name.len > 253)
		return false;
	for (size_t i = 0; i < name.len; i++) {
		char c = name.ptr[i];

		if (c == '.' ? before == '.'
			     : (c < 'a' || c > 'z') && !ascii_is_digit(c) &&
			    c != '-' && c != '_')
			return false;
		before = c;
	}
	return before != '.';
}

/* Of the row of that number, in whose line they are refused. */
static void
add_names(struct reader *r, size_t row, const char *list, struct hash *to,
    struct provider *p)
{
	struct slice rest = slice_of(list);
	unsigned int line = r->report.place[row].line;
	const char *key = rows[row].key;

	while (rest.len > 0) {
		struct slice name = slice_take_until(&rest, ' ');

		if (name.len == 0)
			continue;
		if (!is_host_name(name))
			refuse(r, line,
			    "%s of provider %s: '%.*s' is no domain name in "
			    "lower case",
			    key, p->name, SLICE_FMT(slice_first(name, 64)));
		else if (hash_find(to, name) != NULL)
			refuse(r, line,
			    "%s of provider %s: %.*s is there already", key,
			    p->name, SLICE_FMT(slice_first(name, 64)));
		else
			hash_put(to, name, p);
	}
}

/* -- sections
 * ----------------------------------------------------------------- */

/* Those of a section that is itself refused are looked at, too. */
static void
read_rows(struct reader *r, size_t n, struct slice body, struct section *to)
{
	config_report_fini(&r->report);
	(void)!config_parse_part(rows, n, body, r->line + 1, to, &r->report);
}

static void
read_default(struct reader *r, struct slice body)
{
	struct section sec = { .limits = { 0 } };

	if (r->has_default || r->s->provider_count > 0 ||
	    hash_count(r->s->sites) > 0)
		refuse(r, r->line,
		    "[default] stands once, before every other section");
	r->has_default = true;
	read_rows(r, DEFAULT_ROWS, body, &sec);
	r->s->fallback = sec.limits;
}

/* NULL: it cannot be one. */
static struct provider *
new_provider(struct reader *r, struct slice name)
{
	struct provider *p = NULL;

	if (!is_provider_name(name))
		refuse(r, r->line,
		    "a provider's name has up to %d of a-z, 0-9 and -, begins "
		    "with a letter, and is not h and a number",
		    QUEUE_LANE_NAME_MAX - 1);
	else if (hash_find(r->s->names, name) != NULL)
		refuse(r, r->line, "[provider %.*s] is there already",
		    SLICE_FMT(name));
	else if (r->s->provider_count == PROVIDERS_MAX)
		refuse(r, r->line, "more than %d providers", PROVIDERS_MAX);
	else
		p = &r->s->provider[r->s->provider_count++];
	if (p != NULL) {
		memcpy(p->name, name.ptr, name.len);
		hash_put(r->s->names, name, p);
	}
	return p;
}

static void
read_provider(struct reader *r, struct slice name, struct slice body)
{
	struct section sec = { .limits = r->s->fallback };
	struct provider *p = new_provider(r, name);

	read_rows(r, ARRAY_LEN(rows), body, &sec);
	if (p != NULL) {
		p->limits = sec.limits;
		add_names(r, DOMAINS_ROW, sec.domains, r->s->domains, p);
		add_names(r, MX_ROW, sec.mx, r->s->hosts, p);
	}
	config_fini(rows, ARRAY_LEN(rows), &sec);
}

#define UNSET UINT64_MAX

/* A site differs from its provider in what it says, so that is remembered. */
static void
read_site(struct reader *r, struct slice name, struct slice body)
{
	struct section sec = { .limits = {
				   .site_connections = UNSET,
				   .site_connection_rate = { UNSET, 0 },
				   .site_mail_rate = { UNSET, 0 },
				   .connection_mails = UNSET,
			       } };
	struct site *site = NULL;

	if (!is_host_name(name))
		refuse(r, r->line,
		    "'%.*s' is no host or domain name in lower case",
		    SLICE_FMT(slice_first(name, 64)));
	else if (hash_find(r->s->sites, name) != NULL)
		refuse(r, r->line, "[site %.*s] is there already",
		    SLICE_FMT(slice_first(name, 64)));
	else
		site = xmalloc(sizeof(*site));
	read_rows(r, SITE_ROWS, body, &sec);
	if (site != NULL) {
		site->limits = sec.limits;
		hash_put(r->s->sites, name, site);
	}
}

/* What stands in a section that is none of ours cannot be judged. */
static void
read_section(struct reader *r, struct slice head, struct slice body)
{
	struct slice name, kind;

	if (!slice_take_char(&head, '[') || head.len == 0 ||
	    head.ptr[head.len - 1] != ']') {
		refuse(r, r->line,
		    "expected '[default]', '[provider NAME]' or "
		    "'[site NAME]'");
		return;
	}
	name = slice_trim(slice_first(head, head.len - 1));
	kind = slice_take_until(&name, ' ');
	name = slice_trim(name);
	if (slice_eq_text(kind, "default") && name.len == 0)
		read_default(r, body);
	else if (slice_eq_text(kind, "provider") && name.len > 0)
		read_provider(r, name, body);
	else if (slice_eq_text(kind, "site") && name.len > 0)
		read_site(r, name, body);
	else
		refuse(r, r->line,
		    "unknown section '%.*s': expected [default], "
		    "[provider NAME] or [site NAME]",
		    SLICE_FMT(slice_first(kind, 64)));
}

static bool
is_head(struct slice line)
{
	line = slice_trim(line);
	return line.len > 0 && *line.ptr == '[';
}

/* Takes all lines in front of the next head. */
static struct slice
take_body(struct slice *text, unsigned int *lines)
{
	struct slice body = { text->ptr, 0 };
	struct slice rest = *text, line;

	*lines = 0;
	while (slice_take_line(&rest, &line) && !is_head(line)) {
		++*lines;
		body.len = (size_t)(rest.ptr - body.ptr);
		*text = rest;
	}
	return body;
}

static void
read_all(struct reader *r, struct slice text)
{
	unsigned int lines = 0;
	struct slice head;
	/* Nothing but comments stands before the first section. */
	struct slice body = take_body(&text, &lines);
	struct section none = { .limits = { 0 } };

	read_rows(r, 0, body, &none);
	r->line = lines + 1;
	while (slice_take_line(&text, &head)) {
		body = take_body(&text, &lines);
		read_section(r, slice_trim(head), body);
		r->line += lines + 1;
	}
}

static struct config_report
report_new(const char *name, config_mistake *mistake, void *ctx)
{
	return (struct config_report){
		.name = name,
		.help = "etc/shaping.conf lists them",
		.mistake = mistake,
		.ctx = ctx,
	};
}

int
shaping_parse(struct slice text, const char *name, config_mistake *mistake,
    void *ctx, struct shaping **out, struct error *err)
{
	struct shaping *s = xmalloc(sizeof(*s));
	struct reader r = { .s = s, .report = report_new(name, mistake, ctx) };

	s->names = hash_new();
	s->domains = hash_new();
	s->hosts = hash_new();
	s->sites = hash_new();
	read_all(&r, text);
	if (config_report_end(&r.report, err) != 0) {
		shaping_free(&s);
		return -1;
	}
	*out = s;
	return 0;
}

int
shaping_load(const char *path, config_mistake *mistake, void *ctx,
    struct shaping **out, struct error *err)
{
	struct config_report report = report_new(path, mistake, ctx);
	struct strbuf text = STRBUF_INIT;
	struct error why = { 0 };
	int rc;

	if (path[0] == '\0')
		return shaping_parse(slice_mem(shaping_default_data[0],
					 shaping_default_lens[0]),
		    "built-in shaping.conf", mistake, ctx, out, err);
	if (config_read_file(path, &text, &why) == 0) {
		rc = shaping_parse(strbuf_slice(&text), path, mistake, ctx, out,
		    err);
	} else {
		config_report_add(&report, 0, &why);
		rc = config_report_end(&report, err);
	}
	strbuf_fini(&text);
	return rc;
}

static bool
free_site(void *ctx, struct slice key, void *value)
{
	(void)ctx;
	(void)key;
	free(value);
	return true;
}

void
shaping_free(struct shaping **sp)
{
	struct shaping *s = *sp;

	if (s == NULL)
		return;
	*sp = NULL;
	hash_free(&s->names);
	hash_free(&s->domains);
	hash_free(&s->hosts);
	hash_each(s->sites, free_site, NULL);
	hash_free(&s->sites);
	free(s);
}

/* -- looking up
 * --------------------------------------------------------------- */

size_t
shaping_provider_count(const struct shaping *s)
{
	return s->provider_count;
}

const char *
shaping_provider_name(const struct shaping *s, size_t n)
{
	invariant(n < s->provider_count);
	return s->provider[n].name;
}

static int
number_of(const struct shaping *s, const struct provider *p)
{
	return p != NULL ? (int)(p - s->provider) : -1;
}

int
shaping_provider_find(const struct shaping *s, struct slice name)
{
	return number_of(s, hash_find(s->names, name));
}

int
shaping_provider_of_domain(const struct shaping *s, struct slice domain)
{
	return number_of(s, hash_find(s->domains, domain));
}

/* The name itself, then each domain above it. */
static void *
find_above(const struct hash *h, struct slice name)
{
	void *found = NULL;

	while (found == NULL && name.len > 0) {
		found = hash_find(h, name);
		(void)slice_take_until(&name, '.');
	}
	return found;
}

int
shaping_provider_of_hosts(const struct shaping *s, const struct slice *host,
    size_t count)
{
	const struct provider *p = NULL;

	for (size_t i = 0; p == NULL && i < count; i++)
		p = find_above(s->hosts, host[i]);
	return number_of(s, p);
}

struct shaping_limits
shaping_limits_of(const struct shaping *s, int provider,
    const struct slice *host, size_t count)
{
	struct shaping_limits all =
	    provider >= 0 ? s->provider[provider].limits : s->fallback;
	const struct site *site = NULL;

	for (size_t i = 0; site == NULL && i < count; i++)
		site = find_above(s->sites, host[i]);
	if (site == NULL)
		return all;
	if (site->limits.site_connections != UNSET)
		all.site_connections = site->limits.site_connections;
	if (site->limits.site_connection_rate.count != UNSET)
		all.site_connection_rate = site->limits.site_connection_rate;
	if (site->limits.site_mail_rate.count != UNSET)
		all.site_mail_rate = site->limits.site_mail_rate;
	if (site->limits.connection_mails != UNSET)
		all.connection_mails = site->limits.connection_mails;
	return all;
}
