/*
 * An address is normalised while it is parsed, so that equal addresses are
 * equal octets: the domain becomes lower-case A-labels, a quoted local part
 * loses quotes and backslashes it does not need.
 */
#include "mail/address.h"

#include <idn2.h>

#include "base/encode.h"
#include "mail/header.h"

#define TEXT_MAX 2000 /* display name and address, octets as given */
#define LABEL_MAX 63
/* RFC 5321 section 4.5.3.1.3: a path of 256 octets with its brackets. */
#define ADDR_MAX 254

/* atext of RFC 5322 section 3.2.3, with UTF-8 as in RFC 6532. */
static bool
is_atext(char c)
{
	return ascii_is_alnum(c) || (unsigned char)c >= 0x80 ||
	    (c != '\0' && strchr("!#$%&'*+-/=?^_`{|}~", c) != NULL);
}

bool
mail_local_is_dot_atom(struct slice local)
{
	bool dot_ok = false;

	for (size_t i = 0; i < local.len; i++) {
		if (local.ptr[i] == '.') {
			if (!dot_ok)
				return false;
			dot_ok = false;
		} else if (is_atext(local.ptr[i])) {
			dot_ok = true;
		} else {
			return false;
		}
	}
	return dot_ok;
}

/* Control characters never pass: no line can be injected anywhere. */
static int
check_octets(struct slice text, struct error *err)
{
	if (text.len > TEXT_MAX)
		return error_set(err, ERR_LIMIT,
		    "address is longer than %d octets", TEXT_MAX);
	for (size_t i = 0; i < text.len; i++) {
		unsigned char c = (unsigned char)text.ptr[i];

		if (c < 0x20 || c == 0x7f)
			return error_set(err, ERR_SYNTAX,
			    "address has a control character");
	}
	if (!utf8_is_valid(text))
		return error_set(err, ERR_SYNTAX, "address is not UTF-8");
	return 0;
}

/* ---- domains ---- */

static int
check_label(struct slice label, struct error *err)
{
	if (label.len == 0)
		return error_set(err, ERR_SYNTAX, "domain has an empty label");
	if (label.len > LABEL_MAX)
		return error_set(err, ERR_LIMIT,
		    "domain has a label of more than 63 octets");
	if (label.ptr[0] == '-' || label.ptr[label.len - 1] == '-')
		return error_set(err, ERR_SYNTAX,
		    "domain has a label that begins or ends with a hyphen");
	for (size_t i = 0; i < label.len; i++)
		if (!ascii_is_alnum(label.ptr[i]) && label.ptr[i] != '-')
			return error_set(err, ERR_SYNTAX,
			    "domain has a character that is not allowed");
	return 0;
}

static bool
all_digits(struct slice s)
{
	for (size_t i = 0; i < s.len; i++)
		if (!ascii_is_digit(s.ptr[i]))
			return false;
	return true;
}

/* name: ASCII. Checks it and lowers the case in place. */
static int
finish_domain(char *name, size_t len, unsigned int min_labels,
    struct error *err)
{
	struct slice rest = { name, len }, label = { NULL, 0 };
	unsigned int labels = 0;

	if (len == 0)
		return error_set(err, ERR_SYNTAX, "domain is empty");
	if (len > MAIL_DOMAIN_MAX)
		return error_set(err, ERR_LIMIT,
		    "domain is longer than %d octets", MAIL_DOMAIN_MAX);
	if (name[len - 1] == '.')
		return error_set(err, ERR_SYNTAX, "domain ends with a dot");
	while (rest.len > 0) {
		label = slice_take_until(&rest, '.');
		if (check_label(label, err) != 0)
			return -1;
		labels++;
	}
	if (labels < min_labels)
		return error_set(err, ERR_SYNTAX, "domain has no dot");
	if (labels > 1 && all_digits(label))
		return error_set(err, ERR_SYNTAX, "domain ends in a number");
	for (size_t i = 0; i < len; i++)
		name[i] = ascii_lower(name[i]);
	return 0;
}

int
mail_domain_parse(struct arena *arena, struct slice text,
    unsigned int min_labels, struct slice *out, struct error *err)
{
	uint8_t *ascii = NULL;
	char *name;
	size_t len;
	int rc;

	if (text.len > TEXT_MAX)
		return error_set(err, ERR_LIMIT, "domain is too long");
	if (slice_has_char(text, '\0'))
		return error_set(err, ERR_SYNTAX, "domain has a NUL");
	name = arena_dup(arena, text);
	len = text.len;
	if (!ascii_only(text)) {
		rc = idn2_lookup_u8((const uint8_t *)name, &ascii,
		    IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL);
		if (rc != IDN2_OK)
			return error_set(err, ERR_SYNTAX,
			    "domain is not a valid international name: %s",
			    idn2_strerror(rc));
		len = strlen((const char *)ascii);
		name = arena_dup(arena, slice_mem(ascii, len));
		idn2_free(ascii);
	}
	if (finish_domain(name, len, min_labels, err) != 0)
		return -1;
	*out = slice_mem(name, len);
	return 0;
}

/* ---- local parts ---- */

/*
 * Takes "..." off the front of *in and gives the content without backslashes
 * in *out.
 */
static int
take_quoted(struct arena *arena, struct slice *in, struct slice *out,
    struct error *err)
{
	char *text = arena_alloc(arena, in->len);
	size_t n = 0;

	for (size_t i = 1; i < in->len; i++) {
		char c = in->ptr[i];

		if (c == '"') {
			*in = slice_from(*in, i + 1);
			*out = slice_mem(text, n);
			return 0;
		}
		if (c == '\\' && ++i == in->len)
			break;
		text[n++] = in->ptr[i];
	}
	return error_set(err, ERR_SYNTAX, "address has an unclosed quote");
}

/* The quoted form of content, with as few backslashes as it takes. */
static struct slice
quote(struct arena *arena, struct slice content)
{
	char *text = arena_alloc(arena, content.len * 2 + 2);
	size_t n = 0;

	text[n++] = '"';
	for (size_t i = 0; i < content.len; i++) {
		if (content.ptr[i] == '"' || content.ptr[i] == '\\')
			text[n++] = '\\';
		text[n++] = content.ptr[i];
	}
	text[n++] = '"';
	return slice_mem(text, n);
}

/* Takes the local part and the '@' off the front. */
static int
take_local(struct arena *arena, struct slice *in, struct slice *out,
    struct error *err)
{
	struct slice local;

	if (in->len > 0 && in->ptr[0] == '"') {
		if (take_quoted(arena, in, &local, err) != 0)
			return -1;
		if (!mail_local_is_dot_atom(local))
			local = quote(arena, local);
	} else {
		local = slice_first(*in, slice_find_char(*in, '@'));
		*in = slice_from(*in, local.len);
		if (in->len == 0)
			return error_set(err, ERR_SYNTAX, "address has no @");
		if (local.len == 0)
			return error_set(err, ERR_SYNTAX,
			    "address has nothing before the @");
		if (!mail_local_is_dot_atom(local))
			return error_set(err, ERR_SYNTAX,
			    "the part before the @ is not valid");
		local = arena_slice(arena, local);
	}
	if (!slice_take_char(in, '@'))
		return error_set(err, ERR_SYNTAX, "address has no @");
	if (local.len > MAIL_LOCAL_MAX)
		return error_set(err, ERR_LIMIT,
		    "the part before the @ is longer than %d octets",
		    MAIL_LOCAL_MAX);
	*out = local;
	return 0;
}

/* addr-spec: the whole of in. */
static int
parse_addr(struct arena *arena, struct slice in, unsigned int min_labels,
    struct mail_address *out, struct error *err)
{
	struct mail_address a = { 0 };

	if (take_local(arena, &in, &a.local, err) != 0)
		return -1;
	if (in.len > 0 && in.ptr[0] == '[')
		return error_set(err, ERR_SYNTAX,
		    "address literals are not accepted");
	if (mail_domain_parse(arena, in, min_labels, &a.domain, err) != 0)
		return -1;
	if (a.local.len + 1 + a.domain.len > ADDR_MAX)
		return error_set(err, ERR_LIMIT,
		    "address is longer than %d octets", ADDR_MAX);
	a.smtputf8 = !ascii_only(a.local);
	*out = a;
	return 0;
}

/* ---- display names ---- */

/*
 * The phrase before '<': quoted words and anything else, taken as it is, so
 * that "Smith, Ann <a@b>" needs no quotes. *at: the index of the '<'.
 */
static int
parse_display(struct arena *arena, struct slice text, size_t *at,
    struct slice *out, struct error *err)
{
	char *name = arena_alloc(arena, text.len);
	struct slice in = text, word;
	size_t n = 0;

	while (in.len > 0 && in.ptr[0] != '<') {
		if (in.ptr[0] == '"') {
			if (take_quoted(arena, &in, &word, err) != 0)
				return -1;
			if (word.len > 0)
				memcpy(name + n, word.ptr, word.len);
			n += word.len;
		} else {
			name[n++] = in.ptr[0];
			in = slice_from(in, 1);
		}
	}
	*at = text.len - in.len;
	*out = slice_trim(slice_mem(name, n));
	return 0;
}

int
mail_address_parse(struct arena *arena, struct slice text,
    struct mail_address *out, struct error *err)
{
	struct mail_address a;
	struct slice display;
	size_t at;

	if (check_octets(text, err) != 0)
		return -1;
	text = slice_trim(text);
	if (text.len == 0)
		return error_set(err, ERR_SYNTAX, "address is empty");
	if (text.ptr[text.len - 1] != '>') {
		if (parse_addr(arena, text, 2, &a, err) != 0)
			return -1;
		*out = a;
		return 0;
	}
	if (parse_display(arena, text, &at, &display, err) != 0)
		return -1;
	if (at == text.len)
		return error_set(err, ERR_SYNTAX,
		    "address has '>' without '<'");
	text = slice_from(text, at + 1);
	text.len--; /* the '>' */
	if (parse_addr(arena, slice_trim(text), 2, &a, err) != 0)
		return -1;
	a.display = display;
	*out = a;
	return 0;
}

int
mail_path_parse(struct arena *arena, struct slice text,
    struct mail_address *out, struct error *err)
{
	if (check_octets(text, err) != 0)
		return -1;
	if (text.len == 0)
		return error_set(err, ERR_SYNTAX, "address is empty");
	return parse_addr(arena, text, 1, out, err);
}

/* ---- written forms ---- */

void
mail_address_add_addr(struct strbuf *out, const struct mail_address *a)
{
	strbuf_add_slice(out, a->local);
	strbuf_add_char(out, '@');
	strbuf_add_slice(out, a->domain);
}

void
mail_address_add_key(struct strbuf *out, const struct mail_address *a)
{
	size_t start = out->len;

	mail_address_add_addr(out, a);
	for (size_t i = start; i < out->len; i++)
		out->ptr[i] = ascii_lower(out->ptr[i]);
}

void
mail_address_add_header(struct strbuf *out, const struct mail_address *a)
{
	struct mail_header h;

	mail_header_open(&h, out, 0);
	mail_header_address(&h, a, false);
}
