#include "bin/domain.h"

#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "bin/senders.h"
#include "mail/address.h"
#include "store/domains.h"

static void
got_domain(void *ctx, const struct store_domain *domain, size_t count,
    const struct error *err)
{
	struct domain_view *v = ctx;

	if (err == NULL && count == 1) {
		v->id = domain->id;
		v->number = domain->number;
		v->account = domain->account;
		v->status = arena_slice(&v->arena, domain->status);
		v->d.name = arena_slice(&v->arena, domain->name);
		v->d.return_path_host =
		    arena_slice(&v->arena, domain->return_path_host);
	}
	session_end(v->s, err);
}

static void
got_keys(void *ctx, const struct store_dkim_key *key, size_t count,
    const struct error *err)
{
	struct domain_view *v = ctx;

	if (err == NULL && count > 0) {
		v->d.selector = arena_slice(&v->arena, key[0].selector);
		v->d.public_txt = arena_slice(&v->arena, key[0].public_txt);
	}
	session_end(v->s, err);
}

/* Those that its mail may leave by: others have no place in its SPF. */
static void
read_sources(struct domain_view *v)
{
	struct senders senders;

	senders_read(&senders, v->s);
	v->d.source_count =
	    senders_of(&senders, v->account, v->source, ARRAY_LEN(v->source));
	for (size_t i = 0; i < v->d.source_count; i++)
		v->source[i] = arena_slice(&v->arena, v->source[i]);
	senders_fini(&senders);
	v->d.sources = v->source;
}

void
domain_view_load(struct domain_view *v, struct session *s, const char *name)
{
	struct slice host;
	struct error err = { 0 };

	*v = (struct domain_view){ .s = s };
	if (mail_domain_parse(&v->arena, slice_of(name), 1, &host, &err) != 0)
		args_die("'%s' is no domain name: %s", name, err.text);
	store_domain_find_name(s->pg, 0, host, got_domain, v);
	err = session_try(s);
	if (err.kind == ERR_NOTFOUND)
		die("there is no domain '%s': 'verpost domain list' shows "
		    "them",
		    name);
	if (err.kind != ERR_NONE)
		die("looking for domain '%s': %s", name, err.text);
	store_dkim_key_list(s->pg, v->number, got_keys, v);
	session_wait(s, "reading the DKIM key of '%s'", name);
	read_sources(v);
	if (settings_has_full_hostname(&s->settings))
		v->d.mx_host = s->settings.smtp_in_hostname;
	dnscheck_make(&v->arena, &v->d, v->check);
}

void
domain_view_fini(struct domain_view *v)
{
	arena_fini(&v->arena);
}

void
domain_view_print(const struct domain_view *v, bool json)
{
	if (json) {
		struct strbuf out = STRBUF_INIT;
		struct json_writer w;
		struct strbuf records = STRBUF_INIT;

		dnscheck_json(v->check, &records);
		json_writer_init(&w, &out);
		json_begin_object(&w, NULL);
		json_cstr(&w, "id", id_text(v->id).s);
		json_text(&w, "name", v->d.name);
		json_text(&w, "status", v->status);
		json_raw(&w, "records", strbuf_slice(&records));
		json_end(&w);
		puts(strbuf_text(&out));
		strbuf_fini(&records);
		strbuf_fini(&out);
		return;
	}
	for (size_t i = 0; i < DNSCHECK_COUNT; i++) {
		const struct dnscheck *c = &v->check[i];

		printf("%s%s\n  %s  %s\n  %s\n\n", c->record,
		    c->required ? "" : " (advised)", c->name,
		    dnscheck_type_name(c->type),
		    c->value != NULL ? c->value : c->advice);
	}
	printf("status: %.*s\n", SLICE_FMT(v->status));
}
