/*
 * Callers without any rights who send whatever the bus carries to the helper, as fast as it is taken (t-flood.sh).
 *
 *   busflood SECONDS SEED [TUNNEL]
 *
 * CONNECTIONS connections send calls with random objects, members and arguments: methods that exist with arguments of other
 * types, values that no tunnel name or option has, many and large arguments, descriptors of every kind; half of them allow
 * polkit to ask. At most UNANSWERED calls of each connection are open. Now and then one leaves in the middle and comes back
 * under another name. Prints how many calls were sent, answered with success and answered with an error. SIGTERM ends it early.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <systemd/sd-bus.h>
#include <unistd.h>

#include "base/bus-api.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/str.h"

#define CONNECTIONS 24
#define UNANSWERED 12
#define ARGUMENTS_MAX 6
#define CALL_USEC (20ULL * 1000 * 1000)

static volatile sig_atomic_t is_over;

struct flood {
	uint64_t random;
	const char *tunnel;
	unsigned long sent, good, bad;
};

struct line {
	struct flood *f;
	sd_bus *bus;
	unsigned open;
};

static void on_term(int sig _unused_)
{
	is_over = 1;
}

static unsigned below(struct flood *f, unsigned n)
{
	f->random = f->random * 6364136223846793005ULL + 1442695040888963407ULL;
	return (unsigned)(f->random >> 33) % n;
}

static const char *one_of(struct flood *f, const char *const *list)
{
	unsigned n = 0;

	while (list[n])
		n++;
	return list[below(f, n)];
}

/* ---- values --------------------------------------------------------------------------------------------------------- */

static char *make_string(struct flood *f)
{
	static const char *const words[] = { "", "home", "none", "../../etc/shadow", "%n%s", "$(id)", "a b", "\n", "\xc3\xa4",
					     "0123456789a", "timeout", "uplink", "kill", "/", "org.nsvpn1.Tunnel", NULL };
	size_t n = below(f, 8) == 0 ? below(f, 60000) : 0;
	char *s;

	if (n == 0)
		return strdup(below(f, 3) == 0 ? f->tunnel : one_of(f, words));
	s = malloc(n + 1);
	if (s) {
		memset(s, 'a' + (int)below(f, 26), n);
		s[n] = '\0';
	}
	return s;
}

static int append_descriptor(struct flood *f, sd_bus_message *m)
{
	int pair[2] = { -EBADF, -EBADF }, fd, r;

	switch (below(f, 4)) {
	case 0:
		fd = memfd_sealed("flood", &f->random, sizeof(f->random));
		break;
	case 1:
		fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
		break;
	case 2:
		fd = socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0 ? -1 : pair[0];
		break;
	default:
		fd = open("/dev/zero", O_RDONLY | O_CLOEXEC);
		break;
	}
	if (fd < 0)
		return -EIO;
	r = sd_bus_message_append(m, "h", fd); /* a copy */
	fd_close(fd);
	fd_close(pair[1]);
	return r;
}

static int append_options(struct flood *f, sd_bus_message *m, const char *s)
{
	unsigned n = below(f, 5);
	int r = sd_bus_message_open_container(m, 'a', "{sv}");

	for (unsigned i = 0; r >= 0 && i < n; i++)
		r = below(f, 2) ? sd_bus_message_append(m, "{sv}", s, "u", below(f, 1U << 31)) :
				  sd_bus_message_append(m, "{sv}", "uplink", "s", s);
	return r < 0 ? r : sd_bus_message_close_container(m);
}

static int append_one(struct flood *f, sd_bus_message *m)
{
	char *s = make_string(f);
	int r = -ENOMEM;

	if (!s)
		return r;
	switch (below(f, 8)) {
	case 0:
		r = append_options(f, m, s);
		break;
	case 1:
		r = append_descriptor(f, m);
		break;
	case 2:
		r = sd_bus_message_append(m, "v", "(sv)", s, "au", 2, below(f, 9), below(f, 9));
		break;
	case 3:
		r = sd_bus_message_append_array(m, 'y', s, strlen(s));
		break;
	case 4:
		r = sd_bus_message_append(m, "xdb", (int64_t)f->random, 1e308, 1);
		break;
	default:
		r = sd_bus_message_append(m, "s", s);
		break;
	}
	free(s);
	return r;
}

/* What a method does take, so that some calls get past its types. */
static int append_proper(struct flood *f, sd_bus_message *m)
{
	char *s = make_string(f);
	int r = s ? sd_bus_message_append(m, "s", s) : -ENOMEM;

	if (r >= 0)
		r = append_options(f, m, s);
	free(s);
	return r;
}

static int make_call(struct flood *f, sd_bus *bus, sd_bus_message **ret)
{
	static const char *const paths[] = { BUS_PATH, BUS_PATH, BUS_PATH, BUS_PATH_TUNNEL_PREFIX "/home", BUS_PATH_TUNNEL_PREFIX,
					     BUS_PATH_TUNNEL_PREFIX "/_2e_2e", "/", NULL };
	static const char *const interfaces[] = { BUS_IFACE_MANAGER, BUS_IFACE_MANAGER, BUS_IFACE_MANAGER, BUS_IFACE_TUNNEL,
						  BUS_IFACE_ROOTLESS, "org.freedesktop.DBus.Properties",
						  "org.freedesktop.DBus.Introspectable", "org.freedesktop.DBus.ObjectManager",
						  "org.freedesktop.DBus.Peer", NULL };
	static const char *const members[] = { "Up", "Down", "Answer", "Plan", "ListTunnels", "Processes", "Reload", "Exec",
					       "Examine", "Get", "GetAll", "Set", "Introspect", "GetManagedObjects", "Ping",
					       "GetMachineId", "Fetch", NULL };
	unsigned n = below(f, ARGUMENTS_MAX);
	sd_bus_message *m = NULL;
	int r = sd_bus_message_new_method_call(bus, &m, BUS_NAME, one_of(f, paths), one_of(f, interfaces), one_of(f, members));

	if (r >= 0 && below(f, 2))
		r = append_proper(f, m);
	else
		for (unsigned i = 0; r >= 0 && i < n; i++)
			r = append_one(f, m);
	if (r >= 0)
		r = sd_bus_message_set_allow_interactive_authorization(m, (int)below(f, 2));
	if (r < 0)
		sd_bus_message_unref(m);
	else
		*ret = m;
	return r;
}

/* ---- the lines ------------------------------------------------------------------------------------------------------ */

static int on_reply(sd_bus_message *m, void *userdata, sd_bus_error *error _unused_)
{
	struct line *l = userdata;

	l->open--;
	if (sd_bus_message_is_method_error(m, NULL))
		l->f->bad++;
	else
		l->f->good++;
	return 0;
}

static int send_one(struct line *l)
{
	sd_bus_message *m;
	int r = make_call(l->f, l->bus, &m);

	if (r < 0) /* text that D-Bus does not carry */
		return 0;
	r = sd_bus_call_async(l->bus, NULL, m, on_reply, l, CALL_USEC);
	sd_bus_message_unref(m);
	if (r < 0)
		return r;
	l->open++;
	l->f->sent++;
	return 0;
}

static void hang_up(struct line *l)
{
	l->bus = sd_bus_close_unref(l->bus);
	l->open = 0;
}

/* One round of one connection: what has come, then one call more. A bus that throws us out is come back to. */
static void turn(struct line *l)
{
	int r = 0;

	if (!l->bus && sd_bus_open_system(&l->bus) < 0) {
		(void)usleep(1000);
		return;
	}
	while (r >= 0 && (r = sd_bus_process(l->bus, NULL)) > 0)
		;
	if (r >= 0 && l->open < UNANSWERED)
		r = send_one(l);
	if (r < 0 || below(l->f, 3000) == 0)
		hang_up(l);
}

int main(int argc, char **argv)
{
	struct flood f = { .tunnel = argc > 3 ? argv[3] : "home" };
	struct line lines[CONNECTIONS] = { { 0 } };
	usec_t end;

	if (argc < 3) {
		(void)fprintf(stderr, "usage: busflood SECONDS SEED [TUNNEL]\n");
		return 2;
	}
	f.random = strtoull(argv[2], NULL, 10);
	(void)signal(SIGTERM, on_term);
	end = clock_boottime() + strtoull(argv[1], NULL, 10) * USEC_PER_SEC;
	for (size_t i = 0; i < CONNECTIONS; i++)
		lines[i].f = &f;
	while (!is_over && clock_boottime() < end)
		for (size_t i = 0; i < CONNECTIONS; i++)
			turn(&lines[i]);
	for (size_t i = 0; i < CONNECTIONS; i++)
		hang_up(&lines[i]);
	(void)printf("%lu sent, %lu served, %lu refused\n", f.sent, f.good, f.bad);
	return 0;
}
