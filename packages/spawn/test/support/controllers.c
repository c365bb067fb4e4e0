/*
 * Simulates the files of controllers that cgroup2 does not have on this host. Preloaded into the
 * daemon, this library opens the files "memory.events" and "pids.events" in the directory
 * $CONTROLLERS instead of those in the cgroup. A file that $CONTROLLERS lacks is missing in every
 * cgroup.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

/* The addon makes its system calls through this function. */
long
syscall(long number, long a, long b, long c, long d, long e, long f)
{
	static long (*next)(long, ...);
	if (next == NULL)
		next = (long (*)(long, ...))dlsym(RTLD_NEXT, "syscall");
	char path[PATH_MAX];
	if (number == SYS_openat) {
		const char *name = (const char *)b;
		if (strcmp(name, "memory.events") == 0 || strcmp(name, "pids.events") == 0) {
			snprintf(path, sizeof(path), "%s/%s", getenv("CONTROLLERS"), name);
			a = AT_FDCWD;
			b = (long)path;
		}
	}
	return next(number, a, b, c, d, e, f);
}
