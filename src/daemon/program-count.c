/* Counting services of a user's slice; theory in program-count.h. */
#include "daemon/program-count.h"

#include <dirent.h>

#include "base/cleanup.h"
#include "base/str.h"

static size_t count_in(const char *path)
{
	DIR *d = opendir(path);
	const struct dirent *e;
	size_t n = 0;

	while (d && (e = readdir(d)))
		n += str_has_prefix(e->d_name, "nsvpn-exec-") && str_has_suffix(e->d_name, ".service");
	if (d)
		(void)closedir(d); /* only read */
	return n;
}

size_t program_count(const char *cgroups, uid_t uid)
{
	/* Of the second version, mixed with the first, or the first only. */
	static const char *const trees[] = { "", "/unified", "/systemd" };
	size_t most = 0;

	for (size_t i = 0; i < ARRAY_SIZE(trees); i++) {
		_cleanup_(freep) char *path = str_format("%s%s/user.slice/user-%u.slice", cgroups, trees[i], (unsigned)uid);
		size_t n = path ? count_in(path) : 0;

		most = MAX(most, n);
	}
	return most;
}
