/* The way to a server behind a proxy; theory in engine-proxy.h. */
#include "engine/engine-proxy.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/fd.h"
#include "engine/engine-parts.h"

#define READ_MAX 4096

static const struct remote *current_remote(const struct engine *e)
{
	return &e->profile->remotes[attempt_remote(&e->attempt)];
}

const struct proxy *way_proxy(const struct engine *e)
{
	return e->profile && e->attempt.n_remotes ? profile_proxy(e->profile, current_remote(e)) : NULL;
}

void way_init(struct way *w)
{
	*w = (struct way){ .control_fd = -EBADF };
}

void way_drop(struct way *w)
{
	w->talk = proxy_talk_free(w->talk);
	w->control = sd_event_source_disable_unref(w->control);
	w->control_fd = fd_close(w->control_fd);
	w->relaying = false;
}

static void forget_login(struct way *w)
{
	w->username = secret_free(w->username);
	w->password = secret_free(w->password);
}

void way_done(struct way *w)
{
	way_drop(w);
	forget_login(w);
}

void way_begin_try(struct way *w)
{
	if (!w->once_more)
		memset(&w->memory, 0, sizeof(w->memory));
	w->once_more = false;
}

const char *way_peer(const struct engine *e, char buf[static WAY_PEER_MAX])
{
	const struct proxy *x = way_proxy(e);
	char at[ENDPOINT_STR_MAX];

	(void)endpoint_format(&e->server, at, sizeof(at)); /* returns at */
	if (!x)
		(void)snprintf(buf, WAY_PEER_MAX, "server %s", at);
	else if (e->phase == PHASE_CONNECT || e->phase == PHASE_PROXY || e->phase == PHASE_SOCKET)
		(void)snprintf(buf, WAY_PEER_MAX, "proxy %s", at);
	else
		(void)snprintf(buf, WAY_PEER_MAX, "server %s (through the proxy %s)", current_remote(e)->host, at);
	return buf;
}

size_t way_overhead(const struct engine *e)
{
	const struct remote *r = current_remote(e);
	uint8_t header[PROXY_UDP_HEADER_MAX];

	return way_proxy(e) && r->transport == TRANSPORT_UDP ? proxy_udp_header(r->host, r->port, header) : 0;
}

/* ---- log-ins -------------------------------------------------------------------------------------------------------------- */

static void ask(struct engine *e, enum login_asks what, const char *text)
{
	const struct proxy *x = way_proxy(e);
	char question[PROTO_TEXT_MAX];

	(void)snprintf(question, sizeof(question), "%s for the proxy %s%s%s", what == LOGIN_ASKS_PROXY_NAME ? "User name" : "Password",
		       x->host, *text ? ", which " : "", text);
	login_ask_for_proxy(e, what, question);
}

bool way_on_answer(struct engine *e, struct secret *answer)
{
	struct way *w = &e->way;

	if (e->login.asks == LOGIN_ASKS_PROXY_NAME) {
		forget_login(w);
		w->username = answer;
		w->login_of = current_remote(e)->proxy;
		ask(e, LOGIN_ASKS_PROXY_PASSWORD, "");
		return false;
	}
	secret_free(w->password);
	w->password = answer;
	w->memory.answered = 0;
	w->once_more = true;
	return true;
}

/* Another server of the list may be reached without this proxy. */
static bool is_only_way(const struct engine *e)
{
	for (size_t i = 0; i < e->profile->n_remotes; i++)
		if (e->profile->remotes[i].proxy != current_remote(e)->proxy)
			return false;
	return true;
}

static void on_login_wanted(struct engine *e, const char *text, usec_t now)
{
	const struct proxy *x = way_proxy(e);
	char sentence[PROXY_TEXT_MAX + WAY_PEER_MAX], peer[WAY_PEER_MAX], why[PROXY_TEXT_MAX];

	if (!x->username) {
		(void)snprintf(why, sizeof(why), "%s", text); /* it goes with the conversation */
		engine_drop_session(e);
		ask(e, LOGIN_ASKS_PROXY_NAME, why);
		return;
	}
	(void)snprintf(sentence, sizeof(sentence), "the %s %s; correct them in line %u of the profile or what it names", way_peer(e, peer),
		       text, x->line);
	engine_fail(e, is_only_way(e) ? FAIL_CONFIG : FAIL_REFUSED, sentence, now);
}

/* ---- the conversation ----------------------------------------------------------------------------------------------------- */

int way_begin(struct engine *e, usec_t now)
{
	const struct remote *r = current_remote(e);
	const struct proxy *x = way_proxy(e);
	bool asked = e->way.password && e->way.login_of == r->proxy;
	struct proxy_params params = {
		.proxy = x,
		.host = r->host,
		.port = r->port,
		.transport = r->transport,
		.username = x->username ? x->username : asked ? e->way.username : NULL,
		.password = x->username ? x->password : asked ? e->way.password : NULL,
	};
	int error;

	(void)now;
	e->phase = PHASE_PROXY;
	error = proxy_talk_new(&e->way.talk, &params, &e->way.memory);
	return error;
}

bool way_wants_out(const struct engine *e)
{
	size_t n = 0;

	if (e->phase == PHASE_PROXY && e->way.talk)
		(void)proxy_talk_out(e->way.talk, &n);
	return n > 0;
}

static void send_out(struct engine *e, usec_t now)
{
	size_t len;
	const uint8_t *p;

	while ((p = proxy_talk_out(e->way.talk, &len))) {
		ssize_t n = stream_send(&e->datapath.stream, p, len);

		if (n == -EAGAIN || n == -ENOBUFS)
			return;
		if (n < 0) {
			engine_on_socket_error(e, (int)n, now);
			return;
		}
		proxy_talk_sent(e->way.talk, (size_t)n);
	}
}

/* The association lives as long as this connection. Whatever else comes on it means nothing. */
static int on_control(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
	struct engine *e = userdata;
	usec_t now = engine_now(e);
	uint8_t buf[256];
	ssize_t n = recv(fd, buf, sizeof(buf), MSG_DONTWAIT);
	char text[WAY_PEER_MAX + 80], peer[WAY_PEER_MAX];

	(void)source;
	(void)revents;
	if (n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR)) || e->phase == PHASE_ENDING)
		return 0;
	(void)snprintf(text, sizeof(text), "the proxy has ended its relay to %s; connecting again", way_peer(e, peer));
	engine_fail(e, FAIL_SERVER, text, now);
	if (e->phase != PHASE_ENDING)
		engine_settle(e, now);
	return 0;
}

static int ask_for_relay(struct engine *e, uint16_t port)
{
	struct way *w = &e->way;
	int r;

	e->wire_source = sd_event_source_disable_unref(e->wire_source);
	e->wire_wants_out = false;
	w->control_fd = TAKE_FD(e->wire_fd);
	r = sd_event_add_io(e->event, &w->control, w->control_fd, EPOLLIN, on_control, e);
	if (r < 0)
		return r;
	w->relaying = true;
	engine_ask(e, PHASE_SOCKET);
	return monitor_request_relay(&e->monitor, port);
}

int way_on_relay(struct engine *e, int fd, usec_t now)
{
	const struct remote *r = current_remote(e);
	uint8_t header[PROXY_UDP_HEADER_MAX];
	size_t len = proxy_udp_header(r->host, r->port, header);
	int error;

	e->way.relaying = false;
	e->wire_fd = fd;
	error = fd_set_nonblock(fd, true);
	if (error >= 0)
		error = sd_event_add_io(e->event, &e->wire_source, fd, EPOLLIN, engine_on_wire, e);
	if (error < 0)
		return error;
	datapath_attach(&e->datapath, fd, TRANSPORT_UDP, e->proto);
	datapath_set_header(&e->datapath, header, len);
	e->phase = PHASE_HANDSHAKE;
	return e->proto->ops->start(e->proto, now);
}

static void on_verdict(struct engine *e, enum proxy_verdict v, const uint8_t *rest, size_t n_rest, usec_t now)
{
	struct way *w = &e->way;
	char sentence[PROXY_TEXT_MAX + WAY_PEER_MAX], peer[WAY_PEER_MAX];
	int r = 0;

	switch (v) {
	case PROXY_GOES_ON:
		send_out(e, now);
		return;
	case PROXY_IS_OPEN:
		memset(&w->memory, 0, sizeof(w->memory)); /* a challenge is good for one connection */
		w->talk = proxy_talk_free(w->talk);
		e->phase = PHASE_HANDSHAKE;
		stream_begin_with(&e->datapath.stream, rest, n_rest);
		r = e->proto->ops->start(e->proto, now);
		engine_pump_events(e, now); /* says why, where the protocol knows */
		break;
	case PROXY_HAS_RELAY:
		r = ask_for_relay(e, proxy_talk_relay_port(w->talk));
		w->talk = proxy_talk_free(w->talk);
		break;
	case PROXY_ONCE_MORE:
		w->once_more = true;
		engine_drop_session(e);
		engine_begin_try(e);
		return;
	case PROXY_WANTS_LOGIN:
		on_login_wanted(e, proxy_talk_text(w->talk), now);
		return;
	case PROXY_SAID_NO:
		(void)snprintf(sentence, sizeof(sentence), "the %s %s", way_peer(e, peer), proxy_talk_text(w->talk));
		engine_fail(e, FAIL_REFUSED, sentence, now);
		return;
	}
	if (r < 0 && (e->phase == PHASE_HANDSHAKE || e->phase == PHASE_SOCKET))
		engine_fail(e, FAIL_INTERNAL, "the session behind the proxy cannot be set up", now);
}

void way_on_wire(struct engine *e, usec_t now)
{
	uint8_t buf[READ_MAX];
	size_t used = 0;
	ssize_t n;

	send_out(e, now);
	if (e->phase != PHASE_PROXY)
		return;
	n = recv(e->wire_fd, buf, sizeof(buf), MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0)
		engine_on_socket_error(e, n < 0 ? -errno : -ENOTCONN, now);
	else {
		enum proxy_verdict v = proxy_talk_in(e->way.talk, buf, (size_t)n, &used);

		on_verdict(e, v, buf + used, (size_t)n - used, now);
	}
	secret_wipe(buf, sizeof(buf));
}
