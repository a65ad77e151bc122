/*
 * base/config.h - a settings file read through a table.
 *
 * File form: "key = value" lines, no sections. '#' begins a comment at the
 * start of a line and after a blank. A value may be quoted with "..." to keep
 * blanks and '#'; \" and \\ stand for themselves in it. Unknown keys, repeated
 * keys and values out of range are refused with file and line number. A list
 * setting is written as values separated by blanks.
 *
 * Settings are rows of the table: the row also prints and documents itself.
 */
#ifndef BASE_CONFIG_H
#define BASE_CONFIG_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/slice.h"
#include "base/strbuf.h"

enum config_type {
	CONFIG_TEXT,	 /* char *, owned by the settings struct */
	CONFIG_BOOL,	 /* bool: yes|no, true|false, on|off */
	CONFIG_UINT,	 /* uint64_t with smallest and largest */
	CONFIG_SIZE,	 /* uint64_t octets: 10, 64k, 40M, 2G */
	CONFIG_DURATION, /* uint64_t ms: 250ms, 30s, 5m, 72h, 90d */
	CONFIG_CHOICE,	 /* int: index into choices */
	CONFIG_RATE,	 /* struct config_rate: 100/s, 60/m, 20/4s, none */
};

/* What a text must look like; NULL: anything. */
struct config_form {
	const char *wants; /* "an absolute path", for the refusal */
	bool (*accepts)(const char *value);
};

struct config_rate {
	uint64_t count; /* 0: none, that is no limit */
	uint64_t per_ms;
};

struct config_row {
	const char *key;
	enum config_type type;
	size_t offset;	      /* into the settings struct */
	const char *fallback; /* default, as it would be written; NULL: none */
	uint64_t smallest, largest; /* numbers only; largest 0: no bounds */
	const char *const *choices; /* NULL-terminated, CONFIG_CHOICE only */
	const char *help;	    /* one or more sentences */
	const struct config_form *form; /* CONFIG_TEXT only; may be NULL */
};

/* Told of each mistake: "verpost.conf:12: unknown key ...". */
typedef void config_mistake(void *ctx, const char *text);

#define CONFIG_MISTAKES_MAX 50 /* told; a note says when there are more */

/* What reading a file came to. The caller sets the first three. */
struct config_report {
	const char *name; /* of the file, for messages */
	const char *help; /* what lists the keys, for unknown ones; or NULL */
	config_mistake *mistake; /* NULL: only the first is kept */
	void *ctx;
	size_t count;	    /* of mistakes */
	struct error first; /* ERR_NONE: there is none */
	struct config_place {
		unsigned int line; /* 0: not in the file */
		bool refused;
	} * place; /* of each row; owned by the report */
};

/*
 * Fills *settings (zeroed by the caller) with defaults, then with the file's
 * values; what is refused keeps its default. Mistakes are ERR_CONFIG:
 * "verpost.conf:12: unknown key 'htpp_listen' (did you mean http_listen?)".
 * Returns -1 when there was one; config_fini and config_report_fini are the
 * caller's in any case.
 */
int config_parse(const struct config_row *rows, size_t n, struct slice text,
    void *settings, struct config_report *report) MUST_CHECK;
/*
 * The same for a part of a file that begins at line first_line. A row without
 * a default keeps what *settings holds, so that a section can differ from
 * another in a few values. Of several parts the report counts all mistakes; the
 * places are of the last one, and config_report_fini goes between them.
 */
int config_parse_part(const struct config_row *rows, size_t n,
    struct slice text, unsigned int first_line, void *settings,
    struct config_report *report) MUST_CHECK;
/* A regular file of at most 1 MB, appended to *text. */
int config_read_file(const char *path, struct strbuf *text,
    struct error *err) MUST_CHECK;
/* Reads the file, then config_parse. */
int config_load(const struct config_row *rows, size_t n, const char *path,
    void *settings, struct config_report *report) MUST_CHECK;
/*
 * One more mistake, found between values: told with the line of key, or of
 * other when key is not in the file. Nothing is told when the value of one
 * was refused: nobody knows what it would have been.
 */
void config_refuse(const struct config_row *rows, size_t n,
    struct config_report *report, const char *key, const char *other,
    const char *why);
/* The same of a line of the file; 0: of the file as a whole. */
void config_report_add(struct config_report *report, unsigned int line,
    const struct error *why);
/* The end of a report: 0, or -1 with the first mistake, and how many there are
 * when nobody was told of the others. */
int config_report_end(struct config_report *report,
    struct error *err) MUST_CHECK;
void config_report_fini(struct config_report *report);
/* Frees the texts. */
void config_fini(const struct config_row *rows, size_t n, void *settings);
/* "key = value" for every row, as now set. */
void config_print(const struct config_row *rows, size_t n, const void *settings,
    struct strbuf *out);
/* The commented example file: help, default, range of every row. */
void config_document(const struct config_row *rows, size_t n,
    struct strbuf *out);

/* "250ms", "30s", "10m": reads it as a CONFIG_DURATION. */
bool config_duration_read(struct slice text, uint64_t *ms);

#endif
