/* reapfloor: does the least that any reaper has to do, as a floor for the daemon's reaper.

       reapfloor SCOPE LOG FILE...

   Watches the cgroups that appear in the directory SCOPE, each with a watch on its directory and
   one on its cgroup.events, like any reaper that also looks for nested cgroups.  A cgroup that
   was populated and has become empty, or that is empty when it is found and has used CPU time, is
   measured after 50 ms: it is opened, each FILE in it is read, and its extended attributes are
   listed.  Then its cpu.stat is read again, it is removed, and its name is written to LOG, like
   the output of a handler.  The program parses only "populated" and "usage_usec", takes any change
   of cgroup.events as a sign that the cgroup had a process, keeps no journal and calls no script.
   It ends on SIGTERM. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

enum { MAX_CGROUPS = 1 << 16, DELAY_MS = 50 };

struct cgroup {
	char name[NAME_MAX + 1];
	int directory_wd, events_wd;
	bool was_used, is_due;
};

static int scope, log_fd, inotify, file_count;
static char **files;
/* Indexed by the watch of cgroup.events; the kernel assigns ascending watch descriptors. */
static struct cgroup *by_watch[4 * MAX_CGROUPS];
static struct { struct cgroup *cgroup; long at_ms; } queue[MAX_CGROUPS];
static unsigned head, tail;

static void die(const char *what) { perror(what); exit(1); }

static long now_ms(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static ssize_t read_at(int directory, const char *path, char *buffer, size_t size)
{
	int fd = openat(directory, path, O_RDONLY | O_CLOEXEC);
	if (fd < 0) return -1;
	ssize_t length = read(fd, buffer, size - 1);
	close(fd);
	buffer[length < 0 ? 0 : length] = 0;
	return length;
}

static int watch(int directory, const char *file, uint32_t mask)
{
	char path[64];
	snprintf(path, sizeof path, "/proc/self/fd/%d%s", directory, file);
	return inotify_add_watch(inotify, path, mask);
}

/* Returns whether the cgroup has used CPU time: if it is empty nevertheless, a process came and
   went before the cgroup was watched. */
static bool has_used_cpu(int directory)
{
	char text[4096];
	unsigned long long usec;
	return read_at(directory, "cpu.stat", text, sizeof text) > 0 &&
		sscanf(text, "usage_usec %llu", &usec) == 1 && usec > 0;
}

static void look(struct cgroup *cgroup, bool has_changed)
{
	char path[NAME_MAX + 32], text[4096];
	snprintf(path, sizeof path, "%s/cgroup.events", cgroup->name);
	if (read_at(scope, path, text, sizeof text) < 0) return;
	bool is_populated = strstr(text, "populated 1") != NULL;
	if (is_populated || has_changed) cgroup->was_used = true;
	if (!is_populated && cgroup->was_used && !cgroup->is_due) {
		cgroup->is_due = true;
		queue[tail].cgroup = cgroup;
		queue[tail].at_ms = now_ms() + DELAY_MS;
		tail = (tail + 1) % MAX_CGROUPS;
	}
}

static void appeared(const char *name)
{
	int fd = openat(scope, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;
	if (fd < 0) return;
	struct cgroup *cgroup = calloc(1, sizeof *cgroup);
	strcpy(cgroup->name, name);
	cgroup->directory_wd = watch(fd, "", IN_CREATE | IN_DELETE | IN_MOVE | IN_ATTRIB | IN_ONLYDIR);
	cgroup->events_wd = watch(fd, "/cgroup.events", IN_MODIFY);
	fstat(fd, &st);
	bool was_used = has_used_cpu(fd);
	close(fd);
	if (cgroup->events_wd < 0 || cgroup->events_wd >= 4 * MAX_CGROUPS) die("inotify_add_watch");
	by_watch[cgroup->events_wd] = cgroup;
	look(cgroup, was_used);
}

static void reap(struct cgroup *cgroup)
{
	static char text[65536];
	struct stat st;
	int fd = openat(scope, cgroup->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0) return;
	fstat(fd, &st);
	for (int i = 0; i < file_count; i++) read_at(fd, files[i], text, sizeof text);
	flistxattr(fd, text, sizeof text);
	read_at(fd, "cpu.stat", text, sizeof text);
	close(fd);
	if (unlinkat(scope, cgroup->name, AT_REMOVEDIR) < 0) return;
	by_watch[cgroup->events_wd] = NULL;
	inotify_rm_watch(inotify, cgroup->directory_wd);
	inotify_rm_watch(inotify, cgroup->events_wd);
	int length = snprintf(text, sizeof text, "/%s\n", cgroup->name);
	if (write(log_fd, text, length) < 0) die("write");
	free(cgroup);
}

static void read_events(void)
{
	static char buffer[65536] __attribute__((aligned(8)));
	ssize_t length = read(inotify, buffer, sizeof buffer);
	for (char *p = buffer; length > 0 && p < buffer + length;) {
		struct inotify_event *event = (void *)p;
		p += sizeof *event + event->len;
		if (event->mask & IN_Q_OVERFLOW) die("events were lost");
		if ((event->mask & IN_CREATE) && (event->mask & IN_ISDIR)) appeared(event->name);
		else if ((event->mask & IN_MODIFY) && by_watch[event->wd]) look(by_watch[event->wd], true);
	}
}

int main(int argc, char **argv)
{
	if (argc < 4) { fprintf(stderr, "usage: reapfloor SCOPE LOG FILE...\n"); return 64; }
	scope = open(argv[1], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (scope < 0) die(argv[1]);
	log_fd = open(argv[2], O_WRONLY | O_APPEND | O_CLOEXEC);
	if (log_fd < 0) die(argv[2]);
	files = argv + 3;
	file_count = argc - 3;
	inotify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (inotify < 0 || inotify_add_watch(inotify, argv[1], IN_CREATE | IN_DELETE | IN_ONLYDIR) < 0) die("inotify");
	puts("ready");
	fflush(stdout);
	for (;;) {
		struct pollfd poller = { inotify, POLLIN, 0 };
		long wait_ms = head == tail ? -1 : queue[head].at_ms - now_ms();
		if (head != tail && wait_ms < 0) wait_ms = 0;
		if (poll(&poller, 1, wait_ms) > 0) read_events();
		for (; head != tail && queue[head].at_ms <= now_ms(); head = (head + 1) % MAX_CGROUPS) reap(queue[head].cgroup);
	}
}
