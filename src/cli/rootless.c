/* The command line's side of rootless tunnels; contract in rootless.h. */
#include "cli/rootless.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/syscall.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/places.h"
#include "base/str.h"
#include "cli/import-files.h"
#include "cli/output.h"
#include "cli/tunnel-names.h"

#define CALL_PATIENCE (30 * USEC_PER_SEC)
#define NAMES_MAX 9 /* different profiles of one file name */

static const char *const commands[] = { "import", "remove", "up", "down", "exec", "shell", "status", "list", "plan", "logs" };

bool rootless_is_for(const struct command *self)
{
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		if (str_eq(commands[i], self->name))
			return true;
	return false;
}

int rootless_begin(const struct command *self)
{
	char *error = NULL;
	int r;

	if (!rootless_is_for(self))
		return output_fail(EXIT_CODE_USAGE, "%s: --rootless has no meaning for it", self->name);
	if (geteuid() == 0)
		return output_fail(EXIT_CODE_USAGE, "%s: --rootless is for users without root; you are root, leave it away", self->name);
	if (getenv("NSVPN_TUNNEL"))
		return output_fail(EXIT_CODE_DENIED, "%s: you are inside tunnel %s, and from there --rootless gives no orders; use another "
						     "terminal", self->name, getenv("NSVPN_TUNNEL"));
	r = places_use_rootless(&error);
	return r < 0 ? output_fail_take(EXIT_CODE_FAILED, error, strerror(-r)) : EXIT_CODE_OK;
}

/* ---- profiles in passing --------------------------------------------------------------------------------------------- */

/* "provider", "provider2", ... */
static char *nth_name(const char *base, int n)
{
	return n == 1 ? strdup(base) : str_format("%.9s%d", base, n);
}

/* The first free name, or the one that has this profile. */
static int store(const struct import *i, const char *file, const char *passing, char **ret)
{
	_cleanup_(freep) char *base = tunnel_names_from_file(file);

	for (int n = 1; base && n <= NAMES_MAX; n++) {
		_cleanup_(freep) char *name = nth_name(base, n);

		if (!name)
			break;
		if (!tunnel_names_is_configured(name)) {
			int r = import_store(i, passing, name);

			if (r == EXIT_CODE_OK)
				*ret = TAKE_PTR(name);
			return r;
		}
		if (import_is_stored(i, name)) {
			*ret = TAKE_PTR(name);
			return EXIT_CODE_OK;
		}
	}
	return base ? output_fail(EXIT_CODE_FAILED, "%d tunnels with the name of %s and other profiles are there already; rename the file",
				  NAMES_MAX, file) :
		      output_oom();
}

int rootless_take_config(const char *file, char **ret_name)
{
	_cleanup_(freep) char *passing = place_passing();
	_cleanup_(closep) int lock = -EBADF;
	struct import i = { 0 };
	int r;

	if (!passing)
		return output_oom();
	r = import_read(file, &i);
	if (r != EXIT_CODE_OK)
		return r;
	/* Two at the same time with the same file shall have one tunnel. */
	r = dir_make(passing, 0700);
	if (r >= 0)
		lock = open(passing, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (r < 0 || lock < 0 || flock(lock, LOCK_EX) < 0)
		r = output_fail(EXIT_CODE_FAILED, "the folder %s cannot be used: %s", passing, strerror(r < 0 ? -r : errno));
	else
		r = store(&i, file, passing, ret_name);
	import_done(&i);
	return r;
}

/* ---- the namespaces -------------------------------------------------------------------------------------------------- */

static int take_reply(sd_bus_message *reply, struct launch_own *ret)
{
	_cleanup_(closep) int user = -EBADF, net = -EBADF;
	int theirs[2], r = sd_bus_message_read(reply, "hh", &theirs[0], &theirs[1]);

	if (r < 0)
		return r;
	user = fd_dup(theirs[0]);
	net = fd_dup(theirs[1]);
	if (user < 0 || net < 0)
		return user < 0 ? user : net;
	*ret = (struct launch_own){ .user_fd = TAKE_FD(user), .netns_fd = TAKE_FD(net) };
	return 0;
}

static int call_enter(struct client *c, const char *name, sd_bus_error *e, struct launch_own *ret)
{
	_cleanup_(closep) int self = (int)syscall(SYS_pidfd_open, getpid(), 0U);
	sd_bus_message *m = NULL, *reply = NULL;
	int r;

	if (self < 0)
		return -errno;
	r = sd_bus_message_new_method_call(c->bus, &m, BUS_NAME, BUS_PATH, BUS_IFACE_ROOTLESS, "Enter");
	if (r >= 0)
		r = sd_bus_message_append(m, "sh", name, self); /* the message keeps a copy */
	if (r >= 0)
		r = client_call(c, m, clock_boottime() + CALL_PATIENCE, e, &reply);
	if (r >= 0)
		r = take_reply(reply, ret);
	sd_bus_message_unref(m);
	sd_bus_message_unref(reply);
	return r;
}

int rootless_fetch(struct client *c, const char *name, bool if_up, struct launch_own *ret)
{
	struct launch_own now = { .user_fd = -EBADF, .netns_fd = -EBADF };
	sd_bus_error e = SD_BUS_ERROR_NULL;
	int r, code = EXIT_CODE_OK;

	r = call_enter(c, name, &e, &now);
	if (r >= 0) {
		(void)fd_close(ret->user_fd);
		(void)fd_close(ret->netns_fd);
		*ret = now;
	} else if (!(if_up && sd_bus_error_has_name(&e, BUS_ERROR_NOT_UP))) {
		code = client_fail(&e, r);
	}
	sd_bus_error_free(&e);
	return code;
}

/* ---- words ----------------------------------------------------------------------------------------------------------- */

/* The length of a command's name that needs --rootless behind it, else 0. */
static size_t command_at(const char *s)
{
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		size_t n = strlen(commands[i]);

		if (strncmp(s, commands[i], n) == 0 && (s[n] == ' ' || s[n] == '`' || s[n] == '\0'))
			return str_has_prefix(s + n, " --rootless") ? 0 : n;
	}
	return 0;
}

const char *rootless_word(void)
{
	return place_is_rootless() ? " --rootless" : "";
}

char *rootless_phrase(char *text)
{
	static const char word[] = "`nsvpn ";
	struct strbuf b = { 0 };
	const char *rest = text, *hit;
	char *result;

	if (!place_is_rootless() || !text)
		return text;
	while ((hit = strstr(rest, word))) {
		size_t n = command_at(hit + strlen(word)), len = (size_t)(hit - rest) + strlen(word) + n;

		strbuf_add_bytes(&b, rest, len);
		if (n)
			strbuf_add(&b, " --rootless");
		rest += len;
	}
	strbuf_add(&b, rest);
	result = strbuf_take(&b);
	if (!result)
		return text;
	free(text);
	return result;
}
