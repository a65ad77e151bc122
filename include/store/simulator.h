/* store/simulator.h - mail that the simulator took, to be listed and read. */
#ifndef STORE_SIMULATOR_H
#define STORE_SIMULATOR_H

#include "store/pg.h"

struct store_simulator_mail {
	struct id id; /* id_new: the time is in it */
	struct slice mail_from, rcpt_to;
	struct slice outcome; /* what it acted out */
	struct slice raw;     /* list: ptr NULL */
	size_t raw_bytes;
};

struct pg_tx *store_simulator_add(struct pg *pg,
    const struct store_simulator_mail *mails, size_t n, store_done *done,
    void *ctx);
typedef void store_simulator_got(void *ctx,
    const struct store_simulator_mail *mail, size_t count,
    const struct error *err);
/* Newest first, without raw. */
struct pg_tx *store_simulator_list(struct pg *pg, size_t limit,
    store_simulator_got *done, void *ctx);
struct pg_tx *store_simulator_find(struct pg *pg, struct id id,
    store_simulator_got *done, void *ctx);
/* Those whose return path begins with prefix, taken at or behind the time of
 * since, oldest first, without raw. */
struct pg_tx *store_simulator_find_from(struct pg *pg, struct id since,
    struct slice prefix, size_t limit, store_simulator_got *done, void *ctx);
/* Keeps the newest keep. */
struct pg_tx *store_simulator_trim(struct pg *pg, size_t keep, store_done *done,
    void *ctx);

#endif
