/*
 * The parser as the process that it is: forked, on a socket, in its sandbox.
 * Deadlines are generous; nothing here waits for them when all is well.
 */
#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bounce/parser.h"
#include "bounce/report.h"
#include "net/conn.h"
#include "net/loop.h"

#define WAIT_MS 20000
#define DSN                                                                    \
	"Subject: =?iso-8859-1?q?=FCber?= =?koi8-r?q?=C1?=\r\n"                \
	"Content-Type: multipart/report; boundary=b\r\n\r\n"                   \
	"--b\r\nContent-Type: message/delivery-status\r\n\r\n"                 \
	"Reporting-MTA: dns; mx\r\n\r\n"                                       \
	"Final-Recipient: rfc822; a@example.com\r\n"                           \
	"Action: failed\r\nStatus: 5.1.1\r\n\r\n--b--\r\n"

struct rig {
	char dir[64], path[96];
	int listen_fd;
	pid_t pid;
};

/* What the child does once it is in the sandbox. */
enum deed { SERVE, OPEN_FILE, MAKE_SOCKET, EXECUTE, FORK };

static void
stop_loop(void *ctx)
{
	loop_stop(ctx);
}

static struct parser *drained_parser;

static void
on_term(int signo, void *ctx)
{
	(void)signo;
	parser_drain(drained_parser, WAIT_MS, stop_loop, ctx);
}

static int
do_deed(enum deed deed)
{
	char *const argv[] = { NULL };

	switch (deed) {
	case SERVE:
		return 1;
	case OPEN_FILE:
		return open("/etc/passwd", O_RDONLY | O_CLOEXEC) == -1 &&
			errno == EACCES
		    ? 42
		    : 1;
	case MAKE_SOCKET:
		return socket(AF_INET, SOCK_STREAM, 0) >= 0 ? 1 : 2;
	case EXECUTE:
		return execve("/bin/true", argv, argv);
	case FORK:
		return fork() >= 0 ? 1 : 2;
	}
	return 1;
}

static void
child(const struct rig *rig, enum deed deed, int64_t cpu_max_ms)
{
	struct parser_options opt = { .listen_fd = rig->listen_fd,
		.cpu_max_ms = cpu_max_ms };
	struct error err;
	struct loop *loop = loop_new();

	/* The watch on the log is the parent's. */
	log_set_sink(NULL, NULL);
	log_set_level(LOG_LEVEL_ERROR);
	opt.loop = loop;
	loop_on_signal(loop, SIGTERM, on_term, loop);
	drained_parser = parser_new(&opt, &err);
	if (drained_parser == NULL) {
		fprintf(stderr, "%s\n", err.text);
		_exit(3);
	}
	if (deed != SERVE)
		_exit(do_deed(deed));
	loop_run(loop);
	parser_free(&drained_parser);
	loop_free(&loop);
	_exit(0);
}

static void
start(struct rig *rig, enum deed deed, int64_t cpu_max_ms)
{
	struct net_addr addr;
	struct error err;
	char url[128];

	snprintf(rig->dir, sizeof(rig->dir), "/tmp/verpost-test-XXXXXX");
	assert_non_null(mkdtemp(rig->dir));
	snprintf(rig->path, sizeof(rig->path), "%s/parser", rig->dir);
	snprintf(url, sizeof(url), "unix:%s", rig->path);
	assert_int_equal(net_addr_parse_listen(slice_of(url), &addr, &err), 0);
	rig->listen_fd = net_listen(&addr, 16, &err);
	assert_true(rig->listen_fd >= 0);
	rig->pid = fork();
	assert_true(rig->pid >= 0);
	if (rig->pid == 0)
		child(rig, deed, cpu_max_ms);
}

/* The wait status; the process is killed if it does not end by itself. */
static int
finish(struct rig *rig)
{
	int status = -1;

	for (int ms = 0; ms < WAIT_MS; ms += 10) {
		pid_t got = waitpid(rig->pid, &status, WNOHANG);

		assert_true(got >= 0);
		if (got > 0)
			break;
		poll(NULL, 0, 10);
		if (ms + 10 >= WAIT_MS) {
			kill(rig->pid, SIGKILL);
			waitpid(rig->pid, &status, 0);
			fail_msg("the process did not end");
		}
	}
	close(rig->listen_fd);
	unlink(rig->path);
	rmdir(rig->dir);
	return status;
}

static int
dial(const struct rig *rig)
{
	struct timeval limit = { .tv_sec = WAIT_MS / 1000 };
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	snprintf(sun.sun_path, sizeof(sun.sun_path), "%s", rig->path);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	assert_int_equal(connect(fd, (const struct sockaddr *)&sun,
			     sizeof(sun)),
	    0);
	return fd;
}

static void
put(int fd, const void *ptr, size_t len)
{
	const char *p = ptr;

	while (len > 0) {
		ssize_t n = send(fd, p, len, MSG_NOSIGNAL);

		if (n <= 0)
			return; /* it died: the reader finds out */
		p += n;
		len -= (size_t)n;
	}
}

static void
send_mail(int fd, struct slice raw)
{
	unsigned char head[4] = { (unsigned char)(raw.len >> 24),
		(unsigned char)(raw.len >> 16), (unsigned char)(raw.len >> 8),
		(unsigned char)raw.len };

	put(fd, head, sizeof(head));
	put(fd, raw.ptr, raw.len);
}

static bool
get(int fd, void *ptr, size_t len)
{
	char *p = ptr;

	while (len > 0) {
		ssize_t n = recv(fd, p, len, 0);

		if (n <= 0)
			return false;
		p += n;
		len -= (size_t)n;
	}
	return true;
}

/* False when the connection ended instead. */
static bool
take_answer(int fd, struct arena *arena, struct bounce_report *report)
{
	unsigned char head[4];
	struct error err;
	char *body;
	size_t len;

	if (!get(fd, head, sizeof(head)))
		return false;
	len = (size_t)head[0] << 24 | (size_t)head[1] << 16 |
	    (size_t)head[2] << 8 | head[3];
	assert_true(len <= BOUNCE_ANSWER_MAX);
	body = arena_alloc(arena, len);
	assert_true(get(fd, body, len));
	assert_int_equal(bounce_report_decode(arena, slice_mem(body, len),
			     report, &err),
	    0);
	return true;
}

static void
answers_mail_after_mail_in_the_sandbox(void **state)
{
	struct arena arena = ARENA_INIT;
	struct bounce_report r = { 0 };
	struct rig rig;
	int a, b;

	(void)state;
	start(&rig, SERVE, 0);
	a = dial(&rig);
	b = dial(&rig);
	for (int i = 0; i < 50; i++) {
		send_mail(a, SLICE(DSN));
		send_mail(b, SLICE("Subject: x\r\n\r\ny\r\n"));
		assert_true(take_answer(a, &arena, &r));
		assert_int_equal(r.kind, BOUNCE_FAILED);
		assert_int_equal(r.dsn.count, 1);
		assert_true(slice_starts(r.subject,
		    SLICE("\xc3\xbc"
			  "ber")));
		assert_true(take_answer(b, &arena, &r));
		assert_int_equal(r.kind, BOUNCE_NONE);
	}
	close(a);
	kill(rig.pid, SIGTERM);
	assert_int_equal(finish(&rig), 0);
	close(b);
	arena_fini(&arena);
}

/* Large, and with every octet there is. */
static void
survives_what_it_cannot_read(void **state)
{
	struct arena arena = ARENA_INIT;
	struct strbuf raw = STRBUF_INIT;
	struct bounce_report r = { 0 };
	struct rig rig;
	int fd;

	(void)state;
	start(&rig, SERVE, 0);
	fd = dial(&rig);
	strbuf_add_text(&raw,
	    "Content-Type: multipart/report; boundary=b\r\n"
	    "\r\n--b\r\n");
	for (int i = 0; i < 3000000; i++)
		strbuf_add_char(&raw, (char)(i * 7 % 251));
	send_mail(fd, strbuf_slice(&raw));
	assert_true(take_answer(fd, &arena, &r));
	assert_int_equal(r.kind, BOUNCE_NONE);
	send_mail(fd, SLICE(DSN));
	assert_true(take_answer(fd, &arena, &r));
	assert_int_equal(r.kind, BOUNCE_FAILED);
	close(fd);
	kill(rig.pid, SIGTERM);
	assert_int_equal(finish(&rig), 0);
	strbuf_fini(&raw);
	arena_fini(&arena);
}

static void
a_frame_beyond_the_bound_ends_the_connection_only(void **state)
{
	struct arena arena = ARENA_INIT;
	struct bounce_report r = { 0 };
	struct rig rig;
	int fd;

	(void)state;
	start(&rig, SERVE, 0);
	fd = dial(&rig);
	put(fd, "\xff\xff\xff\xff", 4);
	assert_false(take_answer(fd, &arena, &r));
	close(fd);
	fd = dial(&rig);
	send_mail(fd, SLICE(DSN));
	assert_true(take_answer(fd, &arena, &r));
	close(fd);
	kill(rig.pid, SIGTERM);
	assert_int_equal(finish(&rig), 0);
	arena_fini(&arena);
}

/* Many parts take GMime longer than the millisecond that is allowed here. */
static void
a_mail_that_takes_too_long_ends_the_process(void **state)
{
	struct arena arena = ARENA_INIT;
	struct strbuf raw = STRBUF_INIT;
	struct bounce_report r = { 0 };
	struct rig rig;
	int fd, status;

	(void)state;
	start(&rig, SERVE, 1);
	fd = dial(&rig);
	strbuf_add_text(&raw,
	    "Content-Type: multipart/mixed; boundary=b\r\n\r\n");
	while (raw.len < 3000000)
		strbuf_add_text(&raw, "--b\r\n\r\nx\r\n");
	send_mail(fd, strbuf_slice(&raw));
	assert_false(take_answer(fd, &arena, &r));
	close(fd);
	status = finish(&rig);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGPROF);
	strbuf_fini(&raw);
	arena_fini(&arena);
}

static void
the_sandbox_is_closed(void **state)
{
	static const struct {
		enum deed deed;
		bool killed;
	} deeds[] = { { OPEN_FILE, false }, { MAKE_SOCKET, true },
		{ EXECUTE, true }, { FORK, true } };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(deeds); i++) {
		struct rig rig;
		int status;

		start(&rig, deeds[i].deed, 0);
		status = finish(&rig);
		print_message("deed %zu: status %#x\n", i, (unsigned)status);
		if (deeds[i].killed) {
			assert_true(WIFSIGNALED(status));
			assert_int_equal(WTERMSIG(status), SIGSYS);
		} else {
			assert_true(WIFEXITED(status));
			assert_int_equal(WEXITSTATUS(status), 42);
		}
	}
}

TEST_MAIN(cmocka_unit_test(answers_mail_after_mail_in_the_sandbox),
    cmocka_unit_test(survives_what_it_cannot_read),
    cmocka_unit_test(a_frame_beyond_the_bound_ends_the_connection_only),
    cmocka_unit_test(a_mail_that_takes_too_long_ends_the_process),
    cmocka_unit_test(the_sandbox_is_closed))
