/*
 * A caller on the system bus who wants more than he may (t-callers.sh).
 *
 *   buscall [--agent no|lie|silent] [--gone] METHOD [TUNNEL [PROGRAM ARG...]]
 *
 * Calls METHOD of org.nsvpn1.Manager with well-formed arguments and allows polkit to ask; Exec comes with all the descriptors
 * that nsvpn would send. With --agent it is its own polkit agent, a registered one, as a desktop's or pkttyagent is:
 *   no      says that the user refused
 *   lie     says that all is done, without any password
 *   silent  never answers
 * With --gone it leaves the bus as soon as its agent is asked. Exit status: 0 answered with success, 1 with an error, which is
 * printed, 3 left, 2 trouble of its own. The last line of standard error counts how often the agent was asked.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <systemd/sd-bus.h>
#include <unistd.h>

#include "base/bus-api.h"
#include "base/cleanup.h"
#include "base/fd.h"
#include "base/launch-api.h"
#include "base/str.h"

#define AGENT_PATH "/org/nsvpn1/lab/agent"
#define POLKIT "org.freedesktop.PolicyKit1"
#define PROGRAM_MSEC 20000
#define TIMEOUT_USEC (25ULL * 1000 * 1000)

struct caller {
	sd_bus *bus;
	const char *agent;
	bool gone;
	unsigned asked;
	bool done, failed;
	int control; /* Exec: our end */
};

static int trouble(const char *what, int r)
{
	(void)fprintf(stderr, "buscall: %s: %s\n", what, strerror(-r));
	return 2;
}

/* ---- the agent ------------------------------------------------------------------------------------------------------ */

static int on_begin(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	struct caller *c = userdata;

	c->asked++;
	if (c->gone) {
		(void)fprintf(stderr, "asked %u\n", c->asked);
		_exit(3);
	}
	if (str_eq(c->agent, "lie"))
		return sd_bus_reply_method_return(m, NULL);
	if (str_eq(c->agent, "silent"))
		return 1;
	return sd_bus_error_set(error, POLKIT ".Error.Cancelled", "the user said no");
}

static int on_cancel(sd_bus_message *m, void *userdata _unused_, sd_bus_error *error _unused_)
{
	return sd_bus_reply_method_return(m, NULL);
}

static const sd_bus_vtable agent_vtable[] = {
	SD_BUS_VTABLE_START(0),
	SD_BUS_METHOD("BeginAuthentication", "sssa{ss}sa(sa{sv})", "", on_begin, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD("CancelAuthentication", "s", "", on_cancel, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_VTABLE_END,
};

/* Field 22 of /proc/self/stat, which polkit compares. */
static uint64_t start_time(void)
{
	_cleanup_(freep) char *text = NULL;
	unsigned long long v = 0;
	const char *p;
	size_t len;

	if (file_read(AT_FDCWD, "/proc/self/stat", 4096, &text, &len) < 0)
		return 0;
	p = strrchr(text, ')');
	if (!p || sscanf(p + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu", &v) != 1)
		return 0;
	return v;
}

static int register_agent(struct caller *c)
{
	sd_bus_error e = SD_BUS_ERROR_NULL;
	sd_bus_message *reply = NULL;
	int r;

	r = sd_bus_add_object_vtable(c->bus, NULL, AGENT_PATH, POLKIT ".AuthenticationAgent", agent_vtable, c);
	if (r >= 0)
		r = sd_bus_call_method(c->bus, POLKIT, "/org/freedesktop/PolicyKit1/Authority", POLKIT ".Authority",
				       "RegisterAuthenticationAgent", &e, &reply, "(sa{sv})ss", "unix-process", 3, "pid", "u",
				       (uint32_t)getpid(), "start-time", "t", start_time(), "uid", "i", (int32_t)getuid(), "C",
				       AGENT_PATH);
	if (r < 0)
		(void)fprintf(stderr, "buscall: %s\n", e.message ? e.message : "no agent");
	sd_bus_error_free(&e);
	sd_bus_message_unref(reply);
	return r;
}

/* ---- the call ------------------------------------------------------------------------------------------------------- */

static int make_request(char **argv)
{
	_cleanup_(freep) char *buf = calloc(1, 65536);
	size_t n = sizeof(LAUNCH_REQUEST_MAGIC);

	if (!buf)
		return -ENOMEM;
	memcpy(buf, LAUNCH_REQUEST_MAGIC, n);
	for (; *argv; argv++) {
		if (n + strlen(*argv) + 2 > 65536)
			return -E2BIG;
		buf[n++] = 'A';
		memcpy(buf + n, *argv, strlen(*argv) + 1);
		n += strlen(*argv) + 1;
	}
	return memfd_sealed("request", buf, n);
}

static int append_exec(struct caller *c, sd_bus_message *m, char **argv)
{
	_cleanup_(closep) int request = make_request(argv), cwd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	int pair[2], r;

	if (request < 0 || cwd < 0 || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -EIO;
	r = sd_bus_message_append(m, "hhhhhha{sv}", request, cwd, 0, 1, 2, pair[1], 0);
	(void)close(pair[1]);
	c->control = pair[0];
	return r;
}

static int append_answer(sd_bus_message *m)
{
	_cleanup_(closep) int answer = memfd_sealed("answer", "123456\n", 7);

	return answer < 0 ? answer : sd_bus_message_append(m, "h", answer);
}

static int make_call(struct caller *c, char **argv, sd_bus_message **ret)
{
	static const struct {
		const char *method;
		bool named, options;
	} rows[] = {
		{ "Up", true, true },	      { "Down", true, true }, { "Plan", true, false },
		{ "Processes", true, false }, { "Exec", true, false }, { "Answer", true, false },
	};
	sd_bus_message *m = NULL;
	int r = sd_bus_message_new_method_call(c->bus, &m, BUS_NAME, BUS_PATH, BUS_IFACE_MANAGER, argv[0]);

	for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(rows); i++) {
		if (!str_eq(rows[i].method, argv[0]))
			continue;
		if (rows[i].named)
			r = sd_bus_message_append(m, "s", argv[1] ? argv[1] : "");
		if (r >= 0 && rows[i].options)
			r = sd_bus_message_append(m, "a{sv}", 0);
		if (r >= 0 && str_eq(argv[0], "Exec"))
			r = append_exec(c, m, argv + 2);
		if (r >= 0 && str_eq(argv[0], "Answer"))
			r = append_answer(m);
	}
	if (r >= 0)
		r = sd_bus_message_set_allow_interactive_authorization(m, 1);
	if (r < 0)
		sd_bus_message_unref(m);
	else
		*ret = m;
	return r;
}

static int on_reply(sd_bus_message *m, void *userdata, sd_bus_error *error _unused_)
{
	const sd_bus_error *e = sd_bus_message_get_error(m);
	struct caller *c = userdata;

	c->done = true;
	c->failed = e;
	if (e)
		(void)printf("%s: %s\n", e->name, e->message ? e->message : "");
	else
		(void)sd_bus_message_dump(m, stdout, 0);
	return 0;
}

static int converse(struct caller *c, sd_bus_message *m)
{
	int r = sd_bus_call_async(c->bus, NULL, m, on_reply, c, TIMEOUT_USEC);

	while (r >= 0 && !c->done) {
		r = sd_bus_process(c->bus, NULL);
		if (r == 0 && !c->done)
			r = sd_bus_wait(c->bus, UINT64_MAX);
	}
	return r;
}

/* A program whose caller has gone is not started. */
static void await_program(struct caller *c)
{
	struct pollfd p = { .fd = c->control, .events = POLLIN };
	char buf[sizeof(struct launch_message) + LAUNCH_TEXT_MAX];

	while (!c->failed && c->control >= 0 && poll(&p, 1, PROGRAM_MSEC) > 0 && recv(c->control, buf, sizeof(buf), 0) > 0)
		;
}

int main(int argc, char **argv)
{
	struct caller c = { .control = -EBADF };
	sd_bus_message *m = NULL;
	int r, i = 1;

	for (; i < argc && str_has_prefix(argv[i], "--"); i++) {
		if (str_eq(argv[i], "--gone"))
			c.gone = true;
		else if (str_eq(argv[i], "--agent") && i + 1 < argc)
			c.agent = argv[++i];
	}
	if (i >= argc)
		return trouble("METHOD is missing", -EINVAL);
	r = sd_bus_open_system(&c.bus);
	if (r >= 0 && c.agent)
		r = register_agent(&c);
	if (r >= 0)
		r = make_call(&c, argv + i, &m);
	if (r < 0)
		return trouble("cannot call", r);
	r = converse(&c, m);
	sd_bus_message_unref(m);
	await_program(&c);
	sd_bus_close_unref(c.bus);
	(void)fprintf(stderr, "asked %u\n", c.asked);
	return r < 0 ? trouble("the bus is gone", r) : c.failed ? 1 : 0;
}
