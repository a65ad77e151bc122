/*
 * api/large.c - one child per large body.
 *
 * Parent and child share one mapping, made before the fork: the child writes
 * its findings there and ends; the end of the pipe that only the child holds
 * tells the parent. The child touches nothing else of the parent's: it closes
 * every other descriptor first, blocks signals, and leaves by _exit, so that no
 * handler or destructor of the parent runs in it. It dies with its parent, at
 * its CPU limit, and at our deadline.
 */
#include "large.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "api/email_json.h"
#include "base/list.h"
#include "base/log.h"
#include "base/mem.h"

/* A record is smaller than the JSON it came from, but for converted domain
 * names: 150 addresses of at most 253 octets. */
#define RECORD_SLACK_BYTES 65536
#define DEADLINE_MS 60000
#define CPU_SECONDS 30
#define NICENESS 5
/* Giving back 40 MB in one go takes 3 to 7 ms. */
#define UNMAP_BYTES ((size_t)4 << 20)
#define UNMAP_EVERY_MS 1

enum found { FOUND_NOTHING, FOUND_RECORD, FOUND_REFUSAL };

struct shared {
	enum found found;
	struct intake_answer no;
	uint8_t body_hash[SHA256_LEN];
	size_t record_len;
	char record[];
};

/* Memory on its way back to the system. */
struct leftover {
	struct list node;
	char *at;
	size_t len;
};

struct large_pool {
	struct loop *loop;
	size_t running, running_max;
	struct list waiting;
	struct list leftovers;
	struct timer *unmap;
};

struct large {
	struct list node; /* waiting */
	struct large_pool *pool;
	char *body;
	size_t body_len;
	size_t recipients_max;
	struct shared *shared;
	size_t shared_len;
	pid_t pid; /* 0: not running */
	int fd;
	struct watch *watch;
	struct timer *deadline;
	struct loop_call late; /* a start that failed */
	large_done *done;
	void *ctx;
};

static void start_next(struct large_pool *p);

/* From the end, so that what is left begins where it began. */
static void
unmap_some(void *ctx)
{
	struct large_pool *p = ctx;
	struct list *first = list_first(&p->leftovers);
	struct leftover *left;
	size_t n;

	if (first == NULL)
		return;
	left = list_entry(first, struct leftover, node);
	n = left->len % UNMAP_BYTES;
	if (n == 0)
		n = UNMAP_BYTES;
	/* Shared pages live until the last piece goes, unless removed. */
	(void)madvise(left->at + left->len - n, n, MADV_REMOVE);
	(void)munmap(left->at + left->len - n, n);
	left->len -= n;
	if (left->len == 0) {
		list_remove(&left->node);
		free(left);
	}
	if (!list_is_empty(&p->leftovers))
		timer_set(p->unmap, UNMAP_EVERY_MS);
}

static void
unmap_later(struct large_pool *p, void *at, size_t len)
{
	struct leftover *left = xmalloc(sizeof(*left));

	left->at = at;
	left->len = len;
	list_append(&p->leftovers, &left->node);
	if (!timer_is_set(p->unmap))
		timer_set(p->unmap, UNMAP_EVERY_MS);
}

struct large_pool *
large_pool_new(struct loop *l, size_t running_max)
{
	struct large_pool *p = xmalloc(sizeof(*p));

	p->loop = l;
	p->running_max = running_max;
	list_init(&p->waiting);
	list_init(&p->leftovers);
	p->unmap = timer_new(l, unmap_some, p);
	return p;
}

void
large_pool_free(struct large_pool **p)
{
	if (*p == NULL)
		return;
	invariant((*p)->running == 0 && list_is_empty(&(*p)->waiting));
	while (!list_is_empty(&(*p)->leftovers))
		unmap_some(*p);
	timer_free(&(*p)->unmap);
	free(*p);
	*p = NULL;
}

/* ---- In the child -------------------------------------------------------- */

static void
child_alone(int keep_fd)
{
	struct rlimit cpu = { CPU_SECONDS, CPU_SECONDS };

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (keep_fd > STDERR_FILENO + 1)
		(void)close_range(STDERR_FILENO + 1, (unsigned)keep_fd - 1, 0);
	(void)close_range((unsigned)keep_fd + 1, ~0U, 0);
	(void)setrlimit(RLIMIT_CPU, &cpu);
	/* Small requests come first when the processors are all busy. */
	(void)setpriority(PRIO_PROCESS, 0, NICENESS);
}

static void
child_read(const struct large *l)
{
	struct shared *s = l->shared;
	struct arena arena = ARENA_INIT;
	struct strbuf record = STRBUF_INIT;
	struct mail_content content;

	/* Before it is read: that changes it. */
	crypto_sha256(slice_mem(l->body, l->body_len), s->body_hash);
	if (email_json_read(&arena, l->body, l->body_len, l->recipients_max,
		&content, &s->no) < 0) {
		s->found = FOUND_REFUSAL;
		return;
	}
	mail_content_encode(&content, &record);
	if (record.overflow || record.len > l->shared_len - sizeof(*s)) {
		(void)answer_set(&s->no, ANSWER_TOO_LARGE,
		    "The message is too large: send a link instead");
		s->found = FOUND_REFUSAL;
		return;
	}
	memcpy(s->record, record.ptr, record.len);
	s->record_len = record.len;
	s->found = FOUND_RECORD;
}

/* ---- In the parent ------------------------------------------------------- */

static void
child_reap(struct large *l)
{
	int status = 0;

	/* It has closed its pipe, or was killed: it is gone or going. */
	if (l->pid > 0 && waitpid(l->pid, &status, 0) == l->pid &&
	    (!WIFEXITED(status) || WEXITSTATUS(status) != 0))
		l->shared->found = FOUND_NOTHING;
	l->pid = 0;
}

static void
stop(struct large *l)
{
	watch_free(&l->watch);
	timer_free(&l->deadline);
	loop_call_cancel(&l->late);
	if (l->fd >= 0)
		(void)close(l->fd);
	l->fd = -1;
	if (l->pid > 0) {
		child_reap(l);
		l->pool->running--;
	}
}

static void
tell(struct large *l)
{
	struct large_result result = { 0 };
	struct intake_answer no;

	memcpy(result.body_hash, l->shared->body_hash, SHA256_LEN);
	if (l->shared->found == FOUND_RECORD) {
		result.record =
		    slice_mem(l->shared->record, l->shared->record_len);
	} else if (l->shared->found == FOUND_REFUSAL) {
		no = l->shared->no;
		result.no = &no;
	} else {
		log_error(NULL, "api.large",
		    log_text("error", "the child that read the body failed"));
		(void)answer_set(&no, ANSWER_INTERNAL,
		    "The request body could not be read: the operator finds "
		    "the reason in the log (api.large)");
		result.no = &no;
	}
	l->done(l->ctx, &result);
}

static void
over(void *ctx, bool readable, bool writable)
{
	struct large *l = ctx;
	struct large_pool *p = l->pool;

	(void)readable;
	(void)writable;
	stop(l);
	start_next(p);
	tell(l);
}

static void
too_long(void *ctx)
{
	struct large *l = ctx;

	(void)kill(l->pid, SIGKILL);
	over(l, false, false);
}

static void
start_failed(void *ctx)
{
	tell(ctx);
}

static bool
shared_map(struct large *l)
{
	void *at;

	l->shared_len = sizeof(*l->shared) + l->body_len + RECORD_SLACK_BYTES;
	at = mmap(NULL, l->shared_len, PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (at == MAP_FAILED)
		return false;
	l->shared = at;
	return true;
}

static bool
child_start(struct large *l)
{
	sigset_t all, before;
	int fds[2];

	if (pipe2(fds, O_CLOEXEC) < 0)
		return false;
	(void)sigfillset(&all);
	(void)sigprocmask(SIG_SETMASK, &all, &before);
	l->pid = fork();
	if (l->pid == 0) {
		child_alone(fds[1]);
		child_read(l);
		_exit(0);
	}
	(void)sigprocmask(SIG_SETMASK, &before, NULL);
	(void)close(fds[1]);
	l->fd = fds[0];
	return l->pid > 0;
}

static void
start(struct large *l)
{
	if (!child_start(l)) {
		l->pid = 0;
		loop_call_schedule(l->pool->loop, &l->late, start_failed, l);
		return;
	}
	l->pool->running++;
	l->watch = watch_new(l->pool->loop, l->fd, over, l);
	watch_set(l->watch, true, false);
	l->deadline = timer_new(l->pool->loop, too_long, l);
	timer_set(l->deadline, DEADLINE_MS);
}

static void
start_next(struct large_pool *p)
{
	while (p->running < p->running_max) {
		struct list *node = list_pop(&p->waiting);

		if (node == NULL)
			return;
		start(list_entry(node, struct large, node));
	}
}

struct large *
large_start(struct large_pool *p, char *body, size_t len, size_t recipients_max,
    large_done *done, void *ctx)
{
	struct large *l = xmalloc(sizeof(*l));

	l->pool = p;
	l->body = body;
	l->body_len = len;
	l->recipients_max = recipients_max;
	l->fd = -1;
	l->done = done;
	l->ctx = ctx;
	if (!shared_map(l)) {
		/* Something to tell from. */
		l->shared_len = 0;
		l->shared = xmalloc(sizeof(*l->shared));
		loop_call_schedule(p->loop, &l->late, start_failed, l);
		return l;
	}
	list_append(&p->waiting, &l->node);
	start_next(p);
	return l;
}

void
large_free(struct large **l)
{
	struct large_pool *p;

	if (*l == NULL)
		return;
	p = (*l)->pool;
	list_remove(&(*l)->node);
	if ((*l)->pid > 0)
		(void)kill((*l)->pid, SIGKILL);
	stop(*l);
	if ((*l)->shared_len > 0)
		unmap_later(p, (*l)->shared, (*l)->shared_len);
	else
		free((*l)->shared);
	free(*l);
	*l = NULL;
	start_next(p);
}
