/*
 * proc/privileges.h - who a process runs as, and giving up the rest.
 */
#ifndef PROC_PRIVILEGES_H
#define PROC_PRIVILEGES_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/error.h"

struct identity {
	bool change; /* false: already who we should be, or not root */
	uid_t uid;
	gid_t gid;
	char name[64];
};

/*
 * Looks the user and group up; call it in the master, before chroots and
 * forks. Started as root, user must name someone else than root; started as
 * anybody else, there is nothing to change to. group "" means the user's own.
 */
int identity_find(const char *user, const char *group, struct identity *out,
    struct error *err) MUST_CHECK;

/*
 * Becomes that user for good: no supplementary groups, no capabilities, no
 * new privileges through exec, and checks that there is no way back. Also
 * drops capabilities when change is false.
 */
int identity_assume(const struct identity *who, struct error *err) MUST_CHECK;

/*
 * Makes the directory if it is missing and gives it to who. An existing one
 * must be a directory, no symlink, that who owns already.
 */
int identity_make_dir(const struct identity *who, const char *path, mode_t mode,
    struct error *err) MUST_CHECK;
/* Whether identity_make_dir would succeed, without making anything. */
int identity_check_dir(const struct identity *who, const char *path,
    bool *missing, struct error *err) MUST_CHECK;

#endif
