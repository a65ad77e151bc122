noinst_LIBRARIES += src/delivery/libdelivery.a
src_delivery_libdelivery_a_SOURCES = \
	include/delivery/mta.h include/delivery/trace.h \
	%reldir%/claim.c \
	%reldir%/content.c \
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
	%reldir%/publish.c \
	%reldir%/quota.c %reldir%/quota.h \
	%reldir%/renew.c \
	%reldir%/resolve.c \
	%reldir%/room.c \
	%reldir%/route.c \
	%reldir%/rules.c \
	%reldir%/scope.c %reldir%/scope.h \
	%reldir%/session.c \
	%reldir%/session_limit.c \
	%reldir%/session_mail.c \
	%reldir%/session_order.c \
	%reldir%/session_priv.h \
	%reldir%/session_said.c \
	%reldir%/session_watch.c \
	%reldir%/slot.c \
	%reldir%/slot.h \
	%reldir%/trace.c
