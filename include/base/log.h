/*
 * base/log.h - one event, one line: "<time> <level> <process> <event> k=v ..."
 *
 *   log_info(&s->log, "smtp.reply", log_uint("code", r->code),
 *       log_slice("text", r->text));
 *
 * A context inherits the fields of its parent (process, destination, job), so
 * that ids appear by themselves. Foreign text is quoted, escaped and cut, so
 * no peer can forge a line. Writes one line by one write(2) to standard error.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/slice.h"

enum log_level {
	LOG_LEVEL_ERROR, /* someone must act */
	LOG_LEVEL_WARN,	 /* odd but handled */
	LOG_LEVEL_INFO,	 /* the story */
	LOG_LEVEL_DEBUG, /* per object, switchable */
};

struct log_field {
	const char *key;
	enum { LOG_F_TEXT, LOG_F_SLICE, LOG_F_UINT, LOG_F_INT } kind;
	union {
		const char *text;
		struct slice slice;
		uint64_t u;
		int64_t i;
	};
};

struct log_ctx {
	const struct log_ctx *parent; /* borrowed, or NULL */
	struct log_field field[3];    /* borrowed texts; key NULL = unused */
};

/* The root of all contexts: role is the process name, copied. */
void log_setup(const char *role, enum log_level level);
void log_set_level(enum log_level level);
enum log_level log_level(void);
/* "error", "warn", "info", "debug"; false on anything else. */
bool log_level_parse(struct slice text, enum log_level *out);

/*
 * Where lines go instead of standard error, for tests; NULL restores it.
 * line has no LF.
 */
void log_set_sink(void (*fn)(void *ctx, enum log_level, struct slice line),
    void *ctx);

/* n fields follow the event; use the macros below. */
void log_write(enum log_level level, const struct log_ctx *ctx,
    const char *event, size_t n, const struct log_field *fields);

static inline struct log_field
log_text(const char *key, const char *text)
{
	return (struct log_field){ key, LOG_F_TEXT, { .text = text } };
}

static inline struct log_field
log_slice(const char *key, struct slice s)
{
	return (struct log_field){ key, LOG_F_SLICE, { .slice = s } };
}

static inline struct log_field
log_uint(const char *key, uint64_t u)
{
	return (struct log_field){ key, LOG_F_UINT, { .u = u } };
}

static inline struct log_field
log_int(const char *key, int64_t i)
{
	return (struct log_field){ key, LOG_F_INT, { .i = i } };
}

static inline struct log_field
log_err(const struct error *err)
{
	return log_text("error", err->text);
}

/* The leading dummy lets a call have no fields at all. */
#define LOG_FIELDS_(...)                                                       \
	(sizeof((struct log_field[]){ { 0 }, ##__VA_ARGS__ }) /                \
		sizeof(struct log_field) -                                     \
	    1),                                                                \
	    (struct log_field[]){ { 0 }, ##__VA_ARGS__ } + 1
#define log_at_(level, ctx, event, ...)                                        \
	do {                                                                   \
		if ((level) <= log_level())                                    \
			log_write(level, ctx, event,                           \
			    LOG_FIELDS_(__VA_ARGS__));                         \
	} while (0)
#define log_error(ctx, event, ...)                                             \
	log_at_(LOG_LEVEL_ERROR, ctx, event, ##__VA_ARGS__)
#define log_warn(ctx, event, ...)                                              \
	log_at_(LOG_LEVEL_WARN, ctx, event, ##__VA_ARGS__)
#define log_info(ctx, event, ...)                                              \
	log_at_(LOG_LEVEL_INFO, ctx, event, ##__VA_ARGS__)
#define log_debug(ctx, event, ...)                                             \
	log_at_(LOG_LEVEL_DEBUG, ctx, event, ##__VA_ARGS__)

#endif
