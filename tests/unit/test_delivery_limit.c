#include "test.h"

#include <stdlib.h>

#include "delivery/limit.h"

#define SECOND ((int64_t)1000000)

static const struct {
	struct config_rate rate;
	int64_t interval_us, slack_us;
} paces[] = {
	{ { 1, 1000 }, 1010000, 10000 },
	{ { 100, 1000 }, 10100, 10000 },
	{ { 3, 1000 }, 336667, 10000 }, /* rounded up */
	{ { 60, 60000 }, 1001667, 100000 },
	{ { 1, 86400000 }, 86400100000, 100000 },
	{ { 1000000, 1000 }, 2, 10000 },
	{ { 0, 0 }, 0, 0 },
};

static void
a_rate_has_its_interval(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(paces); i++) {
		struct gcra g;

		gcra_init(&g, paces[i].rate, 0);
		print_message("case %zu\n", i);
		assert_int_equal(g.interval_us, paces[i].interval_us);
		assert_int_equal(g.slack_us, paces[i].slack_us);
	}
}

static void
the_first_one_comes_after_one_interval(void **state)
{
	struct gcra g;
	int64_t start = 77 * SECOND;

	(void)state;
	gcra_init(&g, (struct config_rate){ 4, 1000 }, start);
	assert_int_equal(gcra_at(&g, start), start + g.interval_us);
	assert_int_equal(gcra_at(&g, start + 2 * SECOND), start + 2 * SECOND);
	/* No credit was saved up: the next is an interval later. */
	gcra_take(&g, start + g.interval_us);
	assert_int_equal(gcra_at(&g, 0), start + 2 * g.interval_us);
	/* Idle for long: only the slack is credit. */
	gcra_take(&g, start + 100 * SECOND);
	assert_int_equal(gcra_at(&g, 0),
	    start + 100 * SECOND + g.interval_us - g.slack_us);
	/* Somebody else may have used the address until now. */
	gcra_restart(&g, start + 200 * SECOND);
	assert_int_equal(gcra_at(&g, 0), start + 200 * SECOND + g.interval_us);
	gcra_restart(&g, start);
	assert_int_equal(gcra_at(&g, 0), start + 200 * SECOND + g.interval_us);
}

static void
what_comes_late_is_made_up_for(void **state)
{
	struct gcra g;
	int64_t now = 0;
	int taken = 0;

	(void)state;
	gcra_init(&g, (struct config_rate){ 100, 1000 }, 0);
	/* A timer of whole milliseconds, always 3 ms late. */
	while (now < 100 * SECOND) {
		int64_t at = gcra_at(&g, now);

		now = (at + 999) / 1000 * 1000 + 3000;
		gcra_take(&g, now);
		taken++;
	}
	assert_in_range(taken, 9850, 10000);
}

static void
room_counts_what_could_be_taken(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(paces); i++) {
		struct gcra g;
		int64_t now = 5 * SECOND, end = now + SECOND / 4;
		uint64_t n = 0, room;

		gcra_init(&g, paces[i].rate, 4 * SECOND);
		room = gcra_room(&g, now, SECOND / 4);
		if (g.interval_us == 0) {
			assert_true(room == UINT64_MAX);
			continue;
		}
		while (now <= end && (now = gcra_at(&g, now)) <= end) {
			gcra_take(&g, now);
			n++;
		}
		print_message("case %zu\n", i);
		assert_true(n == room);
	}
}

/* -- against an oracle that only counts --------------------------------- */

#define EVENTS 20000

static uint64_t dice_state;

static uint64_t
dice(uint64_t sides)
{
	dice_state = dice_state * 6364136223846793005u + 1442695040888963407u;
	return (dice_state >> 33) % sides;
}

struct oracle {
	int64_t when[EVENTS];
	size_t count;
};

/* How many of them lie in the window of that length that ends with now. */
static uint64_t
in_window(const struct oracle *o, int64_t now, int64_t length_us)
{
	uint64_t n = 0;

	for (size_t i = o->count; i-- > 0 && o->when[i] > now - length_us;)
		n++;
	return n;
}

static void
try_rate(struct config_rate rate)
{
	static struct oracle o;
	struct gcra g;
	int64_t now = (int64_t)dice(1000) * SECOND;
	int64_t per_us = (int64_t)rate.per_ms * 1000;

	o.count = 0;
	gcra_init(&g, rate, now);
	while (o.count < EVENTS) {
		int64_t at = gcra_at(&g, now);

		assert_true(at >= now);
		/* The moment is exact: not a microsecond before. */
		if (at > now)
			assert_int_equal(gcra_at(&g, at - 1), at);
		assert_int_equal(gcra_at(&g, at), at);
		now = at;
		switch (dice(20)) {
		case 0: /* idle */
			now += (int64_t)dice((uint64_t)per_us * 2);
			break;
		case 1: /* a busy loop */
			now += (int64_t)dice((uint64_t)g.slack_us * 2 + 1);
			break;
		case 2: /* killed; the successor knows nothing */
			gcra_init(&g, rate, now);
			continue;
		default:
			break;
		}
		gcra_take(&g, now);
		o.when[o.count++] = now;
		assert_true(in_window(&o, now, per_us) <= rate.count);
	}
}

static void
no_window_ever_holds_more_than_the_rate(void **state)
{
	static const struct config_rate rates[] = { { 1, 1000 }, { 2, 1000 },
		{ 7, 1000 }, { 100, 1000 }, { 999, 1000 }, { 60, 60000 },
		{ 1000, 3600000 }, { 5, 250 }, { 3, 86400000 } };

	(void)state;
	for (uint64_t seed = 1; seed <= 3; seed++)
		for (size_t i = 0; i < ARRAY_LEN(rates); i++) {
			dice_state = seed;
			print_message("seed %u, rate %zu\n", (unsigned int)seed,
			    i);
			try_rate(rates[i]);
		}
}

/* -- several at once ------------------------------------------------------- */

static void
none_is_charged_for_what_another_refuses(void **state)
{
	struct limit site = { 0 }, provider = { 0 };
	struct limit *both[] = { &site, &provider };
	int64_t at;

	(void)state;
	gcra_init(&site.mail, (struct config_rate){ 1, 1000 }, -10 * SECOND);
	gcra_init(&provider.mail, (struct config_rate){ 1, 10000 },
	    -100 * SECOND);
	assert_int_equal(limit_mail_at(both, 2, 0), 0);
	limit_mail_take(both, 2, 0);
	at = limit_mail_at(both, 2, 2 * SECOND);
	assert_int_equal(at, gcra_at(&provider.mail, 0));
	/* Asked a thousand times, the site is as it was. */
	for (int i = 0; i < 1000; i++)
		assert_int_equal(limit_mail_at(both, 2, 2 * SECOND), at);
	assert_int_equal(gcra_at(&site.mail, 2 * SECOND), 2 * SECOND);
}

static void
connections_count_until_they_are_closed(void **state)
{
	struct limit site = { .connections_max = 2 };
	struct limit provider = { .connections_max = 3 };
	struct limit none = { 0 };
	struct limit *a[] = { &site, &provider };
	struct limit *b[] = { &none, &provider };

	(void)state;
	gcra_init(&provider.connect, (struct config_rate){ 10, 1000 }, -SECOND);
	limit_opened(a, 2);
	limit_opened(a, 2);
	assert_true(limit_open_at(a, 2, 0) == LIMIT_NEVER);
	assert_int_equal(limit_open_at(b, 2, 0), 0);
	limit_connect_take(b, 2, 0);
	limit_opened(b, 2);
	assert_true(limit_open_at(b, 2, 0) == LIMIT_NEVER);
	/* One of those that are open may try the next host, at its time. */
	assert_int_equal(limit_connect_at(b, 2, 0), 91000);
	limit_closed(a, 2);
	assert_int_equal(limit_open_at(a, 2, 0), 91000);
	assert_int_equal(none.connections, 1);
}

static void
the_stricter_of_two_rates_holds(void **state)
{
	struct gcra g;
	int64_t at;

	(void)state;
	gcra_init(&g, (struct config_rate){ 0, 0 }, 0);
	gcra_tighten(&g, (struct config_rate){ 10, 1000 }, 0);
	gcra_take(&g, 5 * SECOND);
	at = gcra_at(&g, 0);
	gcra_tighten(&g, (struct config_rate){ 0, 0 }, 0);
	gcra_tighten(&g, (struct config_rate){ 100, 1000 }, 0);
	assert_int_equal(gcra_at(&g, 0), at);
	gcra_tighten(&g, (struct config_rate){ 1, 1000 }, 0);
	assert_int_equal(g.interval_us, 1010000);
	assert_true(gcra_at(&g, 0) >= at);
}

TEST_MAIN(cmocka_unit_test(a_rate_has_its_interval),
    cmocka_unit_test(the_first_one_comes_after_one_interval),
    cmocka_unit_test(what_comes_late_is_made_up_for),
    cmocka_unit_test(room_counts_what_could_be_taken),
    cmocka_unit_test(no_window_ever_holds_more_than_the_rate),
    cmocka_unit_test(none_is_charged_for_what_another_refuses),
    cmocka_unit_test(connections_count_until_they_are_closed),
    cmocka_unit_test(the_stricter_of_two_rates_holds))
