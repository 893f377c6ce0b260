/* The programs in rootless tunnels; theory in members.h. */
#include "daemon/members.h"

#include <dirent.h>
#include <fcntl.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/parse.h"
#include "base/places.h"
#include "base/str.h"
#include "daemon/tunnel.h"

#define PROCESSES_AGAIN (1 * USEC_PER_SEC)
#define ANSWERS_AGAIN (50 * USEC_PER_MSEC)
#define MEMBERS_MAX 4096

struct member {
	struct member *next;
	struct members *all;
	char *tunnel;
	int pidfd;
	sd_event_source *ended;
};

struct members {
	sd_event *event;
	struct manager *manager;
	void (*settled)(void *userdata);
	void *userdata;
	struct member *first;
	size_t n;
	sd_event_source *again;
};

/* ---- programs ------------------------------------------------------------------------------------------------------- */

static void member_free(struct member *p)
{
	for (struct member **at = &p->all->first; *at; at = &(*at)->next)
		if (*at == p) {
			*at = p->next;
			p->all->n--;
			break;
		}
	sd_event_source_disable_unref(p->ended);
	(void)fd_close(p->pidfd);
	free(p->tunnel);
	free(p);
}

static int on_ended(sd_event_source *s _unused_, int fd _unused_, uint32_t revents _unused_, void *userdata)
{
	struct member *p = userdata;
	struct members *m = p->all;

	member_free(p);
	m->settled(m->userdata); /* comes back with members_consider() */
	return 0;
}

int members_add(struct members *m, const char *tunnel, int pidfd)
{
	_cleanup_(closep) int fd = pidfd;
	struct member *p;
	int r;

	if (m->n >= MEMBERS_MAX)
		return -EUSERS;
	p = calloc(1, sizeof(*p));
	if (!p)
		return -ENOMEM;
	*p = (struct member){ .next = m->first, .all = m, .tunnel = strdup(tunnel), .pidfd = TAKE_FD(fd) };
	m->first = p;
	m->n++;
	r = p->tunnel ? sd_event_add_io(m->event, &p->ended, p->pidfd, EPOLLIN, on_ended, p) : -ENOMEM;
	if (r < 0)
		member_free(p);
	return r < 0 ? r : 0;
}

static bool has_member(const struct members *m, const char *tunnel)
{
	for (const struct member *p = m->first; p; p = p->next)
		if (str_eq(p->tunnel, tunnel))
			return true;
	return false;
}

/* ---- passing tunnels ------------------------------------------------------------------------------------------------ */

/* <run>/.passing/tunnels; -errno when there is none. */
static int open_folder(void)
{
	_cleanup_(freep) char *passing = place_passing(), *path = passing ? str_format("%s/tunnels", passing) : NULL;
	int fd = path ? open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC) : -1;

	return !path ? -ENOMEM : fd < 0 ? -errno : fd;
}

static int read_names(int folder, char ***ret)
{
	_cleanup_(strv_freep) char **names = NULL;
	int fd = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), r = 0;
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *e;

	if (!d) {
		(void)fd_close(fd);
		return -errno;
	}
	while (r >= 0 && (e = readdir(d)))
		if (!str_eq(e->d_name, ".") && !str_eq(e->d_name, ".."))
			r = strv_add(&names, e->d_name);
	(void)closedir(d); /* only read */
	*ret = TAKE_PTR(names);
	return r;
}

static int on_again(sd_event_source *s _unused_, uint64_t usec _unused_, void *userdata)
{
	struct members *m = userdata;

	m->again = sd_event_source_disable_unref(m->again);
	m->settled(m->userdata);
	return 0;
}

static void look_again(struct members *m, usec_t wait)
{
	if (!m->again) /* without a timer the next end of something looks */
		(void)sd_event_add_time_relative(m->event, &m->again, CLOCK_BOOTTIME, wait, 0, on_again, m);
}

static void on_down(void *userdata _unused_, struct tunnel *t, const char *error_name _unused_, const char *error)
{
	if (error)
		log_tunnel_warning(t, "its last program ended, but it cannot be taken down: %s", error);
}

/* True: it is gone for good, its files included. */
static bool let_go(struct members *m, int folder, const char *name)
{
	struct tunnel *t = manager_find(m->manager, name);
	_cleanup_(freep) struct netproc *inside = NULL;
	size_t n = 0;

	if (!tunnel_name_is_valid(name) || !t || tunnel_is_idle(t)) {
		if (t)
			tunnel_forget_profile(t);
		return dir_remove(folder, name) == 0;
	}
	if (t->ups || t->downs) { /* answered in a moment, and nobody tells us */
		look_again(m, ANSWERS_AGAIN);
		return false;
	}
	if (tunnel_processes(t, &inside, &n) < 0 || n > 0) {
		look_again(m, PROCESSES_AGAIN);
		return false;
	}
	log_tunnel_info(t, "its last program ended");
	tunnel_down(t, TUNNEL_KILL_NOBODY, on_down, NULL);
	return false;
}

void members_consider(struct members *m, bool has_clients)
{
	_cleanup_(strv_freep) char **names = NULL;
	_cleanup_(closep) int folder = has_clients ? -EBADF : open_folder();
	_cleanup_(freep) char *passing = NULL;
	size_t kept = 0;

	if (folder < 0 || read_names(folder, &names) < 0)
		return;
	for (size_t i = 0; i < strv_len(names); i++)
		if (has_member(m, names[i]) || !let_go(m, folder, names[i]))
			kept++;
	passing = kept ? NULL : place_passing();
	if (passing)
		(void)dir_remove(AT_FDCWD, passing); /* empty by now; the next look tries again */
}

bool members_is_idle(const struct members *m)
{
	_cleanup_(closep) int folder = open_folder();

	(void)m; /* the folder is the list */
	return folder < 0;
}

/* ---- life ----------------------------------------------------------------------------------------------------------- */

int members_new(struct members **ret, sd_event *event, struct manager *m, void (*settled)(void *userdata), void *userdata)
{
	struct members *v = calloc(1, sizeof(*v));

	if (!v)
		return -ENOMEM;
	*v = (struct members){ .event = sd_event_ref(event), .manager = m, .settled = settled, .userdata = userdata };
	*ret = v;
	return 0;
}

struct members *members_free(struct members *m)
{
	if (!m)
		return NULL;
	while (m->first)
		member_free(m->first);
	sd_event_source_disable_unref(m->again);
	sd_event_unref(m->event);
	free(m);
	return NULL;
}
