# Migrations, in order; contrib/embed puts them into the binary.
migrations = \
	sql/0001_tables.sql \
	sql/0002_quota.sql \
	sql/0003_rules.sql \
	sql/0004_attempts.sql \
	sql/0005_removals.sql \
	sql/0006_removed_quota.sql

src/store/migrations.c: $(migrations) contrib/embed src/store/$(am__dirstamp)
	$(AM_V_GEN)cd $(srcdir) && sh contrib/embed migrations $(migrations) \
		> $(abs_builddir)/$@-t && mv $(abs_builddir)/$@-t $(abs_builddir)/$@
CLEANFILES += src/store/migrations.c src/store/migrations.c-t

noinst_LIBRARIES += src/store/libstore.a
nodist_src_store_libstore_a_SOURCES = src/store/migrations.c
src_store_libstore_a_SOURCES = \
	%reldir%/accept.c include/store/accept.h \
	%reldir%/accounts.c include/store/accounts.h \
	%reldir%/attempts.c include/store/attempts.h \
	%reldir%/backlog.c include/store/backlog.h \
	%reldir%/cancel.c include/store/cancel.h \
	%reldir%/contents.c include/store/contents.h \
	%reldir%/deliveries.c \
	%reldir%/domains.c include/store/domains.h \
	%reldir%/emails.c include/store/emails.h \
	%reldir%/jobs.c include/store/jobs.h \
	%reldir%/keys.c include/store/keys.h \
	%reldir%/leader.c include/store/leader.h \
	%reldir%/migrate.c include/store/migrate.h \
	%reldir%/outcomes.c include/store/outcomes.h \
	%reldir%/partitions.c include/store/partitions.h \
	%reldir%/pg.c include/store/pg.h %reldir%/pg_priv.h \
	%reldir%/pg_reply.c %reldir%/pg_tx.c %reldir%/pg_wire.c \
	%reldir%/quota.c include/store/quota.h \
	%reldir%/recent.c include/store/recent.h \
	%reldir%/redis.c include/store/redis.h \
	%reldir%/redis_reply.c \
	%reldir%/removals.c include/store/removals.h \
	%reldir%/returns.c include/store/returns.h \
	%reldir%/rules.c include/store/rules.h \
	%reldir%/simulator.c include/store/simulator.h \
	%reldir%/sources.c include/store/sources.h \
	%reldir%/store.c %reldir%/store_priv.h \
	%reldir%/suppressions.c include/store/suppressions.h \
	%reldir%/walks.c include/store/walks.h \
	%reldir%/webhooks.c include/store/webhooks.h \
	%reldir%/workers.c include/store/workers.h
