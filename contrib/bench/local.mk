# The tools of contrib/bench/compare: "make bench-tools" builds them.
bench_tools = %reldir%/sink %reldir%/load
EXTRA_PROGRAMS += $(bench_tools)
CLEANFILES += $(bench_tools)

contrib_bench_sink_SOURCES = %reldir%/sink.c %reldir%/tally.c %reldir%/tally.h
contrib_bench_sink_LDADD = src/base/libbase.a $(EVENT_OPENSSL_LIBS) \
	$(EVENT_LIBS) $(OPENSSL_LIBS)
contrib_bench_load_SOURCES = %reldir%/load.c %reldir%/tally.c %reldir%/tally.h
contrib_bench_load_LDADD = src/base/libbase.a $(EVENT_LIBS)

bench-tools: $(bench_tools)
.PHONY: bench-tools

# "make contrib/bench/bench_json": our JSON reader beside jansson.
EXTRA_PROGRAMS += %reldir%/bench_json
CLEANFILES += %reldir%/bench_json
contrib_bench_bench_json_SOURCES = %reldir%/bench_json.c \
	tests/fuzz/oracle_json.c tests/fuzz/oracle_json.h
contrib_bench_bench_json_CPPFLAGS = $(AM_CPPFLAGS) -I$(srcdir)/tests/fuzz
contrib_bench_bench_json_LDADD = src/base/libbase.a $(JANSSON_LIBS)
contrib_bench_bench_json_CFLAGS = $(AM_CFLAGS) $(JANSSON_CFLAGS)

# "make contrib/bench/bench_http": our HTTP server beside evhttp.
EXTRA_PROGRAMS += %reldir%/bench_http
CLEANFILES += %reldir%/bench_http
contrib_bench_bench_http_SOURCES = %reldir%/bench_http.c
contrib_bench_bench_http_LDADD = src/http/libhttp.a src/net/libnet.a \
	src/base/libbase.a $(EVENT_LIBS) $(OPENSSL_LIBS)

# "make contrib/bench/bench_store": what the batch statements cost PostgreSQL.
EXTRA_PROGRAMS += %reldir%/bench_store
CLEANFILES += %reldir%/bench_store
contrib_bench_bench_store_SOURCES = %reldir%/bench_store.c
contrib_bench_bench_store_LDADD = src/store/libstore.a src/model/libmodel.a \
	src/net/libnet.a src/base/libbase.a $(PQ_LIBS) $(HIREDIS_LIBS) \
	$(EVENT_LIBS) $(OPENSSL_LIBS) $(CARES_LIBS) $(CURL_LIBS)
