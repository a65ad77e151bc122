/* bin/daylimits.h - the daily limits, and what of them is used today. */
#ifndef BIN_DAYLIMITS_H
#define BIN_DAYLIMITS_H

#include "base/arena.h"
#include "base/slice.h"
#include "base/strbuf.h"
#include "bin/command.h"

struct session;

struct daylimit {
	struct slice source;   /* its address */
	struct slice provider; /* len 0: all mail of the source */
	int64_t used, limit;
};

struct daylimits {
	struct arena arena;
	size_t count;
	struct daylimit *limit;
};

/* d: zeroed. Every source with a limit, and with each provider that has one,
 * as they are set now. */
void daylimits_read(struct daylimits *d, struct session *s);
void daylimits_fini(struct daylimits *d);
/* For all its mail; NULL: it has none. */
const struct daylimit *daylimits_of_source(const struct daylimits *d,
    struct slice address);

/* When it is used up "daily limit until ...", as lanes say it; else nothing.
 * What a process has taken and not used yet counts as used. */
void daylimit_add_why(struct strbuf *out, const struct daylimit *d,
    int64_t now_ms);

/* verpost queue --by limit. */
int daylimits_list(const struct args *a, size_t limit);

#endif
