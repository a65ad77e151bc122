/* startup_priv.h - what the child of startup.c asks. */
#ifndef STARTUP_PRIV_H
#define STARTUP_PRIV_H

#include "proc/startup.h"

#define STARTUP_TEXT 400

struct loop;
struct pg;

/* Postgres, Redis, the sources, the domains, certificates; unless it runs here
 * already, whether another has the name of the node. Blocks for some seconds.
 */
void startup_probe(const struct settings *s, bool runs, startup_say *say,
    void *ctx);
/* Whether another verpost serves as this node. pg must be up. */
void startup_node(const struct settings *s, struct loop *loop, struct pg *pg,
    startup_say *say, void *ctx);
/* Whether the files that serve reads before it changes its user are open to
 * the user, too, who is us: the unit starts it as that. */
void startup_files(const struct settings *s, const char *config,
    startup_say *say, void *ctx);
/* After a long pause the first mail would find no day to lie in. */
void startup_make_days(const struct settings *s, startup_say *say, void *ctx);

#endif
