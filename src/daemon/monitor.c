/* The engine's requests; theory in monitor.h. */
#include "daemon/monitor.h"

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/str.h"
#include "daemon/tunnel-blocked.h"
#include "daemon/tunnel-uplink.h"
#include "daemon/tunnel.h"

#define RESOLVE_TIMEOUT (10 * USEC_PER_SEC)
/* Lines of an engine per LOG_WINDOW; a line that a peer caused must not fill the disk or the journal. */
#define LOG_WINDOW (10 * USEC_PER_SEC)
#define LOG_LINES_MAX 100

#define IN(phase) (1U << MONITOR_PHASE_##phase)
#define AFTER_HELLO (IN(IDLE) | IN(SOCKET) | IN(APPLIED))
#define ANY (IN(HELLO) | AFTER_HELLO)

typedef int (*handler_fn)(struct tunnel *t, const struct ipc_msg *msg);

static int on_hello(struct tunnel *t, const struct ipc_msg *msg);
static int on_socket(struct tunnel *t, const struct ipc_msg *msg);
static int on_settings(struct tunnel *t, const struct ipc_msg *msg);
static int on_auth(struct tunnel *t, const struct ipc_msg *msg);
static int on_state(struct tunnel *t, const struct ipc_msg *msg);
static int on_stats(struct tunnel *t, const struct ipc_msg *msg);
static int on_log(struct tunnel *t, const struct ipc_msg *msg);
static int on_failed(struct tunnel *t, const struct ipc_msg *msg);
static int on_question(struct tunnel *t, const struct ipc_msg *msg);
static int on_relay(struct tunnel *t, const struct ipc_msg *msg);

#define TAP_MTU_MAX (65535 - 18) /* a frame is as long as a packet may be */

#define MONITOR_ONCE true
#define MONITOR_REPEAT false

static const struct rule {
	enum ipc_type type;
	unsigned phases;
	bool once;
	handler_fn handle;
} rules[] = {
	{ IPC_REQ_HELLO, IN(HELLO), MONITOR_ONCE, on_hello },
	{ IPC_REQ_SOCKET, AFTER_HELLO, MONITOR_REPEAT, on_socket },
	{ IPC_REQ_SETTINGS, IN(SOCKET) | IN(APPLIED), MONITOR_REPEAT, on_settings },
	{ IPC_REQ_AUTH, AFTER_HELLO, MONITOR_REPEAT, on_auth },
	{ IPC_REQ_STATE, AFTER_HELLO, MONITOR_REPEAT, on_state },
	{ IPC_REQ_STATS, AFTER_HELLO, MONITOR_REPEAT, on_stats },
	{ IPC_REQ_LOG, ANY, MONITOR_REPEAT, on_log },
	{ IPC_REQ_FAILED, ANY, MONITOR_ONCE, on_failed },
	{ IPC_REQ_QUESTION, AFTER_HELLO, MONITOR_REPEAT, on_question },
	{ IPC_REQ_RELAY, IN(SOCKET), MONITOR_REPEAT, on_relay },
};

static const char *const phase_names[] = {
	[MONITOR_PHASE_HELLO] = "hello",
	[MONITOR_PHASE_IDLE] = "idle",
	[MONITOR_PHASE_SOCKET] = "socket",
	[MONITOR_PHASE_APPLIED] = "applied",
};
static_assert(ARRAY_SIZE(phase_names) == _MONITOR_PHASE_MAX, "a name for each phase");

const char *monitor_phase_to_string(enum monitor_phase p)
{
	return phase_names[p];
}

static const struct rule *find_rule(enum ipc_type type)
{
	for (size_t i = 0; i < ARRAY_SIZE(rules); i++)
		if (rules[i].type == type)
			return &rules[i];
	return NULL;
}

bool monitor_permits(enum monitor_phase phase, enum ipc_type type)
{
	const struct rule *rule = find_rule(type);

	return rule && (rule->phases & 1U << phase);
}

void monitor_init(struct monitor *m)
{
	*m = (struct monitor){ .phase = MONITOR_PHASE_HELLO };
}

void monitor_done(struct monitor *m)
{
	m->query = resolve_free(m->query);
	monitor_init(m);
}

int monitor_message(struct tunnel *t, const struct ipc_msg *msg)
{
	struct monitor *m = &t->monitor;
	const struct rule *rule = find_rule(msg->type);
	uint32_t bit;

	if (!rule || !(rule->phases & 1U << m->phase)) {
		log_tunnel_warning(t, "the engine sent message %d in phase %s, where it is not allowed", msg->type,
				   monitor_phase_to_string(m->phase));
		return -EPROTO;
	}
	bit = 1U << (rule - rules);
	if (rule->once && (m->seen & bit)) {
		log_tunnel_warning(t, "the engine sent message %d a second time", msg->type);
		return -EPROTO;
	}
	m->seen |= bit;
	return rule->handle(t, msg);
}

/* A sentence for an answer: what is too long or not clean text (a file name may be anything) is escaped and cut. */
static void set_text(char *dst, size_t cap, const char *text)
{
	_cleanup_(freep) char *escaped = NULL;

	if (str_is_clean_utf8(text, strlen(text)) && str_copy(dst, cap, text))
		return;
	escaped = str_escape(text, strlen(text), cap - 1);
	(void)str_copy(dst, cap, escaped ? escaped : ""); /* fits: cut above */
}

/* An engine that does not read its answers has stopped working. */
static int answer(struct tunnel *t, const struct ipc_msg *msg, const int *fds, size_t n_fds)
{
	int r = engine_proc_send(t->engine, msg, fds, n_fds);

	if (r == -EPIPE || r == -ECONNRESET)
		return 0; /* it has died; its end is on its way to us */
	if (r < 0)
		return log_warning_errno(r, "%s: cannot answer the engine: %m", t->name);
	return 0;
}

/* ---- start --------------------------------------------------------------------------------------------------------- */

static int on_hello(struct tunnel *t, const struct ipc_msg *msg _unused_)
{
	struct ipc_msg start = { .type = IPC_CMD_START };
	int fds[2], r;

	r = engine_proc_verify(t->engine);
	if (r < 0) {
		tunnel_engine_unsafe(t, r);
		return r;
	}
	/* One open file description serves every engine of this tunnel in turn, so its offset is put back. */
	if (lseek(t->profile_fd, 0, SEEK_SET) < 0)
		return -errno;
	(void)str_copy(start.start.tunnel, sizeof(start.start.tunnel), t->name); /* at most ten characters */
	start.start.tun_offload = (uint8_t)t->tun_offload;
	start.start.log_level = (uint8_t)log_get_max_level();
	start.start.tun_mtu_max = t->profile->ovpn.tap ? TAP_MTU_MAX : 65535;
	fds[0] = t->profile_fd;
	fds[1] = t->tun_fd;
	t->monitor.phase = MONITOR_PHASE_IDLE;
	t->early_deaths = 0;
	return answer(t, &start, fds, ARRAY_SIZE(fds));
}

/* ---- the transport socket ---------------------------------------------------------------------------------------- */

static int refuse_socket(struct tunnel *t, enum fail_class fail, size_t n_addresses, const char *text)
{
	struct ipc_msg ans = { .type = IPC_ANS_SOCKET };

	ans.ans_socket.seq = t->monitor.seq;
	ans.ans_socket.fail = (uint8_t)fail;
	ans.ans_socket.n_addresses = (uint16_t)n_addresses;
	set_text(ans.ans_socket.text, sizeof(ans.ans_socket.text), text);
	log_tunnel_info(t, "%s", text);
	return answer(t, &ans, NULL, 0);
}

static int grant_socket(struct tunnel *t, const struct remote *remote, const struct inaddr *addr, size_t n_addresses)
{
	struct ipc_msg ans = { .type = IPC_ANS_SOCKET };
	_cleanup_(freep) char *error = NULL;
	_cleanup_(closep) int fd = -EBADF;
	const struct proxy *proxy = profile_proxy(t->profile, remote);
	enum transport transport = proxy ? TRANSPORT_TCP : remote->transport;
	struct endpoint server = { .addr = *addr, .port = proxy ? proxy->port : remote->port };
	struct endpoint local = { .addr = remote->local, .port = remote->local_port };
	char text[ENDPOINT_STR_MAX];
	uint32_t path_mtu = 0;
	int r;

	t->monitor.phase = MONITOR_PHASE_IDLE;
	r = tunnelnet_open_transport(t->net, &server, transport, &local, &fd, &path_mtu, &error);
	tunnel_uplink_start(t, &server.addr);
	if (r < 0)
		return refuse_socket(t, r == -ENETUNREACH || r == -EHOSTUNREACH ? FAIL_UNREACHABLE : FAIL_INTERNAL,
				     n_addresses, error ? error : strerror(-r));
	t->monitor.phase = MONITOR_PHASE_SOCKET;
	t->monitor.relayed = false;
	log_tunnel_info(t, "trying %s%s%s (%s), %s", remote->host, proxy ? " through the proxy " : "", proxy ? proxy->host : "",
			endpoint_format(&server, text, sizeof(text)), transport_to_string(remote->transport));
	tunnel_set_server(t, remote, &server);
	tunnel_blocked_start(t);

	ans.ans_socket.seq = t->monitor.seq;
	ans.ans_socket.ok = 1;
	ans.ans_socket.n_addresses = (uint16_t)n_addresses;
	ans.ans_socket.server = server;
	ans.ans_socket.path_mtu = path_mtu;
	return answer(t, &ans, &fd, 1);
}

/*
 * The port is the proxy's word, brought by the engine. What an engine that lies can reach so is one more port of a machine that
 * its profile names as its proxy.
 */
static int on_relay(struct tunnel *t, const struct ipc_msg *msg)
{
	const struct remote *remote = &t->profile->remotes[t->monitor.request.remote];
	const struct proxy *proxy = profile_proxy(t->profile, remote);
	struct ipc_msg ans = { .type = IPC_ANS_SOCKET };
	_cleanup_(freep) char *error = NULL;
	_cleanup_(closep) int fd = -EBADF;
	uint32_t path_mtu;
	int r;

	if (!proxy || proxy->kind != PROXY_SOCKS || remote->transport != TRANSPORT_UDP || t->monitor.relayed || t->monitor.query) {
		log_tunnel_warning(t, "the engine asked for a relay that its profile does not have");
		return -EPROTO;
	}
	t->monitor.seq = msg->req_relay.seq;
	t->monitor.relayed = true;
	r = tunnelnet_open_relay(t->net, msg->req_relay.port, &fd, &path_mtu, &error);
	if (r < 0) {
		t->monitor.phase = MONITOR_PHASE_IDLE;
		return refuse_socket(t, FAIL_INTERNAL, 0, error ? error : strerror(-r));
	}
	ans.ans_socket.seq = t->monitor.seq;
	ans.ans_socket.ok = 1;
	ans.ans_socket.server = t->server;
	ans.ans_socket.server.port = msg->req_relay.port;
	ans.ans_socket.path_mtu = path_mtu;
	return answer(t, &ans, &fd, 1);
}

static int resolved(struct tunnel *t, int error, const struct inaddr *addrs, size_t n, const char *why)
{
	const struct ipc_req_socket *req = &t->monitor.request;
	const struct remote *remote = &t->profile->remotes[req->remote];
	const struct proxy *proxy = profile_proxy(t->profile, remote);
	const char *host = proxy ? proxy->host : remote->host;
	_cleanup_(freep) char *text = NULL;

	if (error < 0) {
		tunnel_uplink_start(t, &(struct inaddr){ .family = AF_UNSPEC }); /* perhaps there is no network yet */
		text = str_format("%s (line %u of %s) does not resolve: %s; check the name and this machine's DNS",
				  host, proxy ? proxy->line : remote->line, t->profile->source, why);
		return refuse_socket(t, FAIL_RESOLVE, 0, text ? text : why);
	}
	if (req->address >= n) {
		text = str_format("%s has only %zu address%s", host, n, n == 1 ? "" : "es");
		return refuse_socket(t, FAIL_UNREACHABLE, n, text ? text : "no further address");
	}
	return grant_socket(t, remote, &addrs[req->address], n);
}

static void on_resolved(void *userdata, int error, const struct inaddr *addrs, size_t n, const char *why)
{
	struct tunnel *t = userdata;

	t->monitor.query = resolve_free(t->monitor.query);
	if (resolved(t, error, addrs, n, why) < 0)
		engine_proc_kill(t->engine, "does not read its answers");
}

static int on_socket(struct tunnel *t, const struct ipc_msg *msg)
{
	const struct ipc_req_socket *req = &msg->req_socket;
	const struct remote *remote;
	const struct proxy *proxy;
	_cleanup_(freep) char *error = NULL;
	int r;

	if (t->monitor.query || req->remote >= t->profile->n_remotes) {
		log_tunnel_warning(t, "the engine asked for a socket out of turn or to a server that its profile does not have");
		return -EPROTO;
	}
	/* A new try means that the old connection is over, whatever the engine says about it. */
	if (t->monitor.phase == MONITOR_PHASE_APPLIED)
		tunnel_engine_lost(t, "the engine starts a new try");
	if (t->monitor.phase != MONITOR_PHASE_IDLE && tunnelnet_close_transport(t->net, &error) < 0)
		log_tunnel_warning(t, "%s", error ? error : "cannot close the opening to the old server");
	t->monitor.phase = MONITOR_PHASE_IDLE;
	t->monitor.request = *req;
	t->monitor.seq = req->seq;
	remote = &t->profile->remotes[req->remote];
	proxy = profile_proxy(t->profile, remote); /* then it looks up the server's name of any family */
	r = resolve_start(&t->monitor.query, t->manager->event, proxy ? proxy->host : remote->host,
			  proxy ? AF_UNSPEC : remote->family, RESOLVE_TIMEOUT, on_resolved, t);
	if (r < 0)
		return refuse_socket(t, FAIL_INTERNAL, 0, strerror(-r));
	tunnel_blocked_start_names(t);
	return 0;
}

/* ---- settings ------------------------------------------------------------------------------------------------------ */

/* What settings.conf says comes before what a server pushed. */
static void apply_policy(const struct tunnel_settings *policy, struct settings *s)
{
	bool have4 = false, have6 = false;

	for (unsigned i = 0; i < MIN(s->n_addrs, (unsigned)SETTINGS_ADDRS_MAX); i++) {
		have4 |= s->addrs[i].addr.family == AF_INET;
		have6 |= s->addrs[i].addr.family == AF_INET6;
	}
	if (policy->n_dns > 0) {
		memcpy(s->dns, policy->dns, sizeof(s->dns));
		s->n_dns = policy->n_dns;
	}
	switch (policy->default_route) {
	case DEFAULT_ROUTE_AUTO:
		break;
	case DEFAULT_ROUTE_YES:
		s->default4 = have4 && (!s->ethernet || inaddr_is_set(&s->gateway4));
		s->default6 = have6 && !s->block_ipv6 && (!s->ethernet || inaddr_is_set(&s->gateway6));
		break;
	case DEFAULT_ROUTE_NO:
		s->default4 = s->default6 = false;
		break;
	}
}

static int on_settings(struct tunnel *t, const struct ipc_msg *msg)
{
	struct ipc_msg ans = { .type = IPC_ANS_SETTINGS };
	_cleanup_(freep) char *why = NULL, *undo_error = NULL;
	struct settings s = msg->req_settings.settings;
	int r;

	ans.ans_settings.seq = msg->req_settings.seq;
	if (s.ethernet != t->profile->ovpn.tap) {
		log_tunnel_warning(t, "the engine wants settings for another kind of device than the profile's");
		return -EPROTO;
	}
	apply_policy(&t->profile->settings, &s);
	r = settings_verify(&s, &why);
	if (r >= 0) {
		tunnel_forget_stored(t); /* what was stored speaks of other settings */
		r = tunnelnet_connect(t->net, &s, &why);
	}
	if (r < 0) {
		if (!why)
			why = str_format("the settings from the server cannot be applied: %s", strerror(-r));
		log_tunnel_warning(t, "%s", why ? why : "the settings from the server cannot be applied");
		/* Never half-applied: back to locked. */
		if (tunnelnet_disconnect(t->net, &undo_error) < 0)
			log_tunnel_warning(t, "%s", undo_error ? undo_error : "cannot take back the settings");
		if (t->monitor.phase == MONITOR_PHASE_APPLIED) /* other settings for a tunnel that was up */
			tunnel_engine_lost(t, why ? why : "the server's new settings cannot be applied");
		t->monitor.phase = MONITOR_PHASE_SOCKET;
		set_text(ans.ans_settings.text, sizeof(ans.ans_settings.text), why ? why : "no memory");
		return answer(t, &ans, NULL, 0);
	}
	t->monitor.phase = MONITOR_PHASE_APPLIED;
	tunnel_set_settings(t, &s);
	ans.ans_settings.ok = 1;
	return answer(t, &ans, NULL, 0);
}

/* ---- the rest ------------------------------------------------------------------------------------------------------ */

static int on_auth(struct tunnel *t, const struct ipc_msg *msg)
{
	struct ipc_msg ans = { .type = IPC_ANS_AUTH };

	ans.ans_auth.seq = msg->req_auth.seq;
	/* A pair that the server refused will be refused again; only a person has another one. */
	if (t->auth_fd < 0 || msg->req_auth.again)
		return answer(t, &ans, NULL, 0);
	if (lseek(t->auth_fd, 0, SEEK_SET) < 0)
		return -errno;
	ans.ans_auth.ok = 1;
	return answer(t, &ans, &t->auth_fd, 1);
}

static int on_state(struct tunnel *t, const struct ipc_msg *msg)
{
	const struct ipc_req_state *req = &msg->req_state;
	_cleanup_(freep) char *error = NULL;

	if (req->state == ENGINE_STATE_CONNECTED) {
		if (t->monitor.phase != MONITOR_PHASE_APPLIED) {
			log_tunnel_warning(t, "the engine says connected, but no settings were applied");
			return -EPROTO;
		}
		tunnel_engine_connected(t, req->cipher);
		return 0;
	}
	if (req->fail < _FAIL_CLASS_MAX)
		tunnel_set_failure(t, (enum fail_class)req->fail, req->text);
	if (t->monitor.phase == MONITOR_PHASE_APPLIED) {
		t->monitor.phase = MONITOR_PHASE_SOCKET;
		tunnel_engine_lost(t, req->text[0] ? req->text : "the engine lost its connection");
	}
	/* Between tries nothing may be open. */
	if (req->state == ENGINE_STATE_WAITING && t->monitor.phase == MONITOR_PHASE_SOCKET) {
		if (tunnelnet_close_transport(t->net, &error) < 0)
			log_tunnel_warning(t, "%s", error ? error : "cannot close the opening to the server");
		t->monitor.phase = MONITOR_PHASE_IDLE;
	}
	return 0;
}

static int on_stats(struct tunnel *t, const struct ipc_msg *msg)
{
	t->stats = msg->req_stats;
	t->stats_at = clock_boottime();
	return 0;
}

static int on_log(struct tunnel *t, const struct ipc_msg *msg)
{
	struct monitor *m = &t->monitor;
	usec_t now = clock_boottime();

	if (now - m->log_since >= LOG_WINDOW) {
		if (m->log_lines > LOG_LINES_MAX)
			log_tunnel_warning(t, "the engine's log was too fast: %u lines left out", m->log_lines - LOG_LINES_MAX);
		m->log_since = now;
		m->log_lines = 0;
	}
	if (m->log_lines++ < LOG_LINES_MAX)
		(void)log_full((enum log_level)msg->req_log.level, 0, t->name, "engine: %s", msg->req_log.text);
	return 0;
}

static int on_failed(struct tunnel *t, const struct ipc_msg *msg)
{
	tunnel_engine_gave_up(t, (enum fail_class)msg->req_failed.fail, msg->req_failed.text);
	return 0;
}

/* What it says may be a server's words: shown to people as a quotation, never acted on. */
static int on_question(struct tunnel *t, const struct ipc_msg *msg)
{
	tunnel_set_question(t, (enum question_kind)msg->req_question.kind, msg->req_question.text);
	return 0;
}
