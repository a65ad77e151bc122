/* What a URL must be for fetch_start, told when it is given to us. */
#include <curl/curl.h>

#include "base/mem.h"
#include "net/fetch.h"

#define BAD_PORT "has a port that is not a number from 1 to 65535"

static struct slice
after_scheme(struct slice url)
{
	if (slice_starts_nocase(url, SLICE("https://")))
		return slice_from(url, 8);
	if (slice_starts_nocase(url, SLICE("http://")))
		return slice_from(url, 7);
	return SLICE("");
}

static bool
is_visible(struct slice text)
{
	for (size_t i = 0; i < text.len; i++)
		if (text.ptr[i] <= ' ' || text.ptr[i] > '~')
			return false;
	return true;
}

/* Only what is written as an address can be judged before it is looked up. */
static int
check_host(const char *host, const struct net_guard *guard, struct error *err)
{
	struct slice text = slice_of(host);
	struct net_addr addr;
	const char *why;

	if (text.len > 2 && text.ptr[0] == '[')
		text = slice_first(slice_from(text, 1), text.len - 2);
	if (net_addr_parse(text, 0, &addr, NULL) != 0)
		return 0;
	why = net_guard_refusal(guard, &addr);
	if (why == NULL)
		return 0;
	return error_set(err, ERR_DENIED,
	    "leads to an address that is %s, which requests may go to only "
	    "when the setting webhook_private lists it",
	    why);
}

/* What curl, which will have to make do with it, says of host and port. */
static int
check_by_curl(struct slice url, const struct net_guard *guard,
    struct error *err)
{
	CURLU *parts = curl_url();
	char *text = slice_dup(url), *port = NULL, *host = NULL;
	int rc = 0;
	CURLUcode code;

	invariant(parts != NULL);
	code = curl_url_set(parts, CURLUPART_URL, text, 0);
	if (code == CURLUE_OK)
		(void)curl_url_get(parts, CURLUPART_PORT, &port, 0);
	free(text);
	if (port != NULL && slice_eq_text(slice_of(port), "0"))
		code = CURLUE_BAD_PORT_NUMBER;
	if (code == CURLUE_OK)
		code = curl_url_get(parts, CURLUPART_HOST, &host, 0);
	if (code == CURLUE_OK)
		rc = check_host(host, guard, err);
	curl_free(host);
	curl_free(port);
	curl_url_cleanup(parts);
	if (code == CURLUE_OK)
		return rc;
	if (code == CURLUE_BAD_PORT_NUMBER)
		return error_set(err, ERR_SYNTAX, BAD_PORT);
	return error_set(err, ERR_SYNTAX, "is not a URL: %s",
	    curl_url_strerror(code));
}

int
fetch_url_check(struct slice url, const struct net_guard *guard,
    struct error *err)
{
	struct slice rest = after_scheme(url), authority = rest;

	if (rest.len == 0 || url.len > FETCH_URL_MAX || !is_visible(url))
		return error_set(err, ERR_SYNTAX,
		    "is not an http or https URL of at most %d ASCII "
		    "characters",
		    FETCH_URL_MAX);
	for (const char *c = "/?#"; *c != '\0'; c++)
		authority =
		    slice_first(authority, slice_find_char(authority, *c));
	if (authority.len == 0)
		return error_set(err, ERR_SYNTAX, "names no host");
	if (slice_has_char(authority, '@'))
		return error_set(err, ERR_SYNTAX,
		    "has a user name or password in it, which ends up in "
		    "logs: leave it out, requests are signed");
	if (slice_has_char(rest, '#'))
		return error_set(err, ERR_SYNTAX,
		    "has a fragment (#), which no request carries: leave it "
		    "out");
	return check_by_curl(url, guard, err);
}
