/* bounce/parser_link.h - the matcher's connection to the parser process. */
#ifndef BOUNCE_PARSER_LINK_H
#define BOUNCE_PARSER_LINK_H

#include <stdbool.h>

#include "base/error.h"
#include "base/slice.h"
#include "net/addr.h"

struct loop;
struct parser_link;

struct parser_link_ops {
	/* Connected: a mail may be sent. */
	void (*ready)(void *ctx);
	/* The answer to the mail that was sent; borrowed. */
	void (*answered)(void *ctx, struct slice answer);
	/* Gone, and with it the answer that was awaited: either it died of
	 * that mail or it was restarted. Comes back by itself. */
	void (*lost)(void *ctx);
};

/* Connects, and connects again with back-off, for as long as it lives. */
struct parser_link *parser_link_new(struct loop *loop,
    const struct net_addr *addr, const struct parser_link_ops *ops, void *ctx);
void parser_link_free(struct parser_link **l);
/* Connected and not awaiting an answer. */
bool parser_link_is_ready(const struct parser_link *l);
/* Only when ready. raw is copied; its octets beyond BOUNCE_RAW_MAX are not
 * sent. */
void parser_link_send(struct parser_link *l, struct slice raw);

#endif
