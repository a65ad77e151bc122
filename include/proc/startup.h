/*
 * proc/startup.h - what a node needs before it may run: looked at by serve
 * before it runs, and explained by "verpost check".
 */
#ifndef PROC_STARTUP_H
#define PROC_STARTUP_H

#include "base/crypto.h"
#include "base/error.h"
#include "base/slice.h"
#include "proc/privileges.h"
#include "proc/settings.h"

enum finding {
	FINDING_OK,
	FINDING_WARN, /* runs all the same */
	FINDING_ROOT, /* runs when root starts it, not when 'user' does */
	FINDING_BAD,  /* does not start */
};

/* domains.checks of a domain that is verified without a look at DNS. */
#define STARTUP_DOMAIN_UNCHECKED "[{\"record\":\"unchecked\"}]"
/* Whether they are those, as they come back from the database. */
bool startup_domain_is_unchecked(struct slice checks);

/* what: "postgres", "source 192.0.2.1"; text: what is so, and what to do. */
typedef void startup_say(void *ctx, enum finding finding, const char *what,
    const char *text);

/*
 * Looks at all that serve looks at when it starts, and changes nothing: the
 * user, the directories, the lock, the keys, Postgres (reachable, migrated),
 * Redis, sources and domains, certificates, ports. Started as root it asks
 * with the rights of 'user', as serve would, and looks whether that user could
 * start it, too. config: the file of the settings. Blocks for some seconds at
 * most.
 * Returns the number of the master that runs in run_dir, or 0.
 */
long startup_check(const struct settings *s, const char *config,
    startup_say *say, void *ctx);

/*
 * For serve: the part of it that needs connections. Warnings are logged; the
 * first bad finding becomes err (ERR_CONFIG). Then makes the partitions of
 * these days, before the first mail comes. ERR_UNAVAIL when stop_fd became
 * readable.
 */
int startup_ask(const struct settings *s, const struct identity *who,
    int stop_fd, struct error *err) MUST_CHECK;

#endif
