/*
 * mail/address.h - mail addresses (RFC 5321 section 4.1.2, RFC 5322 section
 * 3.4), parsed once; protocol code takes nothing else.
 */
#ifndef MAIL_ADDRESS_H
#define MAIL_ADDRESS_H

#include <stdbool.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/slice.h"
#include "base/strbuf.h"

#define MAIL_LOCAL_MAX 64
#define MAIL_DOMAIN_MAX 253

struct mail_address {
	struct slice display; /* decoded UTF-8 display name, or len 0 */
	struct slice local;   /* as on the wire, quotes kept when needed */
	struct slice
	    domain;    /* A-labels, lower case; never an address literal */
	bool smtputf8; /* the local part is not ASCII: RFC 6531 */
};

/*
 * Parses "a@d" or "Name <a@d>" or "\"Na, me\" <a@d>". Everything it hands out
 * lives in the arena. U-labels are converted (IDNA 2008, libidn2). Refuses
 * CR, LF, NUL and other control characters, address literals, single-label
 * domains, source routes, groups, trailing text, over-long parts. The text of
 * the error names what is wrong.
 */
int mail_address_parse(struct arena *arena, struct slice text,
    struct mail_address *out, struct error *err) MUST_CHECK;

/*
 * The path inside MAIL FROM:<> or RCPT TO:<>, without the brackets: as above,
 * but no display name, no blanks around it, and a domain of one label will do.
 * The null path and "postmaster" without a domain are the caller's matter.
 */
int mail_path_parse(struct arena *arena, struct slice text,
    struct mail_address *out, struct error *err) MUST_CHECK;

/* "local@domain" */
void mail_address_add_addr(struct strbuf *out, const struct mail_address *a);
/* The form by which suppressions compare: ASCII letters in lower case. */
void mail_address_add_key(struct strbuf *out, const struct mail_address *a);
/* For a header field: phrase quoted or encoded (RFC 2047) as needed. */
void mail_address_add_header(struct strbuf *out, const struct mail_address *a);

/* Whether it can stand before the @ without quotes (RFC 5322 section 3.2.3,
 * UTF-8 as in RFC 6532). */
bool mail_local_is_dot_atom(struct slice local);

/* A host or domain name: LDH labels, at least min_labels; U-labels are
 * converted; lower case result in the arena. */
int mail_domain_parse(struct arena *arena, struct slice text,
    unsigned int min_labels, struct slice *out, struct error *err) MUST_CHECK;

#endif
