/* proc/role_priv.h - what the role_*.c files share. */
#ifndef PROC_ROLE_PRIV_H
#define PROC_ROLE_PRIV_H

#include "net/loop.h"
#include "proc/worker.h"

struct net_guard;

extern const struct role role_httpd;
extern const struct role role_mta;
extern const struct role role_smtpd;
extern const struct role role_parser;
extern const struct role role_hooks;
extern const struct role role_keeper;
extern const struct role role_simulator;

/* A connection to Postgres as the settings say; logs when it goes and comes. */
struct pg *role_pg(const struct worker *w, const char *name, bool batch_plans);

/* The guard of a list in the settings, which has been checked. */
void role_guard(const char *list, struct net_guard *out);

#endif
