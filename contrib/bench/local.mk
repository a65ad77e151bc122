# The tools of contrib/bench/e2e: "make bench-tools" builds them.
bench_tools = %reldir%/sink %reldir%/load
EXTRA_PROGRAMS = $(bench_tools)
CLEANFILES += $(bench_tools)

contrib_bench_sink_SOURCES = %reldir%/sink.c %reldir%/tally.c %reldir%/tally.h
contrib_bench_sink_LDADD = src/base/libbase.a $(EVENT_OPENSSL_LIBS) \
	$(EVENT_LIBS) $(OPENSSL_LIBS)
contrib_bench_load_SOURCES = %reldir%/load.c %reldir%/tally.c %reldir%/tally.h
contrib_bench_load_LDADD = src/base/libbase.a $(EVENT_LIBS)

bench-tools: $(bench_tools)
.PHONY: bench-tools
