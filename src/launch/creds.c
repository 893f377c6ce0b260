/*
 * The identity switch of a launched program.
 *
 * Theory. Order matters: supplementary groups, then gid, then uid, because each step needs the right that the next one
 * gives away. Real, effective and saved ids are all set, so nothing can be taken back. A failing or half-done switch must
 * never lead to exec: every value is read again and compared, and for a user other than root a try to become root again
 * has to fail (security.md 4.3 line 3).
 */
#include "launch/creds.h"

#include <grp.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <pwd.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "base/str.h"

#define GROUPS_MAX 65536

void creds_done(struct creds *c)
{
	free(c->groups);
	free(c->name);
	free(c->home);
	free(c->shell);
	*c = (struct creds){ 0 };
}

static int lookup_groups(const char *user, struct creds *c)
{
	int n = 32, room;

	for (;;) {
		gid_t *g = reallocarray(c->groups, (size_t)n, sizeof(gid_t));

		if (!g)
			return -ENOMEM;
		c->groups = g;
		room = n;
		if (getgrouplist(user, c->gid, c->groups, &n) >= 0)
			break;
		if (n <= room || n > GROUPS_MAX)
			return -E2BIG;
	}
	c->n_groups = (size_t)n;
	return 0;
}

int creds_lookup(uid_t uid, gid_t gid, struct creds *ret)
{
	struct creds c = { .uid = uid, .gid = gid };
	struct passwd *pw;
	int r = 0;

	errno = 0;
	pw = getpwuid(uid);
	if (pw) {
		c.name = strdup(pw->pw_name);
		c.home = strdup(pw->pw_dir && *pw->pw_dir ? pw->pw_dir : "/");
		c.shell = strdup(pw->pw_shell && *pw->pw_shell ? pw->pw_shell : "/bin/sh");
		if (c.name)
			r = lookup_groups(c.name, &c);
	} else {
		c.name = str_format("%u", (unsigned)uid);
		c.home = strdup("/");
		c.shell = strdup("/bin/sh");
		c.groups = malloc(sizeof(gid_t));
		if (c.groups)
			c.groups[c.n_groups++] = gid;
	}
	if (r == 0 && (!c.name || !c.home || !c.shell || !c.groups))
		r = -ENOMEM;
	if (r < 0) {
		creds_done(&c);
		return r;
	}
	*ret = c;
	return 0;
}

/* Ambient and inheritable sets would survive exec; keep-caps and no-setuid-fixup would survive setresuid(). */
static int drop_leftovers(void)
{
	struct __user_cap_header_struct h = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct d[_LINUX_CAPABILITY_U32S_3];

	if (prctl(PR_GET_SECUREBITS) != 0 && prctl(PR_SET_SECUREBITS, SECUREBITS_DEFAULT) < 0)
		return -errno;
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0)
		return -errno;
	if (syscall(SYS_capget, &h, d) < 0)
		return -errno;
	for (size_t i = 0; i < ARRAY_SIZE(d); i++)
		d[i].inheritable = 0;
	if (syscall(SYS_capset, &h, d) < 0)
		return -errno;
	return 0;
}

static bool has_capabilities(void)
{
	struct __user_cap_header_struct h = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct d[_LINUX_CAPABILITY_U32S_3];

	if (syscall(SYS_capget, &h, d) < 0)
		return true; /* not known: counts as yes */
	for (size_t i = 0; i < ARRAY_SIZE(d); i++)
		if (d[i].effective || d[i].permitted || d[i].inheritable)
			return true;
	return false;
}

static int compare_gids(const void *a, const void *b)
{
	gid_t x = *(const gid_t *)a, y = *(const gid_t *)b;

	return x < y ? -1 : x > y;
}

static bool groups_are(const struct creds *c)
{
	_cleanup_(freep) gid_t *have = NULL, *want = NULL;
	int n = getgroups(0, NULL);

	if (n < 0 || (size_t)n != c->n_groups)
		return false;
	if (n == 0)
		return true;
	have = calloc((size_t)n, sizeof(gid_t));
	want = calloc((size_t)n, sizeof(gid_t));
	if (!have || !want || getgroups(n, have) != n)
		return false;
	/* The kernel keeps them sorted, getgrouplist() does not. */
	memcpy(want, c->groups, (size_t)n * sizeof(gid_t));
	qsort(have, (size_t)n, sizeof(gid_t), compare_gids);
	qsort(want, (size_t)n, sizeof(gid_t), compare_gids);
	return memcmp(have, want, (size_t)n * sizeof(gid_t)) == 0;
}

static bool identity_is(const struct creds *c)
{
	uid_t ru, eu, su;
	gid_t rg, eg, sg;

	if (getresuid(&ru, &eu, &su) < 0 || getresgid(&rg, &eg, &sg) < 0)
		return false;
	if (ru != c->uid || eu != c->uid || su != c->uid || rg != c->gid || eg != c->gid || sg != c->gid)
		return false;
	if (!groups_are(c))
		return false;
	/* The proof by trying: nobody but root may come back. */
	return c->uid == 0 || (setresuid(0, 0, 0) < 0 && !has_capabilities());
}

int creds_return(struct creds_own *own)
{
	bool is_back = seteuid(getuid()) == 0 && setegid(getgid()) == 0 && setgroups(own->n_groups, own->groups) == 0;
	int r = is_back ? 0 : -errno;

	free(own->groups);
	*own = (struct creds_own){ 0 };
	return r;
}

int creds_borrow(uid_t uid, gid_t gid, struct creds_own *ret)
{
	struct creds c = { 0 };
	struct creds_own own = { 0 };
	int n = getgroups(0, NULL), r;

	if (n < 0)
		return -errno;
	own.groups = calloc((size_t)n + 1, sizeof(gid_t));
	if (!own.groups)
		return -ENOMEM;
	own.n_groups = (size_t)n;
	r = getgroups(n, own.groups) == n ? creds_lookup(uid, gid, &c) : -EAGAIN;
	if (r < 0) {
		free(own.groups);
		return r;
	}
	if (setgroups(c.n_groups, c.groups) < 0 || setegid(c.gid) < 0 || seteuid(c.uid) < 0) {
		r = -errno;
		(void)creds_return(&own); /* whatever did not change needs no way back */
	}
	creds_done(&c);
	if (r == 0)
		*ret = own;
	return r;
}

int creds_become(const struct creds *c, char **ret_error)
{
	const char *what = NULL;
	int r = drop_leftovers();

	if (r < 0)
		what = "drop left-over capabilities";
	else if (setgroups(c->n_groups, c->groups) < 0) {
		r = -errno;
		what = "set the groups";
	} else if (setresgid(c->gid, c->gid, c->gid) < 0) {
		r = -errno;
		what = "set the group";
	} else if (setresuid(c->uid, c->uid, c->uid) < 0) {
		r = -errno;
		what = "set the user";
	} else if (!identity_is(c)) {
		r = -EPERM;
		what = "prove the switch";
	}
	if (r < 0)
		*ret_error = str_format("cannot become user %s (uid %u): cannot %s: %s; nothing was started", c->name,
					(unsigned)c->uid, what, strerror(-r));
	return r;
}

static int give_up_capabilities(void)
{
	struct __user_cap_header_struct h = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = { 0 };

	for (int cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++)
		if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0)
			return -errno;
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -errno;
	if (syscall(SYS_capset, &h, none) < 0)
		return -errno;
	return has_capabilities() || prctl(PR_CAPBSET_READ, CAP_NET_ADMIN, 0, 0, 0) != 0 ? -EPERM : 0;
}

int creds_stay(char **ret_error)
{
	int r = give_up_capabilities();

	if (r < 0)
		*ret_error = str_format("cannot give up the rights over the tunnel's namespace: %s; nothing was started",
					strerror(-r));
	return r;
}

/* The user's own runtime folder, only if it is there and is his. */
static char *runtime_dir(uid_t uid)
{
	char *path = str_format("/run/user/%u", (unsigned)uid);
	struct stat st;

	if (path && (lstat(path, &st) < 0 || !S_ISDIR(st.st_mode) || st.st_uid != uid)) {
		free(path);
		return NULL;
	}
	return path;
}

static int set_or_unset(const char *name, const char *value)
{
	return (value ? setenv(name, value, 1) : unsetenv(name)) < 0 ? -errno : 0;
}

int creds_environment(const struct creds *c)
{
	static const char *const sudo_names[] = { "SUDO_UID", "SUDO_GID", "SUDO_USER", "SUDO_COMMAND", "SUDO_HOME" };
	_cleanup_(freep) char *runtime = runtime_dir(c->uid), *bus = NULL, *address = NULL;
	struct stat st;
	int r;

	if (runtime) {
		bus = str_format("%s/bus", runtime);
		if (bus && lstat(bus, &st) == 0 && S_ISSOCK(st.st_mode) && st.st_uid == c->uid)
			address = str_format("unix:path=%s", bus);
	}
	const struct {
		const char *name;
		const char *value;
	} vars[] = {
		{ "HOME", c->home },     { "USER", c->name },
		{ "LOGNAME", c->name },  { "SHELL", c->shell },
		{ "MAIL", NULL },        { "XDG_RUNTIME_DIR", runtime },
		{ "DBUS_SESSION_BUS_ADDRESS", address },
	};
	for (size_t i = 0; i < ARRAY_SIZE(vars); i++) {
		r = set_or_unset(vars[i].name, vars[i].value);
		if (r < 0)
			return r;
	}
	for (size_t i = 0; i < ARRAY_SIZE(sudo_names); i++) {
		r = set_or_unset(sudo_names[i], NULL);
		if (r < 0)
			return r;
	}
	return 0;
}
