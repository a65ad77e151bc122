noinst_LIBRARIES += src/proc/libproc.a
src_proc_libproc_a_SOURCES = \
	%reldir%/children.c include/proc/children.h \
	%reldir%/listeners.c include/proc/listeners.h \
	%reldir%/master.c include/proc/master.h \
	%reldir%/privileges.c include/proc/privileges.h \
	%reldir%/settings.c include/proc/settings.h \
	%reldir%/startup.c include/proc/startup.h \
	%reldir%/title.c include/proc/title.h \
	%reldir%/worker.c include/proc/worker.h
