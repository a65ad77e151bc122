/*
 * bench_store - what the batch statements cost PostgreSQL, per recipient.
 *
 *   bench_store CONNINFO POSTMASTER-PID [MESSAGES [BATCH [DAYS [SAID]]]]
 *
 * Migrates, makes DAYS partitions, then accepts, reads, claims and finishes
 * MESSAGES emails of 10 kB with one recipient in batches, several in flight.
 * SAID: octets of each attempt's transcript.
 * CPU is that of all processes of the server, from /proc: utime and stime of
 * the postmaster's children. "wall" is the rate of this client alone.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "net/loop.h"
#include "store/accept.h"
#include "store/attempts.h"
#include "store/jobs.h"
#include "store/migrate.h"
#include "store/outcomes.h"

#define IN_FLIGHT 3
#define CONTENT 10000

static struct loop *loop;
static struct pg *pg;
static size_t messages = 30000, batch = 50, said = 700;
static struct id *ids;
static char content[CONTENT];

/* The n-th number after the name in /proc/PID/stat; field 4 is the parent. */
static double
stat_field(const char *line, int field)
{
	const char *at = strrchr(line, ')');

	/* The name is field 2. */
	for (int i = 2; at != NULL && i < field; i++)
		at = strchr(at + 1, ' ');
	return at != NULL ? strtod(at + 1, NULL) : 0;
}

/* CPU of the server in ms: the postmaster, its children and those that have
 * ended. */
static double
server_ms(long postmaster)
{
	DIR *proc = opendir("/proc");
	struct dirent *e;
	double ticks = 0;

	if (proc == NULL)
		die("/proc");
	while ((e = readdir(proc)) != NULL) {
		char path[300], line[1024] = "";
		long pid = strtol(e->d_name, NULL, 10);
		FILE *f = NULL;

		snprintf(path, sizeof(path), "/proc/%ld/stat", pid);
		if (pid > 0)
			f = fopen(path, "re");
		if (f == NULL)
			continue;
		if (fgets(line, sizeof(line), f) == NULL)
			line[0] = '\0';
		fclose(f);
		if (pid != postmaster &&
		    (long)stat_field(line, 4) != postmaster)
			continue;
		ticks += stat_field(line, 14) + stat_field(line, 15);
		if (pid == postmaster)
			ticks += stat_field(line, 16) + stat_field(line, 17);
	}
	closedir(proc);
	return ticks * 1000 / (double)sysconf(_SC_CLK_TCK);
}

/* One batch of each kind: started at "from", n long. */
struct work {
	struct store_accept_item item[256];
	const struct store_accept_item *list[256];
	struct store_accept_recipient rcpt[256];
	struct store_claim claim[256];
	struct store_outcome outcome[256];
	char address[256][48];
	size_t from, n;
	bool busy;
};
static struct work works[IN_FLIGHT];
static size_t next_message, open_works;
static void (*step)(struct work *w);
static bool done;

static void
go_on(struct work *w)
{
	w->busy = false;
	open_works--;
	if (next_message < messages) {
		w->from = next_message;
		w->n = MIN(batch, messages - next_message);
		next_message += w->n;
		w->busy = true;
		open_works++;
		step(w);
	} else if (open_works == 0) {
		done = true;
	}
}

static void
finished(void *ctx, const struct error *err)
{
	if (err != NULL)
		die("%s", err->text);
	go_on(ctx);
}

static void
make_address(struct work *w, size_t i)
{
	snprintf(w->address[i], sizeof(w->address[i]), "user%zu@d%zu.example",
	    w->from + i, (w->from + i) % 1000);
}

static void
step_accept(struct work *w)
{
	for (size_t i = 0; i < w->n; i++) {
		make_address(w, i);
		ids[w->from + i] = id_new_email(clock_now_ms());
		w->rcpt[i] = (struct store_accept_recipient){
			.address = slice_of(w->address[i]),
			.key = slice_of(w->address[i]),
			.pool = 1,
			.lane = SLICE("h3"),
		};
		w->item[i] = (struct store_accept_item){
			.email = ids[w->from + i],
			.account = (int)((w->from + i) % 20) + 1,
			.domain = 1,
			.head = slice_mem(content, 200),
			.content = slice_mem(content, CONTENT),
			.expires_at_ms = clock_now_ms() + 259200000,
			.count = 1,
			.recipient = &w->rcpt[i],
		};
		w->list[i] = &w->item[i];
	}
	store_accept_start(pg, clock_now_ms(),
	    (struct store_accept_item *const *)(const void *)w->list, w->n,
	    finished, w);
}

static void
on_jobs(void *ctx, const struct store_job *job, size_t count,
    const struct error *err)
{
	struct work *w = ctx;

	(void)job;
	if (err != NULL || count != w->n)
		die("read: %s", err != NULL ? err->text : "missing");
	go_on(w);
}

static void
on_contents(void *ctx, struct store_content *got, size_t n,
    const struct error *err)
{
	struct work *w = ctx;

	if (err != NULL)
		die("contents: %s", err->text);
	for (size_t i = 0; i < n; i++)
		if (got[i].content == NULL)
			die("contents: missing");
	go_on(w);
}

static void
step_contents(struct work *w)
{
	struct store_content list[256];

	for (size_t i = 0; i < w->n; i++)
		list[i] = (struct store_content){ .email = ids[w->from + i],
			.bytes = CONTENT };
	store_contents_read(pg, list, w->n, on_contents, w);
}

static void
step_rows(struct work *w)
{
	struct id list[256];

	for (size_t i = 0; i < w->n; i++)
		list[i] = id_of_recipient(ids[w->from + i], 1);
	store_jobs_read(pg, list, w->n, on_jobs, w);
}

static void
on_claimed(void *ctx, const struct error *err)
{
	struct work *w = ctx;

	for (size_t i = 0; i < w->n; i++)
		if (err == NULL && w->claim[i].result != STORE_CLAIM_MINE)
			die("claim");
	finished(ctx, err);
}

static void
step_claim(struct work *w)
{
	for (size_t i = 0; i < w->n; i++) {
		make_address(w, i);
		w->claim[i] = (struct store_claim){
			.id = id_of_recipient(ids[w->from + i], 1),
			.n = 1,
			.source = 1,
			.account = (int)((w->from + i) % 20) + 1,
			.key = slice_of(w->address[i]),
		};
	}
	store_claim_start(pg, 1, clock_now_ms(), false, w->claim, w->n,
	    on_claimed, w);
}

static void
step_outcome(struct work *w)
{
	for (size_t i = 0; i < w->n; i++)
		w->outcome[i] = (struct store_outcome){
			.id = id_of_recipient(ids[w->from + i], 1),
			.account = (int)((w->from + i) % 20) + 1,
			.n = 1,
			.worker = 1,
			.outcome = 1,
			.transcript = slice_mem(content + i, said),
			.stage = 7,
			.code = 250,
			.status = SLICE("2.0.0"),
			.reply = SLICE("2.0.0 Ok: queued as ABCDEF"),
			.mx = SLICE("mx.example [192.0.2.1]"),
			.raise_to = STATUS_DELIVERED,
			.finish = true,
			.event_count = 2,
			.event = { { EVENT_SENT, 1, { NULL, 0 } },
			    { EVENT_DELIVERED, 1, { NULL, 0 } } },
		};
	store_outcomes_write(pg, clock_now_ms(), w->outcome, w->n, finished, w);
}

static void
run(const char *name, void (*fn)(struct work *w), long postmaster)
{
	double cpu = server_ms(postmaster), us;
	int64_t started_ms = clock_mono_ms(), took_ms;

	step = fn;
	done = false;
	next_message = 0;
	open_works = IN_FLIGHT;
	for (size_t i = 0; i < IN_FLIGHT; i++)
		go_on(&works[i]);
	while (!done)
		loop_turn(loop, 1000);
	took_ms = MAX(clock_mono_ms() - started_ms, (int64_t)1);
	us = (server_ms(postmaster) - cpu) * 1000 / (double)messages;
	printf("%-10s %6.1f us of PostgreSQL each  %8.0f/s wall\n", name, us,
	    (double)messages * 1000 / (double)took_ms);
}

static void
ignore(void *ctx, const struct pg_reply *reply, const struct error *err)
{
	(void)reply;
	if (err != NULL)
		die("%s", err->text);
	*(bool *)ctx = true;
}

static void
make_days(int days)
{
	static const struct pg_stmt stmt = { "bench_days",
		"SELECT make_partitions($1::int4, $2::int4)" };
	struct pg_tx *tx = pg_tx_new(pg);
	int today = (int)(clock_now_ms() / 86400000);
	struct error err = { 0 };
	bool made = false;

	pg_tx_stmt(tx, &stmt);
	pg_tx_int4(tx, today - days);
	pg_tx_int4(tx, today);
	pg_tx_send(tx, ignore, &made);
	if (pg_run_until(loop, &made, 60000, &err) != 0)
		die("%s", err.text);
}

static void
analyze(void)
{
	static const struct pg_stmt stmt = { "bench_analyze",
		"ANALYZE emails, recipients, email_contents, events" };
	struct pg_tx *tx = pg_tx_new(pg);
	struct error err = { 0 };
	bool made = false;

	pg_tx_stmt(tx, &stmt);
	pg_tx_send(tx, ignore, &made);
	if (pg_run_until(loop, &made, 60000, &err) != 0)
		die("%s", err.text);
}

int
main(int argc, char **argv)
{
	struct error err = { 0 };
	struct pg_options options = { .batch_plans = true };
	long postmaster;

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc < 3)
		die("usage: bench_store CONNINFO POSTMASTER-PID [MESSAGES "
		    "[BATCH [DAYS [SAID]]]]");
	postmaster = strtol(argv[2], NULL, 10);
	if (argc > 3)
		messages = strtoul(argv[3], NULL, 10);
	if (argc > 4)
		batch = MIN(strtoul(argv[4], NULL, 10), (size_t)256);
	if (argc > 6)
		said = MIN(strtoul(argv[6], NULL, 10), (size_t)4096);
	for (size_t i = 0; i < CONTENT; i++)
		content[i] = (char)('a' + (i * 7919 + i / 13) % 26);
	ids = xcalloc(messages, sizeof(*ids));
	loop = loop_new();
	options.conninfo = argv[1];
	if (migrate_run(argv[1], clock_now_ms(), NULL, NULL, &err) != 0)
		die("%s", err.text);
	pg = pg_new(loop, &options, NULL, NULL);
	if (pg_wait_up(pg, 10000, &err) != 0)
		die("%s", err.text);
	make_days(argc > 5 ? (int)strtol(argv[5], NULL, 10) : 30);
	run("accept", step_accept, postmaster);
	if (getenv("BENCH_ANALYZE") != NULL)
		analyze();
	run("rows", step_rows, postmaster);
	run("contents", step_contents, postmaster);
	run("claim", step_claim, postmaster);
	run("outcome", step_outcome, postmaster);
	pg_free(&pg);
	loop_free(&loop);
	free(ids);
	return 0;
}
