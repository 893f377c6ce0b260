/*
 * Name lookup in a child without privileges; contract in resolve.h.
 *
 * Theory. getaddrinfo() runs foreign code (NSS modules) on bytes from the network. The child therefore closes every
 * descriptor but the pipe, becomes nobody, gets small limits, and answers with a fixed binary form: a code (be32, the EAI_
 * value negated, 0 for success), a count (u8), and per address a family (4 or 6) and its bytes. The parent believes
 * none of it beyond "these are addresses": a wrong one can only make the handshake fail.
 */
#include "daemon/resolve.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <netdb.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "base/bytes.h"
#include "base/fd.h"
#include "base/process.h"
#include "base/str.h"

#define ANSWER_MAX (5 + RESOLVE_ADDRS_MAX * 17)
#define NOBODY 65534

struct resolve {
	sd_event *event;
	char *host;
	int family;
	resolve_fn fn;
	void *userdata;
	pid_t pid;
	int pidfd;
	int pipe[2];
	uint8_t buf[ANSWER_MAX + 1];
	size_t len;
	struct inaddr literal;
	sd_event_source *io, *timer, *defer;
};

/* ---- the child ---------------------------------------------------------------------------------------------------- */

/* What a user namespace of ours gives. */
static int drop_capabilities(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = { 0 };

	return syscall(SYS_capset, &header, none) < 0 ? -errno : 0;
}

static int child_drop_privileges(void)
{
	static const struct {
		int resource;
		rlim_t value;
	} limits[] = {
		{ RLIMIT_CORE, 0 }, { RLIMIT_CPU, 10 }, { RLIMIT_NOFILE, 32 }, { RLIMIT_FSIZE, 1 << 16 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(limits); i++) {
		struct rlimit l = { limits[i].value, limits[i].value };

		if (setrlimit(limits[i].resource, &l) < 0)
			return -errno;
	}
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -errno;
	if (geteuid() != 0) /* rootless; tests */
		return drop_capabilities();
	if (setgroups(0, NULL) < 0 || setresgid(NOBODY, NOBODY, NOBODY) < 0 || setresuid(NOBODY, NOBODY, NOBODY) < 0)
		return -errno;
	return 0;
}

static void child_answer(int fd, int code, const struct addrinfo *list)
{
	uint8_t buf[ANSWER_MAX];
	struct writer w = writer_init(buf, sizeof(buf));
	uint8_t *count, n = 0;

	write_be32(&w, (uint32_t)-code);
	count = write_space(&w, 1);
	if (!count)
		return;
	for (const struct addrinfo *a = list; a && n < RESOLVE_ADDRS_MAX; a = a->ai_next) {
		struct endpoint e;

		if (endpoint_from_sockaddr(a->ai_addr, a->ai_addrlen, &e) < 0)
			continue;
		write_u8(&w, e.addr.family == AF_INET ? 4 : 6);
		write_bytes(&w, e.addr.bytes, inaddr_len(e.addr.family));
		n++;
	}
	*count = n;
	(void)fd_write_full(fd, buf, w.len); /* a parent that does not read has lost interest */
}

static int child_main(void *userdata)
{
	struct resolve *q = userdata;
	struct addrinfo hints = { .ai_family = q->family, .ai_socktype = SOCK_DGRAM }, *list = NULL;
	int code;

	/* Nothing of the helper may be within reach of an NSS module: not the tun, not the bus, not the keys. */
	if (dup2(q->pipe[1], 3) < 0 || close_range(4, ~0U, 0) < 0)
		return 1;
	if (child_drop_privileges() < 0)
		return 1;
	code = getaddrinfo(q->host, NULL, &hints, &list);
	child_answer(3, code, code == 0 ? list : NULL);
	return 0;
}

/* ---- the parent ---------------------------------------------------------------------------------------------------- */

int resolve_decode(const uint8_t *buf, size_t len, struct inaddr *addrs, size_t *ret_n, const char **ret_why)
{
	struct reader r = reader_init(buf, len);
	uint32_t code = read_be32(&r);
	uint8_t count = read_u8(&r);

	if (!r.failed && code > 0 && code < 256) {
		*ret_why = gai_strerror(-(int)code);
		return code == -EAI_AGAIN ? -EAGAIN : -ENOENT;
	}
	*ret_why = "the lookup ended without an answer";
	if (r.failed || code != 0 || count > RESOLVE_ADDRS_MAX)
		return -EBADMSG;
	if (count == 0) {
		*ret_why = "the name has no address of the wanted kind";
		return -ENOENT;
	}
	for (uint8_t i = 0; i < count; i++) {
		uint8_t family = read_u8(&r);

		if (family != 4 && family != 6)
			return -EBADMSG;
		addrs[i] = (struct inaddr){ .family = family == 4 ? AF_INET : AF_INET6 };
		read_copy(&r, addrs[i].bytes, inaddr_len(addrs[i].family));
	}
	if (r.failed || r.left > 0)
		return -EBADMSG;
	*ret_n = count;
	return 0;
}

static void finish(struct resolve *q)
{
	struct inaddr addrs[RESOLVE_ADDRS_MAX];
	resolve_fn fn = q->fn;
	void *userdata = q->userdata;
	const char *why = NULL;
	size_t n = 0;
	int r;

	r = resolve_decode(q->buf, q->len, addrs, &n, &why);
	q->fn = NULL;
	fn(userdata, r, addrs, n, why); /* may free q */
}

static int on_answer(sd_event_source *s _unused_, int fd, uint32_t revents _unused_, void *userdata)
{
	struct resolve *q = userdata;
	ssize_t n;

	n = read(fd, q->buf + q->len, sizeof(q->buf) - q->len);
	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return 0;
	if (n > 0 && q->len + (size_t)n < sizeof(q->buf)) {
		q->len += (size_t)n;
		return 0;
	}
	if (n != 0) /* an error, or more than any answer has */
		q->len = 0;
	q->io = sd_event_source_disable_unref(q->io);
	q->timer = sd_event_source_disable_unref(q->timer);
	finish(q);
	return 0;
}

static int on_timeout(sd_event_source *s _unused_, uint64_t usec _unused_, void *userdata)
{
	struct resolve *q = userdata;
	resolve_fn fn = q->fn;

	q->io = sd_event_source_disable_unref(q->io);
	q->timer = sd_event_source_disable_unref(q->timer);
	q->fn = NULL;
	fn(q->userdata, -ETIMEDOUT, NULL, 0, "no answer in time"); /* may free q */
	return 0;
}

static int on_literal(sd_event_source *s _unused_, void *userdata)
{
	struct resolve *q = userdata;
	struct inaddr literal = q->literal; /* q may be freed inside fn */
	resolve_fn fn = q->fn;

	q->defer = sd_event_source_disable_unref(q->defer);
	q->fn = NULL;
	if (q->family != AF_UNSPEC && q->family != literal.family)
		fn(q->userdata, -ENOENT, NULL, 0, "the address is not of the wanted family");
	else
		fn(q->userdata, 0, &literal, 1, NULL);
	return 0;
}

static int start_child(struct resolve *q, usec_t timeout)
{
	int r;

	if (pipe2(q->pipe, O_CLOEXEC) < 0)
		return -errno;
	r = process_fork(child_main, q, &q->pid, &q->pidfd);
	if (r < 0)
		return r;
	q->pipe[1] = fd_close(q->pipe[1]);
	r = fd_set_nonblock(q->pipe[0], true);
	if (r < 0)
		return r;
	r = sd_event_add_io(q->event, &q->io, q->pipe[0], EPOLLIN, on_answer, q);
	if (r < 0)
		return r;
	return sd_event_add_time_relative(q->event, &q->timer, CLOCK_BOOTTIME, timeout, 0, on_timeout, q);
}

int resolve_start(struct resolve **ret, sd_event *event, const char *host, int family, usec_t timeout, resolve_fn fn,
		  void *userdata)
{
	_cleanup_(resolve_freep) struct resolve *q = calloc(1, sizeof(*q));
	int r;

	if (!q)
		return -ENOMEM;
	q->pidfd = q->pipe[0] = q->pipe[1] = -EBADF;
	q->event = sd_event_ref(event);
	q->family = family;
	q->fn = fn;
	q->userdata = userdata;
	q->host = strdup(host);
	if (!q->host)
		return -ENOMEM;
	if (inaddr_parse(host, &q->literal) >= 0)
		r = sd_event_add_defer(event, &q->defer, on_literal, q);
	else
		r = start_child(q, timeout);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(q);
	return 0;
}

struct resolve *resolve_free(struct resolve *q)
{
	if (!q)
		return NULL;
	sd_event_source_disable_unref(q->io);
	sd_event_source_disable_unref(q->timer);
	sd_event_source_disable_unref(q->defer);
	sd_event_unref(q->event);
	if (q->pid > 0) {
		/* Our own unreaped child, so the number is still its; after the answer it has nothing left to do. */
		(void)kill(q->pid, SIGKILL);
		(void)process_wait(q->pid);
	}
	fd_close(q->pidfd);
	fd_close(q->pipe[0]);
	fd_close(q->pipe[1]);
	free(q->host);
	free(q);
	return NULL;
}
