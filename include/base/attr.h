/* base/attr.h - compiler attributes and the few macros everything uses. */
#ifndef BASE_ATTR_H
#define BASE_ATTR_H

#include <stddef.h>

#define MUST_CHECK __attribute__((warn_unused_result))
#define PRINTF_LIKE(fmt, first) __attribute__((format(printf, fmt, first)))
#define NORETURN __attribute__((noreturn))
#define UNUSED __attribute__((unused))

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))

/* The struct of type that holds ptr as its member. */
#define container_of(ptr, type, member)                                        \
	((type *)(void *)((char *)(ptr)-offsetof(type, member)))

/*
 * Aborts with a message when x is false. Always compiled in: for our own
 * mistakes only, never for what a peer, user, DNS answer or row can cause.
 */
#define invariant(x) ((x) ? (void)0 : invariant_failed(#x, __FILE__, __LINE__))
NORETURN void invariant_failed(const char *what, const char *file, int line);

/* Objects that travel through void * begin with a magic number. */
#define OBJ_CHECK(obj, number)                                                 \
	invariant((obj) != NULL && (obj)->magic == (number))

#endif
