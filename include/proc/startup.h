/*
 * proc/startup.h - what a node needs before it may run: looked at by serve
 * before it binds a port, and explained by "verpost check".
 */
#ifndef PROC_STARTUP_H
#define PROC_STARTUP_H

#include "base/crypto.h"
#include "base/error.h"
#include "proc/privileges.h"
#include "proc/settings.h"

enum finding {
	FINDING_OK,
	FINDING_WARN, /* runs all the same */
	FINDING_BAD,  /* does not start */
};

/* domains.checks of a domain that is verified without a look at DNS. */
#define STARTUP_DOMAIN_UNCHECKED "[{\"record\":\"unchecked\"}]"

/* what: "postgres", "source 192.0.2.1"; text: what is so, and what to do. */
typedef void startup_say(void *ctx, enum finding finding, const char *what,
    const char *text);

/*
 * Asks Postgres (reachable, migrated), Redis, the sources and what the mode
 * needs. Blocks for some seconds at most; for one-shot commands and for a
 * child that ends. Returns how many findings were bad.
 */
unsigned int startup_check(const struct settings *s, startup_say *say,
    void *ctx);

/*
 * startup_check in a child with the identity of the workers, so that the
 * caller keeps no trace of it, and rights are tried as they will be.
 * Warnings are logged; the first bad finding becomes err (ERR_CONFIG). Then
 * makes the partitions of these days, before the first mail comes.
 */
int startup_ask(const struct settings *s, const struct identity *who,
    struct error *err) MUST_CHECK;

#endif
