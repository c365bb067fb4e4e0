/* Shared by the C tests: the entry points, and checks that are counted. */
#pragma once
#define _GNU_SOURCE /* setenv, strnlen, barriers: include this file first */

#include <errno.h>
#include <grp.h>
#include <nss.h>
#include <pwd.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

enum nss_status _nss_cm4all_logname_setpwent(int stay_open);
enum nss_status _nss_cm4all_logname_endpwent(void);
enum nss_status _nss_cm4all_logname_getpwent_r(struct passwd *result,
	char *buffer, size_t size, int *errnop);
enum nss_status _nss_cm4all_logname_getpwnam_r(const char *name,
	struct passwd *result, char *buffer, size_t size, int *errnop);
enum nss_status _nss_cm4all_logname_getpwuid_r(uid_t uid,
	struct passwd *result, char *buffer, size_t size, int *errnop);
enum nss_status _nss_cm4all_logname_getgrgid_r(gid_t gid,
	struct group *result, char *buffer, size_t size, int *errnop);

static atomic_ulong checks;

/** Ends the test if the condition is false, even if NDEBUG is defined. */
#define check(condition) \
	do { \
		atomic_fetch_add(&checks, 1); \
		if (!(condition)) { \
			fprintf(stderr, "%s:%d: %s: failed: %s\n", \
				__FILE__, __LINE__, __func__, #condition); \
			exit(1); \
		} \
	} while (0)
