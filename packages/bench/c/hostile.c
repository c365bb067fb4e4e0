/* hostile: attacks a server of the namespace protocol as an unprivileged user, or measures how
   long a client waits during an attack.

       hostile ADDRESS MODE COUNT SECONDS

   ADDRESS is @NAME or, for the modes that attack the metrics, a port on 127.0.0.1.  An attack ends
   after SECONDS, even if it hangs.

       ask         is not an attack: requests a PID namespace and a lease again and again, until
                   COUNT requests have been made or SECONDS have passed; then prints one line of
                   JSON: the time until each answer, the pause after each, and the numbers of failed
                   requests and of connect(2) calls that failed with EAGAIN
       idle        holds COUNT connections that send nothing, and replaces those that are closed
       connect     connects and closes
       request     connects, sends a request, reads the answer, and closes
       stream      sends requests over a connection from which it never reads, until the connection
                   is closed; then over the next connection
       fill        fills a connection with requests, closes it, and continues with the next one
       half        like idle, with one direction shut down
       linger      sends COUNT TCP sockets that take 5 seconds to close, and closes the connection
       rights      sends a request with COUNT descriptors, and closes the connection
       fork        starts a new process for each connection
       namespace   like request, with all capabilities in a user namespace of its own
       namespace-idle  like idle, with all capabilities in a user namespace of its own
       http        fetches /metrics
       http-close  requests /metrics, and closes
       http-idle   like idle, over TCP
       http-slow   holds COUNT connections that request /metrics and never read
*/
#define _GNU_SOURCE
#include "proto.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MAX_HELD = 4096, MAX_RIGHTS = 253, MAX_QUESTIONS = 1 << 16, ANSWER_SECONDS = 3, REST_US = 500, MAX_PROCESSES = 128 };

static const char *address;
static struct dgram request;

static void die(const char *what) { perror(what); exit(1); }
static double now_us(void) { struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t); return t.tv_sec * 1e6 + t.tv_nsec / 1e3; }

static int connect_to(int flags)
{
	struct sockaddr_un un = { .sun_family = AF_LOCAL };
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
	int s;
	if (address[0] == '@') {
		size_t length = strlen(address);
		memcpy(un.sun_path, address, length);
		un.sun_path[0] = 0;
		s = socket(AF_LOCAL, SOCK_SEQPACKET | SOCK_CLOEXEC | flags, 0);
		if (s >= 0 && connect(s, (struct sockaddr *)&un, offsetof(struct sockaddr_un, sun_path) + length) == 0) return s;
	} else {
		in.sin_port = htons(atoi(address));
		s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (s >= 0 && connect(s, (struct sockaddr *)&in, sizeof in) == 0) return s;
	}
	int error = errno;
	if (s >= 0) close(s);
	errno = error;
	return -1;
}

static void make_request(const char *name)
{
	dg_init(&request);
	dg_cmd(&request, NAME, name, strlen(name));
	dg_cmd(&request, PID_NAMESPACE, NULL, 0);
	dg_cmd(&request, LEASE_PIPE, NULL, 0);
	dg_finish(&request);
}

static int send_rights(int s, const int *fds, int count)
{
	static union { char b[CMSG_SPACE(MAX_RIGHTS * sizeof(int))]; struct cmsghdr h; } control;
	struct iovec iov = { request.b, request.n };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = CMSG_SPACE(count * sizeof(int)) };
	control.h.cmsg_len = CMSG_LEN(count * sizeof(int));
	control.h.cmsg_level = SOL_SOCKET;
	control.h.cmsg_type = SCM_RIGHTS;
	memcpy(CMSG_DATA(&control.h), fds, count * sizeof(int));
	return sendmsg(s, &m, MSG_NOSIGNAL);
}

/* ---- the client ---- */

static double waits[MAX_QUESTIONS];

/* Sends one request.  Returns whether it was answered with descriptors. */
static int ask_once(long *refused)
{
	int s = connect_to(SOCK_NONBLOCK);
	if (s < 0 && errno == EAGAIN) { ++*refused; s = connect_to(0); }
	if (s < 0) return 0;
	fcntl(s, F_SETFL, 0);
	struct timeval limit = { ANSWER_SECONDS, 0 };
	setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
	char data[4096];
	union { char b[CMSG_SPACE(8 * sizeof(int))]; struct cmsghdr h; } control;
	struct iovec iov = { data, sizeof data };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control };
	int ok = send(s, request.b, request.n, MSG_NOSIGNAL) > 0 && recvmsg(s, &m, MSG_CMSG_CLOEXEC) > 0;
	struct cmsghdr *h = ok ? CMSG_FIRSTHDR(&m) : NULL;
	ok = h != NULL && h->cmsg_type == SCM_RIGHTS;
	if (ok) for (size_t i = 0; i < (h->cmsg_len - CMSG_LEN(0)) / sizeof(int); i++) close(((int *)CMSG_DATA(h))[i]);
	close(s);
	return ok;
}

static void ask(int count, double end)
{
	long refused = 0, failed = 0;
	int asked = 0;
	for (; asked < count && now_us() < end; asked++) {
		double start = now_us();
		if (!ask_once(&refused)) failed++;
		waits[asked] = now_us() - start;
		/* A spawner does not make requests all the time. */
		usleep(REST_US);
	}
	printf("{\"failed\":%ld,\"eagain\":%ld,\"restUs\":%d,\"waitsUs\":[", failed, refused, REST_US);
	for (int i = 0; i < asked; i++) printf("%s%.1f", i > 0 ? "," : "", waits[i]);
	puts("]}");
}

/* ---- the attacks ---- */

/* Holds connections.  Uses epoll: poll(2) would look at all connections each time, and two such
   attackers would take CPU time from client and server although the connections are idle. */
static int held[MAX_HELD];
static void hold(int count, int half, const char *first)
{
	static struct epoll_event ready[MAX_HELD];
	int epoll = epoll_create1(EPOLL_CLOEXEC);
	if (epoll < 0) die("epoll_create1");
	for (int i = 0; i < count; i++) held[i] = -1;
	for (;;) {
		int missing = 0;
		for (int i = 0; i < count; i++) {
			if (held[i] >= 0) continue;
			if (missing || (held[i] = connect_to(0)) < 0) { missing = 1; continue; }
			struct epoll_event event = { first == NULL ? EPOLLIN : 0, { .u32 = i } };
			if (epoll_ctl(epoll, EPOLL_CTL_ADD, held[i], &event) < 0) die("epoll_ctl");
			if (half) shutdown(held[i], SHUT_WR);
			if (first != NULL) send(held[i], first, strlen(first), MSG_NOSIGNAL);
		}
		int n = epoll_wait(epoll, ready, MAX_HELD, missing ? 10 : -1);
		for (int i = 0; i < n; i++) {
			int *fd = &held[ready[i].data.u32];
			close(*fd);
			*fd = -1;
		}
	}
}

static int lingering_socket(void)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
	socklen_t length = sizeof a;
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (bind(listener, (struct sockaddr *)&a, length) < 0 || listen(listener, 1) < 0) die("listen");
	if (getsockname(listener, (struct sockaddr *)&a, &length) < 0 || connect(s, (struct sockaddr *)&a, length) < 0) die("connect");
	fcntl(s, F_SETFL, O_NONBLOCK);
	static char zeros[65536];
	while (write(s, zeros, sizeof zeros) > 0) {}
	fcntl(s, F_SETFL, 0);
	struct linger linger = { 1, 5 };
	setsockopt(s, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
	return s;
}

/* Runs in a child, which never returns into the parent's code, whatever fails. */
static void ask_and_exit(void)
{
	alarm(2);
	int s = connect_to(0);
	if (s >= 0) send(s, request.b, request.n, MSG_NOSIGNAL);
	_exit(0);
}

static void attack(const char *mode, int count)
{
	char buffer[65536];
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC), fds[MAX_RIGHTS];
	if (count > MAX_RIGHTS && (!strcmp(mode, "rights") || !strcmp(mode, "linger"))) count = MAX_RIGHTS;
	if (!strncmp(mode, "namespace", strlen("namespace")) && unshare(CLONE_NEWUSER) < 0) die("unshare");
	if (!strcmp(mode, "idle") || !strcmp(mode, "namespace-idle") || !strcmp(mode, "http-idle")) hold(count, 0, NULL);
	if (!strcmp(mode, "half")) hold(count, 1, NULL);
	if (!strcmp(mode, "http-slow")) hold(count, 0, "GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n");
	for (;;) {
		if (!strcmp(mode, "fork")) {
			pid_t pid = fork();
			if (pid == 0) ask_and_exit();
			if (pid < 0) usleep(1000); else waitpid(pid, NULL, 0);
			continue;
		}
		int s = connect_to(0);
		if (s < 0) { usleep(1000); continue; }
		if (!strcmp(mode, "request") || !strcmp(mode, "namespace")) {
			send(s, request.b, request.n, MSG_NOSIGNAL);
			recv(s, buffer, sizeof buffer, 0);
		} else if (!strcmp(mode, "stream"))
			while (send(s, request.b, request.n, MSG_NOSIGNAL) > 0) {}
		else if (!strcmp(mode, "fill"))
			while (send(s, request.b, request.n, MSG_NOSIGNAL | MSG_DONTWAIT) > 0) {}
		else if (!strcmp(mode, "rights")) {
			for (int i = 0; i < count; i++) fds[i] = null;
			send_rights(s, fds, count);
		} else if (!strcmp(mode, "linger")) {
			for (int i = 0; i < count; i++) fds[i] = lingering_socket();
			send_rights(s, fds, count);
			/* The child keeps copies, because the last close of a socket would otherwise wait here. */
			if (fork() == 0) { alarm(2); sleep(1); kill(getpid(), SIGKILL); }
			for (int i = 0; i < count; i++) close(fds[i]);
			while (waitpid(-1, NULL, WNOHANG) > 0) {}
			usleep(20000);
		} else if (!strcmp(mode, "http") || !strcmp(mode, "http-close")) {
			static const char get[] = "GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n";
			send(s, get, sizeof get - 1, MSG_NOSIGNAL);
			while (!strcmp(mode, "http") && recv(s, buffer, sizeof buffer, 0) > 0) {}
		} else if (strcmp(mode, "connect")) { fprintf(stderr, "hostile: unknown mode %s\n", mode); exit(64); }
		close(s);
	}
}

int main(int argc, char **argv)
{
	if (argc != 5) { fprintf(stderr, "usage: hostile ADDRESS MODE COUNT SECONDS\n"); return 64; }
	address = argv[1];
	int count = atoi(argv[3]), seconds = atoi(argv[4]);
	if (count < 1 || count > MAX_QUESTIONS || seconds < 1 || seconds > 120) { fprintf(stderr, "hostile: COUNT or SECONDS is out of range\n"); return 64; }
	struct rlimit files = { 8192, 8192 }, processes = { MAX_PROCESSES, MAX_PROCESSES };
	setrlimit(RLIMIT_NOFILE, &files);
	/* The limit is for all processes of this uid, which only the attacker uses.  It does not apply
	   to root. */
	setrlimit(RLIMIT_NPROC, &processes);
	signal(SIGPIPE, SIG_IGN);
	crc_init();
	make_request("hostile");
	if (!strcmp(argv[2], "ask")) { ask(count, now_us() + seconds * 1e6); return 0; }
	if (count > MAX_HELD) count = MAX_HELD;
	/* SIGALRM ends the program, wherever it waits. */
	alarm(seconds);
	attack(argv[2], count);
}
