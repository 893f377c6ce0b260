/* The stand-in for nsvpnd; see helper.h. What it does not do is check anything: that is the real one's business. */
#include "unit/engine/helper.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <netinet/udp.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/process.h"
#include "base/str.h"

#ifndef TUN_F_USO4
#define TUN_F_USO4 0x20
#define TUN_F_USO6 0x40
#endif

int sh(const char *fmt, ...)
{
	char cmd[4096];
	va_list ap;
	int r;

	va_start(ap, fmt);
	(void)vsnprintf(cmd, sizeof(cmd), fmt, ap);
	va_end(ap);
	r = system(cmd);
	return WIFEXITED(r) ? WEXITSTATUS(r) : 255;
}

char *helper_engine_path(void)
{
	char self[4096], *slash;
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	char *path;

	if (n <= 0)
		return NULL;
	self[n] = '\0';
	slash = strrchr(self, '/'); /* BUILD/tests/test_engine -> BUILD/nsvpn-engine */
	if (slash)
		*slash = '\0';
	slash = strrchr(self, '/');
	if (slash)
		*slash = '\0';
	path = str_format("%s/nsvpn-engine", self);
	if (path && access(path, X_OK) < 0) {
		free(path);
		path = NULL;
	}
	return path;
}

static int open_tun(unsigned *offload)
{
	struct ifreq ifr = { .ifr_name = HELPER_TUN, .ifr_flags = IFF_TUN | IFF_NO_PI };
	unsigned tso = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6;
	int hdr = 10, fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	if (*offload & IPC_TUN_VNET_HDR)
		ifr.ifr_flags |= IFF_VNET_HDR;
	if (ioctl(fd, TUNSETIFF, &ifr) < 0)
		goto fail;
	if (!(*offload & IPC_TUN_VNET_HDR))
		return fd;
	if (ioctl(fd, TUNSETVNETHDRSZ, &hdr) < 0)
		goto fail;
	if ((*offload & IPC_TUN_USO) && ioctl(fd, TUNSETOFFLOAD, tso | TUN_F_USO4 | TUN_F_USO6) < 0)
		*offload &= ~IPC_TUN_USO;
	if (!(*offload & IPC_TUN_USO) && (*offload & IPC_TUN_TSO) && ioctl(fd, TUNSETOFFLOAD, tso) < 0)
		*offload &= ~IPC_TUN_TSO;
	return fd;
fail:
	close(fd);
	return -EIO;
}

static int become_nobody(void *userdata)
{
	(void)userdata;
	if (setgroups(0, NULL) < 0 || setgid(65534) < 0 || setuid(65534) < 0)
		return -errno;
	return 0;
}

int helper_start(struct helper *h, const char *engine, const char *profile, unsigned offload)
{
	int pair[2], fds[2], r;
	char *error = NULL;
	struct fd_map map[] = { { -1, 3 }, { 2, 2 } };
	struct spawn spawn = { .path = engine, .argv = (char *[]){ (char *)"nsvpn-engine", NULL },
			       .envp = (char *[]){ NULL }, .map = map, .n_map = ARRAY_SIZE(map), .netns_fd = -EBADF,
			       .pdeathsig = SIGKILL, .prepare = become_nobody };

	*h = (struct helper){ .pid = -1, .pidfd = -EBADF, .sock = -EBADF, .tun_fd = -EBADF, .state = -1, .fail = -1,
			      .offload = offload, .tun_mtu_max = 1500, .verbose = getenv("NSVPN_TEST_VERBOSE") };
	h->text = strdup(profile);
	(void)profile_parse_ovpn(profile, strlen(profile), "test", NULL, NULL, NULL, &h->profile, &error);
	if (error && h->verbose)
		(void)fprintf(stderr, "profile: %s\n", error);
	free(error); /* a bad profile is the engine's to report */
	h->tun_fd = open_tun(&h->offload);
	if (h->tun_fd < 0)
		return h->tun_fd;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	h->sock = pair[0];
	map[0].from = pair[1];
	r = process_spawn(&spawn, &h->pid, &h->pidfd);
	close(pair[1]);
	if (r < 0)
		return r;
	h->out = (struct ipc_msg){ .type = IPC_CMD_START, .start = { .tunnel = "test", .tun_offload = (uint8_t)h->offload,
								     .log_level = LOG_LEVEL_DEBUG, .tun_mtu_max = h->tun_mtu_max } };
	fds[0] = memfd_sealed("profile", h->text, strlen(h->text));
	fds[1] = h->tun_fd;
	if (!helper_serve(h, -2, 5000))
		return -ETIMEDOUT;
	r = ipc_send(h->sock, &h->out, fds, 2);
	close(fds[0]);
	h->tun_fd = fd_close(h->tun_fd); /* the engine's is the last: the device goes with it */
	return r;
}

static void answer_socket(struct helper *h, const struct ipc_req_socket *q)
{
	struct ipc_ans_socket *a = &h->out.ans_socket;
	struct sockaddr_storage sa;
	int fd = -EBADF, big = 4 << 20;
	socklen_t len;

	memset(&h->out, 0, sizeof(h->out));
	h->out.type = IPC_ANS_SOCKET;
	a->seq = q->seq;
	if (!h->profile || q->remote >= h->profile->n_remotes || inaddr_parse(h->profile->remotes[q->remote].host, &a->server.addr) < 0) {
		a->fail = FAIL_RESOLVE;
		(void)str_copy(a->text, sizeof(a->text), "the name does not resolve");
	} else {
		bool tcp = h->profile->remotes[q->remote].transport == TRANSPORT_TCP;

		a->server.port = h->profile->remotes[q->remote].port;
		a->n_addresses = 1;
		len = endpoint_to_sockaddr(&a->server, &sa);
		fd = socket(sa.ss_family, (tcp ? SOCK_STREAM : SOCK_DGRAM) | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		if (fd >= 0 && !tcp)
			(void)setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &big, sizeof(big));
		if (fd >= 0 && !tcp)
			(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &big, sizeof(big));
		a->ok = fd >= 0 && (connect(fd, (struct sockaddr *)&sa, len) == 0 || errno == EINPROGRESS);
		if (!a->ok) {
			a->fail = FAIL_UNREACHABLE;
			(void)snprintf(a->text, sizeof(a->text), "no way to the server: %s", strerror(errno));
		}
	}
	(void)ipc_send(h->sock, &h->out, &fd, a->ok ? 1 : 0);
	fd_close(fd);
}

void helper_release(struct helper *h)
{
	struct ipc_req_socket q = h->held;

	h->hold = false;
	h->held = (struct ipc_req_socket){ 0 };
	answer_socket(h, &q);
}

static void apply_settings(struct helper *h, const struct ipc_req_settings *q)
{
	char prefix[INPREFIX_STR_MAX], peer[INADDR_STR_MAX + 8] = "";
	const struct settings *s = &q->settings;
	bool ok = true;

	h->settings = *s;
	if (inaddr_is_set(&s->peer4))
		(void)snprintf(peer, sizeof(peer), "peer %s", inaddr_format(&s->peer4, prefix, sizeof(prefix)));
	ok &= sh("ip link set " HELPER_TUN " up mtu %u txqueuelen 1000", s->mtu) == 0;
	if (!h->configured)
		for (unsigned i = 0; i < s->n_addrs; i++) {
			struct inaddr a = s->addrs[i].addr;
			char text[INADDR_STR_MAX];

			if (a.family == AF_INET && *peer)
				ok &= sh("ip addr add %s %s dev " HELPER_TUN, inaddr_format(&a, text, sizeof(text)), peer) == 0;
			else
				ok &= sh("ip addr add %s dev " HELPER_TUN "%s", inprefix_format(&s->addrs[i], prefix, sizeof(prefix)),
					 a.family == AF_INET6 ? " nodad" : "") == 0;
		}
	h->configured = true;
	memset(&h->out, 0, sizeof(h->out));
	h->out.type = IPC_ANS_SETTINGS;
	h->out.ans_settings.seq = q->seq;
	h->out.ans_settings.ok = ok;
	if (!ok)
		(void)str_copy(h->out.ans_settings.text, IPC_TEXT_MAX, "ip did not take them");
	(void)ipc_send(h->sock, &h->out, NULL, 0);
}

static void answer_auth(struct helper *h, const struct ipc_req_auth *q)
{
	static const char pair[] = "alice\0wonderland";
	int fd = memfd_sealed("auth", pair, sizeof(pair));

	memset(&h->out, 0, sizeof(h->out));
	h->out.type = IPC_ANS_AUTH;
	h->out.ans_auth.seq = q->seq;
	h->out.ans_auth.ok = !q->again;
	(void)ipc_send(h->sock, &h->out, &fd, q->again ? 0 : 1);
	fd_close(fd);
}

static void on_state(struct helper *h, const struct ipc_req_state *s)
{
	if (h->verbose)
		(void)fprintf(stderr, "state %u fail %u remote %u %s %s\n", s->state, s->fail, s->remote, s->cipher, s->text);
	h->state = s->state;
	if (s->state == ENGINE_STATE_CONNECTED) {
		h->connected++;
		(void)str_copy(h->cipher, sizeof(h->cipher), s->cipher);
	}
	if (s->fail != 0xff) {
		h->fail = s->fail;
		(void)str_copy(h->fail_text, sizeof(h->fail_text), s->text);
	}
}

static void handle(struct helper *h, const struct ipc_msg *m)
{
	switch (m->type) {
	case IPC_REQ_HELLO:
		h->hello = true;
		return;
	case IPC_REQ_SOCKET:
		h->sockets++;
		h->out_of_turn |= h->held.seq != 0;
		if (h->hold)
			h->held = m->req_socket;
		else
			answer_socket(h, &m->req_socket);
		return;
	case IPC_REQ_SETTINGS:
		apply_settings(h, &m->req_settings);
		return;
	case IPC_REQ_AUTH:
		answer_auth(h, &m->req_auth);
		return;
	case IPC_REQ_STATE:
		on_state(h, &m->req_state);
		return;
	case IPC_REQ_STATS:
		h->stats = m->req_stats;
		h->have_stats = true;
		return;
	case IPC_REQ_LOG:
		if (h->verbose)
			(void)fprintf(stderr, "log %u %s\n", m->req_log.level, m->req_log.text);
		return;
	case IPC_REQ_FAILED:
		h->failed = true;
		h->fail = m->req_failed.fail;
		(void)str_copy(h->fail_text, sizeof(h->fail_text), m->req_failed.text);
		return;
	case IPC_REQ_QUESTION:
	case IPC_REQ_RELAY:
	case IPC_CMD_ANSWER:
	case IPC_CMD_START:
	case IPC_ANS_SOCKET:
	case IPC_ANS_SETTINGS:
	case IPC_ANS_AUTH:
	case IPC_CMD_STOP:
	case IPC_CMD_STATS:
	case IPC_CMD_RECONNECT:
		break;
	}
	(void)fprintf(stderr, "the engine sent a message of the wrong direction: %d\n", m->type);
}

/* state -2: until hello; -3: until statistics came. */
static bool reached(const struct helper *h, int state)
{
	if (state == -2)
		return h->hello;
	if (state == -3)
		return h->have_stats;
	return state == -1 ? h->gone : h->state == state;
}

bool helper_serve(struct helper *h, int state, unsigned msec)
{
	usec_t until = clock_boottime() + msec * USEC_PER_MSEC;

	for (;;) {
		struct pollfd p = { .fd = h->sock, .events = POLLIN };
		usec_t now = clock_boottime();
		int fds[8], r;
		size_t n = 0;

		if (reached(h, state))
			return true;
		if (h->gone || now >= until)
			return false;
		if (poll(&p, 1, (int)((until - now) / USEC_PER_MSEC) + 1) <= 0)
			continue;
		r = ipc_recv(h->sock, &h->in, fds, &n);
		if (r == 1)
			handle(h, &h->in);
		else if (r != -EAGAIN)
			h->gone = true;
	}
}

int helper_command(struct helper *h, enum ipc_type type)
{
	h->state = -1;
	return ipc_send(h->sock, &(struct ipc_msg){ .type = type }, NULL, 0);
}

bool helper_ask_stats(struct helper *h)
{
	int state = h->state;

	h->have_stats = false;
	(void)ipc_send(h->sock, &(struct ipc_msg){ .type = IPC_CMD_STATS }, NULL, 0);
	if (!helper_serve(h, -3, 2000))
		return false;
	h->state = h->state == -1 ? state : h->state;
	return true;
}

int helper_wait(struct helper *h)
{
	int status = -1;

	for (unsigned i = 0; i < 200 && h->pid > 0; i++) {
		if (waitpid(h->pid, &status, WNOHANG) == h->pid) {
			h->pid = -1;
			return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
		}
		usleep(10000);
	}
	if (h->pid > 0)
		(void)process_kill_wait(h->pid, SIGKILL);
	h->pid = -1;
	return -1;
}

void helper_done(struct helper *h)
{
	h->sock = fd_close(h->sock);
	if (h->pid > 0)
		(void)process_kill_wait(h->pid, SIGKILL);
	h->pid = -1;
	h->pidfd = fd_close(h->pidfd);
	h->tun_fd = fd_close(h->tun_fd);
	if (h->profile)
		profile_free(h->profile);
	h->profile = NULL;
	free(h->text);
	h->text = NULL;
}
