/*
 * net/fetch.h - HTTP requests of ours (libcurl multi in the loop): webhooks,
 * later provider calls. http and https only, no redirects, no proxy from the
 * environment, the guard applied to the address actually connected to
 * (CURLOPT_OPENSOCKETFUNCTION: DNS rebinding does not pass), answer cut at a
 * limit.
 */
#ifndef NET_FETCH_H
#define NET_FETCH_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/slice.h"
#include "net/addr.h"
#include "net/loop.h"

struct fetcher;
struct fetch;

/*
 * Whether that is a URL to keep for later requests: http or https, at most
 * FETCH_URL_MAX visible ASCII characters, a host, a port that exists, neither
 * user name nor fragment. err: what is wrong, to be read after the URL ("names
 * no host"). An address in place of a host name must pass the guard, too;
 * which one a name leads to is the guard's business, each time.
 */
#define FETCH_URL_MAX 2048
int fetch_url_check(struct slice url, const struct net_guard *guard,
    struct error *err) MUST_CHECK;

/* guard: borrowed. */
struct fetcher *fetcher_new(struct loop *l, const struct net_guard *guard);
/* No callback comes after it. May be called from a fetch_done. */
void fetcher_free(struct fetcher **f);

struct fetch_request {
	const char *method; /* "POST" */
	const char *url;
	const char *const *headers; /* "Name: value", NULL-terminated */
	struct slice body;	    /* copied */
	int64_t timeout_ms;	    /* whole request */
	size_t answer_max;   /* octets of the answer's body kept; with more the
				connection is closed, which is no failure */
	const char *ca_file; /* extra trust anchor, or NULL */
};

struct fetch_result {
	int status;	   /* HTTP status; 0 when there was no answer */
	struct slice body; /* borrowed for the call */
	struct error err;  /* kind ERR_NONE when status is set; ERR_DENIED:
			      the guard refused the address */
	int64_t elapsed_ms;
};

/* The fetch is over then. */
typedef void fetch_done(void *ctx, const struct fetch_result *result);
/* Everything in req is copied. Never calls back before it returns. */
struct fetch *fetch_start(struct fetcher *f, const struct fetch_request *req,
    fetch_done *done, void *ctx);
void fetch_cancel(struct fetch **f);

#endif
