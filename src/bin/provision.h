/*
 * bin/provision.h - making accounts, domains, keys and sources: shared by the
 * commands and by "verpost dev".
 */
#ifndef BIN_PROVISION_H
#define BIN_PROVISION_H

#include <stdbool.h>

#include "base/error.h"
#include "bin/session.h"
#include "proc/startup.h"

#define PROVISION_SELECTOR "verpost"
#define PROVISION_RETURN_LABEL "bounces"
#define PROVISION_RSA_BITS 2048

/* The account of that name, made if it is missing. Dies on failure. */
int provision_account(struct session *s, const char *name);

struct provision_domain {
	int account;
	const char *name;     /* any form; becomes A-labels in lower case */
	const char *selector; /* NULL: PROVISION_SELECTOR */
	const char *label;    /* of the return-path host; NULL: the default */
	bool verified;	      /* only for dev: nobody looks at DNS */
};
/* Makes the domain with a DKIM key. ERR_CONFLICT: somebody has that name. */
int provision_domain(struct session *s, const struct provision_domain *d,
    struct error *err) MUST_CHECK;

/* Counts the domain with that number as verified although nobody looked at
 * DNS: for simulators. Mode live does not start with one (proc/startup.h).
 * Dies on failure. */
void provision_unchecked(struct session *s, int domain);

struct provision_key {
	int account;
	const char *name;
	bool sending_only;
	int domain; /* number; 0: any of the account's */
};
#define PROVISION_KEY_LEN 40
/* Makes an API key; its text is known only here. Dies on failure. */
void provision_key(struct session *s, const struct provision_key *k,
    char out[PROVISION_KEY_LEN + 1]);

#endif
