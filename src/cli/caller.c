/* Who asked. */
#include "cli/caller.h"

#include <pwd.h>

#include "base/parse.h"
#include "base/str.h"
#include "cli/output.h"

#define ID_MAX (UINT32_MAX - 1) /* UINT32_MAX means "leave as it is" to the kernel */

void caller_done(struct caller *c)
{
	free(c->shell);
	free(c->home);
	*c = (struct caller){ 0 };
}

static int from_passwd(const struct passwd *pw, struct caller *ret)
{
	struct caller c = { .is_switch = pw->pw_uid != geteuid(), .uid = pw->pw_uid, .gid = pw->pw_gid };

	c.shell = pw->pw_shell && *pw->pw_shell ? strdup(pw->pw_shell) : NULL;
	c.home = pw->pw_dir && *pw->pw_dir ? strdup(pw->pw_dir) : NULL;
	if ((pw->pw_shell && *pw->pw_shell && !c.shell) || (pw->pw_dir && *pw->pw_dir && !c.home)) {
		caller_done(&c);
		return output_oom();
	}
	*ret = c;
	return EXIT_CODE_OK;
}

static int from_user_option(const char *user, struct caller *ret)
{
	const struct passwd *pw = getpwnam(user);
	uint32_t uid;

	if (!pw && parse_u32(user, 0, ID_MAX, &uid) == 0)
		pw = getpwuid(uid);
	if (!pw)
		return output_fail(EXIT_CODE_FAILED, "--user %s: there is no such user on this machine", user);
	if (geteuid() != 0 && pw->pw_uid != geteuid())
		return output_fail(EXIT_CODE_DENIED, "--user %s: only root may start programs as somebody else", user);
	return from_passwd(pw, ret);
}

static int from_sudo(const char *uid_text, struct caller *ret)
{
	const char *gid_text = getenv("SUDO_GID");
	const struct passwd *pw;
	uint32_t uid, gid;

	if (parse_u32(uid_text, 0, ID_MAX, &uid) < 0)
		return output_fail(EXIT_CODE_FAILED, "SUDO_UID in the environment is not a number; unset it or give --user");
	pw = getpwuid(uid);
	if (pw)
		return from_passwd(pw, ret);
	if (!gid_text || parse_u32(gid_text, 0, ID_MAX, &gid) < 0)
		return output_fail(EXIT_CODE_FAILED, "sudo's user %u is not known on this machine; give --user", uid);
	*ret = (struct caller){ .is_switch = uid != geteuid(), .uid = uid, .gid = gid };
	return EXIT_CODE_OK;
}

int caller_resolve(const char *user, struct caller *ret)
{
	const char *sudo = geteuid() == 0 ? getenv("SUDO_UID") : NULL;

	if (user)
		return from_user_option(user, ret);
	if (sudo)
		return from_sudo(sudo, ret);
	*ret = (struct caller){ .uid = geteuid(), .gid = getegid() };
	return EXIT_CODE_OK;
}
