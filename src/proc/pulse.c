#include "proc/pulse.h"

#include <stdatomic.h>
#include <sys/mman.h>

struct pulse *
pulses_new(size_t count, struct error *err)
{
	void *map = mmap(NULL, count * sizeof(struct pulse),
	    PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (map == MAP_FAILED) {
		error_sys(err, "making memory to share with the children");
		return NULL;
	}
	return map;
}

void
pulses_free(struct pulse **p, size_t count)
{
	if (*p != NULL)
		munmap(*p, count * sizeof(**p));
	*p = NULL;
}

void
pulse_beat(struct pulse *p)
{
	atomic_fetch_add_explicit(&p->count, 1, memory_order_relaxed);
}

bool
pulse_look(struct pulse_watch *w, const struct pulse *p, pid_t pid)
{
	uint32_t count = atomic_load_explicit(&p->count, memory_order_relaxed);

	if (pid == 0 || pid != w->pid || count != w->count) {
		w->pid = pid;
		w->count = count;
		w->still = 0;
		return false;
	}
	if (++w->still < PULSE_STILL_MAX)
		return false;
	w->still = 0;
	return true;
}
