/*
 * From "somebody wants this tunnel" to "connected" or one sentence why not.
 *
 * Theory. Subscribe first, then read: the match on PropertiesChanged is in place before the state is looked at, so no
 * change can fall between. A signal only says "look again"; all properties are then read in one call, so what we see is
 * always one consistent moment. The wait ends with the state connected, failed (final; the helper tries again by itself
 * whatever can heal), down (somebody else took it down), the deadline, or Ctrl-C.
 */
#include "cli/bring-up.h"

#include <string.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/places.h"
#include "cli/ask.h"
#include "cli/browse.h"
#include "cli/tunnel-names.h"
#include "profile/profile.h"

#define ASK_MAX 3
#define DOWN_TIMEOUT_USEC (30 * USEC_PER_SEC)
#define EXIT_INTERRUPTED 130

struct attempt {
	struct client *c;
	const struct bring_up *b;
	struct tunnel_view view;
	usec_t deadline;
	bool dirty;    /* a property changed since the last look */
	bool started;  /* down before us */
	bool can_ask;
	bool retry_interactive; /* the profile's auth-retry interact */
	bool show;     /* progress lines */
	char *shown;   /* the last of them */
	char *answered; /* the last question that was dealt with */
	struct secret *credentials;
	struct ask_wants wants; /* as far as it is known; wants.user is not kept */
};

/* ---- progress ---- */

static int on_changed(sd_bus_message *m _unused_, void *userdata, sd_bus_error *e _unused_)
{
	struct attempt *a = userdata;

	a->dirty = true;
	return 0;
}

static bool is_auth_refused(const struct attempt *a)
{
	const char *name = a->view.last_error_name;

	return name && (str_eq(name, BUS_ERROR_AUTH_FAILED) || str_eq(name, BUS_ERROR_NEED_CREDENTIALS) ||
			str_eq(name, BUS_ERROR_NEED_PASSPHRASE) || str_eq(name, BUS_ERROR_NEED_BOTH));
}

static void show_progress(struct attempt *a)
{
	const struct tunnel_view *v = &a->view;
	const char *address = v->remote_address && *v->remote_address ? v->remote_address : NULL;
	struct strbuf b = { 0 };
	char *line;

	/* A refused password is the end; it is reported as such in a moment. */
	if (!a->show || tunnel_view_is_down(v) || str_eq(tunnel_view_state(v), "connected") || is_auth_refused(a))
		return;
	strbuf_addf(&b, "%s: %s", a->b->name, tunnel_view_state(v));
	if (v->remote_host && *v->remote_host)
		strbuf_addf(&b, " to %s", v->remote_host);
	if (address && !(v->remote_host && str_eq(address, v->remote_host)))
		strbuf_addf(&b, " (%s)", address);
	if (v->last_error && *v->last_error)
		strbuf_addf(&b, ": %s", v->last_error);
	line = strbuf_take(&b);
	if (!line)
		return; /* only a progress line */
	if (!a->shown || !str_eq(a->shown, line))
		log_info("%s", line);
	free(a->shown);
	a->shown = line;
}

/* ---- looking ---- */

static int look(struct attempt *a)
{
	sd_bus_error e = SD_BUS_ERROR_NULL;
	int r, code = EXIT_CODE_OK;

	a->dirty = false;
	r = tunnel_view_read(a->c, a->b->name, &a->view, &e);
	if (r == -ENOENT)
		code = output_fail(EXIT_CODE_NOT_UP, "tunnel %s is not configured; `nsvpn list` shows those that are",
				   a->b->name);
	else if (r < 0)
		code = client_fail(&e, r);
	sd_bus_error_free(&e);
	return code;
}

static int subscribe(struct attempt *a, sd_bus_slot **ret)
{
	_cleanup_(freep) char *path = client_tunnel_path(a->b->name);
	int r;

	if (!path)
		return output_oom();
	r = sd_bus_match_signal(a->c->bus, ret, NULL, path, "org.freedesktop.DBus.Properties", "PropertiesChanged",
				on_changed, a);
	return r < 0 ? client_fail(NULL, r) : EXIT_CODE_OK;
}

/* ---- credentials ---- */

static int fail_nobody_to_ask(const struct attempt *a)
{
	if (a->b->credentials)
		return output_fail(EXIT_CODE_FAILED, "%s does not hold all that tunnel %s needs: %s%s%s, one line each",
				   str_eq(a->b->credentials, "-") ? "standard input" : a->b->credentials, a->b->name,
				   a->wants.login ? "user name and password" : "", a->wants.login && a->wants.phrase ? ", then " : "",
				   a->wants.phrase ? "the pass phrase of its private key" : "");
	return output_fail(EXIT_CODE_FAILED,
			   a->wants.phrase ?
				   "tunnel %s needs the pass phrase of its private key and there is no terminal to ask at; put it "
				   "into a file, behind user name and password where it wants these, too, one line each, and give "
				   "--credentials FILE (or - for standard input)" :
				   "tunnel %s needs a user name and password and there is no terminal to ask at; put them into a "
				   "file as two lines and give --credentials FILE (or - for standard input)",
			   a->b->name);
}

/*
 * Looks at the profile before anything is started: does it want a password that it does not bring along? Mistakes in the
 * profile come to light here, too. A user cannot read it; the helper answers his first call with "credentials needed".
 */
static int prepare_credentials(struct attempt *a)
{
	_cleanup_(profile_freep) struct profile *p = NULL;
	struct ask_wants wants;
	char *error = NULL;
	int r;

	if (a->b->credentials)
		return ask_file(a->b->credentials, &a->credentials);
	if (!place_is_ours())
		return EXIT_CODE_OK;
	r = profile_load_tunnel(a->b->name, &p, NULL, &error);
	if (r == -ENOENT && !error)
		return output_fail(EXIT_CODE_NOT_UP, "tunnel %s is not configured; `nsvpn list` shows those that are",
				   a->b->name);
	if (r < 0)
		return output_fail_take(r == -EACCES ? EXIT_CODE_DENIED : EXIT_CODE_FAILED, error, strerror(-r));
	free(error);
	if (p->protocol != PROTOCOL_OPENVPN)
		return EXIT_CODE_OK;
	wants = (struct ask_wants){
		.login = p->ovpn.auth_user_pass && !(p->ovpn.username && p->ovpn.password),
		.phrase = p->ovpn.key_password_asked,
		.user = p->ovpn.username ? secret_string(p->ovpn.username) : NULL,
	};
	a->wants = (struct ask_wants){ .login = p->ovpn.auth_user_pass, .phrase = wants.phrase };
	a->retry_interactive = p->ovpn.auth_user_pass && p->ovpn.auth_retry == AUTH_RETRY_INTERACT;
	if (!wants.login && !wants.phrase)
		return EXIT_CODE_OK;
	if (!a->can_ask)
		return fail_nobody_to_ask(a);
	return ask_terminal(a->b->name, &wants, &a->credentials);
}

/* ---- calling ---- */

static int add_option_fd(sd_bus_message *m, const char *key, int fd)
{
	return sd_bus_message_append(m, "{sv}", key, "h", fd);
}

static int build_up(struct attempt *a, sd_bus_message **ret)
{
	_cleanup_(closep) int fd = -EBADF;
	int r = client_new_call(a->c, "Up", ret);

	if (r >= 0)
		r = sd_bus_message_append(*ret, "s", a->b->name);
	if (r >= 0)
		r = sd_bus_message_open_container(*ret, 'a', "{sv}");
	if (r >= 0 && a->credentials) {
		fd = memfd_sealed("credentials", secret_bytes(a->credentials), secret_len(a->credentials));
		r = fd < 0 ? fd : add_option_fd(*ret, "credentials", fd); /* the message keeps a copy */
	}
	if (r >= 0 && a->b->uplink)
		r = sd_bus_message_append(*ret, "{sv}", "uplink", "s", a->b->uplink);
	if (r >= 0)
		r = sd_bus_message_close_container(*ret);
	return r < 0 ? r : 0;
}

static int fail_timeout(const struct attempt *a)
{
	const struct tunnel_view *v = &a->view;
	_cleanup_(freep) char *silent = NULL;
	const char *why = v->last_error;

	if (!why || !*why) {
		silent = str_format("no answer from %s (%s) yet", v->remote_host && *v->remote_host ? v->remote_host : "the server",
				    v->remote_address && *v->remote_address ? v->remote_address : "address not known");
		why = silent ? silent : "no answer yet";
	}
	return output_fail(EXIT_CODE_TIMED_OUT,
			   "%s is not connected after %llu s: %s; it stays locked and goes on trying (`nsvpn status %s`, `nsvpn "
			   "down %s`)",
			   a->b->name, (unsigned long long)(a->b->timeout / USEC_PER_SEC), why, a->b->name, a->b->name);
}

/* Does the helper want something of a person, and what? */
static bool learn_wants(struct attempt *a, const sd_bus_error *e)
{
	bool both = sd_bus_error_has_name(e, BUS_ERROR_NEED_BOTH);
	bool login = both || sd_bus_error_has_name(e, BUS_ERROR_NEED_CREDENTIALS);
	bool phrase = both || sd_bus_error_has_name(e, BUS_ERROR_NEED_PASSPHRASE);

	if (!login && !phrase)
		return false;
	a->wants = (struct ask_wants){ .login = login, .phrase = phrase };
	return true;
}

/* Sends Up and waits until the helper has answered. An exit code; *ret_need: it asks for credentials. */
static int call_up(struct attempt *a, bool *ret_need)
{
	sd_bus_error e = SD_BUS_ERROR_NULL;
	sd_bus_message *m = NULL;
	int r, code = EXIT_CODE_OK;

	*ret_need = false;
	r = build_up(a, &m);
	if (r >= 0)
		r = client_call(a->c, m, a->deadline, &e, NULL);
	sd_bus_message_unref(m);
	if (r == -EINTR)
		code = EXIT_INTERRUPTED;
	else if (r == -ETIME)
		code = fail_timeout(a);
	else if (r < 0 && learn_wants(a, &e) && a->can_ask)
		*ret_need = true;
	else if (r < 0 && learn_wants(a, &e))
		code = fail_nobody_to_ask(a);
	else if (r < 0)
		code = client_fail(&e, r);
	sd_bus_error_free(&e);
	return code;
}

/* Whatever we began is taken back; what goes wrong there is not the message that counts. */
static void take_down(struct attempt *a)
{
	sd_bus_error e = SD_BUS_ERROR_NULL;
	sd_bus_message *m = NULL;
	int r;

	r = client_new_call(a->c, "Down", &m);
	if (r >= 0)
		r = sd_bus_message_append(m, "sa{sv}", a->b->name, 0);
	if (r >= 0)
		r = client_call(a->c, m, clock_boottime() + DOWN_TIMEOUT_USEC, &e, NULL);
	if (r < 0)
		log_debug("%s could not be taken down again (%s), ignoring", a->b->name,
			  e.message ? e.message : strerror(-r));
	sd_bus_message_unref(m);
	sd_bus_error_free(&e);
}

/* ---- waiting ---- */

/* OPEN: not decided yet. */
enum outcome { OUTCOME_OPEN, OUTCOME_CONNECTED, OUTCOME_FAILED, OUTCOME_DOWN };

static enum outcome judge(const struct attempt *a)
{
	const char *state = tunnel_view_state(&a->view);

	if (str_eq(state, "connected"))
		return OUTCOME_CONNECTED;
	if (str_eq(state, "failed"))
		return OUTCOME_FAILED;
	if (str_eq(state, "down"))
		return OUTCOME_DOWN;
	return OUTCOME_OPEN;
}

static int fail_final(const struct attempt *a)
{
	enum exit_code code = client_exit_code(a->view.last_error_name);

	return output_fail(code == EXIT_CODE_OK ? EXIT_CODE_FAILED : code, "%s: %s", a->b->name,
			   a->view.last_error && *a->view.last_error ? a->view.last_error :
								       "failed; `nsvpn logs` has more");
}

/* ---- questions ---- */

#define URL_PATIENCE (5 * 60 * USEC_PER_SEC)

static int send_answer(struct attempt *a, const struct secret *answer)
{
	_cleanup_(closep) int fd = memfd_sealed("answer", secret_bytes(answer), secret_len(answer));
	sd_bus_error e = SD_BUS_ERROR_NULL;
	sd_bus_message *m = NULL;
	int r, code = EXIT_CODE_OK;

	if (fd < 0)
		return output_fail(EXIT_CODE_FAILED, "the answer cannot be sent: %s", strerror(-fd));
	r = client_new_call(a->c, "Answer", &m);
	if (r >= 0)
		r = sd_bus_message_append(m, "sh", a->b->name, fd); /* the message keeps a copy */
	if (r >= 0)
		r = client_call(a->c, m, clock_boottime() + DOWN_TIMEOUT_USEC, &e, NULL);
	if (r < 0)
		code = client_fail(&e, r);
	sd_bus_message_unref(m);
	sd_bus_error_free(&e);
	return code;
}

static int answer_question(struct attempt *a, bool echo)
{
	_cleanup_(secret_freep) struct secret *answer = NULL;
	int r;

	if (!a->can_ask)
		return output_fail(EXIT_CODE_AUTH,
				   "the server of tunnel %s asks \"%s\" and there is no terminal to ask at; run `nsvpn up %s` at one, or give "
				   "the answer as a further line of --credentials",
				   a->b->name, a->view.question, a->b->name);
	client_release(a->c);
	r = ask_question(a->b->name, a->view.question, echo, &answer);
	client_catch(a->c);
	if (r == EXIT_CODE_OK)
		r = send_answer(a, answer);
	a->deadline = clock_boottime() + a->b->timeout;
	a->dirty = true;
	return r;
}

static void open_address(const struct attempt *a, const char *url)
{
	int r = a->b->open_addresses ? browse(url) : 0;

	if (r == -ENOENT)
		log_warning("the address cannot be opened here because xdg-open is not installed; copy it into a browser");
	else if (r < 0)
		(void)log_warning_errno(r, "the address cannot be opened here (%m); copy it into a browser");
}

/* What the server wants from a person, once each time it asks. An exit code. */
static int handle_question(struct attempt *a)
{
	const char *kind = a->view.question_kind, *text = a->view.question;

	if (!kind || !*kind || !text || !*text) {
		free(TAKE_PTR(a->answered));
		return EXIT_CODE_OK;
	}
	if (a->answered && str_eq(a->answered, text))
		return EXIT_CODE_OK;
	free(a->answered);
	a->answered = strdup(text);
	if (!a->answered)
		return output_oom();
	if (!str_eq(kind, "url"))
		return answer_question(a, str_eq(kind, "text"));
	log_notice("%s: the server asks you to log in with a browser: %s", a->b->name, text);
	open_address(a, text);
	a->deadline = MAX(a->deadline, clock_boottime() + URL_PATIENCE);
	return EXIT_CODE_OK;
}

/* Until decided. An exit code; OUTCOME_FAILED and OUTCOME_DOWN are the caller's to report. */
static int wait_outcome(struct attempt *a, enum outcome *ret)
{
	a->dirty = true;
	for (;;) {
		int r;

		if (a->dirty) {
			r = look(a);
			if (r != EXIT_CODE_OK)
				return r;
			show_progress(a);
			*ret = judge(a);
			if (*ret != OUTCOME_OPEN)
				return EXIT_CODE_OK;
			r = handle_question(a);
			if (r != EXIT_CODE_OK)
				return r;
		}
		r = client_wait(a->c, a->deadline);
		if (r == -EINTR)
			return EXIT_INTERRUPTED;
		if (r == -ETIME)
			return fail_timeout(a);
		if (r < 0)
			return client_fail(NULL, r);
	}
}

/* Asks with the signals as they were: the prompt has its own handling. */
static int ask_again(struct attempt *a)
{
	int r;

	a->credentials = secret_free(a->credentials);
	client_release(a->c);
	r = ask_terminal(a->b->name, &a->wants, &a->credentials);
	client_catch(a->c);
	a->deadline = clock_boottime() + a->b->timeout;
	return r;
}

/* One round: Up, wait, and for a refused password another round, if there is somebody to ask. */
static int attempt_run(struct attempt *a)
{
	for (int asked = 0;; asked++) {
		enum outcome outcome;
		bool need, again;
		int r = call_up(a, &need);

		if (r == EXIT_CODE_OK && a->b->no_wait && !need)
			return look(a);
		if (r != EXIT_CODE_OK)
			return r;
		if (!need) {
			r = wait_outcome(a, &outcome);
			if (r != EXIT_CODE_OK || outcome == OUTCOME_CONNECTED)
				return r;
			if (outcome == OUTCOME_DOWN)
				return output_fail(EXIT_CODE_NOT_UP, "%s was taken down while it was connecting", a->b->name);
		}
		again = need || (is_auth_refused(a) && a->retry_interactive && a->can_ask && !a->b->credentials);
		if (!again || asked >= ASK_MAX)
			return fail_final(a);
		if (!need)
			log_notice("%s: the server refused user name or password", a->b->name);
		r = ask_again(a);
		if (r != EXIT_CODE_OK)
			return r;
	}
}

/*
 * Built, locked, and the helper at work on the way out. "blocked" is not that: nothing goes on there by itself, so it is
 * brought up like what is down.
 */
static bool is_locked_enough(const struct attempt *a)
{
	const char *state = tunnel_view_state(&a->view);

	return a->b->locked_is_enough && (str_eq(state, "reconnecting") || (str_eq(state, "connecting") && a->b->no_wait));
}

/* It keeps the uplink that it was built with. */
static int check_same_uplink(const struct attempt *a)
{
	const char *wanted = a->b->uplink, *is = a->view.uplink;

	if (!wanted || tunnel_view_is_down(&a->view) || !is || !*is || str_eq(wanted, is))
		return EXIT_CODE_OK;
	return output_fail(EXIT_CODE_USAGE, "tunnel %s is %s with uplink %s; `nsvpn down %s` before changing it", a->b->name,
			   tunnel_view_state(&a->view), is, a->b->name);
}

/* The state before: nothing to do, or credentials to prepare. */
static int attempt_begin(struct attempt *a, bool *ret_done)
{
	int r = look(a);

	if (r == EXIT_CODE_OK)
		r = check_same_uplink(a);
	if (r != EXIT_CODE_OK)
		return r;
	*ret_done = judge(a) == OUTCOME_CONNECTED || is_locked_enough(a);
	a->started = tunnel_view_is_down(&a->view);
	if (*ret_done || !a->started)
		return EXIT_CODE_OK;
	return prepare_credentials(a);
}

static int attempt_go(struct attempt *a, bool *ret_was_up)
{
	int r;

	r = attempt_begin(a, ret_was_up);
	if (r != EXIT_CODE_OK || *ret_was_up)
		return r;
	client_catch(a->c);
	a->deadline = clock_boottime() + a->b->timeout;
	r = attempt_run(a);
	/* A time-out leaves it trying, locked; everything else that we began ends with us. */
	if (r != EXIT_CODE_OK && r != EXIT_CODE_TIMED_OUT && r != EXIT_CODE_NOT_UP && a->started)
		take_down(a);
	if (r == EXIT_INTERRUPTED && !a->b->is_quiet)
		(void)output_fail(r, a->started ? "interrupted; %s is taken down again" :
						  "interrupted; %s goes on, as it was begun by somebody else", a->b->name);
	client_release(a->c);
	return r;
}

int bring_up(struct client *c, const struct bring_up *b, struct tunnel_view *ret_view, bool *ret_was_up)
{
	struct attempt a = { .c = c, .b = b, .can_ask = ask_is_possible() };
	sd_bus_slot *slot = NULL;
	bool was_up = false;
	int r;

	a.show = !b->is_quiet && isatty(STDERR_FILENO);
	r = tunnel_names_expect(b->name);
	if (r == EXIT_CODE_OK)
		r = subscribe(&a, &slot);
	if (r == EXIT_CODE_OK)
		r = attempt_go(&a, &was_up);
	if (r == EXIT_CODE_OK) {
		*ret_view = a.view;
		*ret_was_up = was_up;
	} else
		tunnel_view_done(&a.view);
	sd_bus_slot_unref(slot);
	secret_free(a.credentials);
	free(a.shown);
	free(a.answered);
	return r;
}
