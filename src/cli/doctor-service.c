/* What is installed: the helper, its service, polkit, and whether the parts are of one version. */
#include <fcntl.h>
#include <grp.h>
#include <string.h>
#include <sys/stat.h>

#include "base/fd.h"
#include "base/places.h"
#include "base/process.h"
#include "base/str.h"
#include "cli/doctor.h"

#define ANSWER_MAX 256

static const char *const unit_files[] = {
	"/etc/systemd/system/nsvpnd.service", "/run/systemd/system/nsvpnd.service", "/usr/local/lib/systemd/system/nsvpnd.service",
	"/usr/lib/systemd/system/nsvpnd.service", "/lib/systemd/system/nsvpnd.service", NULL,
};
static const char *const polkit_files[] = {
	"/usr/lib/polkit-1/polkitd", "/usr/libexec/polkitd", "/usr/lib/polkitd/polkitd", "/usr/libexec/polkit-1/polkitd", NULL,
};

char *doctor_read(const struct doctor *d, const char *path)
{
	_cleanup_(freep) char *full = str_format("%s%s", d->root, path);
	char *text = NULL;
	size_t len;

	return full && file_read(AT_FDCWD, full, 16U << 20, &text, &len) == 0 ? text : NULL;
}

bool doctor_exists(const struct doctor *d, const char *path)
{
	_cleanup_(freep) char *full = str_format("%s%s", d->root, path);
	struct stat st;

	return full && stat(full, &st) == 0;
}

const char *doctor_first(const struct doctor *d, const char *const *paths)
{
	for (; *paths; paths++)
		if (doctor_exists(d, *paths))
			return *paths;
	return NULL;
}

bool doctor_switch(const struct doctor *d, const char *name, uint32_t *ret)
{
	_cleanup_(freep) char *path = str_format("/proc/sys/%s", name);
	_cleanup_(freep) char *text = path ? doctor_read(d, path) : NULL;

	if (!text)
		return false;
	*ret = (uint32_t)strtoul(text, NULL, 10); /* the kernel's own number */
	return true;
}

void doctor_done(struct doctor *d)
{
	findings_done(&d->found);
	strv_free(TAKE_PTR(d->unseen));
}

/* ---- the helper's program ---- */

/* "nsvpnd 1.2.3" */
static char *ask_version(const char *program)
{
	char *argv[] = { (char *)"nsvpnd", (char *)"--version", NULL }, *envp[] = { NULL };
	_cleanup_(closep) int in = -EBADF, out = -EBADF;
	char *text = NULL;
	size_t len;
	int fds[2];
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return NULL;
	in = fds[0];
	out = fds[1];
	if (process_spawn(&(struct spawn){ .path = program, .argv = argv, .envp = envp, .map = &(struct fd_map){ out, 1 }, .n_map = 1,
					   .netns_fd = -EBADF }, &pid, NULL) < 0)
		return NULL;
	out = fd_close(out);
	if (file_read_fd(in, ANSWER_MAX, &text, &len) < 0)
		text = NULL;
	(void)process_wait(pid); /* its answer counts */
	return text;
}

static void helper_program(struct doctor *d)
{
	_cleanup_(freep) char *program = place_program("nsvpnd");
	_cleanup_(freep) char *answer = program && access(program, X_OK) == 0 ? ask_version(program) : NULL;
	const char *version = answer ? str_trim(answer) : NULL;

	if (!program || access(program, X_OK) < 0)
		findings_add(&d->found, FINDING_PROBLEM, "service", "nsvpnd", "install nsvpn completely (make install)",
			     "the helper %s cannot be run: %m", program ? program : "nsvpnd");
	else if (!version || !str_has_prefix(version, "nsvpnd "))
		findings_add(&d->found, FINDING_PROBLEM, "service", "nsvpnd", "install nsvpn completely (make install)",
			     "%s does not say its version, so it is not ours or does not run here", program);
	else if (!str_eq(version + strlen("nsvpnd "), NSVPN_VERSION))
		findings_add(&d->found, FINDING_WARNING, "service", "nsvpnd", "install both from one place",
			     "nsvpn is version " NSVPN_VERSION " and %s is version %s", program, version + strlen("nsvpnd "));
	else
		findings_add(&d->found, FINDING_OK, "service", "nsvpnd", NULL, "nsvpn and %s are version " NSVPN_VERSION, program);
}

/* ---- the service ---- */

static void unit(struct doctor *d)
{
	const char *file = doctor_first(d, unit_files);

	if (!doctor_exists(d, "/run/systemd/system")) {
		findings_add(&d->found, FINDING_NOTE, "service", "systemd", NULL,
			     "systemd does not run here; only root can use tunnels, or users with --rootless");
		return;
	}
	if (!file)
		findings_add(&d->found, FINDING_NOTE, "service", "nsvpnd.service", "make install",
			     "the service is not installed; only root can use tunnels, or users with --rootless");
	else
		findings_add(&d->found, FINDING_OK, "service", "nsvpnd.service", NULL, "the service is installed (%s)", file);
	if (file && !doctor_first(d, polkit_files))
		findings_add(&d->found, FINDING_WARNING, "service", "polkit", "install polkit (Debian: polkitd)",
			     "polkit is not installed, so users are refused whatever they ask the service for");
	else if (file)
		findings_add(&d->found, FINDING_OK, "service", "polkit", NULL, "polkit is installed");
	if (file && !getgrnam("nsvpn"))
		findings_add(&d->found, FINDING_NOTE, "service", "group nsvpn", "systemd-sysusers, or groupadd --system nsvpn",
			     "there is no group nsvpn, whose members may use tunnels from anywhere");
}

void doctor_service(struct doctor *d)
{
	helper_program(d);
	unit(d);
}
