#include "hooks/schedule.h"

#include "base/attr.h"

static const int64_t pauses_ms[HOOKS_TRIES_MAX - 1] = {
	5 * 1000,
	5 * 60 * 1000,
	30 * 60 * 1000,
	2 * 3600 * 1000,
	5 * 3600 * 1000,
	10 * 3600 * 1000,
	10 * 3600 * 1000,
};

bool
hooks_status_is_success(int status)
{
	return status >= 200 && status <= 299;
}

int64_t
hooks_retry_after_ms(int tries, uint64_t spread)
{
	int64_t pause;

	if (tries >= HOOKS_TRIES_MAX)
		return -1;
	pause = pauses_ms[MAX(tries, 1) - 1];
	return pause + (int64_t)(spread % ((uint64_t)pause / 10 + 1));
}
