/*
 * api/httpd.h - the httpd role: the HTTP API of one process. One file per
 * resource (api/emails.c, api/webhooks.c, ...) on the server of http/server.h.
 */
#ifndef API_HTTPD_H
#define API_HTTPD_H

#include <stdint.h>

#include "base/crypto.h"
#include "http/server.h"
#include "intake/intake.h"
#include "net/addr.h"

struct httpd;
struct loop;
struct pg;
struct queue;
struct recent;
struct shaping;
struct depth;

struct httpd_options {
	struct loop *loop;
	/* Two connections of one process: what commits mail does not wait
	 * behind what lists it. pg_side NULL: everything over pg. */
	struct pg *pg;
	struct pg *pg_side;
	struct queue *queue;
	const struct shaping *shaping; /* picks the lanes */
	const struct depth *depth;     /* NULL: no reasons of lanes are told */
	const struct keyring *keyring; /* seals the secrets of webhooks */
	const struct net_guard *webhook_guard; /* of those who will send them */
	int listen_fd;
	struct recent *recent; /* see intake_options */
	size_t recent_writer;
	struct http_options http;
	struct intake_limits limits;
};

/* Everything is borrowed and must outlive the httpd; listen_fd stays the
 * caller's. */
struct httpd *httpd_new(const struct httpd_options *opt);
/* Stops accepting connections, finishes what was asked, then calls done; at
 * the latest after timeout_ms. */
void httpd_drain(struct httpd *h, int64_t timeout_ms, void (*done)(void *ctx),
    void *ctx);
/* See intake_queue_counted. */
void httpd_queue_asked(struct httpd *h);
void httpd_queue_counted(struct httpd *h, size_t jobs);
void httpd_free(struct httpd **h);

#endif
