/* The list of the roles, and what their files share. */
#include <string.h>

#include "base/log.h"
#include "net/addr.h"
#include "proc/role_priv.h"
#include "store/pg.h"

/* What others lean on starts first. */
const struct role *const roles[] = {
	&role_simulator,
	&role_parser,
	&role_smtpd,
	&role_mta,
	&role_hooks,
	&role_keeper,
	&role_httpd,
	NULL,
};

static void
on_up(void *ctx)
{
	(void)ctx;
	log_info(NULL, "postgres.up");
}

static void
on_down(void *ctx, const struct error *err)
{
	(void)ctx;
	log_warn(NULL, "postgres.down", log_err(err));
}

struct pg *
role_pg(const struct worker *w, const char *name, bool batch_plans)
{
	static const struct pg_ops ops = { on_up, on_down };
	struct pg_options options = {
		.conninfo = w->settings->postgres,
		.name = name,
		.batch_plans = batch_plans,
	};

	return pg_new(w->loop, &options, &ops, NULL);
}

void
role_guard(const char *list, struct net_guard *out)
{
	struct error err = { 0 };

	if (net_guard_parse(slice_of(list), out, &err) == 0)
		return;
	/* Settings refuse what does not parse. */
	log_error(NULL, "guard", log_err(&err));
	*out = (struct net_guard){ 0 };
}
