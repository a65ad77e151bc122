noinst_LIBRARIES += src/delivery/libdelivery.a
src_delivery_libdelivery_a_SOURCES = \
	include/delivery/mta.h \
	%reldir%/claim.c \
	%reldir%/delivery_priv.h \
	%reldir%/dest.c %reldir%/dest_priv.h \
	%reldir%/dest_links.c \
	%reldir%/dest_table.c \
	%reldir%/finish.c \
	%reldir%/identity.c \
	%reldir%/job.c \
	%reldir%/lease.c \
	%reldir%/limit.c %reldir%/limit.h \
	%reldir%/message.c \
	%reldir%/mta.c \
	%reldir%/owner.c \
	%reldir%/quota.c %reldir%/quota.h \
	%reldir%/room.c \
	%reldir%/route.c \
	%reldir%/scope.c %reldir%/scope.h \
	%reldir%/session.c
