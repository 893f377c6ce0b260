/*
 * Requests and answers.
 *
 * The helper is trusted, but not to be quick or in step: a request may be answered after the engine has moved on. Each
 * kind of request has at most one open number; anything else is void.
 */
#include "engine/monitor-client.h"

#include <errno.h>
#include <poll.h>
#include <string.h>

#include "base/fd.h"
#include "base/str.h"

#define SEND_WAIT_MSEC 1000
#define MESSAGES_PER_WAKEUP 16

static void close_all(int *fds, size_t n)
{
	for (size_t i = 0; i < n; i++)
		fds[i] = fd_close(fds[i]);
}

/* True when seq is the number waited for, which is then no longer waited for. */
static bool take_answer(struct monitor_client *m, enum monitor_request kind, uint32_t seq)
{
	if (m->waiting[kind] == 0 || m->waiting[kind] != seq)
		return false;
	m->waiting[kind] = 0;
	return true;
}

/*
 * Descriptors that a branch hands over are replaced by -EBADF; the caller closes the rest. False: the helper broke the
 * protocol and the engine knows.
 */
static bool dispatch(struct monitor_client *m, const struct ipc_msg *msg, int *fds)
{
	switch (msg->type) {
	case IPC_CMD_START:
		m->ops->on_start(m->userdata, &msg->start, TAKE_FD(fds[0]), TAKE_FD(fds[1]));
		return true;
	case IPC_ANS_SOCKET:
		if (take_answer(m, MONITOR_SOCKET, msg->ans_socket.seq))
			m->ops->on_socket(m->userdata, &msg->ans_socket, TAKE_FD(fds[0]));
		return true;
	case IPC_ANS_SETTINGS:
		if (take_answer(m, MONITOR_SETTINGS, msg->ans_settings.seq))
			m->ops->on_settings(m->userdata, &msg->ans_settings);
		return true;
	case IPC_ANS_AUTH:
		if (take_answer(m, MONITOR_AUTH, msg->ans_auth.seq))
			m->ops->on_auth(m->userdata, msg->ans_auth.ok, TAKE_FD(fds[0]));
		return true;
	case IPC_CMD_STOP:
		m->ops->on_stop(m->userdata);
		return true;
	case IPC_CMD_STATS:
		m->ops->on_stats(m->userdata);
		return true;
	case IPC_CMD_ANSWER:
		m->ops->on_answer(m->userdata, TAKE_FD(fds[0]));
		return true;
	case IPC_CMD_RECONNECT:
		m->ops->on_reconnect(m->userdata);
		return true;
	case IPC_REQ_HELLO:
	case IPC_REQ_SOCKET:
	case IPC_REQ_SETTINGS:
	case IPC_REQ_AUTH:
	case IPC_REQ_STATE:
	case IPC_REQ_STATS:
	case IPC_REQ_LOG:
	case IPC_REQ_FAILED:
	case IPC_REQ_QUESTION:
	case IPC_REQ_RELAY:
		break; /* our own direction */
	}
	m->ops->on_gone(m->userdata, -EBADMSG);
	return false;
}

static int on_readable(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
	struct monitor_client *m = userdata;

	(void)source;
	(void)revents;
	for (unsigned i = 0; i < MESSAGES_PER_WAKEUP && m->fd >= 0; i++) {
		int fds[8] = { -EBADF, -EBADF, -EBADF, -EBADF, -EBADF, -EBADF, -EBADF, -EBADF };
		size_t n_fds = 0;
		bool go_on;
		int r = ipc_recv(fd, &m->in, fds, &n_fds);

		if (r == -EAGAIN || r == -EINTR)
			return 0;
		if (r <= 0) {
			m->ops->on_gone(m->userdata, r);
			return 0;
		}
		go_on = dispatch(m, &m->in, fds);
		close_all(fds, ARRAY_SIZE(fds));
		if (!go_on)
			return 0;
	}
	return 0;
}

int monitor_client_init(struct monitor_client *m, sd_event *event, int fd, const struct monitor_ops *ops, void *userdata)
{
	int r;

	*m = (struct monitor_client){ .fd = fd, .ops = ops, .userdata = userdata };
	r = fd_set_nonblock(fd, true);
	if (r >= 0)
		r = sd_event_add_io(event, &m->source, fd, EPOLLIN, on_readable, m);
	if (r >= 0) /* commands before packets */
		r = sd_event_source_set_priority(m->source, SD_EVENT_PRIORITY_IMPORTANT);
	if (r < 0) {
		monitor_client_done(m);
		return r;
	}
	return 0;
}

void monitor_client_done(struct monitor_client *m)
{
	m->source = sd_event_source_disable_unref(m->source);
	m->fd = fd_close(m->fd);
}

static int send_waiting(struct monitor_client *m)
{
	struct pollfd p = { .fd = m->fd, .events = POLLOUT };
	int r;

	if (m->fd < 0)
		return -ENOTCONN;
	r = ipc_send(m->fd, &m->out, NULL, 0);
	if (r != -EAGAIN)
		return r;
	r = poll(&p, 1, SEND_WAIT_MSEC);
	if (r < 0)
		return -errno;
	return r == 0 ? -ETIMEDOUT : ipc_send(m->fd, &m->out, NULL, 0);
}

static void prepare(struct monitor_client *m, enum ipc_type type)
{
	memset(&m->out, 0, sizeof(m->out));
	m->out.type = type;
}

static uint32_t next_seq(struct monitor_client *m, enum monitor_request kind)
{
	if (++m->seq == 0)
		m->seq = 1;
	m->waiting[kind] = m->seq;
	return m->seq;
}

/* Text that may come from a peer: clean UTF-8 passes, everything else is escaped, so that the helper takes it. */
static void set_text(char *dst, size_t cap, const char *text)
{
	_cleanup_(freep) char *escaped = NULL;

	if (!text)
		return;
	if (str_is_clean_utf8(text, strlen(text)) && str_copy(dst, cap, text))
		return;
	escaped = str_escape(text, strlen(text), cap - 1);
	(void)str_copy(dst, cap, escaped ? escaped : ""); /* fits: cut to cap - 1 above */
}

int monitor_hello(struct monitor_client *m)
{
	prepare(m, IPC_REQ_HELLO);
	return send_waiting(m);
}

int monitor_request_socket(struct monitor_client *m, uint16_t remote, uint16_t address)
{
	prepare(m, IPC_REQ_SOCKET);
	m->out.req_socket.seq = next_seq(m, MONITOR_SOCKET);
	m->out.req_socket.remote = remote;
	m->out.req_socket.address = address;
	return send_waiting(m);
}

int monitor_request_relay(struct monitor_client *m, uint16_t port)
{
	prepare(m, IPC_REQ_RELAY);
	m->out.req_relay.seq = next_seq(m, MONITOR_SOCKET);
	m->out.req_relay.port = port;
	return send_waiting(m);
}

int monitor_request_settings(struct monitor_client *m, const struct settings *settings)
{
	prepare(m, IPC_REQ_SETTINGS);
	m->out.req_settings.seq = next_seq(m, MONITOR_SETTINGS);
	m->out.req_settings.settings = *settings;
	return send_waiting(m);
}

int monitor_request_auth(struct monitor_client *m, bool again, const char *text)
{
	prepare(m, IPC_REQ_AUTH);
	m->out.req_auth.seq = next_seq(m, MONITOR_AUTH);
	m->out.req_auth.again = again;
	set_text(m->out.req_auth.text, sizeof(m->out.req_auth.text), text);
	return send_waiting(m);
}

int monitor_question(struct monitor_client *m, enum question_kind kind, const char *text)
{
	prepare(m, IPC_REQ_QUESTION);
	m->out.req_question.kind = (uint8_t)kind;
	set_text(m->out.req_question.text, sizeof(m->out.req_question.text), kind != QUESTION_NONE && !*text ? "?" : text);
	return send_waiting(m);
}

void monitor_cancel(struct monitor_client *m)
{
	memset(m->waiting, 0, sizeof(m->waiting));
}

int monitor_state(struct monitor_client *m, enum engine_state state, uint8_t fail, uint16_t remote, const char *cipher,
		  const char *text)
{
	prepare(m, IPC_REQ_STATE);
	m->out.req_state.state = (uint8_t)state;
	m->out.req_state.fail = fail;
	m->out.req_state.remote = remote;
	set_text(m->out.req_state.cipher, sizeof(m->out.req_state.cipher), cipher);
	set_text(m->out.req_state.text, sizeof(m->out.req_state.text), text);
	return send_waiting(m);
}

int monitor_stats(struct monitor_client *m, const struct ipc_req_stats *stats)
{
	prepare(m, IPC_REQ_STATS);
	m->out.req_stats = *stats;
	return send_waiting(m);
}

int monitor_failed(struct monitor_client *m, enum fail_class fail, const char *text)
{
	prepare(m, IPC_REQ_FAILED);
	m->out.req_failed.fail = (uint8_t)fail;
	set_text(m->out.req_failed.text, sizeof(m->out.req_failed.text), text);
	return send_waiting(m);
}

static void send_log(struct monitor_client *m, enum log_level level, const char *text)
{
	prepare(m, IPC_REQ_LOG);
	m->out.req_log.level = (uint8_t)level;
	set_text(m->out.req_log.text, sizeof(m->out.req_log.text), text);
	if (ipc_send(m->fd, &m->out, NULL, 0) < 0)
		m->log_lost++;
}

void monitor_log(struct monitor_client *m, enum log_level level, const char *text, usec_t now)
{
	if (m->fd < 0)
		return;
	if (now - m->log_second >= USEC_PER_SEC) {
		unsigned lost = m->log_lost;

		m->log_second = now;
		m->log_count = 0;
		m->log_lost = 0;
		if (lost > 0) {
			char note[64];

			(void)snprintf(note, sizeof(note), "%u log lines left out, there were too many", lost);
			m->log_count++;
			send_log(m, LOG_LEVEL_WARNING, note);
		}
	}
	if (m->log_count >= MONITOR_LOG_RATE) {
		m->log_lost++;
		return;
	}
	m->log_count++;
	send_log(m, level, text);
}
