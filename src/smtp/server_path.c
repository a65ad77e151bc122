/* The arguments of MAIL and RCPT (RFC 5321 section 4.1.1.2 and 4.1.1.3). */
#include "base/encode.h"
#include "smtp/server_priv.h"

/*
 * Takes "<...>" off the front; brackets inside a quoted local part do not
 * count. *path: without the brackets.
 */
static int
take_path(struct slice *text, struct slice *path, struct error *err)
{
	struct slice rest = *text;
	bool quoted = false;

	if (!slice_take_char(&rest, '<'))
		return error_set(err, ERR_SYNTAX,
		    "501 5.5.4 Syntax: the address goes into <>");
	for (size_t i = 0; i < rest.len; i++) {
		if (quoted && rest.ptr[i] == '\\') {
			i++;
		} else if (rest.ptr[i] == '"') {
			quoted = !quoted;
		} else if (rest.ptr[i] == '>' && !quoted) {
			*path = slice_first(rest, i);
			*text = slice_from(rest, i + 1);
			return 0;
		}
	}
	return error_set(err, ERR_SYNTAX,
	    "501 5.5.4 Syntax: the address does not end");
}

static int
take_mail_param(struct slice param, bool utf8_offered,
    struct smtp_path_args *out, struct error *err)
{
	struct slice value = param;
	struct slice name = slice_take_until(&value, '=');

	if (slice_eq_nocase(name, SLICE("SIZE")) &&
	    slice_to_u64(value, &out->size))
		return 0;
	if (slice_eq_nocase(param, SLICE("BODY=7BIT")) ||
	    slice_eq_nocase(param, SLICE("BODY=8BITMIME")))
		return 0;
	if (utf8_offered && slice_eq_nocase(param, SLICE("SMTPUTF8"))) {
		out->smtputf8 = true;
		return 0;
	}
	return error_set(err, ERR_SYNTAX, "555 5.5.4 Unknown parameter");
}

static int
take_params(struct slice text, bool is_mail, bool utf8_offered,
    struct smtp_path_args *out, struct error *err)
{
	if (text.len > 0 && *text.ptr != ' ')
		return error_set(err, ERR_SYNTAX,
		    "501 5.5.4 Syntax: something follows the address");
	text = slice_trim(text);
	while (text.len > 0) {
		struct slice param = slice_take_until(&text, ' ');

		text = slice_trim(text);
		if (!is_mail)
			return error_set(err, ERR_SYNTAX,
			    "555 5.5.4 Unknown parameter");
		if (take_mail_param(param, utf8_offered, out, err) != 0)
			return -1;
	}
	return 0;
}

/* What is no address, kept whole; false when it is too odd even for that. */
static bool
take_any(struct arena *arena, struct slice path, struct mail_address *out)
{
	if (path.len > SMTP_SENDER_MAX || slice_has_char(path, '<') ||
	    slice_has_char(path, '>') || !utf8_is_valid(path))
		return false;
	*out = (struct mail_address){ .local = arena_slice(arena, path),
		.smtputf8 = !ascii_only(path) };
	return true;
}

static int
take_address(struct arena *arena, struct slice path, enum smtp_path_kind kind,
    struct mail_address *out, struct error *err)
{
	struct error why = { 0 };

	if (mail_path_parse(arena, path, out, &why) == 0 ||
	    (kind == SMTP_PATH_ANY_SENDER && take_any(arena, path, out)))
		return 0;
	return error_set(err, ERR_SYNTAX, "501 5.1.%c Bad address: %s",
	    kind == SMTP_PATH_RCPT ? '3' : '7', why.text);
}

int
smtp_path_args_parse(struct arena *arena, struct slice text,
    enum smtp_path_kind kind, bool utf8_offered, struct smtp_path_args *out,
    struct error *err)
{
	bool is_mail = kind != SMTP_PATH_RCPT;
	struct smtp_path_args args = { 0 };
	struct slice path = { NULL, 0 };

	text = slice_trim(text);
	if (take_path(&text, &path, err) != 0 ||
	    take_params(text, is_mail, utf8_offered, &args, err) != 0)
		return -1;
	args.null_path = is_mail && path.len == 0;
	args.postmaster =
	    !is_mail && slice_eq_nocase(path, SLICE("Postmaster"));
	if (args.postmaster)
		args.address.local = SLICE("postmaster");
	else if (!args.null_path &&
	    take_address(arena, path, kind, &args.address, err) != 0)
		return -1;
	/* RFC 6531 section 3.4: only who says SMTPUTF8 may go beyond ASCII;
	 * in RCPT that was said in MAIL, which the caller knows. */
	if (is_mail && !args.smtputf8 && !ascii_only(path))
		return error_set(err, ERR_SYNTAX,
		    "553 5.6.7 Say SMTPUTF8 for that address");
	*out = args;
	return 0;
}
