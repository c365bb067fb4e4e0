/* Makes cgroups and uses them, for tests with many cgroups. To use a cgroup means to start a
   process in it; the process ends immediately.
   usage: runs MODE BASE PREFIX COUNT RATE
   leave    makes and uses COUNT cgroups, BASE/PREFIX-0, BASE/PREFIX-1, ...; prints a line
            "PREFIX-0 INODE" for each of them
   churn    makes the same COUNT cgroups and uses them again and again, until it is killed; prints
            a line for each thousand uses
   remove   like leave, and removes each cgroup as soon as its process has ended, as some spawners
            do
   nest     makes COUNT cgroups, each inside the one before, with names of 255 control characters,
            and uses the last one, whose path may be longer than any system call accepts
   unnest   removes what is left of the cgroups that nest made
   RATE is the maximum number of uses per second; 0 means no limit. leave, churn and remove wait
   while there are MAX_THERE cgroups or more in BASE, because the kernel takes minutes to remove
   tens of thousands of cgroups. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define MAX_THERE 1500

static int is_quiet;

static void fail(const char *what)
{
	fprintf(stderr, "runs: %s: %s\n", what, strerror(errno));
	exit(1);
}

/* Uses a cgroup once (see above). Returns whether the cgroup still existed. */
static int try_use(int cgroup)
{
	struct clone_args args = {
		.flags = CLONE_INTO_CGROUP, .exit_signal = SIGCHLD, .cgroup = cgroup,
	};
	long pid = syscall(SYS_clone3, &args, sizeof args);
	if (pid == 0) _exit(0);
	/* The cgroup has been removed, or is being removed: two checks of the kernel can find this. */
	if (pid < 0 && errno != ENOENT && errno != ENODEV) fail("clone3");
	return pid > 0;
}

static int open_directory(int at, const char *name)
{
	int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 && errno != ENOENT) fail(name);
	return fd;
}

/* Makes a cgroup and uses it. If a daemon deletes the cgroup before it is used, makes it again. */
static void leave(int base, const char *name)
{
	struct stat st;
	for (int used = 0; !used;) {
		if (mkdirat(base, name, 0755) < 0 && errno != EEXIST) fail(name);
		int fd = open_directory(base, name);
		if (fd < 0) continue;
		if (fstat(fd, &st) < 0) fail("fstat");
		used = try_use(fd);
		close(fd);
	}
	if (!is_quiet) printf("%s %llu\n", name, (unsigned long long)st.st_ino);
}

static void remove_when_empty(int base, const char *name)
{
	while (unlinkat(base, name, AT_REMOVEDIR) < 0) {
		if (errno == ENOENT) return;
		if (errno != EBUSY) fail(name);
		usleep(100);
	}
}

static void nest(int at, const char *name, long count)
{
	if (mkdirat(at, name, 0755) < 0) fail("mkdirat");
	int fd = open_directory(at, name);
	if (fd < 0) fail("openat");
	if (count > 1) nest(fd, name, count - 1);
	else if (!try_use(fd)) fail("clone3");
	close(fd);
}

static void unnest(int at, const char *name)
{
	int fd = open_directory(at, name);
	if (fd < 0) return;
	unnest(fd, name);
	close(fd);
	remove_when_empty(at, name);
}

/* Waits until a directory has few cgroups: each subdirectory adds one to its link count. */
static void wait_for_room(int base)
{
	struct stat st;
	for (;;) {
		if (fstat(base, &st) < 0) fail("fstat");
		if (st.st_nlink < MAX_THERE) return;
		usleep(1000);
	}
}

static void pace(const struct timespec *start, long i, long rate)
{
	if (rate == 0) return;
	long long due = start->tv_nsec + i * 1000000000ll / rate;
	struct timespec t = { start->tv_sec + due / 1000000000, due % 1000000000 };
	clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL);
}

int main(int argc, char **argv)
{
	if (argc != 6) return 64;
	const char *mode = argv[1], *prefix = argv[3];
	long count = atol(argv[4]), rate = atol(argv[5]);
	/* The kernel reaps the children. */
	signal(SIGCHLD, SIG_IGN);
	setvbuf(stdout, NULL, _IOLBF, 0);
	int base = open_directory(AT_FDCWD, argv[2]);
	if (base < 0) fail(argv[2]);
	char name[256];
	memset(name, 1, 255);
	name[255] = 0;
	if (strcmp(mode, "nest") == 0) nest(base, name, count);
	else if (strcmp(mode, "unnest") == 0) unnest(base, name);
	else {
		struct timespec start;
		clock_gettime(CLOCK_MONOTONIC, &start);
		is_quiet = strcmp(mode, "churn") == 0;
		for (long i = 0; is_quiet || i < count; i++) {
			pace(&start, i, rate);
			wait_for_room(base);
			snprintf(name, sizeof name, "%s-%ld", prefix, i % count);
			leave(base, name);
			if (is_quiet && i % 1000 == 999) puts("used");
			if (strcmp(mode, "remove") == 0) remove_when_empty(base, name);
		}
	}
	return 0;
}
