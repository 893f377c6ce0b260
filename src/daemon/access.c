/* Who may use a tunnel; contract in access.h. */
#include "daemon/access.h"

#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <sys/prctl.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/parse.h"
#include "base/places.h"
#include "base/process.h"
#include "base/str.h"

#define ID_MAX (UINT32_MAX - 1)
#define LOOKUP_PATIENCE (2 * USEC_PER_SEC)
#define NOBODY 65534
#define ANSWERS_MAX 16
#define ANSWER_KEPT (10 * USEC_PER_SEC)

/* ---- names to numbers ------------------------------------------------------------------------------------------------ */

enum account { ACCOUNT_USER, ACCOUNT_GROUP };

static int local_user(const char *name, uint32_t *ret)
{
	FILE *f = fopen("/etc/passwd", "re");
	struct passwd *pw;
	int r = -ENOENT;

	while (f && r < 0 && (pw = fgetpwent(f))) {
		if (!str_eq(pw->pw_name, name))
			continue;
		*ret = pw->pw_uid;
		r = 0;
	}
	if (f)
		(void)fclose(f); /* only read */
	return r;
}

static int local_group(const char *name, uint32_t *ret)
{
	FILE *f = fopen("/etc/group", "re");
	struct group *gr;
	int r = -ENOENT;

	while (f && r < 0 && (gr = fgetgrent(f))) {
		if (!str_eq(gr->gr_name, name))
			continue;
		*ret = gr->gr_gid;
		r = 0;
	}
	if (f)
		(void)fclose(f); /* only read */
	return r;
}

struct lookup {
	enum account account;
	const char *name;
	int pipe;
};

/*
 * In a child: a directory service answers through NSS, foreign code that talks to the network. It gets no descriptor but
 * the pipe and no right; the worst it can do is to give a wrong number for a name that it is asked about anyway.
 */
static int lookup_child(void *userdata)
{
	const struct lookup *l = userdata;
	const struct passwd *pw;
	const struct group *gr;
	uint32_t id;

	if (dup2(l->pipe, 3) < 0 || close_range(4, ~0U, 0) < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return 1;
	if (geteuid() == 0 && (setgroups(0, NULL) < 0 || setresgid(NOBODY, NOBODY, NOBODY) < 0 ||
			       setresuid(NOBODY, NOBODY, NOBODY) < 0))
		return 1;
	if (l->account == ACCOUNT_USER) {
		pw = getpwnam(l->name);
		if (!pw)
			return 1;
		id = pw->pw_uid;
	} else {
		gr = getgrnam(l->name);
		if (!gr)
			return 1;
		id = gr->gr_gid;
	}
	return write(3, &id, sizeof(id)) == sizeof(id) ? 0 : 1;
}

/* Accounts that are not in the files: asked for at most LOOKUP_PATIENCE. */
static int foreign_id(enum account account, const char *name, uint32_t *ret)
{
	_cleanup_(closep) int reader = -EBADF, writer = -EBADF;
	struct lookup l = { .account = account, .name = name };
	struct pollfd p = { .events = POLLIN };
	uint32_t id;
	int fds[2], r;
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	reader = p.fd = fds[0];
	l.pipe = writer = fds[1];
	r = process_fork(lookup_child, &l, &pid, NULL);
	if (r < 0)
		return r;
	writer = fd_close(writer);
	r = poll(&p, 1, (int)(LOOKUP_PATIENCE / USEC_PER_MSEC));
	if (r > 0 && read(reader, &id, sizeof(id)) == sizeof(id) && id <= ID_MAX) {
		*ret = id;
		r = 0;
	} else {
		r = -ENOENT;
	}
	(void)process_kill_wait(pid, SIGKILL); /* it has ended, or it took too long */
	return r;
}

/*
 * What was asked a moment ago. Every call about a tunnel comes here, everybody may make some, and a directory that does not
 * answer would keep all of them, and fill the log.
 */
static struct answer {
	enum account account;
	char name[64]; /* a longer one is asked about each time */
	uint32_t id;
	int r;
	usec_t until;
} answers[ANSWERS_MAX];

static const struct answer *find_answer(enum account account, const char *name)
{
	usec_t now = clock_boottime();

	for (size_t i = 0; i < ARRAY_SIZE(answers); i++)
		if (answers[i].until > now && answers[i].account == account && str_eq(answers[i].name, name))
			return &answers[i];
	return NULL;
}

static void keep_answer(enum account account, const char *name, uint32_t id, int r)
{
	struct answer *a = answers;

	for (size_t i = 1; i < ARRAY_SIZE(answers); i++)
		if (answers[i].until < a->until)
			a = &answers[i]; /* the oldest */
	*a = (struct answer){ .account = account, .id = id, .r = r };
	if (str_copy(a->name, sizeof(a->name), name))
		a->until = clock_boottime() + ANSWER_KEPT;
}

static int ask_foreign(enum account account, const char *name, uint32_t *ret)
{
	const struct answer *a = find_answer(account, name);
	uint32_t id = 0;
	int r = a ? a->r : foreign_id(account, name, &id);

	if (!a) {
		keep_answer(account, name, id, r);
		if (r < 0)
			log_warning("[Access]: there is no %s '%s' on this machine, nobody is let in by it",
				    account == ACCOUNT_USER ? "user" : "group", name);
	}
	if (r >= 0)
		*ret = a ? a->id : id;
	return r;
}

/* Root is never meant by a name or number of a list: root needs none. */
static int resolve(enum account account, const char *name, uint32_t *ret)
{
	int r;

	if (parse_u32(name, 0, ID_MAX, ret) == 0)
		return 0;
	r = account == ACCOUNT_USER ? local_user(name, ret) : local_group(name, ret);
	return r < 0 ? ask_foreign(account, name, ret) : r;
}

/* ---- the check -------------------------------------------------------------------------------------------------------- */

static bool is_listed_user(char *const *users, const struct sender *who)
{
	uint32_t id;

	for (; users && *users; users++)
		if (resolve(ACCOUNT_USER, *users, &id) == 0 && id == who->uid)
			return true;
	return false;
}

static bool is_listed_group(char *const *groups, const struct sender *who)
{
	uint32_t id;

	for (; groups && *groups; groups++) {
		if (resolve(ACCOUNT_GROUP, *groups, &id) < 0)
			continue;
		for (size_t i = 0; i < who->n_groups; i++)
			if (who->groups[i] == id)
				return true;
	}
	return false;
}

static void add_names(struct strbuf *b, const char *what, char *const *names)
{
	if (!names)
		return;
	strbuf_addf(b, "%s%s ", b->len ? " and " : "", what);
	for (size_t i = 0; names[i]; i++)
		strbuf_addf(b, "%s%s", i ? ", " : "", names[i]);
}

static int refuse(const struct tunnel_settings *s, const char *tunnel, char **ret_error)
{
	_cleanup_(freep) char *list = NULL;
	struct strbuf b = { 0 };
	char *sentence;

	add_names(&b, "the users", s->users);
	add_names(&b, "members of", s->groups);
	list = strbuf_take(&b);
	sentence = list ? str_format("tunnel %s is for %s only; ask the administrator to add you to Users= in "
				     "%s/tunnels/%s/settings.conf",
				     tunnel, list, place_etc(), tunnel) :
			  NULL;
	if (!sentence)
		return -ENOMEM;
	*ret_error = sentence;
	return -EACCES;
}

int access_check(const struct tunnel_settings *s, const char *tunnel, const struct sender *who, char **ret_error)
{
	if (who->uid == 0 || (!s->users && !s->groups))
		return 0;
	if (is_listed_user(s->users, who) || is_listed_group(s->groups, who))
		return 0;
	return refuse(s, tunnel, ret_error);
}

int access_check_tunnel(const char *tunnel, const struct sender *who, char **ret_error)
{
	_cleanup_(freep) char *why = NULL, *sentence = NULL;
	struct tunnel_settings s = { 0 };
	int r;

	if (who->uid == 0)
		return 0;
	r = tunnel_settings_load(tunnel, &s, &why);
	if (r == 0) {
		r = access_check(&s, tunnel, who, ret_error);
		tunnel_settings_done(&s);
		return r;
	}
	if (r == -ENOMEM)
		return r;
	/* The path and the line are root's business, and in the log. */
	log_warning("users are kept out of tunnel %s: %s", tunnel, why ? why : strerror(-r));
	sentence = r == -ENOENT ? str_format("tunnel %s is not configured any more, so only root may use it; use sudo", tunnel) :
				  str_format("who may use tunnel %s cannot be read from its settings.conf, so only root may; ask the "
					     "administrator to look at the log of nsvpnd",
					     tunnel);
	if (!sentence)
		return -ENOMEM;
	*ret_error = TAKE_PTR(sentence);
	return -EACCES;
}
