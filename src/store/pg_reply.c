#include <endian.h>
#include <string.h>

#include "base/log.h"
#include "pg_priv.h"

/*
 * Reading results. Columns come in binary, their types follow from our own
 * SQL. A column of another type than asked for is a mistake between this
 * program and the schema: it reads as NULL and is logged, because no row may
 * abort a process.
 */

size_t
pg_rows(const struct pg_reply *reply, size_t stmt)
{
	invariant(stmt < reply->tx->result_count);
	return (size_t)PQntuples(reply->tx->result[stmt]);
}

size_t
pg_affected(const struct pg_reply *reply, size_t stmt)
{
	uint64_t n = 0;

	invariant(stmt < reply->tx->result_count);
	if (!slice_to_u64(slice_of(PQcmdTuples(reply->tx->result[stmt])), &n))
		return 0;
	return (size_t)n;
}

struct pg_row
pg_row(const struct pg_reply *reply, size_t stmt, size_t n)
{
	invariant(n < pg_rows(reply, stmt));
	return (struct pg_row){ reply, stmt, n };
}

static const PGresult *
result_of(struct pg_row row)
{
	return row.reply->tx->result[row.stmt];
}

bool
pg_is_null(struct pg_row row, int col)
{
	return PQgetisnull(result_of(row), (int)row.n, col) != 0;
}

/* The octets of a value of that size (0: any); NULL when there is none. */
static const char *
value_of(struct pg_row row, int col, size_t size, const char *what)
{
	const PGresult *res = result_of(row);

	if (pg_is_null(row, col))
		return NULL;
	if (size > 0 && (size_t)PQgetlength(res, (int)row.n, col) != size) {
		log_error(NULL, "pg.type", log_text("wanted", what),
		    log_uint("oid", PQftype(res, col)),
		    log_text("column", PQfname(res, col)),
		    log_text("statement",
			row.reply->tx->stmt[row.stmt].stmt->name));
		return NULL;
	}
	return PQgetvalue(res, (int)row.n, col);
}

bool
pg_get_bool(struct pg_row row, int col)
{
	const char *v = value_of(row, col, 1, "bool");

	return v != NULL && *v != 0;
}

int
pg_get_int2(struct pg_row row, int col)
{
	const char *v = value_of(row, col, 2, "int2");
	uint16_t be = 0;

	if (v != NULL)
		memcpy(&be, v, sizeof(be));
	return (int16_t)be16toh(be);
}

int32_t
pg_get_int4(struct pg_row row, int col)
{
	const char *v = value_of(row, col, 4, "int4");
	uint32_t be = 0;

	if (v != NULL)
		memcpy(&be, v, sizeof(be));
	return (int32_t)be32toh(be);
}

static int64_t
get_int8(struct pg_row row, int col, const char *what, bool *is_null)
{
	const char *v = value_of(row, col, 8, what);
	uint64_t be = 0;

	*is_null = v == NULL;
	if (v != NULL)
		memcpy(&be, v, sizeof(be));
	return (int64_t)be64toh(be);
}

int64_t
pg_get_int8(struct pg_row row, int col)
{
	bool is_null;

	return get_int8(row, col, "int8", &is_null);
}

int64_t
pg_get_time(struct pg_row row, int col)
{
	bool is_null;
	int64_t us = get_int8(row, col, "timestamptz", &is_null);

	if (is_null)
		return 0;
	us = MAX(us, (PG_TIME_LEAST_MS - PG_EPOCH_MS) * 1000); /* -infinity */
	us = MIN(us, (PG_TIME_MOST_MS - PG_EPOCH_MS) * 1000);
	/* Downwards, also before 2000. */
	return (us >= 0 ? us / 1000 : -((999 - us) / 1000)) + PG_EPOCH_MS;
}

struct id
pg_get_id(struct pg_row row, int col)
{
	const char *v = value_of(row, col, sizeof(struct id), "uuid");
	struct id out = { { 0 } };

	if (v != NULL)
		memcpy(out.b, v, sizeof(out.b));
	return out;
}

struct slice
pg_get_text(struct pg_row row, int col)
{
	const char *v = value_of(row, col, 0, "text");

	if (v == NULL)
		return (struct slice){ NULL, 0 };
	return slice_mem(v,
	    (size_t)PQgetlength(result_of(row), (int)row.n, col));
}
