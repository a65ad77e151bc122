/*
 * base/clock.h - the one clock of the house.
 *
 * Wall time (schedules, ids, retries) goes through clock_now_ms(), also where
 * it is handed to Postgres or Redis as a parameter: SQL and Lua never ask
 * their own clocks for what decides about mail. Builds configured with
 * --enable-test-hooks add an offset read from the file named by
 * VERPOST_TEST_CLOCK (8 octets, native order, milliseconds, shared mapping),
 * so that 72 h of back-off run in seconds. Deadlines of I/O use
 * clock_mono_ms() and are never shifted; how long a process may be silent
 * before it counts as dead, or before a server is given up and looked for
 * again, can be shortened (clock_patience_ms).
 */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Milliseconds since 1970-01-01 UTC, plus the test offset. */
int64_t clock_now_ms(void);
/* Only the test offset; 0 in ordinary builds. Redis functions get it. */
int64_t clock_offset_ms(void);
/* CLOCK_BOOTTIME in milliseconds: goes on during suspend. */
int64_t clock_mono_ms(void);
/* How long a silence of that length is: less by the factor that
 * VERPOST_TEST_HASTE names; just ms in ordinary builds. */
int64_t clock_patience_ms(int64_t ms);
/* clock_mono_ms() in microseconds. */
int64_t clock_mono_us(void);

/* Another one each time the machine starts; "" when it does not tell. */
#define CLOCK_BOOT_ID_LEN 37
void clock_boot_id(char out[CLOCK_BOOT_ID_LEN]);

#define CLOCK_DAY_MS INT64_C(86400000)

/* "2025-11-30T20:39:59.540Z" */
#define CLOCK_ISO_LEN 25
void clock_format_iso(int64_t ms, char out[CLOCK_ISO_LEN]);
/* RFC 5322 section 3.3, in UTC: "Sun, 30 Nov 2025 20:39:59 +0000" */
#define CLOCK_RFC5322_LEN 40
void clock_format_rfc5322(int64_t ms, char out[CLOCK_RFC5322_LEN]);

#endif
