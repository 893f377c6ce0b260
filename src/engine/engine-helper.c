/*
 * What the helper says to the engine: profile and tun, credentials, stop, a changed network.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bus-api.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/str.h"
#include "crypto/random.h"
#include "engine/engine-parts.h"

/* Profiles come with their files inline. */
#define PROFILE_TEXT_MAX (8 * PROFILE_FILE_MAX)
#define AUTH_TEXT_MAX 8192
#define GOODBYE_MAX (200 * USEC_PER_MSEC)

/* ---- credentials ---------------------------------------------------------------------------------------------------- */

/* A memfd is read from its beginning, wherever its writer left the offset. */
static int read_memfd(int fd, size_t max, char **ret, size_t *ret_len)
{
	if (lseek(fd, 0, SEEK_SET) < 0)
		return -errno;
	return file_read_fd(fd, max, ret, ret_len);
}

static void on_auth(void *userdata, bool ok, int fd)
{
	struct engine *e = userdata;
	const struct ovpn_options *o = &e->profile->ovpn;
	char *text = NULL;
	size_t len = 0;
	int r = -ENODATA;

	if (e->phase == PHASE_AUTH && ok && fd >= 0)
		r = read_memfd(fd, AUTH_TEXT_MAX, &text, &len);
	fd_close(fd);
	if (e->phase != PHASE_AUTH)
		return;
	if (r >= 0) {
		r = login_take_credentials(e, text, len);
		secret_wipe(text, len);
		free(text);
	}
	if (r < 0) {
		engine_give_up(e, FAIL_AUTH, o->key_password_asked && !o->key_password ?
					       "the private key is encrypted, and its pass phrase was not given" :
					       "the server wants a user name and a password, and none were given");
		return;
	}
	engine_begin_try(e);
	engine_settle(e, engine_now(e));
}

/* ---- start ---------------------------------------------------------------------------------------------------------- */

static int load_profile(struct engine *e, const char *tunnel, int fd, char **ret_error)
{
	char *text = NULL;
	size_t len = 0;
	int r;

	r = read_memfd(fd, PROFILE_TEXT_MAX, &text, &len);
	if (r < 0)
		return r;
	r = profile_parse_ovpn(text, len, tunnel, NULL, NULL, NULL, &e->profile, ret_error);
	secret_wipe(text, len);
	free(text);
	return r;
}

static int init_attempt(struct engine *e)
{
	const struct profile *p = e->profile;
	uint32_t words[PROFILE_REMOTES_MAX];
	int r;

	if (!p->n_remotes)
		return -EDESTADDRREQ;
	attempt_init(&e->attempt, p->n_remotes, p->ovpn.connect_retry, p->ovpn.connect_retry_max);
	if (!p->ovpn.remote_random)
		return 0;
	r = random_bytes(words, sizeof(words));
	if (r < 0)
		return r;
	attempt_shuffle(&e->attempt, words);
	return 0;
}

static int init_tun(struct engine *e, const struct ipc_start *start)
{
	int r;

	r = fd_set_nonblock(e->tun_fd, true);
	if (r < 0)
		return r;
	tun_init(&e->datapath.tun, e->tun_fd, start->tun_offload, e->profile->ovpn.tap);
	e->tun_mtu_max = start->tun_mtu_max;
	return sd_event_add_io(e->event, &e->tun_source, e->tun_fd, EPOLLIN, engine_on_tun, e);
}

static void on_start(void *userdata, const struct ipc_start *start, int profile_fd, int tun_fd)
{
	struct engine *e = userdata;
	_cleanup_(freep) char *error = NULL;
	const char *text = NULL;
	int r;

	if (e->phase != PHASE_START || e->tun_fd >= 0) {
		fd_close(profile_fd);
		fd_close(tun_fd);
		return;
	}
	e->tun_fd = tun_fd;
	log_set_max_level(start->log_level < _LOG_LEVEL_MAX ? start->log_level : LOG_LEVEL_INFO);
	r = load_profile(e, start->tunnel, profile_fd, &error);
	fd_close(profile_fd);
	if (r >= 0) {
		r = init_attempt(e);
		if (r == -EDESTADDRREQ)
			text = "the profile names no server; add a `remote` line";
	}
	if (r < 0) {
		engine_give_up(e, FAIL_CONFIG, error ? error : text ? text : strerror(-r));
		return;
	}
	r = init_tun(e, start);
	if (r < 0) {
		engine_give_up(e, FAIL_INTERNAL, "the tun descriptor cannot be used");
		return;
	}
	engine_begin_try(e);
	engine_settle(e, engine_now(e));
}

/* ---- commands ------------------------------------------------------------------------------------------------------- */

/* Until everything that waits is with the kernel, or the time is over. */
static void push_out(struct engine *e, usec_t until)
{
	struct pollfd p = { .fd = e->wire_fd, .events = POLLOUT };

	datapath_resume(&e->datapath);
	while (e->datapath.blocked && clock_boottime() < until) {
		(void)poll(&p, 1, 10); /* whatever it says, the clock ends this */
		datapath_resume(&e->datapath);
	}
}

/* Closing resets the connection and whatever is under way with it: the server gets a moment to take it. */
static void close_stream(struct engine *e, usec_t until)
{
	struct stream *s = &e->datapath.stream;
	struct pollfd p = { .fd = s->fd, .events = POLLIN };

	if (stream_finish(s) < 0)
		return; /* over already */
	while (!stream_is_over(s) && clock_boottime() < until)
		(void)poll(&p, 1, 10); /* as above */
}

static void say_goodbye(struct engine *e)
{
	struct pollfd p = { .fd = e->wire_fd, .events = POLLOUT };
	usec_t now = clock_boottime(), until = now + GOODBYE_MAX;

	push_out(e, until);
	e->proto->ops->stop(e->proto, now);
	while (!engine_pump_wire(e, now) && now < until) {
		(void)poll(&p, 1, 10); /* as above */
		now = clock_boottime();
		e->proto->ops->stop(e->proto, now);
	}
	push_out(e, until);
	if (datapath_is_stream(&e->datapath))
		close_stream(e, clock_boottime() + GOODBYE_MAX);
}

/* The exit notification is what the loop would send; a full socket is waited for, but not for long. */
static void on_stop(void *userdata)
{
	struct engine *e = userdata;

	if (e->phase == PHASE_ENDING)
		return;
	if (e->proto && (e->phase == PHASE_HANDSHAKE || e->phase == PHASE_SETTINGS || e->phase == PHASE_CONNECTED))
		say_goodbye(e);
	engine_drop_session(e);
	engine_end(e, EXIT_CODE_OK);
}

static void on_answer(void *userdata, int fd)
{
	login_on_answer(userdata, fd);
}

static void on_stats(void *userdata)
{
	struct engine *e = userdata;
	struct ipc_req_stats s;

	stats_fill(&e->stats, &s);
	if (monitor_stats(&e->monitor, &s) < 0)
		engine_end(e, EXIT_CODE_FAILED);
}

static void on_reconnect(void *userdata)
{
	struct engine *e = userdata;
	usec_t now = engine_now(e);

	if (e->phase == PHASE_START || e->phase == PHASE_AUTH || e->phase == PHASE_QUESTION || e->phase == PHASE_ENDING)
		return;
	log_info("the network changed, connecting again");
	attempt_restart(&e->attempt);
	/* The helper works on one question at a time; its answer to the old one comes first. */
	if (e->phase == PHASE_SOCKET) {
		e->stale = true;
		return;
	}
	engine_drop_session(e);
	engine_begin_try(e);
	if (e->phase != PHASE_ENDING)
		engine_settle(e, now);
}

static void on_gone(void *userdata, int error)
{
	struct engine *e = userdata;

	(void)error; /* there is nobody left to tell */
	engine_end(e, EXIT_CODE_FAILED);
}

const struct monitor_ops engine_monitor_ops = {
	.on_start = on_start,
	.on_socket = engine_on_socket,
	.on_settings = engine_on_settings,
	.on_auth = on_auth,
	.on_answer = on_answer,
	.on_stop = on_stop,
	.on_stats = on_stats,
	.on_reconnect = on_reconnect,
	.on_gone = on_gone,
};
