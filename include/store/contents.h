/*
 * store/contents.h - a large content, stored ahead of its email in parts, so
 * that no commit of small mail waits for it. Not seen by anybody until
 * store_accept commits the email, with content empty and content_bytes set.
 * What is left behind by a process that died goes with its day.
 */
#ifndef STORE_CONTENTS_H
#define STORE_CONTENTS_H

#include "store/pg.h"

/*
 * Stores part as the rows first, first + 1, ... of the email's content. part
 * is copied; every part but the last is a multiple of STORE_CHUNK_BYTES long.
 */
struct pg_tx *store_content_put(struct pg *pg, struct id email, size_t first,
    struct slice part, store_done *done, void *ctx);
/* Takes all rows back; the email must not have been committed. */
struct pg_tx *store_content_drop(struct pg *pg, struct id email,
    store_done *done, void *ctx);

#endif
