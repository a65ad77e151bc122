/* smtp/server_priv.h - the parts of the server; see server.c. */
#ifndef SMTP_SERVER_PRIV_H
#define SMTP_SERVER_PRIV_H

#include "base/arena.h"
#include "smtp/server.h"

/* Where in a line of the message the next octet stands. */
enum smtp_data_at {
	SMTP_AT_START,
	SMTP_AT_TEXT,
	SMTP_AT_CR,	/* behind a CR */
	SMTP_AT_DOT,	/* behind a dot that begins a line */
	SMTP_AT_DOT_CR, /* the same and a CR */
};

enum smtp_data_result {
	SMTP_DATA_MORE,
	SMTP_DATA_END,	 /* CRLF "." CRLF was taken */
	SMTP_DATA_BARE,	 /* a CR or LF that stands alone */
	SMTP_DATA_FLOOD, /* far beyond the limit, and no end */
};

struct smtp_message {
	struct strbuf text;
	enum smtp_data_at at;
	size_t size_max;
	size_t dropped; /* octets beyond size_max */
	bool too_large;
};

/* server_data.c */
void smtp_message_begin(struct smtp_message *m, size_t size_max);
/* Takes octets off the front of *in, undoing the dots. */
enum smtp_data_result smtp_message_take(struct smtp_message *m,
    struct slice *in);

/* What stands behind "MAIL FROM:" or "RCPT TO:". */
struct smtp_path_args {
	bool null_path;	 /* "<>" */
	bool postmaster; /* "<Postmaster>" without a domain */
	struct mail_address address;
	bool smtputf8;
	uint64_t size; /* SIZE=; 0: not given */
};

/* Whose path it is, and how strictly it is read. */
enum smtp_path_kind { SMTP_PATH_SENDER, SMTP_PATH_ANY_SENDER, SMTP_PATH_RCPT };

/* server_path.c: err's text is the reply ("501 5.1.3 ..."). */
int smtp_path_args_parse(struct arena *arena, struct slice text,
    enum smtp_path_kind kind, bool utf8_offered, struct smtp_path_args *out,
    struct error *err) MUST_CHECK;

#endif
