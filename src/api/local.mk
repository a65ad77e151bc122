noinst_LIBRARIES += src/api/libapi.a
src_api_libapi_a_SOURCES = \
	%reldir%/email_json.c include/api/email_json.h \
	%reldir%/octets.c include/api/octets.h \
	include/api/httpd.h
