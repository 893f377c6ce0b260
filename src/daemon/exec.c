/* A user's program in a tunnel; contract and theory in exec.h. */
#include "daemon/exec.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "base/bus-api.h"
#include "base/fd.h"
#include "base/launch-api.h"
#include "base/log.h"
#include "base/places.h"
#include "base/str.h"
#include "daemon/program-count.h"
#include "daemon/tunnel.h"

#define SEALS (F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

/* ---- what came along ---------------------------------------------------------------------------------------------------- */

static int refuse(char **ret_error, int r, const char *sentence)
{
	*ret_error = strdup(sentence);
	return r;
}

int exec_check_request(int fd, char **ret_error)
{
	int seals = fcntl(fd, F_GET_SEALS);
	struct stat st;

	if (seals < 0 || (seals & SEALS) != SEALS)
		return refuse(ret_error, -EPERM, "the request is not a sealed memfd");
	if (fstat(fd, &st) < 0 || st.st_size > (off_t)LAUNCH_REQUEST_MAX)
		return refuse(ret_error, -E2BIG, "arguments and environment are larger than 4 MiB together");
	return 0;
}

/* Streams may be anything but sockets of a network: those would go on talking outside. nsvpn-launch looks again. */
static int check_stream(int fd, char **ret_error)
{
	socklen_t len = sizeof(int);
	int domain;

	if (fcntl(fd, F_GETFL) & O_PATH)
		return refuse(ret_error, -EINVAL, "a standard stream is only a path, not an open file");
	if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) < 0 || domain == AF_UNIX)
		return 0;
	return refuse(ret_error, -EPERM,
		      "a standard stream is a network socket of the outside, the program could talk past the tunnel through it; "
		      "connect it to a pipe or file");
}

static int check_folder(int fd, char **ret_error)
{
	int flags = fcntl(fd, F_GETFL);
	struct statx st;
	int r;

	if (flags < 0 || !(flags & O_PATH))
		return refuse(ret_error, -EINVAL, "the working folder is not given as a path");
	/*
	 * A server that is away would keep us, and everybody, for as long as that, so nobody is asked. A user's own file system
	 * (FUSE) does not tell root: nsvpn-launch finds out as the user.
	 */
	r = statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_TYPE, &st) < 0 ? -errno : 0;
	if (r == -EACCES || (r == 0 && S_ISDIR(st.stx_mode)))
		return 0;
	return refuse(ret_error, -ENOTDIR, "the working folder is not a folder");
}

static int check_control(int fd, struct ucred *ret, char **ret_error)
{
	int type = 0, domain = 0;
	socklen_t len = sizeof(int);

	if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) < 0 || type != SOCK_SEQPACKET ||
	    getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) < 0 || domain != AF_UNIX)
		return refuse(ret_error, -EINVAL, "the control socket is not a SOCK_SEQPACKET socket pair");
	len = sizeof(*ret);
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, ret, &len) < 0 || ret->pid <= 0)
		return refuse(ret_error, -EINVAL, "the control socket does not tell who made it");
	return 0;
}

static bool has_group(const struct sender *who, uint32_t gid)
{
	for (size_t i = 0; i < who->n_groups; i++)
		if (who->groups[i] == gid)
			return true;
	return false;
}

int exec_identify(int control, const struct sender *who, struct launch_order *ret, char **ret_error)
{
	socklen_t len = sizeof(ret->groups);
	struct ucred peer = { 0 };
	int r;

	r = check_control(control, &peer, ret_error);
	if (r < 0)
		return r;
	if (peer.uid != who->uid)
		return refuse(ret_error, -EPERM, "the control socket was made by another user");
	if (peer.uid == 0)
		return refuse(ret_error, -EPERM, "root starts programs in its own process, not through the helper");
	if (getsockopt(control, SOL_SOCKET, SO_PEERGROUPS, ret->groups, &len) < 0)
		return refuse(ret_error, -errno, "the kernel does not tell the groups of the caller");
	ret->n_groups = (uint32_t)(len / sizeof(ret->groups[0]));
	/* The bus knows the groups from when the sender connected: more than those nobody gets. */
	r = has_group(who, peer.gid) ? 0 : -EPERM;
	for (uint32_t i = 0; r == 0 && i < ret->n_groups; i++)
		if (!has_group(who, ret->groups[i]))
			r = -EPERM;
	if (r < 0)
		return refuse(ret_error, r, "the control socket was made by a process with other groups than the sender's");
	ret->caller_pid = peer.pid;
	ret->uid = peer.uid;
	ret->gid = peer.gid;
	return 0;
}

/* ---- PID 1 -------------------------------------------------------------------------------------------------------------- */

struct start {
	struct start *next;
	sd_bus_message *call; /* whom to answer */
	char *unit;
	uid_t uid;
};

/* PID 1 has not answered yet. */
static struct start *starts;

static void start_free(struct start *s)
{
	for (struct start **p = &starts; *p; p = &(*p)->next)
		if (*p == s) {
			*p = s->next;
			break;
		}
	sd_bus_message_unref(s->call);
	free(s->unit);
	free(s);
}

static bool has_too_many(uid_t uid)
{
	size_t n = program_count("/sys/fs/cgroup", uid);

	for (const struct start *s = starts; s; s = s->next)
		n += s->uid == uid;
	return n >= PROGRAMS_PER_USER;
}

static void start_destroy(void *userdata)
{
	start_free(userdata);
}

static int on_started(sd_bus_message *reply, void *userdata, sd_bus_error *error _unused_)
{
	struct start *s = userdata;
	const sd_bus_error *e = sd_bus_message_get_error(reply);

	/* A caller that has gone by now needs no answer. */
	if (e)
		(void)sd_bus_reply_method_errorf(s->call, BUS_ERROR_FAILED, "the service manager does not start the program: %s",
						 e->message ? e->message : e->name);
	else
		(void)sd_bus_reply_method_return(s->call, "s", s->unit);
	return 0;
}

static char *unit_name(const char *tunnel)
{
	uint64_t id;

	if (getrandom(&id, sizeof(id), 0) != sizeof(id))
		return NULL;
	return str_format("nsvpn-exec-%s-%016llx.service", tunnel, (unsigned long long)id);
}

static int append_properties(sd_bus_message *m, const struct launch_order *o, const char *program, int order_fd)
{
	_cleanup_(freep) char *slice = str_format("user-%u.slice", o->uid);
	_cleanup_(freep) char *text = str_format("a program of user %u in tunnel %s", o->uid, o->tunnel);
	int r;

	if (!slice || !text)
		return -ENOMEM;
	r = sd_bus_message_append(m, "(sv)(sv)(sv)(sv)(sv)(sv)(sv)(sv)",
				  "Description", "s", text,
				  "Slice", "s", slice,
				  "Type", "s", "exec",
				  "ExitType", "s", "cgroup", /* what the program leaves running is not killed */
				  "CollectMode", "s", "inactive-or-failed",
				  "IgnoreSIGPIPE", "b", false,
				  "StandardInputFileDescriptor", "h", order_fd,
				  "SendSIGHUP", "b", true);
	if (r >= 0)
		r = sd_bus_message_append(m, "(sv)", "ExecStart", "a(sasb)", 1, program, 1, program, false);
	return r;
}

static int call_pid1(sd_bus *bus, const struct launch_order *o, int order_fd, struct start *s)
{
	_cleanup_(freep) char *program = place_program("nsvpn-launch");
	sd_bus_message *m = NULL;
	sd_bus_slot *slot = NULL;
	int r;

	if (!program)
		return -ENOMEM;
	r = sd_bus_message_new_method_call(bus, &m, "org.freedesktop.systemd1", "/org/freedesktop/systemd1",
					   "org.freedesktop.systemd1.Manager", "StartTransientUnit");
	if (r >= 0)
		r = sd_bus_message_append(m, "ss", s->unit, "fail");
	if (r >= 0)
		r = sd_bus_message_open_container(m, 'a', "(sv)");
	if (r >= 0)
		r = append_properties(m, o, program, order_fd);
	if (r >= 0)
		r = sd_bus_message_close_container(m);
	if (r >= 0)
		r = sd_bus_message_append(m, "a(sa(sv))", 0);
	if (r >= 0)
		r = sd_bus_call_async(bus, &slot, m, on_started, s, 0);
	if (r >= 0) {
		(void)sd_bus_slot_set_destroy_callback(slot, start_destroy); /* fails for slots of another kind only */
		(void)sd_bus_slot_set_floating(slot, true);
	}
	sd_bus_slot_unref(slot);
	sd_bus_message_unref(m);
	return r < 0 ? r : 0;
}

/* ---- the method --------------------------------------------------------------------------------------------------------- */

struct exec_call {
	const char *tunnel;
	int fds[LAUNCH_FD_COUNT]; /* borrowed from the message */
	struct launch_order order;
};

static int read_flags(sd_bus_message *m, uint32_t *ret, sd_bus_error *error)
{
	static const struct {
		const char *name;
		uint32_t flag;
	} rows[] = {
		{ "isolate", LAUNCH_FLAG_ISOLATE },
		{ "no-new-privs", LAUNCH_FLAG_NO_NEW_PRIVS },
		{ "terminal", LAUNCH_FLAG_TERMINAL },
		{ "background", LAUNCH_FLAG_BACKGROUND },
	};
	int r = sd_bus_message_enter_container(m, 'a', "{sv}");

	while (r >= 0 && (r = sd_bus_message_enter_container(m, 'e', "sv")) > 0) {
		uint32_t flag = 0;
		const char *name;
		int on;

		r = sd_bus_message_read(m, "s", &name);
		for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(rows); i++)
			if (str_eq(rows[i].name, name))
				flag = rows[i].flag;
		if (r < 0 || !flag || sd_bus_message_read(m, "v", "b", &on) < 0)
			return sd_bus_error_set(error, BUS_ERROR_USAGE, "an option of Exec is not known, or not a boolean");
		*ret |= on ? flag : 0;
		r = sd_bus_message_exit_container(m);
	}
	return r >= 0 ? sd_bus_message_exit_container(m) : r;
}

static int read_call(sd_bus_message *m, struct exec_call *x, sd_bus_error *error)
{
	int r = sd_bus_message_read(m, "shhhhhh", &x->tunnel, &x->fds[LAUNCH_FD_REQUEST], &x->fds[LAUNCH_FD_CWD],
				    &x->fds[LAUNCH_FD_STDIN], &x->fds[LAUNCH_FD_STDOUT], &x->fds[LAUNCH_FD_STDERR],
				    &x->fds[LAUNCH_FD_CONTROL]);

	return r < 0 ? r : read_flags(m, &x->order.flags, error);
}

static int check_call(struct exec_call *x, const struct sender *who, char **ret_error)
{
	int r;

	r = exec_check_request(x->fds[LAUNCH_FD_REQUEST], ret_error);
	if (r >= 0)
		r = check_folder(x->fds[LAUNCH_FD_CWD], ret_error);
	for (int i = LAUNCH_FD_STDIN; r >= 0 && i <= LAUNCH_FD_STDERR; i++)
		r = check_stream(x->fds[i], ret_error);
	if (r >= 0)
		r = exec_identify(x->fds[LAUNCH_FD_CONTROL], who, &x->order, ret_error);
	return r;
}

/* Built and locked: what nsvpn-launch will see for itself, asked here for a sentence that helps. */
static bool is_enterable(const struct tunnel *t)
{
	switch (t->state) {
	case TUNNEL_STATE_CONNECTING:
	case TUNNEL_STATE_CONNECTED:
	case TUNNEL_STATE_RECONNECTING:
	case TUNNEL_STATE_BLOCKED:
		return true;
	case TUNNEL_STATE_DOWN:
	case TUNNEL_STATE_PREPARING:
	case TUNNEL_STATE_UNDOING:
	case TUNNEL_STATE_STOPPING:
	case TUNNEL_STATE_DRAINING:
	case TUNNEL_STATE_FAILED:
	case _TUNNEL_STATE_MAX:
		break;
	}
	return false;
}

/* The order waits in the socket until nsvpn-launch reads it; the end that PID 1 gets is the only one left open. */
static int send_order(const struct exec_call *x, int *ret_fd)
{
	size_t len = offsetof(struct launch_order, groups) + x->order.n_groups * sizeof(x->order.groups[0]);
	_cleanup_(closep) int ours = -EBADF, theirs = -EBADF;
	int pair[2], r;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	ours = pair[0];
	theirs = pair[1];
	r = fd_send_msg(ours, &x->order, len, x->fds, LAUNCH_FD_COUNT);
	if (r < 0)
		return r;
	*ret_fd = TAKE_FD(theirs);
	return 0;
}

static int start(struct exec_call *x, sd_bus_message *m)
{
	_cleanup_(closep) int order_fd = -EBADF;
	struct start *s;
	int r;

	x->order.magic = LAUNCH_ORDER_MAGIC;
	if (!str_copy(x->order.tunnel, sizeof(x->order.tunnel), x->tunnel))
		return -EINVAL;
	r = send_order(x, &order_fd);
	if (r < 0)
		return r;
	s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	s->next = starts;
	starts = s;
	s->uid = x->order.uid;
	s->call = sd_bus_message_ref(m);
	s->unit = unit_name(x->tunnel);
	r = s->unit ? call_pid1(sd_bus_message_get_bus(m), &x->order, order_fd, s) : -ENOMEM;
	if (r < 0)
		start_free(s);
	return r;
}

int exec_method(struct bus_context *c, sd_bus_message *m, sd_bus_error *error)
{
	_cleanup_(freep) struct exec_call *x = calloc(1, sizeof(*x));
	_cleanup_(freep) char *why = NULL;
	const struct sender *who;
	struct tunnel *t;
	int r;

	if (!x)
		return -ENOMEM;
	if (!c->sender)
		return sd_bus_error_set(error, BUS_ERROR_USAGE,
					"programs of users are started through the system bus; root starts them itself");
	r = read_call(m, x, error);
	if (r < 0)
		return r;
	who = bus_context_sender(c, m);
	r = who ? manager_get(c->manager, x->tunnel, &t) : -EACCES;
	if (r < 0)
		return r;
	if (!is_enterable(t))
		return sd_bus_error_setf(error, BUS_ERROR_NOT_UP, "tunnel %s is not up; `nsvpn up %s`", x->tunnel, x->tunnel);
	r = check_call(x, who, &why);
	if (r < 0)
		return sd_bus_error_setf(error, r == -EPERM ? BUS_ERROR_DENIED : BUS_ERROR_USAGE, "%s; nothing was started",
					 why ? why : strerror(-r));
	if (has_too_many(x->order.uid))
		return sd_bus_error_setf(error, SD_BUS_ERROR_LIMITS_EXCEEDED,
					 "%u of your programs are in tunnels already, and more are not started for one user; end some "
					 "(`systemctl list-units 'nsvpn-exec-*'` names them)",
					 PROGRAMS_PER_USER);
	r = start(x, m);
	if (r < 0)
		return sd_bus_error_setf(error, BUS_ERROR_FAILED, "the program cannot be handed to the service manager: %s",
					 strerror(-r));
	log_tunnel_info(t, "user %u starts a program", x->order.uid);
	return 1;
}
