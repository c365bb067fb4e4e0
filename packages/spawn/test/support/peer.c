/*
 * A client of the namespace service that can run as any user. The tests compile this file.
 *
 *     peer [OPTION] ADDRESS DATAGRAM
 *
 * Connects to the abstract ADDRESS, sends DATAGRAM (in hexadecimal), and prints one line for
 * each answer, in hexadecimal, and at the end of the connection `closed` or the errno's name.
 * It sends no second datagram: after an answer it shuts down its writing side (SHUT_WR).
 *
 *     --exec PROGRAM   connects and executes PROGRAM, which sends DATAGRAM on the inherited
 *                      socket
 *     --fd             ADDRESS is the number of such an inherited socket
 *     --orphan         the process that connects ends before the datagram is sent
 *     --linger PORT    sends a TCP socket with the datagram; close(2) of this socket takes 100
 *                      seconds, because no process reads at its other end, PORT of 127.0.0.1.
 *                      Prints `sent` once the message holds the last reference to the socket;
 *                      the daemon must not receive the message before that
 *     --hold COUNT     connects COUNT times, sends DATAGRAM on each connection unless DATAGRAM
 *                      is empty, prints `connected` and keeps the connections
 *     --race PROGRAM   runs 3000 children, one after the other; each sends DATAGRAM, and a
 *                      moment later executes PROGRAM or, if PROGRAM is `-`, enters a user
 *                      namespace of its own, in which it has all capabilities. Prints one ERROR
 *                      and one other answer, if there were such answers
 *     --again ACTION   sends a request and, after the answer and the action, another over
 *                      a second connection. Prints the answers, and `closed`. The actions:
 *         drop         gives up all capabilities
 *         namespace    enters a user namespace of its own
 *         exec         gives up ambient capabilities and executes itself, so that it has no
 *                      capabilities
 *         PROGRAM      connects and executes PROGRAM, which asks over that connection
 *         PROGRAM@MS   the same after MS milliseconds
 *         orphan       connects, and ends before another process asks over that connection
 *         reuse@UID    (for root) three children with the same pid ask, one after the other:
 *                      the first and the last as spawners with UID; the second connects with
 *                      UID, and is root again when it asks
 *         stale@UID    (for root) of two children with the same pid, the first connects with
 *                      UID and ends, and the second asks as a spawner with UID; while the
 *                      second exists, another process asks over the connection of the first
 *     --flood          prints `connected`, then connects, sends and closes forever
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <linux/capability.h>
#include <linux/sched.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static void
check(int result, const char *what)
{
	if (result < 0) {
		perror(what);
		exit(EXIT_FAILURE);
	}
}

static int
connect_to(const char *name)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	size_t length = strlen(name);
	memcpy(address.sun_path + 1, name, length);
	int fd = socket(AF_UNIX, SOCK_SEQPACKET, 0);
	check(fd, "socket");
	length += offsetof(struct sockaddr_un, sun_path) + 1;
	check(connect(fd, (struct sockaddr *)&address, length), "connect");
	return fd;
}

/* Sends bytes, and a descriptor unless it is -1. */
static int
send_with(int fd, const void *bytes, size_t length, int passed)
{
	char control[CMSG_SPACE(sizeof(int))] = {0};
	struct iovec iov = {(void *)bytes, length};
	struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};
	if (passed >= 0) {
		message.msg_control = control;
		message.msg_controllen = sizeof(control);
		struct cmsghdr *header = CMSG_FIRSTHDR(&message);
		header->cmsg_level = SOL_SOCKET;
		header->cmsg_type = SCM_RIGHTS;
		header->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(header), &passed, sizeof(int));
	}
	return sendmsg(fd, &message, MSG_NOSIGNAL) < 0 ? -1 : 0;
}

static int
receive_fd(int fd)
{
	char byte, control[CMSG_SPACE(sizeof(int))];
	struct iovec iov = {&byte, 1};
	struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = control, .msg_controllen = sizeof(control)};
	check(recvmsg(fd, &message, 0), "recvmsg");
	int received;
	memcpy(&received, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(int));
	return received;
}

static int
connect_orphan(const char *name)
{
	int pair[2];
	check(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), "socketpair");
	pid_t pid = fork();
	check(pid, "fork");
	if (pid == 0) {
		check(send_with(pair[1], "", 1, connect_to(name)), "sendmsg");
		_exit(0);
	}
	int fd = receive_fd(pair[0]);
	check(waitpid(pid, NULL, 0), "waitpid");
	return fd;
}

/*
 * Returns a connection to a peer that does not read, with so much unsent data that close(2) waits.
 */
static int
lingering_socket(int port)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port),
		.sin_addr = {htonl(INADDR_LOOPBACK)}};
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	check(connect(fd, (struct sockaddr *)&address, sizeof(address)), "connect");
	check(fcntl(fd, F_SETFL, O_NONBLOCK), "fcntl");
	static char zeros[65536];
	while (write(fd, zeros, sizeof(zeros)) > 0) {
	}
	check(fcntl(fd, F_SETFL, 0), "fcntl");
	struct linger linger = {.l_onoff = 1, .l_linger = 100};
	check(setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)), "SO_LINGER");
	return fd;
}

static void
send_lingering(int fd, const void *bytes, size_t length, int port)
{
	int lingering = lingering_socket(port);
	check(send_with(fd, bytes, length, lingering), "sendmsg");
	close(lingering);
	puts("sent");
	fflush(stdout);
}

static void
print_bytes(const unsigned char *bytes, size_t length)
{
	for (size_t i = 0; i < length; i++)
		printf("%02x", bytes[i]);
	putchar('\n');
	fflush(stdout);
}

static void
print_answers(int fd)
{
	unsigned char answer[1024];
	for (;;) {
		ssize_t length = recv(fd, answer, sizeof(answer), 0);
		if (length <= 0) {
			puts(length == 0 ? "closed" : strerrorname_np(errno));
			return;
		}
		print_bytes(answer, length);
		shutdown(fd, SHUT_WR);
	}
}

/* Asks, and prints the answer. */
static void
ask(int fd, const void *bytes, size_t length)
{
	unsigned char answer[1024];
	send_with(fd, bytes, length, -1);
	ssize_t received = recv(fd, answer, sizeof(answer), 0);
	check(received > 0 ? 0 : -1, "recv");
	print_bytes(answer, received);
}

static void
drop_capabilities(void)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2] = {{0}};
	check(syscall(SYS_capset, &header, data), "capset");
}

/*
 * Connects as a stranger, becomes root again, and asks. A check of the capabilities alone would
 * find that the process has all of them.
 */
static void
ask_as_risen(const char *name, uid_t stranger, const void *bytes, size_t length)
{
	check(seteuid(stranger), "seteuid");
	int fd = connect_to(name);
	check(seteuid(0), "seteuid");
	send_with(fd, bytes, length, -1);
	print_answers(fd);
}

/* Like fork(2), but the child gets a given pid, which must be free. */
static pid_t
fork_with_pid(pid_t pid)
{
	struct clone_args args = {.exit_signal = SIGCHLD, .set_tid = (uintptr_t)&pid, .set_tid_size = 1};
	return syscall(SYS_clone3, &args, sizeof(args));
}

/* Asks as a spawner: with a uid other than root's, and with CAP_SYS_ADMIN alone. */
static void
ask_as_spawner(const char *name, uid_t spawner, const void *bytes, size_t length)
{
	check(prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0), "prctl");
	check(setresuid(spawner, spawner, spawner), "setresuid");
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2] = {{0}};
	data[0].effective = data[0].permitted = 1 << CAP_SYS_ADMIN;
	check(syscall(SYS_capset, &header, data), "capset");
	ask(connect_to(name), bytes, length);
}

/* Three processes with the same pid ask, one after the other: a spawner, a stranger, a spawner. */
static void
reuse_pid(const char *name, uid_t spawner, const void *bytes, size_t length)
{
	pid_t pid = fork();
	for (int i = 0; i < 3; i++) {
		pid_t child = i == 0 ? pid : fork_with_pid(pid);
		check(child, "fork");
		if (child == 0) {
			if (i == 1)
				ask_as_risen(name, spawner, bytes, length);
			else
				ask_as_spawner(name, spawner, bytes, length);
			fflush(stdout);
			_exit(0);
		}
		check(child == pid ? 0 : -1, "set_tid");
		check(waitpid(child, NULL, 0), "waitpid");
	}
}

/*
 * Returns a connection made by a stranger's process that has ended. Stores the pid of that process,
 * which is free again.
 */
static int
stale_connection(const char *name, uid_t stranger, pid_t *pid)
{
	int pair[2];
	check(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), "socketpair");
	*pid = fork();
	check(*pid, "fork");
	if (*pid == 0) {
		check(seteuid(stranger), "seteuid");
		check(send_with(pair[1], "", 1, connect_to(name)), "sendmsg");
		_exit(0);
	}
	int fd = receive_fd(pair[0]);
	check(waitpid(*pid, NULL, 0), "waitpid");
	return fd;
}

static void
ask_over_stale(const char *name, uid_t spawner, const void *bytes, size_t length)
{
	pid_t pid;
	int asked[2], fd = stale_connection(name, spawner, &pid);
	check(pipe(asked), "pipe");
	pid_t child = fork_with_pid(pid);
	check(child, "fork");
	if (child == 0) {
		ask_as_spawner(name, spawner, bytes, length);
		check(write(asked[1], "", 1), "write");
		pause();
	}
	check(child == pid ? 0 : -1, "set_tid");
	char byte;
	close(asked[1]);
	check(read(asked[0], &byte, 1) == 1 ? 0 : -1, "ask");
	send_with(fd, bytes, length, -1);
	print_answers(fd);
	kill(child, SIGKILL);
	check(waitpid(child, NULL, 0), "waitpid");
}

static void
become(char *program, int fd, const char *hex)
{
	char *delay = strchr(program, '@'), number[16];
	if (delay != NULL) {
		*delay = 0;
		usleep(1000 * atoi(delay + 1));
	}
	snprintf(number, sizeof(number), "%d", fd);
	execl(program, program, "--fd", number, hex, NULL);
	check(-1, "execl");
}

/* Asks over the second connection of a child that has asked over its first one and has ended. */
static void
ask_as_orphan(const char *name, const void *bytes, size_t length)
{
	int pair[2];
	check(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), "socketpair");
	pid_t pid = fork();
	check(pid, "fork");
	if (pid == 0) {
		ask(connect_to(name), bytes, length);
		check(send_with(pair[1], "", 1, connect_to(name)), "sendmsg");
		_exit(0);
	}
	int fd = receive_fd(pair[0]);
	check(waitpid(pid, NULL, 0), "waitpid");
	send_with(fd, bytes, length, -1);
	print_answers(fd);
}

static void
ask_again(const char *name, char *action, const void *bytes, size_t length, const char *hex)
{
	if (strcmp(action, "orphan") == 0) {
		ask_as_orphan(name, bytes, length);
		return;
	}
	if (strncmp(action, "reuse@", 6) == 0) {
		reuse_pid(name, atoi(action + 6), bytes, length);
		return;
	}
	if (strncmp(action, "stale@", 6) == 0) {
		ask_over_stale(name, atoi(action + 6), bytes, length);
		return;
	}
	ask(connect_to(name), bytes, length);
	if (strcmp(action, "exec") == 0) {
		check(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0), "prctl");
		execl("/proc/self/exe", "peer", name, hex, NULL);
		check(-1, "execl");
	}
	if (action[0] == '/')
		become(action, connect_to(name), hex);
	if (strcmp(action, "drop") == 0)
		drop_capabilities();
	if (strcmp(action, "namespace") == 0)
		check(unshare(CLONE_NEWUSER), "unshare");
	int fd = connect_to(name);
	send_with(fd, bytes, length, -1);
	print_answers(fd);
}

static void
say_connected(void)
{
	puts("connected");
	fflush(stdout);
}

/* Passes its connection to the parent, asks, and becomes more privileged a moment later. */
static void
ask_and_rise(int parent, const char *name, const void *bytes, size_t length,
	int spins, const char *program)
{
	int fd = connect_to(name);
	check(send_with(parent, "", 1, fd), "sendmsg");
	send_with(fd, bytes, length, -1);
	for (volatile int spin = spins; spin > 0; spin--) {
	}
	if (program != NULL)
		execl(program, program, NULL);
	else
		unshare(CLONE_NEWUSER);
	pause();
}

/* Prints at most one answer of each kind: an error, and any other answer. */
static void
race(const char *name, int count, const char *program, const void *bytes, size_t length)
{
	unsigned char kinds[2][1024];
	ssize_t lengths[2] = {0, 0};
	for (int i = 0; i < count; i++) {
		int pair[2];
		check(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), "socketpair");
		pid_t pid = fork();
		check(pid, "fork");
		if (pid == 0)
			ask_and_rise(pair[1], name, bytes, length, (i * 7919) % 400000, program);
		int fd = receive_fd(pair[0]);
		unsigned char answer[1024];
		ssize_t received = recv(fd, answer, sizeof(answer), 0);
		/* The command of the first packet: ERROR is 0. */
		int kind = received > 10 && answer[10] != 0;
		/* In a flood, strangers get no answer. */
		if (received > 0) {
			lengths[kind] = received;
			memcpy(kinds[kind], answer, received);
		}
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		close(fd);
		close(pair[0]);
		close(pair[1]);
	}
	for (int kind = 0; kind < 2; kind++)
		if (lengths[kind] > 0)
			print_bytes(kinds[kind], lengths[kind]);
}

static void
flood(const char *name, const void *bytes, size_t length)
{
	say_connected();
	for (;;) {
		int fd = connect_to(name);
		send_with(fd, bytes, length, -1);
		close(fd);
	}
}

static void
hold(const char *name, int count, const void *bytes, size_t length)
{
	for (int i = 0; i < count; i++) {
		int fd = connect_to(name);
		if (length > 0)
			send_with(fd, bytes, length, -1);
	}
	say_connected();
	pause();
}

int
main(int argc, char **argv)
{
	if (argc < 3)
		return EXIT_SUCCESS;
	const char *option = argc > 3 ? argv[1] : "", *hex = argv[argc - 1];
	const char *address = argv[argc - 2], *value = argv[2];
	static unsigned char bytes[32768];
	size_t length = strlen(hex) / 2;
	for (size_t i = 0; i < length; i++)
		sscanf(hex + 2 * i, "%2hhx", &bytes[i]);

	if (strcmp(option, "--hold") == 0)
		hold(address, atoi(value), bytes, length);
	if (strcmp(option, "--flood") == 0)
		flood(address, bytes, length);
	if (strcmp(option, "--again") == 0) {
		ask_again(address, argv[2], bytes, length, hex);
		return EXIT_SUCCESS;
	}
	if (strcmp(option, "--race") == 0) {
		race(address, 3000, strcmp(value, "-") == 0 ? NULL : value, bytes, length);
		return EXIT_SUCCESS;
	}

	int fd;
	if (strcmp(option, "--fd") == 0)
		fd = atoi(address);
	else if (strcmp(option, "--orphan") == 0)
		fd = connect_orphan(address);
	else
		fd = connect_to(address);

	if (strcmp(option, "--exec") == 0) {
		char number[16];
		snprintf(number, sizeof(number), "%d", fd);
		execl(value, value, "--fd", number, hex, NULL);
		check(-1, "execl");
	}
	if (strcmp(option, "--linger") == 0)
		send_lingering(fd, bytes, length, atoi(value));
	else
		check(send_with(fd, bytes, length, -1), "sendmsg");
	print_answers(fd);
	return EXIT_SUCCESS;
}
