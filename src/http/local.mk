noinst_LIBRARIES += src/http/libhttp.a
src_http_libhttp_a_SOURCES = \
	%reldir%/chunked.c %reldir%/chunked.h \
	%reldir%/head.c %reldir%/head.h \
	%reldir%/request.c %reldir%/request.h \
	%reldir%/response.c %reldir%/response.h \
	%reldir%/router.c %reldir%/router.h \
	%reldir%/server.c include/http/server.h \
	%reldir%/session.c %reldir%/session.h
