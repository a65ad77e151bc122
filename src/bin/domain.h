/* bin/domain.h - a domain with its records, as the commands show it. */
#ifndef BIN_DOMAIN_H
#define BIN_DOMAIN_H

#include <stdbool.h>

#include "base/arena.h"
#include "bin/dnscheck.h"
#include "bin/session.h"
#include "model/id.h"

#define DOMAIN_SOURCES_MAX 64

struct domain_view {
	struct session *s;
	struct arena arena;
	struct id id;
	int number, account;
	struct slice status;
	struct dnscheck_domain d;
	struct slice source[DOMAIN_SOURCES_MAX];
	struct dnscheck check[DNSCHECK_COUNT];
};

/* name in any form. Dies when there is no such domain. */
void domain_view_load(struct domain_view *v, struct session *s,
    const char *name);
void domain_view_fini(struct domain_view *v);
/* The records to publish. */
void domain_view_print(const struct domain_view *v, bool json);

#endif
