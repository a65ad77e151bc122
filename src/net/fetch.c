/*
 * libcurl's multi interface on the loop: curl says which descriptors and which
 * time it waits for, and is told when they come.
 *
 * Names are resolved by curl's threaded resolver (getaddrinfo in a thread of
 * its own, so /etc/hosts holds as everywhere); CURLOPT_QUICK_EXIT lets go of
 * such a thread, where curl would otherwise wait for it and block the loop.
 * The guard looks at the address of every socket curl opens: what a name
 * resolved to before does not matter.
 *
 * Curl calls back in the middle of its work, where no transfer may be added
 * or removed. So its callbacks only collect; finished transfers are told
 * after the turn, one by one, and there the owner may do as it likes.
 */
#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/strbuf.h"
#include "net/fetch.h"

#define URL_MAX 8000
#define CONNECT_TIMEOUT_MS 10000
#define IDLE_CONNECTIONS_MAX 64
#define IDLE_HANDLES_MAX 32

struct fetcher {
	struct loop *loop;
	const struct net_guard *guard;
	CURLM *multi;
	struct timer *timer;
	struct list sockets; /* struct socket_watch */
	struct list fetches; /* struct fetch, under way */
	struct list over;    /* struct fetch, to be told */
	struct loop_call tell, bury;
	CURL *idle[IDLE_HANDLES_MAX];
	size_t idle_count;
	bool closed;
};

struct socket_watch {
	struct list node;
	struct fetcher *fetcher;
	struct watch *watch;
	curl_socket_t fd;
};

struct fetch {
	struct list node;
	struct fetcher *fetcher;
	CURL *easy;
	struct curl_slist *headers;
	fetch_done *done; /* NULL once told */
	void *ctx;
	struct strbuf body;
	size_t answer_max;
	bool is_cut;
	CURLcode code;
	int64_t started_ms;
	char refused[160]; /* by the guard, why */
	char text[CURL_ERROR_SIZE];
	struct loop_call bury;
};

/* curl and the loop. */

static void
collect(struct fetcher *f)
{
	CURLMsg *msg;
	int left;

	while ((msg = curl_multi_info_read(f->multi, &left)) != NULL) {
		struct fetch *t = NULL;

		if (msg->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE, &t);
		invariant(t != NULL);
		t->code = msg->data.result;
		list_remove(&t->node);
		list_append(&f->over, &t->node);
	}
}

static void tell(void *ctx);

static void
drive(struct fetcher *f, curl_socket_t fd, int what)
{
	int running;

	curl_multi_socket_action(f->multi, fd, what, &running);
	collect(f);
	if (!list_is_empty(&f->over))
		loop_call_schedule(f->loop, &f->tell, tell, f);
}

static void
on_timer(void *ctx)
{
	drive(ctx, CURL_SOCKET_TIMEOUT, 0);
}

static int
on_timer_change(CURLM *multi, long timeout_ms, void *ctx)
{
	struct fetcher *f = ctx;

	(void)multi;
	if (timeout_ms < 0)
		timer_cancel(f->timer);
	else
		timer_set(f->timer, timeout_ms);
	return 0;
}

static void
on_socket(void *ctx, bool readable, bool writable)
{
	struct socket_watch *s = ctx;

	/* s may be dropped in here. */
	drive(s->fetcher, s->fd,
	    (readable ? CURL_CSELECT_IN : 0) |
		(writable ? CURL_CSELECT_OUT : 0));
}

static void
drop_socket(struct socket_watch *s)
{
	list_remove(&s->node);
	watch_free(&s->watch);
	/* The watch may be calling with it as its context. */
	loop_defer(s->fetcher->loop, free, s);
}

static int
on_socket_change(CURL *easy, curl_socket_t fd, int what, void *ctx,
    void *socket_ctx)
{
	struct fetcher *f = ctx;
	struct socket_watch *s = socket_ctx;

	(void)easy;
	if (what == CURL_POLL_REMOVE) {
		curl_multi_assign(f->multi, fd, NULL);
		if (s != NULL)
			drop_socket(s);
		return 0;
	}
	if (s == NULL) {
		s = xmalloc(sizeof(*s));
		s->fetcher = f;
		s->fd = fd;
		s->watch = watch_new(f->loop, fd, on_socket, s);
		list_append(&f->sockets, &s->node);
		curl_multi_assign(f->multi, fd, s);
	}
	watch_set(s->watch, what == CURL_POLL_IN || what == CURL_POLL_INOUT,
	    what == CURL_POLL_OUT || what == CURL_POLL_INOUT);
	return 0;
}

/* One transfer. */

static curl_socket_t
on_open_socket(void *ctx, curlsocktype purpose, struct curl_sockaddr *to)
{
	struct fetch *t = ctx;
	struct net_addr addr = { .len = to->addrlen };
	char text[NET_ADDR_TEXT];
	const char *refusal;

	(void)purpose;
	if (to->addrlen > sizeof(addr.ss))
		return CURL_SOCKET_BAD;
	memcpy(&addr.ss, &to->addr, to->addrlen);
	refusal = net_guard_refusal(t->fetcher->guard, &addr);
	if (refusal == NULL)
		return socket(to->family, to->socktype | SOCK_CLOEXEC,
		    to->protocol);
	net_addr_format(&addr, text);
	snprintf(t->refused, sizeof(t->refused), "%s is refused: %s", text,
	    refusal);
	return CURL_SOCKET_BAD;
}

static size_t
on_body(char *data, size_t size, size_t n, void *ctx)
{
	struct fetch *t = ctx;
	size_t len = size * n, room = t->answer_max - t->body.len;

	strbuf_add(&t->body, data, MIN(len, room));
	t->is_cut = len > room;
	return t->is_cut ? CURL_WRITEFUNC_ERROR : len;
}

static CURL *
take_handle(struct fetcher *f)
{
	CURL *easy;

	if (f->idle_count > 0)
		return f->idle[--f->idle_count];
	easy = curl_easy_init();
	invariant(easy != NULL);
	return easy;
}

static void
give_back_handle(struct fetcher *f, CURL *easy)
{
	if (f->closed || f->idle_count == IDLE_HANDLES_MAX) {
		curl_easy_cleanup(easy);
		return;
	}
	curl_easy_reset(easy);
	f->idle[f->idle_count++] = easy;
}

#define SET(option, value)                                                     \
	invariant(curl_easy_setopt(t->easy, option, value) == CURLE_OK)

/* What holds for every request. */
static void
set_rules(struct fetch *t)
{
	SET(CURLOPT_PRIVATE, t);
	SET(CURLOPT_NOSIGNAL, 1L);
	SET(CURLOPT_QUICK_EXIT, 1L);
	SET(CURLOPT_PROTOCOLS_STR, "http,https");
	SET(CURLOPT_FOLLOWLOCATION, 0L);
	SET(CURLOPT_PROXY, "");
	SET(CURLOPT_NOPROXY, "*");
	SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	SET(CURLOPT_OPENSOCKETFUNCTION, on_open_socket);
	SET(CURLOPT_OPENSOCKETDATA, t);
	SET(CURLOPT_WRITEFUNCTION, on_body);
	SET(CURLOPT_WRITEDATA, t);
	SET(CURLOPT_ERRORBUFFER, t->text);
}

static void
add_header(struct fetch *t, const char *line)
{
	struct curl_slist *list = curl_slist_append(t->headers, line);

	invariant(list != NULL);
	t->headers = list;
}

static void
set_request(struct fetch *t, const struct fetch_request *req)
{
	int64_t timeout_ms = MAX(req->timeout_ms, 1);

	for (size_t i = 0; req->headers != NULL && req->headers[i] != NULL; i++)
		add_header(t, req->headers[i]);
	add_header(t, "Expect:"); /* never wait for a 100 */
	SET(CURLOPT_URL, req->url);
	SET(CURLOPT_HTTPHEADER, t->headers);
	SET(CURLOPT_TIMEOUT_MS, (long)timeout_ms);
	SET(CURLOPT_CONNECTTIMEOUT_MS,
	    (long)MIN(timeout_ms, CONNECT_TIMEOUT_MS));
	if (req->body.len > 0) {
		SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)req->body.len);
		SET(CURLOPT_COPYPOSTFIELDS, req->body.ptr);
	} else if (strcmp(req->method, "POST") == 0) {
		SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)0);
		SET(CURLOPT_COPYPOSTFIELDS, "");
	}
	SET(CURLOPT_CUSTOMREQUEST, req->method);
	/* Beside the system's, which stay known by their directory. */
	if (req->ca_file != NULL && req->ca_file[0] != '\0')
		SET(CURLOPT_CAINFO, req->ca_file);
}

struct fetch *
fetch_start(struct fetcher *f, const struct fetch_request *req,
    fetch_done *done, void *ctx)
{
	struct fetch *t = xmalloc(sizeof(*t));

	t->fetcher = f;
	t->done = done;
	t->ctx = ctx;
	t->answer_max = req->answer_max;
	t->started_ms = clock_mono_ms();
	strbuf_init(&t->body, req->answer_max);
	t->easy = take_handle(f);
	set_rules(t);
	if (strlen(req->url) > URL_MAX) {
		t->code = CURLE_URL_MALFORMAT;
		list_append(&f->over, &t->node);
		loop_call_schedule(f->loop, &f->tell, tell, f);
		return t;
	}
	set_request(t, req);
	list_append(&f->fetches, &t->node);
	/* Sets the timer to 0: nothing happens before we return. */
	invariant(curl_multi_add_handle(f->multi, t->easy) == CURLM_OK);
	return t;
}

/* The struct stays until the turn is over: the owner may still name it. */
static void
fetch_end(struct fetch *t)
{
	struct fetcher *f = t->fetcher;

	t->done = NULL;
	list_remove(&t->node);
	curl_multi_remove_handle(f->multi, t->easy);
	give_back_handle(f, t->easy);
	curl_slist_free_all(t->headers);
	t->easy = NULL;
	t->headers = NULL;
	t->bury.is_deferred = true;
	loop_call_schedule(f->loop, &t->bury, free, t);
}

static enum err_kind
kind_of(CURLcode code)
{
	static const struct {
		CURLcode code;
		enum err_kind kind;
	} kinds[] = {
		{ CURLE_OPERATION_TIMEDOUT, ERR_TIMEOUT },
		{ CURLE_COULDNT_RESOLVE_HOST, ERR_DNS },
		{ CURLE_URL_MALFORMAT, ERR_SYNTAX },
		{ CURLE_UNSUPPORTED_PROTOCOL, ERR_SYNTAX },
		{ CURLE_SSL_CONNECT_ERROR, ERR_TLS },
		{ CURLE_PEER_FAILED_VERIFICATION, ERR_TLS },
		{ CURLE_SSL_CERTPROBLEM, ERR_TLS },
		{ CURLE_SSL_CIPHER, ERR_TLS },
		{ CURLE_SSL_CACERT_BADFILE, ERR_CONFIG },
	};

	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		if (kinds[i].code == code)
			return kinds[i].kind;
	}
	return ERR_NET;
}

/* curl's words, and the system's where curl only says "couldn't connect". */
static void
describe(struct fetch *t, struct error *err)
{
	const char *text =
	    t->text[0] != '\0' ? t->text : curl_easy_strerror(t->code);
	long sys = 0;

	curl_easy_getinfo(t->easy, CURLINFO_OS_ERRNO, &sys);
	if (t->code == CURLE_COULDNT_CONNECT && sys != 0)
		error_set(err, kind_of(t->code), "%s (%s)", text,
		    strerror((int)sys));
	else
		error_set(err, kind_of(t->code), "%s", text);
}

static void
read_result(struct fetch *t, struct fetch_result *out)
{
	long status = 0;

	*out = (struct fetch_result){ .body = strbuf_slice(&t->body),
		.elapsed_ms = clock_mono_ms() - t->started_ms };
	curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status);
	if (t->code == CURLE_OK || t->is_cut) {
		out->status = (int)status;
		if (status == 0)
			error_set(&out->err, ERR_NET, "no answer");
	} else if (t->refused[0] != '\0' && t->code == CURLE_COULDNT_CONNECT) {
		error_set(&out->err, ERR_DENIED, "%s", t->refused);
	} else {
		describe(t, &out->err);
	}
}

static void
tell(void *ctx)
{
	struct fetcher *f = ctx;
	struct list *node;

	while (!f->closed && (node = list_first(&f->over)) != NULL) {
		struct fetch *t = list_entry(node, struct fetch, node);
		struct strbuf body = t->body;
		struct fetch_result result;
		fetch_done *done = t->done;
		void *done_ctx = t->ctx;

		read_result(t, &result);
		fetch_end(t);
		done(done_ctx, &result);
		strbuf_fini(&body);
	}
}

void
fetch_cancel(struct fetch **tp)
{
	struct fetch *t = *tp;

	*tp = NULL;
	if (t == NULL || t->done == NULL)
		return;
	strbuf_fini(&t->body);
	fetch_end(t);
}

struct fetcher *
fetcher_new(struct loop *l, const struct net_guard *guard)
{
	struct fetcher *f = xmalloc(sizeof(*f));

	invariant(curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK);
	f->loop = l;
	f->guard = guard;
	f->multi = curl_multi_init();
	invariant(f->multi != NULL);
	f->timer = timer_new(l, on_timer, f);
	list_init(&f->sockets);
	list_init(&f->fetches);
	list_init(&f->over);
	curl_multi_setopt(f->multi, CURLMOPT_SOCKETFUNCTION, on_socket_change);
	curl_multi_setopt(f->multi, CURLMOPT_SOCKETDATA, f);
	curl_multi_setopt(f->multi, CURLMOPT_TIMERFUNCTION, on_timer_change);
	curl_multi_setopt(f->multi, CURLMOPT_TIMERDATA, f);
	curl_multi_setopt(f->multi, CURLMOPT_MAXCONNECTS,
	    (long)IDLE_CONNECTIONS_MAX);
	return f;
}

static void
cancel_all(struct list *fetches)
{
	struct list *node;

	while ((node = list_first(fetches)) != NULL) {
		struct fetch *t = list_entry(node, struct fetch, node);

		fetch_cancel(&t);
	}
}

void
fetcher_free(struct fetcher **fp)
{
	struct fetcher *f = *fp;
	struct list *node;

	if (f == NULL)
		return;
	*fp = NULL;
	f->closed = true;
	loop_call_cancel(&f->tell);
	cancel_all(&f->fetches);
	cancel_all(&f->over);
	while (f->idle_count > 0)
		curl_easy_cleanup(f->idle[--f->idle_count]);
	curl_multi_cleanup(f->multi);
	while ((node = list_first(&f->sockets)) != NULL)
		drop_socket(list_entry(node, struct socket_watch, node));
	timer_free(&f->timer);
	curl_global_cleanup();
	f->bury.is_deferred = true;
	loop_call_schedule(f->loop, &f->bury, free, f);
}
