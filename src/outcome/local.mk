noinst_LIBRARIES += src/outcome/liboutcome.a
src_outcome_liboutcome_a_SOURCES = \
	%reldir%/verdict.c include/outcome/verdict.h
