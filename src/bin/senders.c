/*
 * An account has a pool per stream, or the first pool where it names none
 * (store/keys.c has the same rule for the mail itself). What DNS says is not
 * asked here, only what it said when the domain was last verified: a command
 * that adds a source must not wait for it.
 */
#include "bin/senders.h"

#include <stdio.h>

#include "base/json.h"
#include "base/strbuf.h"
#include "bin/dnscheck.h"
#include "bin/session.h"
#include "proc/startup.h"
#include "store/domains.h"
#include "store/sources.h"

#define NAMED_MOST 20 /* domains that a warning names */

/* ---- Reading ------------------------------------------------------------- */

static void
got_pools(void *ctx, const struct store_pool *pool, size_t count,
    const struct error *err)
{
	struct senders *w = ctx;

	if (err == NULL && count > 0)
		w->first_pool = arena_slice(&w->arena, pool[0].name);
	session_end(w->s, err);
}

static void
got_accounts(void *ctx, const struct store_account *account, size_t count,
    const struct error *err)
{
	struct senders *w = ctx;

	w->account = arena_calloc(&w->arena, count + 1, sizeof(*w->account));
	for (size_t i = 0; err == NULL && i < count; i++) {
		struct senders_account *a = &w->account[w->account_count++];

		a->number = account[i].number;
		for (int s = 0; s < STORE_STREAMS; s++)
			a->pool[s] = account[i].pool[s].ptr != NULL
			    ? arena_slice(&w->arena, account[i].pool[s])
			    : w->first_pool;
	}
	session_end(w->s, err);
}

static void
got_sources(void *ctx, const struct store_source *source, size_t count,
    const struct error *err)
{
	struct senders *w = ctx;

	w->source = arena_calloc(&w->arena, count + 1, sizeof(*w->source));
	for (size_t i = 0; err == NULL && i < count; i++)
		if (source[i].enabled)
			w->source[w->source_count++] = (struct senders_source){
				.id = source[i].id,
				.address =
				    arena_slice(&w->arena, source[i].address),
				.pool =
				    arena_slice(&w->arena, source[i].pool_name),
			};
	session_end(w->s, err);
}

void
senders_read(struct senders *w, struct session *s)
{
	*w = (struct senders){ .s = s };
	store_pool_list(s->pg, got_pools, w);
	session_wait(s, "listing pools");
	store_account_list(s->pg, got_accounts, w);
	session_wait(s, "listing accounts");
	store_source_list(s->pg, slice_of(NULL), got_sources, w);
	session_wait(s, "listing sources");
}

void
senders_fini(struct senders *w)
{
	arena_fini(&w->arena);
}

static bool
sends_for(const struct senders *w, const struct senders_source *source,
    int account)
{
	for (size_t i = 0; i < w->account_count; i++)
		for (int s = 0; s < STORE_STREAMS; s++)
			if (w->account[i].number == account &&
			    slice_eq(w->account[i].pool[s], source->pool))
				return true;
	return false;
}

size_t
senders_of(const struct senders *w, int account, struct slice *out, size_t max)
{
	size_t n = 0;

	for (size_t i = 0; i < w->source_count && n < max; i++)
		if (sends_for(w, &w->source[i], account))
			out[n++] = w->source[i].address;
	return n;
}

/* ---- SPF ----------------------------------------------------------------- */

struct spf_call {
	struct senders senders;
	const char *only; /* id or address of a source, or NULL */
	size_t count;	  /* domains that lack something */
	struct strbuf text;
};

bool
senders_is(struct slice id_or_address, struct id id, struct slice address)
{
	struct id named;

	return id_parse(id_or_address, &named)
	    ? id_cmp(named, id) == 0
	    : slice_eq(id_or_address, address);
}

static bool
is_meant(const char *only, const struct senders_source *source)
{
	return only == NULL ||
	    senders_is(slice_of(only), source->id, source->address);
}

/* The SPF record that was found last, "" for none. */
static struct slice
found_spf(struct arena *arena, struct slice checks)
{
	char *text = arena_dup(arena, checks);
	const struct json *all = NULL;

	if (json_parse(arena, text, checks.len, &all, NULL) != 0)
		return SLICE("");
	json_each(one, all) if (slice_eq_text(json_get_text(one, "record"),
				    "SPF")) return json_get_text(one, "found");
	return SLICE("");
}

/* The terms that the record of the domain lacks, each behind a blank. */
static void
add_terms(struct spf_call *call, const struct store_domain *domain,
    struct strbuf *terms)
{
	struct senders *w = &call->senders;
	struct slice found = found_spf(&w->arena, domain->checks);

	for (size_t i = 0; i < w->source_count; i++) {
		const struct senders_source *source = &w->source[i];

		if (is_meant(call->only, source) &&
		    sends_for(w, source, domain->account) &&
		    !dnscheck_spf_names(found, source->address))
			dnscheck_spf_term(terms, source->address);
	}
}

static void
got_domains(void *ctx, const struct store_domain *domain, size_t count,
    const struct error *err)
{
	struct spf_call *call = ctx;

	for (size_t i = 0; err == NULL && i < count; i++) {
		struct strbuf terms = STRBUF_INIT;

		if (domain[i].verified &&
		    !startup_domain_is_unchecked(domain[i].checks))
			add_terms(call, &domain[i], &terms);
		if (terms.len > 0 && ++call->count <= NAMED_MOST)
			strbuf_add_fmt(&call->text, "  %.*s (%.*s): add%.*s\n",
			    SLICE_FMT(domain[i].return_path_host),
			    SLICE_FMT(domain[i].name),
			    SLICE_FMT(strbuf_slice(&terms)));
		strbuf_fini(&terms);
	}
	session_end(call->senders.s, err);
}

void
senders_warn_spf(struct session *s, const char *id_or_address, int account)
{
	struct spf_call call = { .only = id_or_address, .text = STRBUF_INIT };

	senders_read(&call.senders, s);
	store_domain_list(s->pg, account, got_domains, &call);
	session_wait(s, "listing domains");
	if (call.count > 0) {
		fprintf(stderr,
		    "warning: receivers may refuse what comes from an address "
		    "that SPF does not name.\nAdd to these TXT records, if it "
		    "is not there yet, then run 'verpost domain verify':\n%s",
		    strbuf_text(&call.text));
		if (call.count > NAMED_MOST)
			fprintf(stderr, "  and %zu more\n",
			    call.count - NAMED_MOST);
		if (id_or_address != NULL)
			fprintf(stderr,
			    "It sends at once, with those records or without. "
			    "To keep an address from\nsending until they are "
			    "there, say 'verpost queue hold source %s'\nbefore "
			    "'verpost source add', and 'queue release' when "
			    "they are.\n",
			    id_or_address);
	}
	strbuf_fini(&call.text);
	senders_fini(&call.senders);
}
