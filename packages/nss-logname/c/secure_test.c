/*
 * Prints what NSS returns for the program's effective uid and gid, and for the user name that is its
 * argument. The tests install the program with and without the set-uid bit, the set-gid bit and
 * file capabilities.
 */
#include "check.h"

#include <sys/auxv.h>
#include <unistd.h>

int
main(int argc, char **argv)
{
	check(argc == 2);
	const struct passwd *by_uid = getpwuid(geteuid());
	printf("secure=%lu", getauxval(AT_SECURE));
	printf(" uid=%s", by_uid != NULL ? by_uid->pw_name : "nobody");
	const struct passwd *by_name = getpwnam(argv[1]);
	printf(" name=%s", by_name != NULL ? by_name->pw_dir : "nobody");
	const struct group *by_gid = getgrgid(getegid());
	printf(" gid=%s", by_gid != NULL ? by_gid->gr_name : "nobody");

	unsigned found = 0;
	setpwent();
	for (const struct passwd *pw; (pw = getpwent()) != NULL;)
		found += pw->pw_uid == geteuid();
	endpwent();
	printf(" listed=%u\n", found);
	return 0;
}
