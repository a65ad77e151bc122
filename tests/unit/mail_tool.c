/*
 * mail_tool - builds and signs the messages that mail_roundtrip describes.
 *
 *   mail_tool KEY.pem     a JSON object per line on standard input; for each,
 *                         "<length>\n" and the message, or "error: ...\n"
 *   mail_tool --bench     times building and signing
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/encode.h"
#include "base/json.h"
#include "mail/dkim.h"
#include "mail/mime.h"

static size_t
get_addresses(struct arena *arena, const struct json *obj, const char *name,
    struct mail_address **out, struct error *err)
{
	const struct json *list = json_get(obj, name);
	size_t n = 0;

	if (list == NULL)
		return 0;
	*out = arena_calloc(arena, list->count, sizeof(**out));
	json_each(item, list) if (mail_address_parse(arena, item->text,
				      &(*out)[n++], err) != 0) return 0;
	return n;
}

/* A list of objects with name and value. */
static size_t
get_fields(struct arena *arena, const struct json *obj, const char *name,
    struct mail_field **out)
{
	const struct json *list = json_get(obj, name);
	size_t n = 0;

	if (list == NULL)
		return 0;
	*out = arena_calloc(arena, list->count, sizeof(**out));
	json_each(item, list)(*out)[n++] =
	    (struct mail_field){ json_get_text(item, "name"),
		    json_get_text(item, "value") };
	return n;
}

static size_t
get_attachments(struct arena *arena, const struct json *obj,
    struct mail_attachment **out)
{
	const struct json *list = json_get(obj, "attachments");
	size_t n = 0;

	if (list == NULL)
		return 0;
	*out = arena_calloc(arena, list->count, sizeof(**out));
	json_each(item, list)
	{
		struct strbuf data = STRBUF_INIT;

		if (!base64_decode(&data, json_get_text(item, "data"), false))
			abort();
		(*out)[n++] = (struct mail_attachment){
			.filename = json_get_text(item, "filename"),
			.content_type = json_get_text(item, "content_type"),
			.content_id = json_get_text(item, "content_id"),
			.data = arena_slice(arena, strbuf_slice(&data)),
		};
		strbuf_fini(&data);
	}
	return n;
}

static int
get_content(struct arena *arena, const struct json *obj, struct mail_content *c,
    struct error *err)
{
	c->to_count = get_addresses(arena, obj, "to", &c->to, err);
	c->cc_count = get_addresses(arena, obj, "cc", &c->cc, err);
	c->bcc_count = get_addresses(arena, obj, "bcc", &c->bcc, err);
	c->reply_to_count =
	    get_addresses(arena, obj, "reply_to", &c->reply_to, err);
	if (err->kind != ERR_NONE ||
	    mail_address_parse(arena, json_get_text(obj, "from"), &c->from,
		err) != 0)
		return -1;
	c->subject = json_get_text(obj, "subject");
	c->html = json_get_text(obj, "html");
	c->text = json_get_text(obj, "text");
	c->text_opted_out = c->text.ptr != NULL && c->text.len == 0;
	c->header_count = get_fields(arena, obj, "headers", &c->header);
	c->attachment_count = get_attachments(arena, obj, &c->attachment);
	return 0;
}

static int
build(struct arena *arena, const struct json *obj, struct strbuf *out,
    struct error *err)
{
	struct mail_content given = { 0 }, content;
	struct strbuf record = STRBUF_INIT;
	struct mime_options opt = { "made-by@example.net", 1764535199540,
		"0abc123", "b-reference" };
	int rc = -1;

	if (get_content(arena, obj, &given, err) == 0) {
		mail_content_encode(&given, &record);
		rc = mail_content_decode(arena, strbuf_slice(&record), &content,
		    err);
	}
	if (rc == 0)
		mime_build(&content, &opt, out);
	strbuf_fini(&record);
	return rc;
}

/* One line of input, one answer. */
static void
serve(struct dkim_signer *signer, struct dkim_key *key, char *line, size_t len)
{
	struct arena arena = ARENA_INIT;
	struct strbuf message = STRBUF_INIT, field = STRBUF_INIT;
	struct error err = { 0 };
	const struct json *obj;
	int rc;

	rc = json_parse(&arena, line, len, &obj, &err);
	if (rc == 0)
		rc = build(&arena, obj, &message, &err);
	if (rc == 0)
		rc = dkim_sign_message(signer, key, strbuf_slice(&message),
		    &field, &err);
	if (rc == 0) {
		printf("%zu\n", field.len + message.len);
		fwrite(field.ptr, 1, field.len, stdout);
		fwrite(message.ptr, 1, message.len, stdout);
	} else {
		printf("error: %s\n", err.text);
	}
	fflush(stdout);
	strbuf_fini(&message);
	strbuf_fini(&field);
	arena_fini(&arena);
}

static double
now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static void
bench_one(const char *name, struct dkim_signer *signer, struct dkim_key *key,
    const struct mail_content *content)
{
	struct mime_options opt = { "made-by@example.net", 1764535199540,
		"0abc123", "b-reference" };
	struct strbuf message = STRBUF_INIT, field = STRBUF_INIT;
	struct error err;
	double start, built, signed_at;
	int rounds = 3000;

	start = now_us();
	for (int i = 0; i < rounds; i++) {
		strbuf_fini(&message);
		mime_build(content, &opt, &message);
	}
	built = now_us();
	for (int i = 0; i < rounds; i++) {
		strbuf_reset(&field);
		if (dkim_sign_message(signer, key, strbuf_slice(&message),
			&field, &err) != 0)
			abort();
	}
	signed_at = now_us();
	printf("%-24s %zu octets: build %.1f us, sign %.1f us\n", name,
	    message.len, (built - start) / rounds,
	    (signed_at - built) / rounds);
	strbuf_fini(&message);
	strbuf_fini(&field);
}

static void
bench(struct dkim_signer *signer)
{
	struct strbuf pem = STRBUF_INIT, txt = STRBUF_INIT;
	struct strbuf text = STRBUF_INIT, eight = STRBUF_INIT;
	struct arena arena = ARENA_INIT;
	struct mail_content content = { .subject = SLICE("A test") };
	struct mail_address to;
	struct dkim_key *key;
	struct error err;

	if (dkim_key_generate(2048, &pem, &txt, &err) != 0 ||
	    dkim_key_new(signer, strbuf_slice(&pem), "example.net", "s1", &key,
		&err) != 0 ||
	    mail_address_parse(&arena, SLICE("A <a@example.net>"),
		&content.from, &err) != 0)
		abort();
	to = content.from;
	content.to = &to;
	content.to_count = 1;
	while (text.len < 10000) {
		strbuf_add_text(&text,
		    "The quick brown fox jumps over the lazy dog, again.\n");
		strbuf_add_text(&eight,
		    "Der schnelle braune Fuchs springt \xc3\xbc"
		    "ber den Hund.\n");
	}
	content.text = strbuf_slice(&text);
	bench_one("10 kB text, 7bit", signer, key, &content);
	content.text = strbuf_slice(&eight);
	bench_one("10 kB text, quoted", signer, key, &content);
	content.html = strbuf_slice(&text);
	content.text = (struct slice){ NULL, 0 };
	bench_one("10 kB html, text made", signer, key, &content);
	dkim_key_free(&key);
	strbuf_fini(&pem);
	strbuf_fini(&txt);
	strbuf_fini(&text);
	strbuf_fini(&eight);
	arena_fini(&arena);
}

static void
read_key(const char *path, struct strbuf *pem)
{
	char block[4096];
	FILE *f = fopen(path, "re");
	size_t n;

	if (f == NULL)
		die("%s: cannot open", path);
	while ((n = fread(block, 1, sizeof(block), f)) > 0)
		strbuf_add(pem, block, n);
	fclose(f);
}

int
main(int argc, char **argv)
{
	struct error err;
	struct dkim_signer *signer = dkim_signer_new(clock_now_ms, &err);
	struct strbuf pem = STRBUF_INIT;
	struct dkim_key *key;
	char *line = NULL;
	size_t cap = 0;
	ssize_t len;

	if (signer == NULL)
		die("%s", err.text);
	if (argc != 2)
		die("usage: mail_tool KEY.pem | --bench");
	if (strcmp(argv[1], "--bench") == 0) {
		bench(signer);
		dkim_signer_free(&signer);
		return 0;
	}
	read_key(argv[1], &pem);
	if (dkim_key_new(signer, strbuf_slice(&pem), "example.net", "s1", &key,
		&err) != 0)
		die("%s", err.text);
	while ((len = getline(&line, &cap, stdin)) > 0)
		serve(signer, key, line, (size_t)len);
	free(line);
	strbuf_fini(&pem);
	dkim_key_free(&key);
	dkim_signer_free(&signer);
	return 0;
}
