/*
 * libnss_cm4all_logname.so.2: a glibc NSS module that pretends that
 * /etc/passwd has an entry for the current uid, and /etc/group one for the
 * current gid, both named $LOGNAME.
 *
 * It is for containers whose processes run under a uid that has no entry in a
 * passwd file. cm4all-logname(8) puts the service last in nsswitch.conf, so
 * every real account and group takes precedence.
 *
 * The protocol of the entry points (GNU C Library manual, "NSS Modules
 * Interface"): strings go into the caller's buffer. If the buffer is too
 * small, the result is NSS_STATUS_TRYAGAIN with ERANGE, and the caller tries
 * again with a larger one. If there is no entry, the result is
 * NSS_STATUS_NOTFOUND with ENOENT.
 *
 * Every lookup reads the environment with secure_getenv(3). As with getenv(3), no
 * other thread may change the environment at the same time.
 */
#define _GNU_SOURCE /* secure_getenv */

#include <errno.h>
#include <grp.h>
#include <nss.h>
#include <pwd.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ENTRY_POINT __attribute__((visibility("default"))) enum nss_status

/** Returns true if this may be a field of a line of a passwd file. */
static bool
is_field(const char *s)
{
	return strpbrk(s, ":\n") == NULL;
}

/**
 * Returns true if strtoul(3) would read this as a number. chown(1) and other programs look a word
 * up as a name before they read it as a uid, so a name that is a number would take the place of
 * somebody else's uid.
 */
static bool
is_number(const char *s)
{
	s += strspn(s, " \t\n\v\f\r");
	if (*s == '+' || *s == '-')
		++s;
	size_t digits = strspn(s, "0123456789");
	return digits > 0 && s[digits] == '\0';
}

/** The user whom the environment describes; the strings belong to the environment. */
struct user {
	const char *name, *home, *shell;
};

/** Reads the user. @return false if there is no such user, or if the environment is not trusted */
static bool
read_user(struct user *user)
{
	/* all three are NULL in a program that is set-uid or set-gid, or has
	   file capabilities, because its caller chose the environment */
	user->name = secure_getenv("LOGNAME");
	user->home = secure_getenv("HOME");
	user->shell = secure_getenv("SHELL");

	if (user->shell == NULL || !is_field(user->shell))
		user->shell = "/bin/sh";

	return user->name != NULL && user->name[0] != '\0' &&
		is_field(user->name) &&
		user->home != NULL && is_field(user->home);
}

/** The rest of the buffer that the caller has passed. */
struct space {
	char *next;
	size_t size;
};

/** Copies a string. @return the copy, or NULL if it does not fit */
static char *
copy_string(struct space *space, const char *s)
{
	size_t size = strlen(s) + 1;
	if (size > space->size)
		return NULL;

	char *copy = memcpy(space->next, s, size);
	space->next += size;
	space->size -= size;
	return copy;
}

/** Makes an empty list. @return the list, aligned, or NULL if it does not fit */
static char **
make_empty_list(struct space *space)
{
	size_t padding = -(uintptr_t)space->next % _Alignof(char *);
	if (space->size < padding ||
	    space->size - padding < sizeof(char *))
		return NULL;

	char **list = (char **)(void *)(space->next + padding);
	list[0] = NULL;
	space->next += padding + sizeof(char *);
	space->size -= padding + sizeof(char *);
	return list;
}

static enum nss_status
not_found(int *errnop)
{
	*errnop = ENOENT;
	return NSS_STATUS_NOTFOUND;
}

static enum nss_status
too_small(int *errnop)
{
	*errnop = ERANGE;
	return NSS_STATUS_TRYAGAIN;
}

static enum nss_status
return_user(const struct user *user, struct passwd *result,
	    char *buffer, size_t size, int *errnop)
{
	struct space space = { buffer, size };

	/* all strings go into the buffer, even the constant ones: callers write
	   to them, for example to wipe the password */
	struct passwd entry = {
		.pw_name = copy_string(&space, user->name),
		.pw_passwd = copy_string(&space, "x"),
		.pw_uid = geteuid(),
		.pw_gid = getegid(),
		.pw_gecos = copy_string(&space, user->name),
		.pw_dir = copy_string(&space, user->home),
		.pw_shell = copy_string(&space, user->shell),
	};

	if (entry.pw_name == NULL || entry.pw_passwd == NULL ||
	    entry.pw_gecos == NULL || entry.pw_dir == NULL ||
	    entry.pw_shell == NULL)
		return too_small(errnop);

	*result = entry;
	return NSS_STATUS_SUCCESS;
}

ENTRY_POINT
_nss_cm4all_logname_getpwnam_r(const char *name, struct passwd *result,
			       char *buffer, size_t size, int *errnop)
{
	struct user user;
	if (!read_user(&user) || strcmp(name, user.name) != 0 ||
	    is_number(name))
		return not_found(errnop);

	return return_user(&user, result, buffer, size, errnop);
}

ENTRY_POINT
_nss_cm4all_logname_getpwuid_r(uid_t uid, struct passwd *result,
			       char *buffer, size_t size, int *errnop)
{
	struct user user;
	if (uid != geteuid() || !read_user(&user))
		return not_found(errnop);

	return return_user(&user, result, buffer, size, errnop);
}

/**
 * True after getpwent_r() has returned the only entry. There is one position for the whole
 * process, as for getpwent(3) in POSIX; it is atomic, because glibc's lock around the
 * enumeration is not part of the interface.
 */
static atomic_bool at_end;

ENTRY_POINT
_nss_cm4all_logname_setpwent(int stay_open)
{
	(void)stay_open; /* nothing is ever open */
	atomic_store(&at_end, false);
	return NSS_STATUS_SUCCESS;
}

ENTRY_POINT
_nss_cm4all_logname_endpwent(void)
{
	atomic_store(&at_end, false);
	return NSS_STATUS_SUCCESS;
}

ENTRY_POINT
_nss_cm4all_logname_getpwent_r(struct passwd *result,
			       char *buffer, size_t size, int *errnop)
{
	struct user user;
	if (atomic_load(&at_end) || !read_user(&user))
		return not_found(errnop);

	/* the position moves only when the entry is complete, so that a caller
	   with a short buffer can try again; two threads may both get here,
	   and only the one that moves the position returns the entry */
	enum nss_status status =
		return_user(&user, result, buffer, size, errnop);
	if (status == NSS_STATUS_SUCCESS && atomic_exchange(&at_end, true))
		return not_found(errnop);

	return status;
}

/**
 * The only entry point for groups: there is neither a lookup by name nor an
 * initgroups_dyn(), so the module cannot make anybody a member of a group.
 */
ENTRY_POINT
_nss_cm4all_logname_getgrgid_r(gid_t gid, struct group *result,
			       char *buffer, size_t size, int *errnop)
{
	struct user user;
	if (gid != getegid() || !read_user(&user))
		return not_found(errnop);

	struct space space = { buffer, size };
	struct group entry = {
		.gr_name = copy_string(&space, user.name),
		.gr_passwd = copy_string(&space, "x"),
		.gr_gid = gid,
		.gr_mem = make_empty_list(&space),
	};

	if (entry.gr_name == NULL || entry.gr_passwd == NULL ||
	    entry.gr_mem == NULL)
		return too_small(errnop);

	*result = entry;
	return NSS_STATUS_SUCCESS;
}
