#include "store/rules.h"

#include "base/arena.h"
#include "base/attr.h"
#include "store_priv.h"

/* One statement, so that list and generation are of one moment. */
static const struct pg_stmt stmt_list = { "rule_list",
	"SELECT g.generation, r.number, r.id, r.kind = 'cancel', r.scope, "
	"r.value, coalesce(r.account, 0), r.reason, r.issued_at, r.expires_at "
	"FROM rule_state g LEFT JOIN rules r ON r.expires_at IS NULL "
	"OR r.expires_at > $1::timestamptz WHERE g.one ORDER BY r.number" };

static const struct pg_stmt stmt_add = { "rule_add",
	"INSERT INTO rules AS r (id, kind, scope, value, account, reason, "
	"issued_at, expires_at) SELECT $1::uuid, $2::text, $3::text, "
	"$4::text, nullif($5::int4, 0), $6::text, $7::timestamptz, "
	"$8::timestamptz WHERE (SELECT count(*) FROM rules) < $9::int8 "
	"ON CONFLICT (scope, value, coalesce(account, 0)) "
	"WHERE kind = 'hold' DO UPDATE SET reason = excluded.reason, "
	"expires_at = excluded.expires_at" };

static const struct pg_stmt stmt_release = { "rule_release",
	"DELETE FROM rules WHERE kind = 'hold' AND scope = $1::text "
	"AND value = $2::text AND coalesce(account, 0) = $3::int4" };

/*
 * A cancel is done when nothing unfinished is left that is older than it; the
 * ten minutes are for what was on its way into the database when it was issued.
 */
static const struct pg_stmt stmt_trim = { "rule_trim",
	"DELETE FROM rules c WHERE c.expires_at <= $1::timestamptz "
	"OR (c.kind = 'cancel' AND c.issued_at < $1 - interval '10 minutes' "
	"AND NOT EXISTS (SELECT FROM recipients r "
	"WHERE r.finished_at IS NULL AND r.id < id_floor(c.issued_at)))" };

static const char *const kinds[] = { "hold", "cancel" };
static const char *const scopes[] = { "domain", "account", "tag", "source" };

const char *
store_rule_kind_name(enum store_rule_kind k)
{
	return kinds[k];
}

const char *
store_rule_scope_name(enum store_rule_scope s)
{
	return scopes[s];
}

bool
store_rule_scope_parse(struct slice text, enum store_rule_scope *out)
{
	for (size_t i = 0; i < ARRAY_LEN(scopes); i++)
		if (slice_eq_text(text, scopes[i])) {
			*out = (enum store_rule_scope)i;
			return true;
		}
	return false;
}

struct list_call {
	store_rules_got *done;
	void *ctx;
};

static void
on_list(void *ctx, const struct pg_reply *reply, const struct error *err)
{
	const struct list_call *call = ctx;
	struct store_rule *all;
	size_t rows, n = 0;

	if (err != NULL) {
		call->done(call->ctx, NULL, 0, 0, err);
		return;
	}
	rows = pg_rows(reply, 0);
	all = store_reply_mem(reply, rows, sizeof(*all));
	for (size_t i = 0; i < rows; i++) {
		struct pg_row row = pg_row(reply, 0, i);
		struct store_rule *r = &all[n];

		if (pg_is_null(row, 1) ||
		    !store_rule_scope_parse(pg_get_text(row, 4), &r->scope))
			continue;
		r->number = pg_get_int4(row, 1);
		r->id = pg_get_id(row, 2);
		r->kind = pg_get_bool(row, 3) ? RULE_CANCEL : RULE_HOLD;
		r->value = pg_get_text(row, 5);
		r->account = pg_get_int4(row, 6);
		r->reason = pg_get_text(row, 7);
		r->issued_at_ms = pg_get_time(row, 8);
		r->expires_at_ms = pg_get_time(row, 9);
		n++;
	}
	call->done(call->ctx, all, n,
	    rows > 0 ? pg_get_int4(pg_row(reply, 0, 0), 0) : 0, NULL);
}

struct pg_tx *
store_rule_list(struct pg *pg, int64_t now_ms, store_rules_got *done, void *ctx)
{
	struct pg_tx *tx = pg_tx_new(pg);
	struct list_call *call = pg_tx_mem(tx, sizeof(*call));

	*call = (struct list_call){ done, ctx };
	pg_tx_stmt(tx, &stmt_list);
	pg_tx_time(tx, now_ms);
	pg_tx_send(tx, on_list, call);
	return tx;
}

struct add_call {
	store_done *done;
	void *ctx;
};

static void
on_added(void *ctx, const struct pg_reply *reply, const struct error *err)
{
	const struct add_call *call = ctx;
	struct error full = { 0 };

	if (err == NULL && pg_affected(reply, 0) == 0) {
		error_set(&full, ERR_LIMIT,
		    "there are %d rules already: release some holds, or cancel "
		    "by something wider",
		    STORE_RULES_MAX);
		err = &full;
	}
	call->done(call->ctx, err);
}

struct pg_tx *
store_rule_add(struct pg *pg, const struct store_rule *rule, store_done *done,
    void *ctx)
{
	struct pg_tx *tx = pg_tx_new(pg);
	struct add_call *call = pg_tx_mem(tx, sizeof(*call));

	*call = (struct add_call){ done, ctx };
	pg_tx_stmt(tx, &stmt_add);
	pg_tx_id(tx, rule->id);
	pg_tx_text(tx, slice_of(kinds[rule->kind]));
	pg_tx_text(tx, slice_of(scopes[rule->scope]));
	pg_tx_text(tx, rule->value);
	pg_tx_int4(tx, rule->account);
	pg_tx_text(tx, rule->reason);
	pg_tx_time(tx, rule->issued_at_ms);
	pg_tx_time(tx, rule->expires_at_ms);
	pg_tx_int8(tx, STORE_RULES_MAX);
	pg_tx_send(tx, on_added, call);
	return tx;
}

struct pg_tx *
store_rule_release(struct pg *pg, enum store_rule_scope scope,
    struct slice value, int account, store_done *done, void *ctx)
{
	struct pg_tx *tx = pg_tx_new(pg);

	pg_tx_stmt(tx, &stmt_release);
	pg_tx_text(tx, slice_of(scopes[scope]));
	pg_tx_text(tx, value);
	pg_tx_int4(tx, account);
	return store_send(tx, "no such hold", done, ctx);
}

struct pg_tx *
store_rule_trim(struct pg *pg, int64_t now_ms, store_done *done, void *ctx)
{
	struct pg_tx *tx = pg_tx_new(pg);

	pg_tx_stmt(tx, &stmt_trim);
	pg_tx_time(tx, now_ms);
	return store_send(tx, NULL, done, ctx);
}

struct store_rule *
store_rules_copy(struct arena *arena, const struct store_rule *rule,
    size_t count)
{
	struct store_rule *out = arena_calloc(arena, count + 1, sizeof(*out));

	for (size_t i = 0; i < count; i++) {
		out[i] = rule[i];
		out[i].value = arena_slice(arena, rule[i].value);
		out[i].reason = arena_slice(arena, rule[i].reason);
	}
	return out;
}
