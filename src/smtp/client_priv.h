/* smtp/client_priv.h - the parts of the client; see client.c. */
#ifndef SMTP_CLIENT_PRIV_H
#define SMTP_CLIENT_PRIV_H

#include "smtp/client.h"

/* In the order of a session; a transaction only moves forward. */
enum smtp_state {
	SMTP_BANNER,
	SMTP_EHLO,
	SMTP_HELO,
	SMTP_STARTTLS,
	SMTP_TLS, /* the owner's handshake */
	SMTP_IDLE,
	SMTP_MAIL,
	SMTP_RCPT,
	SMTP_DATA,
	SMTP_DOT,
	SMTP_EMPTY_DOT, /* ends DATA that was let in for no recipient */
	SMTP_RSET,
	SMTP_QUIT,
	SMTP_CLOSED,
};
#define SMTP_STATE_COUNT 14

/* One has its dot out, the next one's commands ride behind it. */
#define SMTP_PENDING_MAX 2
/* DOT of the one; RSET, MAIL, RCPT, DATA of the next; QUIT. */
#define SMTP_AWAITED_MAX 8

struct smtp_transaction {
	struct smtp_mail mail;
	bool mail_ok, rcpt_ok;
	bool refused;	 /* ended here (local); not yet reported */
	bool reported;	 /* mail_done was called; replies are still to come */
	bool dot_out;	 /* the final dot is in the output or beyond */
	uint64_t dot_at; /* where in all output the dot stands */
	struct smtp_outcome outcome; /* refused: what to report */
};

struct smtp_awaited {
	enum smtp_state state;
	struct smtp_transaction *txn; /* NULL: none's */
};

struct smtp_client {
	unsigned int magic;
	struct smtp_client_options opt;
	const struct smtp_client_ops *ops;
	void *ctx;
	enum smtp_state state;
	struct smtp_client_caps caps;
	bool tls;	     /* the handshake is behind us */
	bool quitting;	     /* QUIT when nothing is pending */
	bool needs_rset;     /* the server holds an unfinished transaction */
	bool announced;	     /* ready was called for the present chance */
	unsigned int nested; /* inside an entry point: ops may call back in */

	bool tls_asked; /* need_tls was called */
	bool told;	/* closed was called */

	struct smtp_reply_parser parser;
	struct smtp_outcome why; /* SMTP_CLOSED: how it ended */

	/* What was sent and not answered, in order: a ring. */
	struct smtp_awaited awaited[SMTP_AWAITED_MAX];
	size_t awaited_first, awaited_count;
	struct smtp_awaited answered; /* whose reply is being handled, */
	bool answering;		      /* if one is */
	/* Transactions begun and not done with, in order: a ring. */
	struct smtp_transaction txn[SMTP_PENDING_MAX];
	size_t txn_first, txn_count;

	struct strbuf out;
	uint64_t out_total;	/* octets ever put into out */
	size_t unsent;		/* taken from out, and not on its way yet */
	struct slice body_left; /* with body_chunk: still to be stuffed */
	bool body_line_start;	/* body_left begins a line */
	struct smtp_transaction *body_txn; /* whose body that is; or NULL */
};

/* client_txn.c: the two rings. */
struct smtp_awaited *smtp_awaited_head(struct smtp_client *c);
void smtp_awaited_push(struct smtp_client *c, enum smtp_state state,
    struct smtp_transaction *txn);
struct smtp_awaited smtp_awaited_pop(struct smtp_client *c);
struct smtp_transaction *smtp_txn_oldest(struct smtp_client *c);
const struct smtp_transaction *smtp_txn_newest(const struct smtp_client *c);
/* Whether a transaction has been begun whose dot has not been sent. */
bool smtp_txn_is_open(const struct smtp_client *c);
struct smtp_transaction *smtp_txn_push(struct smtp_client *c,
    const struct smtp_mail *mail);
void smtp_txn_pop(struct smtp_client *c);
/* Ends of transactions, told to the owner. */
void smtp_report_reply(struct smtp_client *c, struct smtp_transaction *txn,
    enum smtp_stage stage, const struct smtp_reply *r);
/* Those refused here, when their turn has come. */
void smtp_report_refused(struct smtp_client *c);
/* Ends of the session; every pending transaction is reported. */
enum smtp_state smtp_over(struct smtp_client *c,
    const struct smtp_outcome *why);
enum smtp_state smtp_over_reply(struct smtp_client *c,
    const struct smtp_reply *r);
enum smtp_state smtp_over_local(struct smtp_client *c, const struct error *err);
/* A reply of a class that the command cannot have. */
enum smtp_state smtp_over_senseless(struct smtp_client *c,
    const struct smtp_reply *r);

/* One line for the owner; txn: whose, or NULL. */
void smtp_note_line(struct smtp_client *c, const struct smtp_transaction *txn,
    char who, struct slice line);

/* client_send.c: what each step puts into the output. */
typedef void smtp_send(struct smtp_client *c, struct smtp_transaction *txn);
smtp_send smtp_send_ehlo, smtp_send_helo, smtp_send_starttls, smtp_send_mail,
    smtp_send_rcpt, smtp_send_data, smtp_send_dot, smtp_send_empty_dot,
    smtp_send_rset, smtp_send_quit;
/* Whether the peer can be given this mail; else fills *out. */
bool smtp_mail_fits(const struct smtp_client_caps *caps,
    const struct smtp_mail *mail, struct smtp_outcome *out);
/* Fit for EHLO: printable ASCII without blanks. */
bool smtp_name_is_safe(const char *name);
/* The next piece of body_left, and the dot behind the last one. */
void smtp_send_body(struct smtp_client *c);

/* caps.c: one line of the answer to EHLO. */
void smtp_caps_take(struct smtp_client_caps *caps, struct slice text);

/* stuff.c: stuffs a piece; *line_start is kept from piece to piece. */
void smtp_dot_stuff_part(struct strbuf *out, struct slice part,
    bool *line_start);
/* True of an empty one, too. */
bool smtp_ends_in_crlf(struct slice message);
/* What must follow the last piece: "[CRLF].CRLF". */
void smtp_dot_end(struct strbuf *out, bool ends_in_crlf);

/* The table, for logs and tests. */
const char *smtp_state_name(enum smtp_state state);
unsigned int smtp_state_deadline_s(enum smtp_state state);
enum smtp_stage smtp_state_stage(enum smtp_state state);

#endif
