/*
 * store/accept.h - the commit of accepted mail: a batch of emails with their
 * content, recipients, first events, idempotency records and webhook
 * deliveries in one transaction.
 *
 * Whether a recipient is suppressed is decided inside the INSERT. A key
 * conflict drops only its own item, and a batch that fails because of a value
 * is repeated item by item, so that one poison row hurts nobody else.
 */
#ifndef STORE_ACCEPT_H
#define STORE_ACCEPT_H

#include "store/pg.h"

#define STORE_CHUNK_BYTES 8000

struct store_accept_recipient {
	struct slice address; /* as on the wire */
	struct slice key;     /* mail_address_add_key: what suppression names */
	int field;	      /* 0 to, 1 cc, 2 bcc */
	int pool;
	struct slice lane;
	uint8_t flags; /* queue/member.h */
	/* result */
	bool suppressed;
};

enum store_accept_result {
	STORE_ACCEPT_NONE = 0,
	STORE_ACCEPT_OK,
	STORE_ACCEPT_REPLAY,	/* same key, same body: see replay */
	STORE_ACCEPT_MISMATCH,	/* same key, other body */
	STORE_ACCEPT_NO_DOMAIN, /* it was removed meanwhile */
	STORE_ACCEPT_REFUSED,	/* the database refused a value: see refused */
};

struct store_accept_item {
	struct id email; /* id_new_email */
	int account;
	int domain;
	int stream;		 /* enum store_stream */
	struct slice message_id; /* set by the sender; ptr NULL: derived */
	/* mail_content record without html, text and attachments: lists and
	 * webhooks read only this. */
	struct slice head;
	struct slice content; /* the whole mail_content record; empty when it
				 was stored ahead (store/contents.h) */
	size_t content_bytes; /* its length; 0: content.len */
	int64_t expires_at_ms;
	size_t count;
	struct store_accept_recipient *recipient; /* n-th has id email + n */
	/* Idempotency: key.len 0 means none. */
	int endpoint;
	struct slice key;
	uint8_t body_hash[32];
	int64_t key_expires_at_ms;
	/* results */
	enum store_accept_result result;
	struct id replay; /* the email accepted under this key */
	struct error refused;
};

struct store_accept;
/*
 * items and all they point to are borrowed until done. err: nothing is known
 * to be accepted (away, lost, timed out). Results stand in the items.
 * The flow of a recipient is account * 2 + stream.
 */
struct store_accept *store_accept_start(struct pg *pg, int64_t now_ms,
    struct store_accept_item *const *items, size_t n, store_done *done,
    void *ctx);
void store_accept_cancel(struct store_accept **op);

#endif
