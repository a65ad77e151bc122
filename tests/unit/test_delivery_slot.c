/*
 * The slot file is a file, so these tests make one, in a directory of their own
 * under the build directory.
 */
#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "delivery/slot.h"

#define BOOT "1f4cd4b5-5b9d-4b0a-9f43-000000000001"
#define OTHER_BOOT "1f4cd4b5-5b9d-4b0a-9f43-000000000002"
#define WORKER 41
#define CAPACITY 8
/* The layout that slot.c draws. */
#define HEADER_BYTES 16384
#define ENTRY_BYTES 384

static char dir[64], path[128];

static int
make_dir(void **state)
{
	test_log_setup_(state);
	snprintf(dir, sizeof(dir), "slot-test-XXXXXX");
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/mta-3.slots", dir);
	return 0;
}

static int
remove_dir(void **state)
{
	unlink(path);
	return test_log_teardown_(state) | rmdir(dir);
}

static struct slot *
open_slot(const char *boot)
{
	struct slot *s = NULL;
	struct error err = { 0 };

	if (slot_open(&s, dir, 3, boot, &err) != 0)
		fail_msg("%s", err.text);
	return s;
}

/* Empty, of WORKER. */
static struct slot *
begin_slot(void)
{
	struct slot *s = open_slot(BOOT);

	assert_int_equal(slot_reset(s, CAPACITY, NULL), 0);
	slot_begin(s, WORKER);
	return s;
}

static struct slot_claim
claim_of(unsigned int i)
{
	return (struct slot_claim){
		.recipient.b = { 1, 2, 3, [15] = (uint8_t)i },
		.n = i + 1,
		.source = 70,
		.asked_at_ms = 1000 + i,
	};
}

static const struct slot_reply bounced = {
	.stage = 7,
	.code = 550,
	.status = { { 5, 1, 1 } },
	.text = { "no such user", 12 },
	.mx = { "mx.example.com[192.0.2.1:25]", 28 },
	.tls = { "TLSv1.3", 7 },
};

static void
set_phase(struct slot *s, unsigned int e, enum slot_phase phase)
{
	if (phase >= SLOT_CLAIMED)
		slot_claimed(s, e, 5000);
	if (phase >= SLOT_SENT)
		slot_sent(s, e, bounced.mx, bounced.tls);
	if (phase >= SLOT_REPLIED)
		slot_replied(s, e, &bounced);
}

/* What a successor finds; count is checked. */
static void
read_left(struct slot *s, struct slot_left *left, size_t count)
{
	size_t at = 0;

	for (size_t i = 0; i < count; i++)
		assert_true(slot_next(s, &at, &left[i]));
	assert_false(slot_next(s, &at, &(struct slot_left){ 0 }));
}

static void
expect_left(enum slot_phase phase)
{
	struct slot *s = open_slot(BOOT);
	struct slot_left left = { 0 };
	size_t at = 0;

	assert_int_equal(slot_worker(s), WORKER);
	if (phase == SLOT_FREE)
		assert_false(slot_next(s, &at, &left));
	else
		assert_true(slot_next(s, &at, &left));
	assert_int_equal(left.phase, phase);
	slot_close(&s);
}

/* Writes over the file where it lies. */
static void
scribble(off_t at, const void *octets, size_t len)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, octets, len, at), len);
	close(fd);
}

static void
flip(off_t at)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);
	uint8_t octet;

	assert_true(fd >= 0);
	assert_int_equal(pread(fd, &octet, 1, at), 1);
	close(fd);
	octet ^= 0x10;
	scribble(at, &octet, 1);
}

/* ------------------------------------------------------------------------ */

static void
a_fresh_file_has_nothing_and_is_ours_alone(void **state)
{
	struct slot *s = open_slot(BOOT), *second = NULL;
	struct error err = { 0 };
	struct stat st;
	size_t at = 0;

	(void)state;
	assert_int_equal(slot_worker(s), 0);
	assert_false(slot_next(s, &at, &(struct slot_left){ 0 }));
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(slot_open(&second, dir, 3, BOOT, &err), -1);
	assert_int_equal(err.kind, ERR_CONFLICT);
	slot_close(&s);
	s = open_slot(BOOT);
	assert_int_equal(slot_reset(s, 0, NULL), 0);
	assert_true(slot_is_full(s));
	slot_close(&s);
}

static void
what_cannot_be_opened_is_an_error_and_no_conflict(void **state)
{
	struct slot *s = NULL;
	struct error err = { 0 };

	(void)state;
	assert_int_equal(slot_open(&s, "/nonexistent", 3, BOOT, &err), -1);
	assert_int_equal(err.kind, ERR_SYS);
	assert_int_equal(symlink("/nonexistent", path), 0);
	assert_int_equal(slot_open(&s, dir, 3, BOOT, &err), -1);
	assert_int_equal(err.kind, ERR_SYS);
}

static void
every_phase_is_found_as_it_was(void **state)
{
	struct slot_left left[4];
	struct slot *s = begin_slot();

	(void)state;
	for (unsigned int i = 0; i < 4; i++) {
		struct slot_claim claim = claim_of(i);
		unsigned int e = slot_take(s, &claim);

		assert_int_not_equal(e, 0);
		set_phase(s, e, (enum slot_phase)(SLOT_WAIT + i));
	}
	slot_close(&s);
	s = open_slot(BOOT);
	assert_int_equal(slot_worker(s), WORKER);
	read_left(s, left, 4);
	for (unsigned int i = 0; i < 4; i++) {
		struct slot_claim claim = claim_of(i);

		assert_int_equal(left[i].phase, SLOT_WAIT + i);
		assert_memory_equal(left[i].claim.recipient.b,
		    claim.recipient.b, 16);
		assert_int_equal(left[i].claim.n, claim.n);
		assert_int_equal(left[i].claim.source, 70);
		assert_int_equal(left[i].claim.asked_at_ms, claim.asked_at_ms);
		assert_int_equal(left[i].claimed_at_ms, i > 0 ? 5000 : 0);
		assert_true(slice_eq(left[i].reply.mx,
		    i >= 2 ? bounced.mx : SLICE("")));
	}
	assert_int_equal(left[3].reply.code, 550);
	assert_int_equal(left[3].reply.stage, 7);
	assert_int_equal(left[3].reply.status.part[1], 1);
	assert_true(slice_eq(left[3].reply.text, bounced.text));
	assert_true(slice_eq(left[3].reply.tls, bounced.tls));
	slot_close(&s);
}

static void
a_dot_that_did_not_leave_goes_back_and_a_reply_does_not(void **state)
{
	struct slot *s = begin_slot();
	struct slot_claim claim = claim_of(0);
	unsigned int e = slot_take(s, &claim);

	(void)state;
	set_phase(s, e, SLOT_SENT);
	slot_unsent(s, e);
	slot_close(&s);
	expect_left(SLOT_CLAIMED);

	s = begin_slot();
	e = slot_take(s, &claim);
	set_phase(s, e, SLOT_REPLIED);
	slot_unsent(s, e);
	slot_close(&s);
	expect_left(SLOT_REPLIED);
}

static void
a_refusal_before_the_dot_is_kept_with_its_host(void **state)
{
	struct slot *s = begin_slot();
	struct slot_claim claim = claim_of(0);
	unsigned int e = slot_take(s, &claim);
	struct slot_left left;

	(void)state;
	slot_claimed(s, e, 5000);
	slot_replied(s, e, &bounced);
	slot_close(&s);
	s = open_slot(BOOT);
	read_left(s, &left, 1);
	assert_int_equal(left.phase, SLOT_REPLIED);
	assert_true(slice_eq(left.reply.mx, bounced.mx));
	slot_close(&s);
}

static void
entries_are_taken_and_dropped_up_to_the_capacity(void **state)
{
	struct slot *s = begin_slot();
	struct slot_claim claim = claim_of(0);
	unsigned int e[CAPACITY];

	(void)state;
	for (size_t round = 0; round < 3; round++) {
		for (size_t i = 0; i < CAPACITY; i++) {
			assert_false(slot_is_full(s));
			e[i] = slot_take(s, &claim);
			assert_int_not_equal(e[i], 0);
		}
		assert_true(slot_is_full(s));
		assert_int_equal(slot_take(s, &claim), 0);
		for (size_t i = 0; i < CAPACITY; i++)
			slot_drop(s, e[i]);
	}
	slot_close(&s);
	expect_left(SLOT_FREE);
}

static void
without_a_file_nothing_happens(void **state)
{
	struct slot_claim claim = claim_of(0);

	(void)state;
	assert_false(slot_is_full(NULL));
	assert_int_equal(slot_take(NULL, &claim), 0);
	slot_claimed(NULL, 0, 1);
	slot_sent(NULL, 0, SLICE("x"), SLICE("y"));
	slot_unsent(NULL, 0);
	slot_replied(NULL, 0, &bounced);
	slot_drop(NULL, 0);
	slot_begin(NULL, 1);
	slot_quota_set(NULL, 1, SLICE(""), 1, 1);
	assert_int_equal(slot_quota_get(NULL, 1, SLICE(""), 1), 0);
}

static void
long_texts_are_cut_between_characters(void **state)
{
	char text[512], mx[400];
	struct slot_reply reply = { .stage = 9, .code = 250 };
	struct slot *s = begin_slot();
	struct slot_claim claim = claim_of(0);
	unsigned int e = slot_take(s, &claim);
	struct slot_left left;

	(void)state;
	for (size_t i = 0; i + 1 < sizeof(text); i += 2)
		memcpy(text + i, "\xc3\xa4", 2);
	text[0] = 'a'; /* so that a character lies across the limit */
	text[1] = 'b';
	memmove(text + 1, text, sizeof(text) - 1);
	memset(mx, 'm', sizeof(mx));
	reply.text = slice_mem(text, sizeof(text) - 1);
	reply.mx = slice_mem(mx, sizeof(mx));
	slot_claimed(s, e, 5000);
	slot_replied(s, e, &reply);
	slot_close(&s);
	s = open_slot(BOOT);
	read_left(s, &left, 1);
	assert_int_equal(left.reply.text.len, SLOT_TEXT_MAX - 1);
	assert_memory_equal(left.reply.text.ptr, text, SLOT_TEXT_MAX - 1);
	assert_int_equal(left.reply.mx.len, SLOT_MX_MAX);
	slot_close(&s);
}

/* kill -9 in the middle of a change: the phase is the old or the new one. */
static void
fields_of_a_phase_not_yet_reached_do_not_count(void **state)
{
	static const struct {
		enum slot_phase phase;
		size_t from; /* of the entry: what is written before the next */
	} rows[] = {
		{ SLOT_WAIT, 40 },
		{ SLOT_CLAIMED, 48 },
		{ SLOT_SENT, 174 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct slot *s = begin_slot();
		struct slot_claim claim = claim_of(0);
		uint8_t half[ENTRY_BYTES];

		set_phase(s, slot_take(s, &claim), rows[i].phase);
		slot_close(&s);
		memset(half, 0x5a, sizeof(half));
		scribble(HEADER_BYTES + (off_t)rows[i].from, half,
		    ENTRY_BYTES - rows[i].from);
		expect_left(rows[i].phase);
	}
}

/* Whichever octet of what counts is another one, the entry is not believed. */
static void
a_changed_octet_makes_an_entry_void(void **state)
{
	static const size_t counts[] = {
		[SLOT_WAIT] = 40,
		[SLOT_CLAIMED] = 48,
		[SLOT_SENT] = 174,
		[SLOT_REPLIED] = ENTRY_BYTES,
	};

	(void)state;
	for (size_t phase = SLOT_WAIT; phase <= SLOT_REPLIED; phase++) {
		struct slot *s = begin_slot();
		struct slot_claim claim = claim_of(0);

		set_phase(s, slot_take(s, &claim), (enum slot_phase)phase);
		slot_close(&s);
		for (size_t at = 0; at < counts[phase]; at++) {
			flip(HEADER_BYTES + (off_t)at);
			test_log_expect(1);
			expect_left(SLOT_FREE);
			flip(HEADER_BYTES + (off_t)at);
		}
		expect_left((enum slot_phase)phase);
	}
}

static void
an_entry_of_another_worker_is_void(void **state)
{
	struct slot *s = begin_slot();
	struct slot_claim claim = claim_of(0);
	size_t at = 0;

	(void)state;
	set_phase(s, slot_take(s, &claim), SLOT_SENT);
	slot_begin(s, WORKER + 1);
	slot_close(&s);
	test_log_expect(1);
	s = open_slot(BOOT);
	assert_int_equal(slot_worker(s), WORKER + 1);
	assert_false(slot_next(s, &at, &(struct slot_left){ 0 }));
	slot_close(&s);
}

static void
expect_nothing(const char *boot)
{
	struct slot *s = open_slot(boot);
	struct slot_claim claim = claim_of(1);
	size_t at = 0;

	assert_int_equal(slot_worker(s), 0);
	assert_false(slot_next(s, &at, &(struct slot_left){ 0 }));
	assert_int_equal(slot_quota_get(s, 70, SLICE(""), 20000), 0);
	/* And it can be used. */
	assert_int_equal(slot_reset(s, CAPACITY, NULL), 0);
	slot_begin(s, WORKER);
	set_phase(s, slot_take(s, &claim), SLOT_CLAIMED);
	slot_close(&s);
	s = open_slot(boot);
	assert_int_equal(slot_worker(s), WORKER);
	slot_close(&s);
	unlink(path);
}

static void
a_file_of_another_boot_has_nothing(void **state)
{
	static const char *const boots[] = { OTHER_BOOT, "" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(boots); i++) {
		struct slot *s = begin_slot();
		struct slot_claim claim = claim_of(0);

		set_phase(s, slot_take(s, &claim), SLOT_SENT);
		slot_quota_set(s, 70, SLICE(""), 20000, 5);
		slot_close(&s);
		s = open_slot(boots[i]);
		assert_int_equal(slot_worker(s), 0);
		slot_close(&s);
		unlink(path);
	}
}

static uint32_t seed = 20250707;

static uint8_t
next_octet(void)
{
	seed = seed * 1664525 + 1013904223;
	return (uint8_t)(seed >> 24);
}

static void
write_random(size_t from, size_t len)
{
	uint8_t *octets = malloc(len);

	assert_non_null(octets);
	for (size_t i = 0; i < len; i++)
		octets[i] = next_octet();
	scribble((off_t)from, octets, len);
	free(octets);
}

static void
make_used(void)
{
	struct slot *s = begin_slot();
	struct slot_claim claim = claim_of(0);

	set_phase(s, slot_take(s, &claim), SLOT_SENT);
	slot_quota_set(s, 70, SLICE(""), 20000, 5);
	slot_close(&s);
}

static void
bad_files_are_ignored_with_a_line_in_the_log(void **state)
{
	static const size_t lengths[] = { 1, 7, 8, 60, HEADER_BYTES - 1,
		HEADER_BYTES, HEADER_BYTES + 1,
		HEADER_BYTES + CAPACITY * ENTRY_BYTES - 1,
		HEADER_BYTES + (CAPACITY + 1) * ENTRY_BYTES };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
		make_used();
		assert_int_equal(truncate(path, (off_t)lengths[i]), 0);
		test_log_expect(1);
		expect_nothing(BOOT);
	}
	/* Random octets from the start, behind the magic, and of any length. */
	for (size_t i = 0; i < 50; i++) {
		make_used();
		write_random(i % 2 == 0 ? 0 : 8,
		    HEADER_BYTES + CAPACITY * ENTRY_BYTES - 8);
		test_log_expect(1);
		expect_nothing(BOOT);
	}
}

static void
random_entries_and_remainders_are_not_believed(void **state)
{
	(void)state;
	for (size_t i = 0; i < 50; i++) {
		struct slot *s;
		size_t at = 0;

		make_used();
		write_random(76, HEADER_BYTES + CAPACITY * ENTRY_BYTES - 76);
		test_log_expect(1);
		s = open_slot(BOOT);
		assert_false(slot_next(s, &at, &(struct slot_left){ 0 }));
		assert_int_equal(slot_quota_get(s, 70, SLICE(""), 20000), 0);
		slot_close(&s);
		unlink(path);
	}
}

static void
what_is_forgotten_stays_so_also_with_another_capacity(void **state)
{
	static const size_t capacities[] = { CAPACITY, 3, 500, 0 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(capacities); i++) {
		struct slot *s;
		size_t at = 0;

		make_used();
		s = open_slot(BOOT);
		assert_int_equal(slot_reset(s, capacities[i], NULL), 0);
		slot_close(&s);
		s = open_slot(BOOT);
		assert_int_equal(slot_worker(s), 0);
		assert_false(slot_next(s, &at, &(struct slot_left){ 0 }));
		assert_int_equal(slot_quota_get(s, 70, SLICE(""), 20000), 5);
		slot_close(&s);
	}
}

/* Killed by itself with SIGKILL at a phase; the parent looks. */
static void
kill_leaves_the_last_phase(void **state)
{
	(void)state;
	for (int phase = SLOT_WAIT; phase <= SLOT_REPLIED; phase++) {
		int status;
		pid_t pid;

		unlink(path);
		pid = fork();
		assert_true(pid >= 0);
		if (pid == 0) {
			struct slot *s = begin_slot();
			struct slot_claim claim = claim_of(0);

			set_phase(s, slot_take(s, &claim),
			    (enum slot_phase)phase);
			raise(SIGKILL);
		}
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFSIGNALED(status));
		expect_left((enum slot_phase)phase);
	}
}

static void
quota_remainders_are_kept_for_their_day(void **state)
{
	struct slot *s = begin_slot();

	(void)state;
	slot_quota_set(s, 70, SLICE(""), 20000, 100);
	slot_quota_set(s, 70, SLICE("google"), 20000, 50);
	slot_quota_set(s, 71, SLICE(""), 20000, 7);
	slot_quota_set(s, 70, SLICE(""), 20000, 99);
	slot_close(&s);
	s = open_slot(BOOT);
	assert_int_equal(slot_quota_get(s, 70, SLICE(""), 20000), 99);
	assert_int_equal(slot_quota_get(s, 70, SLICE("google"), 20000), 50);
	assert_int_equal(slot_quota_get(s, 71, SLICE(""), 20000), 7);
	assert_int_equal(slot_quota_get(s, 71, SLICE("google"), 20000), 0);
	assert_int_equal(slot_quota_get(s, 70, SLICE(""), 20001), 0);
	slot_close(&s);
}

static void
quota_entries_of_past_days_make_room_and_no_others(void **state)
{
	struct slot *s = begin_slot();

	(void)state;
	for (int i = 1; i <= SLOT_QUOTAS; i++)
		slot_quota_set(s, i, SLICE(""), 20000, 10);
	slot_quota_set(s, 9999, SLICE(""), 20000, 10);
	assert_int_equal(slot_quota_get(s, 9999, SLICE(""), 20000), 0);
	for (int i = 1; i <= SLOT_QUOTAS; i++)
		assert_int_equal(slot_quota_get(s, i, SLICE(""), 20000), 10);
	slot_quota_set(s, 9999, SLICE(""), 20001, 10);
	assert_int_equal(slot_quota_get(s, 9999, SLICE(""), 20001), 10);
	slot_close(&s);
}

#define SLOT_TEST(f) cmocka_unit_test_setup_teardown(f, make_dir, remove_dir)

TEST_MAIN(SLOT_TEST(a_fresh_file_has_nothing_and_is_ours_alone),
    SLOT_TEST(what_cannot_be_opened_is_an_error_and_no_conflict),
    SLOT_TEST(every_phase_is_found_as_it_was),
    SLOT_TEST(a_dot_that_did_not_leave_goes_back_and_a_reply_does_not),
    SLOT_TEST(a_refusal_before_the_dot_is_kept_with_its_host),
    SLOT_TEST(entries_are_taken_and_dropped_up_to_the_capacity),
    SLOT_TEST(without_a_file_nothing_happens),
    SLOT_TEST(long_texts_are_cut_between_characters),
    SLOT_TEST(fields_of_a_phase_not_yet_reached_do_not_count),
    SLOT_TEST(a_changed_octet_makes_an_entry_void),
    SLOT_TEST(an_entry_of_another_worker_is_void),
    SLOT_TEST(a_file_of_another_boot_has_nothing),
    SLOT_TEST(bad_files_are_ignored_with_a_line_in_the_log),
    SLOT_TEST(random_entries_and_remainders_are_not_believed),
    SLOT_TEST(what_is_forgotten_stays_so_also_with_another_capacity),
    SLOT_TEST(kill_leaves_the_last_phase),
    SLOT_TEST(quota_remainders_are_kept_for_their_day),
    SLOT_TEST(quota_entries_of_past_days_make_room_and_no_others))
