#include "store/removals.h"

#include "store_priv.h"

/* sql/0005_removals.sql: the look and the removal are one unit of work. */
static const struct pg_stmt stmt_remove = { "remove_sender",
	"SELECT remove_sender($1::int4, $2::int4)" };

struct call {
	const char *missing;
	store_removed *done;
	void *ctx;
};

static void
on_removed(void *ctx, const struct pg_reply *reply, const struct error *err)
{
	const struct call *call = ctx;
	struct error missing = { 0 };
	int64_t waiting = 0;

	if (err == NULL && pg_is_null(pg_row(reply, 0, 0), 0)) {
		error_set(&missing, ERR_NOTFOUND, "%s", call->missing);
		err = &missing;
	} else if (err == NULL) {
		waiting = pg_get_int8(pg_row(reply, 0, 0), 0);
	}
	call->done(call->ctx, waiting, err);
}

static struct pg_tx *
send_remove(struct pg *pg, int account, int domain, struct call how)
{
	struct pg_tx *tx = pg_tx_new(pg);
	struct call *call = pg_tx_mem(tx, sizeof(*call));

	*call = how;
	pg_tx_stmt(tx, &stmt_remove);
	pg_tx_int4(tx, account);
	pg_tx_int4(tx, domain);
	pg_tx_send(tx, on_removed, call);
	return tx;
}

struct pg_tx *
store_account_remove(struct pg *pg, int number, store_removed *done, void *ctx)
{
	return send_remove(pg, number, 0,
	    (struct call){ "no such account", done, ctx });
}

struct pg_tx *
store_domain_remove(struct pg *pg, int account, int number, store_removed *done,
    void *ctx)
{
	return send_remove(pg, account, number,
	    (struct call){ "no such domain", done, ctx });
}
