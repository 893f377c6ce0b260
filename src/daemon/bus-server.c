/* The standalone helper's D-Bus socket; contract in bus-server.h. */
#include "daemon/bus-server.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <systemd/sd-bus.h>
#include <systemd/sd-id128.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/str.h"
#include "daemon/manager-bus.h"
#include "daemon/userns.h"
#include "daemon/rootless-bus.h"
#include "daemon/tunnel-bus.h"

#define CLIENTS_MAX 64
/* Messages that a client may leave unread. One that was stopped must not make the helper collect signals for ever. */
#define UNREAD_MAX 8192
#define LAST_WORDS_MAX 64

struct client {
	struct client *next;
	struct bus_server *server;
	sd_bus *bus;
};

struct bus_server {
	sd_event *event;
	struct bus_context context;
	char *path;
	int fd;
	sd_event_source *on_accept;
	struct client *clients;
	size_t n_clients;
	void (*on_clients)(void *userdata);
	void *userdata;
};

static struct client *client_free(struct client *c)
{
	struct bus_server *s = c->server;

	for (struct client **p = &s->clients; *p; p = &(*p)->next) {
		if (*p == c) {
			*p = c->next;
			s->n_clients--;
			break;
		}
	}
	sd_bus_close_unref(c->bus); /* without flushing: a client that does not read cannot hold us up */
	free(c);
	return NULL;
}

static int on_disconnected(sd_bus_message *m _unused_, void *userdata, sd_bus_error *error _unused_)
{
	struct client *c = userdata;
	struct bus_server *s = c->server;

	client_free(c);
	if (s->on_clients)
		s->on_clients(s->userdata);
	return 0;
}

static bool peer_is_allowed(int fd)
{
	struct ucred cred;
	socklen_t len = sizeof(cred);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0 || len != sizeof(cred))
		return false;
	return (cred.uid == 0 || cred.uid == geteuid()) && !userns_is_inside(cred.pid);
}

static int client_start(struct client *c, int *fd)
{
	struct bus_server *s = c->server;
	sd_id128_t id;
	int r;

	r = sd_id128_randomize(&id);
	if (r < 0)
		return r;
	r = sd_bus_new(&c->bus);
	if (r < 0)
		return r;
	r = sd_bus_set_fd(c->bus, *fd, *fd);
	if (r < 0)
		return r;
	*fd = -EBADF; /* the bus's now */
	if ((r = sd_bus_set_server(c->bus, 1, id)) < 0 || (r = sd_bus_set_anonymous(c->bus, 0)) < 0 ||
	    (r = sd_bus_negotiate_fds(c->bus, 1)) < 0 || (r = sd_bus_set_exit_on_disconnect(c->bus, 0)) < 0 ||
	    (r = manager_bus_add(c->bus, &s->context)) < 0 || (r = tunnel_bus_add(c->bus, &s->context)) < 0 || (r = rootless_bus_add(c->bus, s->context.manager)) < 0)
		return r;
	r = sd_bus_match_signal(c->bus, NULL, NULL, "/org/freedesktop/DBus/Local", "org.freedesktop.DBus.Local", "Disconnected",
				on_disconnected, c);
	if (r < 0)
		return r;
	r = sd_bus_attach_event(c->bus, s->event, SD_EVENT_PRIORITY_NORMAL);
	if (r < 0)
		return r;
	return sd_bus_start(c->bus);
}

int bus_server_add_client(struct bus_server *s, int fd)
{
	_cleanup_(closep) int owned = fd;
	struct client *c;
	int r;

	if (!peer_is_allowed(fd)) {
		log_warning("refused a client on %s that may give no orders", s->path);
		return -EACCES;
	}
	if (s->n_clients >= CLIENTS_MAX) {
		log_warning("refused a client on %s: there are %d already", s->path, CLIENTS_MAX);
		return -EMFILE;
	}
	c = calloc(1, sizeof(*c));
	if (!c)
		return -ENOMEM;
	c->server = s;
	c->next = s->clients;
	s->clients = c;
	s->n_clients++;
	r = client_start(c, &owned);
	if (r < 0) {
		client_free(c);
		return log_warning_errno(r, "cannot serve a client on %s: %m", s->path);
	}
	manager_refresh_stats(s->context.manager);
	if (s->on_clients)
		s->on_clients(s->userdata);
	return 0;
}

static int on_connection(sd_event_source *source _unused_, int fd, uint32_t revents _unused_, void *userdata)
{
	struct bus_server *s = userdata;
	int client = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (client < 0) {
		if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
			(void)log_warning_errno(-errno, "cannot accept a client on %s: %m", s->path);
		return 0;
	}
	(void)bus_server_add_client(s, client); /* logged there; the client sees its connection closed */
	return 0;
}

static int listen_on(struct bus_server *s)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int r;

	if (!str_copy(sa.sun_path, sizeof(sa.sun_path), s->path))
		return -ENAMETOOLONG;
	s->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (s->fd < 0)
		return -errno;
	if (unlink(s->path) < 0 && errno != ENOENT)
		return -errno;
	/* The umask of a helper is 077; the mode is said again for one that was started otherwise. */
	if (fchmod(s->fd, 0600) < 0 || bind(s->fd, (struct sockaddr *)&sa, sizeof(sa)) < 0 || chmod(s->path, 0600) < 0 ||
	    listen(s->fd, 16) < 0)
		return -errno;
	r = sd_event_add_io(s->event, &s->on_accept, s->fd, EPOLLIN, on_connection, s);
	return r;
}

int bus_server_new(struct bus_server **ret, sd_event *event, struct manager *m, const char *path,
		   void (*on_clients)(void *userdata), void *userdata)
{
	_cleanup_(bus_server_freep) struct bus_server *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return -ENOMEM;
	s->fd = -EBADF;
	s->event = sd_event_ref(event);
	s->context.manager = m;
	s->on_clients = on_clients;
	s->userdata = userdata;
	s->path = strdup(path);
	if (!s->path)
		return -ENOMEM;
	r = listen_on(s);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(s);
	return 0;
}

static uint64_t n_unread(sd_bus *bus)
{
	uint64_t n = 0;

	(void)sd_bus_get_n_queued_write(bus, &n); /* a closed one has none */
	return n;
}

/* The last answers, where they can be delivered; flushing waits, so not for a client that does not read. */
static void say_last_words(sd_bus *bus)
{
	struct pollfd p = { .fd = sd_bus_get_fd(bus), .events = POLLOUT };

	if (n_unread(bus) <= LAST_WORDS_MAX && poll(&p, 1, 0) > 0)
		(void)sd_bus_flush(bus); /* it may be gone */
}

struct bus_server *bus_server_free(struct bus_server *s)
{
	if (!s)
		return NULL;
	s->on_clients = NULL;
	while (s->clients) {
		say_last_words(s->clients->bus);
		client_free(s->clients);
	}
	sd_event_source_disable_unref(s->on_accept);
	if (s->fd >= 0) {
		fd_close(s->fd);
		(void)unlink(s->path); /* ours; already gone is fine */
	}
	sd_event_unref(s->event);
	free(s->path);
	free(s);
	return NULL;
}

size_t bus_server_n_clients(const struct bus_server *s)
{
	return s->n_clients;
}

void bus_server_emit(struct bus_server *s, const struct tunnel *t, char *const *properties)
{
	for (struct client *c = s->clients; c; c = c->next) {
		if (n_unread(c->bus) < UNREAD_MAX)
			(void)tunnel_bus_emit(c->bus, t, properties); /* one that has just gone is dropped by on_disconnected */
		else
			(void)shutdown(sd_bus_get_fd(c->bus), SHUT_RDWR); /* on_disconnected follows */
	}
}

int bus_server_close_listener(struct bus_server *s)
{
	_cleanup_(freep) char *aside = str_format("%s-", s->path);
	struct pollfd p = { .fd = s->fd, .events = POLLIN };

	if (!aside)
		return -ENOMEM;
	/* Out of sight first; who connected until then is in the queue, and the name can still come back. */
	if (rename(s->path, aside) < 0)
		return -errno;
	if (poll(&p, 1, 0) > 0 || s->n_clients > 0) {
		if (rename(aside, s->path) < 0)
			return -errno;
		return -EBUSY;
	}
	(void)unlink(aside); /* it was there a moment ago */
	s->on_accept = sd_event_source_disable_unref(s->on_accept);
	s->fd = fd_close(s->fd);
	return 0;
}
