noinst_LIBRARIES += src/simulator/libsimulator.a
src_simulator_libsimulator_a_SOURCES = \
	%reldir%/bouncer.c %reldir%/simulator_priv.h \
	%reldir%/capture.c \
	%reldir%/dsn.c \
	%reldir%/memory.c \
	%reldir%/script.c include/simulator/script.h \
	%reldir%/session.c \
	%reldir%/simulator.c include/simulator/simulator.h
