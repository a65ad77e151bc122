noinst_LIBRARIES += src/model/libmodel.a
src_model_libmodel_a_SOURCES = \
	%reldir%/id.c include/model/id.h \
	%reldir%/status.c include/model/status.h \
	%reldir%/token.c include/model/token.h
