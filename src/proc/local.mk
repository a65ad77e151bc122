noinst_LIBRARIES += src/proc/libproc.a
src_proc_libproc_a_SOURCES = \
	%reldir%/children.c include/proc/children.h \
	%reldir%/keeper.c include/proc/keeper.h \
	%reldir%/listeners.c include/proc/listeners.h \
	%reldir%/master.c include/proc/master.h \
	%reldir%/privileges.c include/proc/privileges.h \
	%reldir%/pulse.c include/proc/pulse.h \
	%reldir%/role_httpd.c %reldir%/role_priv.h \
	%reldir%/role_hooks.c \
	%reldir%/role_keeper.c \
	%reldir%/role_mta.c \
	%reldir%/role_parser.c \
	%reldir%/role_simulator.c \
	%reldir%/role_smtpd.c \
	%reldir%/roles.c \
	%reldir%/runlock.c include/proc/runlock.h \
	%reldir%/settings.c include/proc/settings.h \
	%reldir%/settings_form.c %reldir%/settings_priv.h \
	%reldir%/startup.c include/proc/startup.h \
	%reldir%/startup_node.c %reldir%/startup_probe.c %reldir%/startup_priv.h \
	%reldir%/title.c include/proc/title.h \
	%reldir%/worker.c include/proc/worker.h
