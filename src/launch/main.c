/*
 * nsvpn-launch: started by PID 1 as root, in a transient service, to become a user's program in a tunnel.
 *
 * Theory. nsvpnd gives the order through a socket pair that is standard input here; nobody else can reach it. Everything
 * that names something (working folder, program, environment) is looked at only after this process has become the user,
 * so that nothing is opened or read with rights the user has not. The steps are those of launch.c, with two differences:
 * identity and groups are the exact ones of the caller's process, not those of the passwd file, and what a child inherits
 * from its parent is taken over from the caller (attributes.h). Whatever fails ends in a sentence that nsvpn prints.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "base/bus-api.h"
#include "base/cleanup.h"
#include "base/fd.h"
#include "base/launch-api.h"
#include "base/parse.h"
#include "base/str.h"
#include "launch/attributes.h"
#include "launch/creds.h"
#include "launch/isolate.h"
#include "launch/order.h"
#include "launch/request.h"
#include "launch/steps.h"
#include "launch/supervise.h"

struct session {
	struct order order;
	struct request request;
	char *cwd;
	bool is_folder_late; /* root is not let in: it is entered as the user */
};

static const char usage[] = "nsvpn-launch is started by nsvpnd for `nsvpn exec`; see nsvpnd(8)\n";

/* ---- before: as root ---------------------------------------------------------------------------------------------------- */

static int place_streams(const struct order *o, char **ret_error)
{
	for (int i = 0; i < 3; i++)
		if (dup2(o->fds[LAUNCH_FD_STDIN + i], i) < 0)
			return -errno;
	return launch_check_streams(false, ret_error);
}

/*
 * The folder's name, in the mount namespace that caller and launcher share. What has no name any more (removed) cannot be
 * entered by name after the mounts have changed. File systems that belong to one user (FUSE) or to a server that does not
 * know our root (NFS) do not let root look.
 */
static int name_folder(struct session *s, char **ret_error)
{
	int fd = s->order.fds[LAUNCH_FD_CWD];
	_cleanup_(freep) char *link = str_format("/proc/self/fd/%d", fd);
	char path[4096];
	struct stat a, b;
	ssize_t n = link ? readlink(link, path, sizeof(path) - 1) : -1;

	if (n < 0)
		return -errno;
	path[n] = '\0';
	s->cwd = strdup(path);
	if (!s->cwd)
		return -ENOMEM;
	if (fstat(fd, &a) == 0 && stat(path, &b) == 0) {
		if (a.st_dev == b.st_dev && a.st_ino == b.st_ino)
			return 0;
	} else if (errno == EACCES) {
		s->is_folder_late = true;
		return 0;
	}
	*ret_error = strdup("the working folder does not exist any more; change to another one first");
	return -ENOENT;
}

/* The same folder by its name, now under the tunnel's mounts: the caller was in it, so root's rights show him nothing new. */
static int enter_folder(const struct session *s, char **ret_error)
{
	struct stat was, is;

	if (fstat(s->order.fds[LAUNCH_FD_CWD], &was) < 0)
		return -errno;
	if (s->order.head.flags & LAUNCH_FLAG_ISOLATE)
		return isolate_folder(s->cwd, &was, ret_error);
	if (chdir(s->cwd) == 0 && stat(".", &is) == 0 &&
	    ((was.st_dev == is.st_dev && was.st_ino == is.st_ino) || str_eq(s->cwd, "/etc") || str_has_prefix(s->cwd, "/etc/")))
		return 0;
	*ret_error = str_format("the working folder %s cannot be entered in the tunnel's view of the file system", s->cwd);
	return -ENOENT;
}

static int become(const struct session *s, char **ret_error)
{
	const struct launch_order *o = &s->order.head;
	char name[16];
	struct creds c = {
		.uid = o->uid, .gid = o->gid, .groups = (gid_t *)o->groups, .n_groups = o->n_groups, .name = name,
	};
	bool isolate = o->flags & LAUNCH_FLAG_ISOLATE;
	int r;

	(void)snprintf(name, sizeof(name), "%u", o->uid); /* fits any uid */
	r = isolate ? isolate_enter(o->uid, ret_error) : 0;
	if (r >= 0)
		r = creds_become(&c, ret_error);
	if (r >= 0 && isolate)
		r = isolate_seal(ret_error);
	if (r < 0)
		return r;
	if ((o->flags & LAUNCH_FLAG_NO_NEW_PRIVS) && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -errno;
	attributes_new_keyring();
	return 0;
}

static int prepare(struct session *s, char **ret_error)
{
	const struct launch_order *o = &s->order.head;
	const struct covers_user user = { o->uid, o->gid };
	int r;

	r = name_folder(s, ret_error);
	if (r >= 0)
		r = place_streams(&s->order, ret_error);
	if (r >= 0)
		r = attributes_adopt(o->caller_pid, o->uid, ret_error);
	if (r >= 0)
		r = launch_join(o->tunnel, true, o->flags & LAUNCH_FLAG_ISOLATE ? &user : NULL, ret_error);
	if (r >= 0 && !s->is_folder_late)
		r = enter_folder(s, ret_error);
	if (r >= 0)
		r = become(s, ret_error);
	if (r >= 0 && s->is_folder_late)
		r = enter_folder(s, ret_error);
	return r;
}

/* ---- after: as the user -------------------------------------------------------------------------------------------------- */

static int read_request(struct session *s, char **ret_error)
{
	int r = request_parse(s->order.fds[LAUNCH_FD_REQUEST], &s->request);

	if (r < 0)
		*ret_error = str_format("what nsvpn wants started cannot be read (%s)", strerror(-r));
	return r;
}

/* In the child of the supervisor. */
static int run_program(void *userdata, char **ret_error)
{
	struct session *s = userdata;
	const struct launch_order *o = &s->order.head;

	environ = s->request.envp;
	if ((o->flags & LAUNCH_FLAG_ISOLATE) && isolate_environment(o->uid, ret_error) < 0)
		return EXIT_CODE_EXEC_FAILED;
	if (setenv("NSVPN_TUNNEL", o->tunnel, 1) < 0)
		return EXIT_CODE_EXEC_FAILED;
	/* All are close-on-exec; those of the supervisor are needed until then. */
	return launch_run(s->request.argv, ret_error);
}

int main(int argc, char **argv _unused_)
{
	struct session s = { 0 };
	char *error = NULL;
	int control, r;

	if (argc != 1) {
		fputs(usage, stderr);
		return EXIT_CODE_USAGE;
	}
	r = order_receive(STDIN_FILENO, &s.order);
	if (r < 0) {
		fprintf(stderr, "nsvpn-launch: standard input is not an order of nsvpnd (%s); %s", strerror(-r), usage);
		return EXIT_CODE_EXEC_FAILED;
	}
	control = s.order.fds[LAUNCH_FD_CONTROL];
	r = prepare(&s, &error);
	if (r >= 0)
		r = read_request(&s, &error);
	if (r < 0) {
		supervise_fail(control, EXIT_CODE_EXEC_FAILED, error ? error : strerror(-r));
		return EXIT_CODE_EXEC_FAILED;
	}
	/* The supervisor keeps the control socket only. */
	s.order.fds[LAUNCH_FD_CONTROL] = -EBADF;
	order_done(&s.order);
	(void)supervise(&(struct supervise){
		.control = control,
		.terminal = s.order.head.flags & LAUNCH_FLAG_TERMINAL,
		.background = s.order.head.flags & LAUNCH_FLAG_BACKGROUND,
		.run = run_program,
		.userdata = &s,
	});
	request_done(&s.request);
	free(s.cwd);
	free(error);
	/* How the program ended was told to who asked; for PID 1 this unit did its work, and is no failure in the log. */
	return EXIT_CODE_OK;
}
