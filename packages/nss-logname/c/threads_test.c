/*
 * Tests lookups and enumerations in several threads at the same time. glibc
 * holds a lock around its enumeration; the module must not depend on that lock,
 * so the threads call the entry points directly. The test is run under
 * ThreadSanitizer.
 */
#include "check.h"

#include <pthread.h>
#include <string.h>
#include <unistd.h>

enum { THREADS = 8, ROUNDS = 500 };

static pthread_barrier_t barrier;
static atomic_uint entries;

static void
check_entry(const struct passwd *pw)
{
	check(pw->pw_uid == geteuid());
	check(strcmp(pw->pw_name, "alice") == 0);
	check(strcmp(pw->pw_passwd, "x") == 0);
	check(strcmp(pw->pw_gecos, "alice") == 0);
	check(strcmp(pw->pw_dir, "/home/alice") == 0);
	check(strcmp(pw->pw_shell, "/bin/zsh") == 0);
}

static void
enumerate(void)
{
	char buffer[256];
	struct passwd pw;
	int error = 0;
	/* too short at first: the entry must be left for the next call */
	size_t size = 8;
	enum nss_status status;
	while ((status = _nss_cm4all_logname_getpwent_r(&pw, buffer, size,
							&error)) !=
	       NSS_STATUS_NOTFOUND) {
		if (status == NSS_STATUS_TRYAGAIN) {
			check(error == ERANGE && size < sizeof(buffer));
			size *= 2;
			continue;
		}
		check(status == NSS_STATUS_SUCCESS);
		check_entry(&pw);
		atomic_fetch_add(&entries, 1);
	}
}

static void *
run(void *first)
{
	for (int round = 0; round < ROUNDS; ++round) {
		if (first != NULL)
			_nss_cm4all_logname_setpwent(0);
		pthread_barrier_wait(&barrier);
		enumerate();

		char buffer[256];
		struct passwd pw;
		struct group gr;
		int error = 0;
		check(_nss_cm4all_logname_getpwnam_r("alice", &pw, buffer,
						     sizeof(buffer), &error) ==
		      NSS_STATUS_SUCCESS);
		check_entry(&pw);
		check(_nss_cm4all_logname_getgrgid_r(getegid(), &gr, buffer,
						     sizeof(buffer), &error) ==
		      NSS_STATUS_SUCCESS);
		check(strcmp(gr.gr_name, "alice") == 0);

		/* all threads together have got the entry exactly once */
		pthread_barrier_wait(&barrier);
		if (first != NULL)
			check(atomic_exchange(&entries, 0) == 1);
	}
	return NULL;
}

/** Rewinds again and again, which must be safe at any moment. */
static void *
rewind_often(void *unused)
{
	(void)unused;
	for (int round = 0; round < ROUNDS; ++round) {
		_nss_cm4all_logname_setpwent(0);
		enumerate();
		_nss_cm4all_logname_endpwent();
	}
	return NULL;
}

static void
run_threads(void *(*f)(void *))
{
	pthread_t threads[THREADS];
	for (int i = 0; i < THREADS; ++i)
		check(pthread_create(&threads[i], NULL, f,
				     i == 0 ? &barrier : NULL) == 0);
	for (int i = 0; i < THREADS; ++i)
		check(pthread_join(threads[i], NULL) == 0);
}

int
main(void)
{
	setenv("LOGNAME", "alice", 1);
	setenv("HOME", "/home/alice", 1);
	setenv("SHELL", "/bin/zsh", 1);
	pthread_barrier_init(&barrier, NULL, THREADS);
	run_threads(run);
	run_threads(rewind_often);
	pthread_barrier_destroy(&barrier);
	printf("%lu checks\n", atomic_load(&checks));
	return 0;
}
