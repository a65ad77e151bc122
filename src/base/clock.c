#include "base/clock.h"

#include <fcntl.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#ifdef VERPOST_TEST_HOOKS
#include <stdlib.h>
#include <sys/mman.h>

int64_t
clock_offset_ms(void)
{
	static const volatile int64_t *shared;
	static int64_t none;
	const char *path;
	int fd;

	if (shared != NULL)
		return *shared;
	shared = &none;
	path = getenv("VERPOST_TEST_CLOCK");
	fd = path != NULL ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	if (fd >= 0) {
		void *map =
		    mmap(NULL, sizeof(int64_t), PROT_READ, MAP_SHARED, fd, 0);

		close(fd);
		if (map != MAP_FAILED)
			shared = map;
	}
	return *shared;
}
#else
int64_t
clock_offset_ms(void)
{
	return 0;
}
#endif

static int64_t
read_ms(clockid_t which)
{
	struct timespec ts;

	clock_gettime(which, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

int64_t
clock_now_ms(void)
{
	return read_ms(CLOCK_REALTIME) + clock_offset_ms();
}

int64_t
clock_mono_ms(void)
{
	return read_ms(CLOCK_BOOTTIME);
}

int64_t
clock_mono_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_BOOTTIME, &ts);
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

void
clock_boot_id(char out[CLOCK_BOOT_ID_LEN])
{
	int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd >= 0 ? read(fd, out, CLOCK_BOOT_ID_LEN - 1) : -1;

	if (fd >= 0)
		close(fd);
	out[n > 0 ? n : 0] = '\0';
}

static void
split(int64_t ms, struct tm *tm, int *rest_ms)
{
	int64_t s = ms / 1000;
	time_t t;

	*rest_ms = (int)(ms % 1000);
	if (*rest_ms < 0) {
		*rest_ms += 1000;
		s--;
	}
	t = (time_t)s;
	gmtime_r(&t, tm);
}

void
clock_format_iso(int64_t ms, char out[CLOCK_ISO_LEN])
{
	struct tm tm;
	int rest;

	split(ms, &tm, &rest);
	snprintf(out, CLOCK_ISO_LEN, "%04u-%02u-%02uT%02u:%02u:%02u.%03uZ",
	    (unsigned int)(tm.tm_year + 1900) % 10000,
	    (unsigned int)(tm.tm_mon + 1) % 100, (unsigned int)tm.tm_mday % 100,
	    (unsigned int)tm.tm_hour % 100, (unsigned int)tm.tm_min % 100,
	    (unsigned int)tm.tm_sec % 100, (unsigned int)rest % 1000);
}

void
clock_format_rfc5322(int64_t ms, char out[CLOCK_RFC5322_LEN])
{
	static const char *const days[] = { "Sun", "Mon", "Tue", "Wed", "Thu",
		"Fri", "Sat" };
	static const char *const months[] = { "Jan", "Feb", "Mar", "Apr", "May",
		"Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };
	struct tm tm;
	int rest;

	split(ms, &tm, &rest);
	snprintf(out, CLOCK_RFC5322_LEN, "%s, %u %s %04u %02u:%02u:%02u +0000",
	    days[tm.tm_wday % 7], (unsigned int)tm.tm_mday % 100,
	    months[tm.tm_mon % 12], (unsigned int)(tm.tm_year + 1900) % 10000,
	    (unsigned int)tm.tm_hour % 100, (unsigned int)tm.tm_min % 100,
	    (unsigned int)tm.tm_sec % 100);
}
