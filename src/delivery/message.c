/*
 * What goes on the wire for one recipient: MIME with the reference of this
 * recipient in it, and the DKIM signature in front.
 */
#include "delivery/delivery_priv.h"

#include <stdio.h>

#include "mail/content.h"
#include "mail/mime.h"
#include "model/token.h"

/* Signatures are about 900 octets; they are built behind and moved in front. */
static int
sign(struct job *j, struct identity *i, struct error *err)
{
	struct strbuf *msg = &j->message;
	struct strbuf head = STRBUF_INIT;
	int rc = dkim_sign_message(j->mta->signer, i->key, strbuf_slice(msg),
	    &head, err);

	if (rc == 0 && strbuf_reserve(msg, head.len)) {
		memmove(msg->ptr + head.len, msg->ptr, msg->len + 1);
		memcpy(msg->ptr, head.ptr, head.len);
		msg->len += head.len;
	}
	strbuf_fini(&head);
	return rc;
}

/* What mime_build would make for each recipient anew. */
static void
share_text(struct content *shared, struct mail_content *content)
{
	if (content->html.ptr == NULL || content->text.ptr != NULL ||
	    content->text_opted_out)
		return;
	if (!shared->has_text && shared->refs == 1)
		return; /* one recipient, or the last: it need not stay */
	if (!shared->has_text)
		mime_text_of_html(content->html, &shared->text);
	shared->has_text = true;
	content->text = slice_mem(strbuf_text(&shared->text), shared->text.len);
}

int
message_build(struct job *j, struct identity *i, struct error *err)
{
	struct arena arena = ARENA_INIT;
	struct mail_content content;
	struct mime_options opt = { 0 };
	char token[TOKEN_LOCAL_LEN + 1], gm[ID_GM_LEN + 1];
	char message_id[ID_GM_LEN + MAIL_DOMAIN_MAX + 2];
	int rc;

	token_format(j->mta->opt.ring, TOKEN_RETURN_PATH, j->q.member.id,
	    token);
	snprintf(j->return_path, sizeof(j->return_path), "%s@%s", token,
	    i->return_path_host);
	id_format_gm(j->email, gm);
	snprintf(message_id, sizeof(message_id), "%s@%s", gm, i->name);
	opt.message_id = message_id;
	opt.date_ms = j->created_at_ms;
	opt.boundary_seed = gm + 3;
	opt.reference = token + 2;

	rc = mail_content_decode(&arena,
	    slice_mem(j->content->ptr, j->content->bytes), &content, err);
	if (rc == 0) {
		share_text(j->content, &content);
		strbuf_reset(&j->message);
		mime_build(&content, &opt, &j->message);
		j->smtputf8 = j->address.smtputf8 ||
		    mail_content_needs_smtputf8(&content);
		rc = sign(j, i, err);
	}
	arena_fini(&arena);
	return rc;
}
