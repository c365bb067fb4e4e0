/*
 * A system call for Node: the addon that src/addon.ts loads.
 *
 *     call(number, up to six integers) -> the result, or -errno
 *     numbers                          -> the numbers of the calls that it makes, by name
 *
 * It makes the calls on the list below and no others. A call belongs on the list if it is made
 * often, or together with such calls, and if libc's function does nothing but make the call: no
 * clone, vfork or exec, no signal handlers or masks, and no set*id, for which libc does work of
 * its own. A double has to hold each integer exactly. The caller is responsible for the meaning of
 * the integers, above all for addresses.
 *
 * The list has only calls that exist on both x86-64 and arm64: epoll_pwait, not epoll_wait.
 */
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <unistd.h>

#define NAPI_VERSION 8
#include <node_api.h>

#define CALLS(X) \
	X(accept4) X(bind) X(capget) X(chroot) X(close) X(connect) X(epoll_create1) \
	X(epoll_ctl) X(epoll_pwait) X(eventfd2) X(fchdir) X(fcntl) X(fgetxattr) X(flistxattr) X(fsetxattr) \
	X(fstat) X(getsockopt) X(inotify_add_watch) X(inotify_init1) X(inotify_rm_watch) \
	X(ioctl) X(listen) X(mkdirat) X(mount) X(newfstatat) X(openat) X(pidfd_open) X(pidfd_send_signal) X(pipe2) \
	X(pivot_root) X(ppoll) X(prctl) X(pread64) X(read) X(readlinkat) X(recvfrom) X(recvmsg) \
	X(sendmsg) X(sendto) X(setns) X(setsockopt) X(shutdown) X(socket) X(socketpair) \
	X(statx) X(umount2) X(unlinkat) X(unshare) X(waitid) X(write)

#define MAX_ARGUMENTS 6

/* Number.MAX_SAFE_INTEGER */
#define MAX_SAFE_INTEGER 9007199254740991.0

static const struct {
	const char *name;
	long number;
} calls[] = {
#define ENTRY(name) {#name, SYS_##name},
	CALLS(ENTRY)
};

static const bool allowed[] = {
#define ALLOWED(name) [SYS_##name] = true,
	CALLS(ALLOWED)
};

static napi_value
refuse(napi_env env, const char *why)
{
	napi_throw_type_error(env, NULL, why);
	return NULL;
}

static bool
get_integer(napi_env env, napi_value value, long *integer)
{
	double number;
	if (napi_get_value_double(env, value, &number) != napi_ok)
		return false;
	/* The comparison is false for NaN. */
	if (!(number >= -MAX_SAFE_INTEGER && number <= MAX_SAFE_INTEGER))
		return false;
	*integer = (long)number;
	return (double)*integer == number;
}

static napi_value
call(napi_env env, napi_callback_info info)
{
	size_t count = 1 + MAX_ARGUMENTS;
	napi_value values[1 + MAX_ARGUMENTS], result;
	long integers[1 + MAX_ARGUMENTS] = {-1};
	if (napi_get_cb_info(env, info, &count, values, NULL, NULL) != napi_ok)
		return NULL;
	if (count > 1 + MAX_ARGUMENTS)
		return refuse(env, "a system call takes at most six arguments");
	for (size_t i = 0; i < count; i++)
		if (!get_integer(env, values[i], &integers[i]))
			return refuse(env, "a system call takes only safe integers");

	long number = integers[0];
	if (number < 0 || (size_t)number >= sizeof(allowed) || !allowed[number])
		return refuse(env, "this addon does not make this system call");
	long value = syscall(number, integers[1], integers[2], integers[3], integers[4],
		integers[5], integers[6]);
	if (value == -1)
		value = -errno;
	return napi_create_int64(env, value, &result) == napi_ok ? result : NULL;
}

NAPI_MODULE_INIT()
{
	napi_value function, numbers, number;
	if (napi_create_function(env, "call", NAPI_AUTO_LENGTH, call, NULL, &function) != napi_ok ||
		napi_set_named_property(env, exports, "call", function) != napi_ok ||
		napi_create_object(env, &numbers) != napi_ok ||
		napi_set_named_property(env, exports, "numbers", numbers) != napi_ok)
		return NULL;
	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
		if (napi_create_int64(env, calls[i].number, &number) != napi_ok ||
			napi_set_named_property(env, numbers, calls[i].name, number) != napi_ok)
			return NULL;
	return exports;
}
