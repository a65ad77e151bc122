noinst_LIBRARIES += src/outcome/liboutcome.a
src_outcome_liboutcome_a_SOURCES = \
	%reldir%/bounced.c include/outcome/bounced.h \
	%reldir%/cancel.c include/outcome/cancel.h \
	%reldir%/canceled.c include/outcome/canceled.h \
	%reldir%/classify.c include/outcome/classify.h \
	%reldir%/consequences.c \
	%reldir%/event_data.c include/outcome/event_data.h \
	%reldir%/expire.c include/outcome/expire.h \
	%reldir%/outcome_priv.h \
	%reldir%/verdict.c include/outcome/verdict.h \
	%reldir%/waiting.c include/outcome/waiting.h \
	%reldir%/writer.c include/outcome/outcome.h
