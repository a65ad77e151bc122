/*
 * proc/listeners.h - the ports of a node: bound once by the master, handed to
 * its children through fork, kept over reloads.
 */
#ifndef PROC_LISTENERS_H
#define PROC_LISTENERS_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "net/addr.h"
#include "proc/privileges.h"
#include "proc/settings.h"

enum port {
	PORT_HTTP,
	PORT_SMTP_IN,
	PORT_SIMULATOR,
	PORT_PARSER, /* a Unix socket in run_dir */
	PORT_COUNT
};

#define LISTENERS_MAX 32
#define PORT_BIT(port) (1U << (port))

struct listeners {
	size_t count;
	struct listeners_entry {
		enum port port;
		int fd;
		struct net_addr addr; /* as bound: port 0 is resolved */
	} entry[LISTENERS_MAX];
};

/*
 * Binds what the settings name. A port still held by processes of a master
 * that died is waited for, patience_ms in all; ERR_UNAVAIL when stop_fd (-1:
 * none) becomes readable meanwhile. Nothing stays open on failure.
 */
int listeners_open(struct listeners *l, const struct settings *s,
    const struct identity *who, int64_t patience_ms, int stop_fd,
    struct error *err) MUST_CHECK;
/*
 * Tries each address as listeners_open would, and lets go of all. Unix sockets
 * are left out: to bind one would replace the one in use. err NULL: it can be
 * bound.
 */
typedef void listeners_tried(void *ctx, const char *key, const char *address,
    const struct error *err);
void listeners_try(const struct settings *s, listeners_tried *tried, void *ctx);
/* Closes, in a child, all but the ports of the bit set. */
void listeners_keep(struct listeners *l, unsigned int ports);
void listeners_close(struct listeners *l);
/* Descriptors of one port; returns how many, at most max. */
size_t listeners_fds(const struct listeners *l, enum port port, int *out,
    size_t max);
/* The first address of a port, or NULL. */
const struct net_addr *listeners_addr(const struct listeners *l,
    enum port port);
const char *port_name(enum port port);
/* run_dir/parser.sock; owned by the caller. */
char *listeners_parser_path(const struct settings *s);

#endif
