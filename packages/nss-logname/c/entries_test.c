/*
 * Tests every entry point with buffers of every size from 0 up, at every
 * alignment, and with every kind of environment. The test is run under UBSan,
 * and under AddressSanitizer and valgrind, which notice a write beyond the end
 * of a buffer; so the tests of sizes allocate buffers without a spare byte.
 */
#include "check.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

enum { MAX_ALIGNMENT = 16 };

static void
set_user(const char *name, const char *home, const char *shell)
{
	const char *const values[][2] = {
		{ "LOGNAME", name }, { "HOME", home }, { "SHELL", shell },
	};
	for (size_t i = 0; i < 3; ++i) {
		if (values[i][1] != NULL)
			setenv(values[i][0], values[i][1], 1);
		else
			unsetenv(values[i][0]);
	}
}

/* The lookups, with a common signature. */

typedef enum nss_status lookup(void *result, char *buffer, size_t size,
			       int *errnop);

static enum nss_status
by_name(void *result, char *buffer, size_t size, int *errnop)
{
	const char *name = getenv("LOGNAME");
	return _nss_cm4all_logname_getpwnam_r(name != NULL ? name : "alice",
					      result, buffer, size, errnop);
}

static enum nss_status
by_uid(void *result, char *buffer, size_t size, int *errnop)
{
	return _nss_cm4all_logname_getpwuid_r(geteuid(), result, buffer, size,
					      errnop);
}

static enum nss_status
next_entry(void *result, char *buffer, size_t size, int *errnop)
{
	return _nss_cm4all_logname_getpwent_r(result, buffer, size, errnop);
}

static enum nss_status
by_gid(void *result, char *buffer, size_t size, int *errnop)
{
	return _nss_cm4all_logname_getgrgid_r(getegid(), result, buffer, size,
					      errnop);
}

static lookup *const passwd_lookups[] = { by_name, by_uid, next_entry };

/** Checks that the string is as expected, is writable, and lies with its NUL inside the buffer. */
static void
check_field(char *field, const char *expected, char *buffer, size_t size)
{
	check(field >= buffer && field < buffer + size);
	size_t length = strnlen(field, (size_t)(buffer + size - field));
	check(field + length < buffer + size);
	check(strcmp(field, expected) == 0);
	memset(field, 'w', length);
}

static void
check_passwd(struct passwd *pw, const char *name, const char *home,
	     const char *shell, char *buffer, size_t size)
{
	check(pw->pw_uid == geteuid());
	check(pw->pw_gid == getegid());
	check_field(pw->pw_name, name, buffer, size);
	check_field(pw->pw_passwd, "x", buffer, size);
	check_field(pw->pw_gecos, name, buffer, size);
	check_field(pw->pw_dir, home, buffer, size);
	check_field(pw->pw_shell, shell, buffer, size);
}

static void
check_group(struct group *gr, const char *name, char *buffer, size_t size)
{
	char *members = (char *)gr->gr_mem;
	check(gr->gr_gid == getegid());
	check(members >= buffer && members + sizeof(char *) <= buffer + size);
	check((uintptr_t)members % _Alignof(char *) == 0);
	check(gr->gr_mem[0] == NULL);
	check_field(gr->gr_name, name, buffer, size);
	check_field(gr->gr_passwd, "x", buffer, size);
	check(gr->gr_mem[0] == NULL);
}

/** Tests every size from 0 to well above what is needed, at one alignment. */
static void
test_passwd_sizes(lookup *f, size_t offset)
{
	const size_t needed = sizeof("alice") + sizeof("x") + sizeof("alice") +
		sizeof("/home/alice") + sizeof("/bin/zsh");

	for (size_t size = 0; size <= needed + 40; ++size) {
		char *allocation = malloc(offset + size);
		struct passwd pw;
		memset(&pw, 0xee, sizeof(pw));
		int error = 4711;

		_nss_cm4all_logname_setpwent(0);
		enum nss_status status =
			f(&pw, allocation + offset, size, &error);
		if (size < needed) {
			check(status == NSS_STATUS_TRYAGAIN);
			check(error == ERANGE);
		} else {
			check(status == NSS_STATUS_SUCCESS);
			check(error == 4711);
			check_passwd(&pw, "alice", "/home/alice", "/bin/zsh",
				     allocation + offset, size);
		}
		free(allocation);
	}
}

static void
test_group_sizes(size_t offset)
{
	const size_t strings = sizeof("alice") + sizeof("x");

	size_t smallest = SIZE_MAX;
	for (size_t size = 0; size <= strings + 60; ++size) {
		char *allocation = malloc(offset + size);
		struct group gr;
		memset(&gr, 0xee, sizeof(gr));
		int error = 4711;

		enum nss_status status =
			by_gid(&gr, allocation + offset, size, &error);
		if (status == NSS_STATUS_SUCCESS) {
			if (size < smallest)
				smallest = size;
			check(error == 4711);
			check_group(&gr, "alice", allocation + offset, size);
		} else {
			/* once a buffer is large enough, any larger one is too */
			check(size < smallest);
			check(status == NSS_STATUS_TRYAGAIN);
			check(error == ERANGE);
		}
		free(allocation);
	}

	/* needs only the strings, one pointer and its alignment */
	check(smallest >= strings + sizeof(char *));
	check(smallest < strings + 2 * sizeof(char *));
}

static void
test_sizes(void)
{
	set_user("alice", "/home/alice", "/bin/zsh");
	for (size_t offset = 0; offset < MAX_ALIGNMENT; ++offset) {
		for (size_t i = 0; i < 3; ++i)
			test_passwd_sizes(passwd_lookups[i], offset);
		test_group_sizes(offset);
	}

	/* no buffer at all */
	for (size_t i = 0; i < 3; ++i) {
		struct passwd pw;
		int error = 0;
		_nss_cm4all_logname_setpwent(0);
		check(passwd_lookups[i](&pw, NULL, 0, &error) ==
		      NSS_STATUS_TRYAGAIN && error == ERANGE);
	}
	struct group gr;
	int error = 0;
	check(by_gid(&gr, NULL, 0, &error) == NSS_STATUS_TRYAGAIN &&
	      error == ERANGE);
}

/** Checks that no lookup finds anything, whatever the buffer's size. */
static void
check_nobody(void)
{
	char buffer[4096];
	for (size_t size = 0; size <= sizeof(buffer); size += sizeof(buffer)) {
		for (size_t i = 0; i < 4; ++i) {
			struct passwd pw;
			struct group gr;
			int error = 0;
			_nss_cm4all_logname_setpwent(0);
			enum nss_status status = i < 3
				? passwd_lookups[i](&pw, buffer, size, &error)
				: by_gid(&gr, buffer, size, &error);
			check(status == NSS_STATUS_NOTFOUND);
			check(error == ENOENT);
		}
	}
}

/** Checks that all lookups find this user. */
static void
check_user(const char *name, const char *home, const char *shell)
{
	char buffer[4096];
	int error = 0;
	for (size_t i = 0; i < 3; ++i) {
		struct passwd pw;
		_nss_cm4all_logname_setpwent(0);
		check(passwd_lookups[i](&pw, buffer, sizeof(buffer), &error) ==
		      NSS_STATUS_SUCCESS);
		check_passwd(&pw, name, home, shell, buffer, sizeof(buffer));
	}

	struct group gr;
	check(by_gid(&gr, buffer, sizeof(buffer), &error) ==
	      NSS_STATUS_SUCCESS);
	check_group(&gr, name, buffer, sizeof(buffer));
}

static void
test_names(void)
{
	static char long_name[1001];
	memset(long_name, 'n', sizeof(long_name) - 1);
	const char *const good[] = {
		"a", "A", "_", "alice", "alice.smith", "www-data", "host$",
		"user@example.com", "a+b", "-", "-alice", "+alice", "~alice",
		"$a", ".", "..", "\talice", "al ice", " ", "alice,", "al/ice",
		"al\\ice", "al\"ice", "al'ice", "al;ice", "al*ice", "#alice",
		"alice\x7f", "alice\x01", "alice\r", "al\xc3\xad" "ce",
		"\xff", "54321a", "1e3", "0x1", "1 2", "+", "+-1", "12-",
		long_name,
	};
	for (size_t i = 0; i < sizeof(good) / sizeof(*good); ++i) {
		set_user(good[i], "/", NULL);
		check_user(good[i], "/", "/bin/sh");
	}

	/* not found by name: each would take the place of a uid */
	static const char *const numbers[] = {
		"0", "54321", "007", "+1", "-1", " 1", "\t\v\f\r 12",
		"99999999999999999999999",
	};
	for (size_t i = 0; i < sizeof(numbers) / sizeof(*numbers); ++i) {
		set_user(numbers[i], "/", NULL);
		char buffer[1024];
		struct passwd pw;
		int error = 0;
		check(by_name(&pw, buffer, sizeof(buffer), &error) ==
		      NSS_STATUS_NOTFOUND);
		check(error == ENOENT);
		check(by_uid(&pw, buffer, sizeof(buffer), &error) ==
		      NSS_STATUS_SUCCESS);
		check_passwd(&pw, numbers[i], "/", "/bin/sh", buffer,
			     sizeof(buffer));
	}

	static const char *const bad[] = {
		"", ":", "alice:", "alice:x:0:0::/:/bin/sh", "\n", "alice\n",
		"alice\nroot:x:0:0",
	};
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); ++i) {
		set_user(bad[i], "/", NULL);
		check_nobody();
	}

	set_user(NULL, "/", NULL);
	check_nobody();
}

static void
test_homes_and_shells(void)
{
	static const char *const good[] = {
		"/", "/home/alice", "/home/with space", "/home/\xc3\xa4", "//",
		"/home/alice/../bob", "", "home/alice", ".", "~",
		"/home\talice", "/\x01", "/\x7f", " /home", "-", "+",
	};
	static const char *const bad[] = {
		"/home:/alice", "/home\n", "/\n/x", "\n/", ":",
	};

	for (size_t i = 0; i < sizeof(good) / sizeof(*good); ++i) {
		set_user("alice", good[i], good[i]);
		check_user("alice", good[i], good[i]);
	}

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); ++i) {
		set_user("alice", bad[i], "/bin/bash");
		check_nobody();

		/* an invalid shell is replaced */
		set_user("alice", "/home/alice", bad[i]);
		check_user("alice", "/home/alice", "/bin/sh");
	}

	set_user("alice", NULL, "/bin/bash");
	check_nobody();

	/* long values need nothing but long buffers */
	static char home[1001];
	memset(home, 'h', sizeof(home) - 1);
	home[0] = '/';
	set_user("alice", home, home);
	check_user("alice", home, home);
}

static void
test_somebody_else(void)
{
	char buffer[1024];
	struct passwd pw;
	struct group gr;
	int error = 0;

	set_user("alice", "/home/alice", "/bin/zsh");
	static const char *const names[] = {
		"", "alic", "alicea", "Alice", "alice ", "root", "x",
	};
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); ++i) {
		error = 0;
		check(_nss_cm4all_logname_getpwnam_r(names[i], &pw, buffer,
						     sizeof(buffer), &error) ==
		      NSS_STATUS_NOTFOUND);
		check(error == ENOENT);
	}

	for (unsigned delta = 1; delta <= 3; ++delta) {
		const uid_t uid = delta < 3 ? geteuid() + delta : (uid_t)-1;
		const gid_t gid = delta < 3 ? getegid() + delta : (gid_t)-1;
		error = 0;
		check(_nss_cm4all_logname_getpwuid_r(uid, &pw, buffer,
						     sizeof(buffer), &error) ==
		      NSS_STATUS_NOTFOUND);
		check(error == ENOENT);
		error = 0;
		check(_nss_cm4all_logname_getgrgid_r(gid, &gr, buffer,
						     sizeof(buffer), &error) ==
		      NSS_STATUS_NOTFOUND);
		check(error == ENOENT);
	}
}

static void
test_enumeration(void)
{
	char buffer[1024];
	struct passwd pw;
	int error = 0;

	set_user("alice", "/home/alice", "/bin/zsh");
	check(_nss_cm4all_logname_setpwent(1) == NSS_STATUS_SUCCESS);

	/* a call with a short buffer does not consume the entry */
	for (int i = 0; i < 3; ++i)
		check(next_entry(&pw, buffer, 10, &error) ==
		      NSS_STATUS_TRYAGAIN);
	check(next_entry(&pw, buffer, sizeof(buffer), &error) ==
	      NSS_STATUS_SUCCESS);
	for (int i = 0; i < 3; ++i) {
		error = 0;
		check(next_entry(&pw, buffer, sizeof(buffer), &error) ==
		      NSS_STATUS_NOTFOUND);
		check(error == ENOENT);
	}
	/* at the end, a short buffer makes no difference */
	check(next_entry(&pw, buffer, 0, &error) == NSS_STATUS_NOTFOUND);

	/* the other lookups do not depend on the position */
	check(by_uid(&pw, buffer, sizeof(buffer), &error) ==
	      NSS_STATUS_SUCCESS);
	check(next_entry(&pw, buffer, sizeof(buffer), &error) ==
	      NSS_STATUS_NOTFOUND);

	/* endpwent() and setpwent() both rewind */
	check(_nss_cm4all_logname_endpwent() == NSS_STATUS_SUCCESS);
	check(next_entry(&pw, buffer, sizeof(buffer), &error) ==
	      NSS_STATUS_SUCCESS);
	check(_nss_cm4all_logname_setpwent(0) == NSS_STATUS_SUCCESS);
	check(next_entry(&pw, buffer, sizeof(buffer), &error) ==
	      NSS_STATUS_SUCCESS);
	check(_nss_cm4all_logname_endpwent() == NSS_STATUS_SUCCESS);
}

/** Returns the next pseudo-random number; every run has the same sequence. */
static unsigned
next_random(void)
{
	static uint64_t state = 42;
	state = state * 6364136223846793005u + 1442695040888963407u;
	return (unsigned)(state >> 33);
}

/** Whatever the environment holds, an entry is one line with seven fields. */
static void
test_random_environment(void)
{
	static const char alphabet[] =
		"aZ09_.-$/:\n\r\t ,+~@\x01\x1f\x7f\x80\xff";
	for (int i = 0; i < 20000; ++i) {
		char values[3][40];
		for (size_t j = 0; j < 3; ++j) {
			size_t length = next_random() % sizeof(values[j]);
			for (size_t k = 0; k < length; ++k)
				values[j][k] = alphabet[next_random() %
							(sizeof(alphabet) - 1)];
			values[j][length] = '\0';
			/* most homes and shells begin with a slash, as paths do */
			if (j > 0 && length > 0 && next_random() % 4 > 0)
				values[j][0] = '/';
		}
		set_user(values[0], values[1], values[2]);

		char buffer[160], line[200];
		struct passwd pw;
		int error = 0;
		enum nss_status status =
			by_uid(&pw, buffer, sizeof(buffer), &error);
		if (status == NSS_STATUS_NOTFOUND)
			continue;

		check(status == NSS_STATUS_SUCCESS);
		snprintf(line, sizeof(line), "%s:%s:%s:%s:%s", pw.pw_name,
			 pw.pw_passwd, pw.pw_gecos, pw.pw_dir, pw.pw_shell);
		unsigned colons = 0;
		for (const char *p = line; *p != '\0'; ++p) {
			check(*p != '\n');
			colons += *p == ':';
		}
		check(colons == 4);
		check(pw.pw_name[0] != '\0');
	}
}

int
main(void)
{
	test_sizes();
	test_names();
	test_homes_and_shells();
	test_somebody_else();
	test_enumeration();
	test_random_environment();
	printf("%lu checks\n", atomic_load(&checks));
	return 0;
}
