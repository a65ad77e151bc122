/* verpost trace: what is being said to a destination, by all nodes, live. */
#include <stdio.h>

#include "base/config.h"
#include "base/crypto.h"
#include "base/error.h"
#include "base/json.h"
#include "base/log.h"
#include "bin/command.h"
#include "delivery/trace.h"
#include "mail/address.h"
#include "net/loop.h"
#include "proc/settings.h"
#include "store/redis.h"

#define MINUTE ((uint64_t)60 * 1000)
#define FOR_DEFAULT_MS (10 * MINUTE)
#define FOR_MOST_MS (24 * 60 * MINUTE)
#define ANSWER_MS 5000

struct tracing {
	struct loop *loop;
	struct redis *asking, *listening;
	struct timer *again, *end, *silence;
	bool has_listened; /* the subscription stands */
	bool is_alone;	   /* nobody heard the last question */
	bool json;
	const char *redis_url;
	char token[TRACE_TOKEN_LEN + 1];
	char question[TRACE_TOKEN_LEN + MAIL_DOMAIN_MAX + 2];
};

static void
on_asked(void *ctx, const struct redis_reply *reply, const struct error *err)
{
	struct tracing *t = ctx;

	if (err != NULL)
		return; /* it comes back, or silence ends this */
	timer_set(t->silence, ANSWER_MS);
	if (redis_reply_int(reply) == 0 && !t->is_alone)
		fputs("verpost: no mta process listens at this Redis; "
		      "waiting for one\n",
		    stderr);
	t->is_alone = redis_reply_int(reply) == 0;
}

/* Not before the answers can be heard. */
static void
ask(void *ctx)
{
	struct tracing *t = ctx;
	struct slice argv[] = { SLICE("PUBLISH"), SLICE(TRACE_ASK),
		slice_of(t->question) };

	timer_set(t->again, TRACE_EVERY_MS);
	if (redis_is_up(t->asking) && t->has_listened)
		redis_command(t->asking, argv, ARRAY_LEN(argv), on_asked, t);
}

static void
on_up(void *ctx)
{
	(void)ctx;
}

static void
on_listening(void *ctx)
{
	struct tracing *t = ctx;

	t->has_listened = true;
	timer_set(t->again, 0);
}

/* "12:00:01.123 node/0 mx.example.com[192.0.2.1]:25 #7 < 250 ok"; what begins
 * with a star is about the trace itself. */
static void
print_json(struct slice line)
{
	static const char *const words[] = { "at", "process", "host",
		"connection", "who" };
	struct strbuf out = STRBUF_INIT;
	struct json_writer w;

	json_writer_init(&w, &out);
	json_begin_object(&w, NULL);
	for (size_t i = 0;
	     i < ARRAY_LEN(words) && line.len > 0 && line.ptr[0] != '*'; i++)
		json_text(&w, words[i], slice_take_until(&line, ' '));
	json_text(&w, "text", line);
	json_end(&w);
	puts(strbuf_text(&out));
	strbuf_fini(&out);
}

/* Printable as it comes from us; who else can publish is not trusted. */
static void
on_line(void *ctx, struct slice channel, struct slice line)
{
	const struct tracing *t = ctx;

	(void)channel;
	if (t->json) {
		print_json(line);
		return;
	}
	for (size_t i = 0; i < line.len; i++)
		putchar(line.ptr[i] >= ' ' && line.ptr[i] <= '~' ? line.ptr[i]
								 : '?');
	putchar('\n');
}

static void
on_end(void *ctx)
{
	struct tracing *t = ctx;

	loop_stop(t->loop);
}

static void
on_silence(void *ctx)
{
	const struct tracing *t = ctx;

	die("Redis at %s does not answer: is it running, and is 'redis' in "
	    "the settings right?",
	    t->redis_url);
}

static uint64_t
how_long(const struct args *a)
{
	const char *text = args_flag(a, "for");
	uint64_t ms = FOR_DEFAULT_MS;

	if (text != NULL &&
	    (!config_duration_read(slice_of(text), &ms) || ms < 1000 ||
		ms > FOR_MOST_MS))
		args_die("--for must be a time from 1s to 24h, such as 10m, "
			 "not "
			 "'%s'",
		    text);
	return ms;
}

static void
make_question(struct tracing *t, const char *target)
{
	static const char digits[] = "abcdefghijklmnopqrstuvwxyz012345";
	uint8_t random[TRACE_TOKEN_LEN];
	struct arena arena = ARENA_INIT;
	struct slice domain;
	struct error err = { 0 };

	if (mail_domain_parse(&arena, slice_of(target), 1, &domain, &err) != 0)
		args_die("'%s' is neither a domain nor a mail host: %s", target,
		    err.text);
	crypto_random(random, sizeof(random));
	for (size_t i = 0; i < TRACE_TOKEN_LEN; i++)
		t->token[i] = digits[random[i] % 32];
	snprintf(t->question, sizeof(t->question), "%s %.*s", t->token,
	    SLICE_FMT(domain));
	arena_fini(&arena);
}

static int
run_trace(const struct args *a)
{
	static const struct redis_ops ask_ops = { .connected = on_up };
	static const struct redis_ops hear_ops = { .connected = on_listening,
		.message = on_line };
	struct settings settings = { 0 };
	struct tracing t = { .json = a->json };
	char channel[sizeof(TRACE_ANSWER) + TRACE_TOKEN_LEN];
	uint64_t for_ms = how_long(a);
	struct error err = { 0 };

	make_question(&t, a->operand[0]);
	log_setup("command", LOG_LEVEL_ERROR);
	if (settings_load(&settings, a->config, NULL, NULL, &err) != 0)
		die("%s%s", err.text,
		    a->config_given ? "" : "; -c names another file");
	setvbuf(stdout, NULL, _IOLBF, 0);
	t.loop = loop_new();
	t.redis_url = settings.redis;
	t.again = timer_new(t.loop, ask, &t);
	t.end = timer_new(t.loop, on_end, &t);
	t.silence = timer_new(t.loop, on_silence, &t);
	timer_set(t.end, (int64_t)for_ms);
	timer_set(t.silence, ANSWER_MS);
	t.asking = redis_new(t.loop, settings.redis, 0, &ask_ops, &t);
	t.listening =
	    redis_new_subscriber(t.loop, settings.redis, 0, &hear_ops, &t);
	snprintf(channel, sizeof(channel), TRACE_ANSWER "%s", t.token);
	redis_subscribe(t.listening, slice_of(channel));
	loop_run(t.loop);
	redis_free(&t.listening);
	redis_free(&t.asking);
	timer_free(&t.again);
	timer_free(&t.end);
	timer_free(&t.silence);
	loop_free(&t.loop);
	settings_fini(&settings);
	return 0;
}

static const struct flag flags[] = {
	{ "for", "TIME", "end after this time, 1s to 24h; default 10m" },
	{ NULL, NULL, NULL },
};

const struct command command_trace = {
	.name = "trace",
	.operands = "DOMAIN",
	.operands_min = 1,
	.operands_max = 1,
	.summary = "show live what is said to a domain, a site or a mail host",
	.help = "All lines of all mta processes of all nodes, as they are "
		"spoken: the time, the\nprocess, the host, the number of the "
		"connection, then '>' for ours, '<' for theirs.\nMessages are "
		"only counted. At most 200 lines a second from each process. "
		"With --json each line\nis an object.",
	.flags = flags,
	.run = run_trace,
};
