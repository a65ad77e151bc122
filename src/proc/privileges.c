/*
 * Everything that needs root (ports, reading the key file) happens in the
 * master before a child exists; a child gives up all of it before it reads
 * the first foreign octet.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <libgen.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "proc/privileges.h"

static int
find_group(const char *group, gid_t *gid, struct error *err)
{
	const struct group *gr;

	if (group[0] == '\0')
		return 0;
	gr = getgrnam(group);
	if (gr == NULL)
		return error_set(err, ERR_CONFIG,
		    "there is no group '%s' on this machine: create it or set "
		    "'group'",
		    group);
	*gid = gr->gr_gid;
	return 0;
}

int
identity_find(const char *user, const char *group, struct identity *out,
    struct error *err)
{
	struct identity who = { .uid = geteuid(), .gid = getegid() };
	const struct passwd *pw;

	if (who.uid != 0) {
		snprintf(who.name, sizeof(who.name), "uid %ld", (long)who.uid);
		*out = who;
		return 0;
	}
	if (user[0] == '\0')
		return error_set(err, ERR_CONFIG,
		    "started as root with no 'user' to change to: set 'user'");
	pw = getpwnam(user);
	if (pw == NULL)
		return error_set(err, ERR_CONFIG,
		    "there is no user '%s' on this machine: adduser --system "
		    "--group --no-create-home %s, or set 'user'",
		    user, user);
	if (pw->pw_uid == 0)
		return error_set(err, ERR_CONFIG,
		    "user '%s' is root itself: set 'user' to an account "
		    "without privileges",
		    user);
	who.change = true;
	who.uid = pw->pw_uid;
	who.gid = pw->pw_gid;
	snprintf(who.name, sizeof(who.name), "%s", user);
	if (find_group(group, &who.gid, err) != 0)
		return -1;
	*out = who;
	return 0;
}

static int
drop_capabilities(struct error *err)
{
	cap_t none = cap_init();
	int rc;

	if (none == NULL)
		return error_sys(err, "allocating capabilities");
	rc = cap_set_proc(none);
	if (rc != 0)
		rc = error_sys(err, "dropping capabilities");
	cap_free(none);
	return rc;
}

int
identity_assume(const struct identity *who, struct error *err)
{
	if (who->change) {
		if (setgroups(0, NULL) != 0)
			return error_sys(err, "dropping groups");
		if (setresgid(who->gid, who->gid, who->gid) != 0)
			return error_sys(err, "changing to group %ld",
			    (long)who->gid);
		if (setresuid(who->uid, who->uid, who->uid) != 0)
			return error_sys(err, "changing to user %s", who->name);
		if (setuid(0) == 0)
			return error_set(err, ERR_SYS,
			    "could become root again after changing to %s",
			    who->name);
	}
	if (drop_capabilities(err) != 0)
		return -1;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		return error_sys(err, "setting no_new_privs");
	return 0;
}

/* The one rule for directories; fd is its own, or of one just made. */
static int
check_owner(const struct identity *who, const char *path, int fd,
    struct error *err)
{
	struct stat st;

	if (fstat(fd, &st) != 0)
		return error_sys(err, "looking at directory %s", path);
	if (st.st_uid != who->uid)
		return error_set(err, ERR_CONFIG,
		    "directory %s belongs to uid %ld, not to %s: chown it, or "
		    "name another one",
		    path, (long)st.st_uid, who->name);
	return 0;
}

static int
open_dir(const char *path, struct error *err)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0)
		return error_sys(err, "opening directory %s", path);
	return fd;
}

int
identity_make_dir(const struct identity *who, const char *path, mode_t mode,
    struct error *err)
{
	bool made = mkdir(path, mode) == 0;
	int fd, rc;

	if (!made && errno != EEXIST)
		return error_sys(err, "creating directory %s", path);
	fd = open_dir(path, err);
	if (fd < 0)
		return -1;
	/* An existing one is never given away: it might be /run itself. */
	if (made && who->change && fchown(fd, who->uid, who->gid) != 0)
		rc = error_sys(err, "giving directory %s to %s", path,
		    who->name);
	else if (made && fchmod(fd, mode) != 0)
		rc = error_sys(err, "setting the mode of directory %s", path);
	else
		rc = check_owner(who, path, fd, err);
	close(fd);
	return rc;
}

/* Whether mkdir would make it: what holds it is there and ours to write. */
static int
check_parent(const char *path, struct error *err)
{
	char *parent = xstrdup(path);
	int rc = 0;

	if (access(dirname(parent), W_OK | X_OK) != 0)
		rc = error_sys(err, "creating directory %s", path);
	free(parent);
	return rc;
}

int
identity_check_dir(const struct identity *who, const char *path, bool *missing,
    struct error *err)
{
	struct stat st;
	int fd, rc;

	*missing = lstat(path, &st) != 0 && errno == ENOENT;
	if (*missing)
		return check_parent(path, err);
	fd = open_dir(path, err);
	if (fd < 0)
		return -1;
	rc = check_owner(who, path, fd, err);
	close(fd);
	return rc;
}
