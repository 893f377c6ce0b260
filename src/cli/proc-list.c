/* The running processes; contracts in proc-list.h. */
#include "cli/proc-list.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>

#include "base/fd.h"
#include "base/parse.h"
#include "base/str.h"

#define ARGUMENTS_MAX (256U << 10)
#define ENVIRONMENT_MAX (1U << 20)

static void entry_done(struct proc_entry *e)
{
	free(e->command);
	free(e->exe);
	strv_free(e->argv);
}

void proc_list_done(struct proc_list *l)
{
	for (size_t i = 0; i < l->n; i++)
		entry_done(&l->entries[i]);
	free(l->entries);
	*l = (struct proc_list){ 0 };
}

/* Files of /proc have no size and no end until they are read. 0 or -errno. */
static int read_text(int dir, const char *name, size_t max, char **ret, size_t *ret_len)
{
	_cleanup_(closep) int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
	char *buf;
	ssize_t n;

	if (fd < 0)
		return -errno;
	buf = malloc(max + 1);
	if (!buf)
		return -ENOMEM;
	n = fd_read_full(fd, buf, max);
	if (n < 0) {
		free(buf);
		return (int)n;
	}
	buf[n] = '\0';
	*ret = buf;
	*ret_len = (size_t)n;
	return 0;
}

/* The number behind "\nKEY:\t", the skip-th one; 0 or -EBADMSG. */
static int status_number(const char *text, const char *key, unsigned skip, uint32_t *ret)
{
	const char *p = strstr(text, key);
	char word[16];
	size_t n;

	if (!p)
		return -EBADMSG;
	p += strlen(key);
	for (unsigned i = 0; i <= skip; i++) {
		p += i ? strcspn(p, "\t \n") : 0;
		p += strspn(p, "\t ");
	}
	n = strspn(p, "0123456789");
	if (n == 0 || n >= sizeof(word))
		return -EBADMSG;
	memcpy(word, p, n);
	word[n] = '\0';
	return parse_u32(word, 0, UINT32_MAX, ret);
}

static int read_status(int dir, struct proc_entry *e)
{
	_cleanup_(freep) char *text = NULL;
	uint32_t ppid, uid;
	size_t len;
	int r = read_text(dir, "status", 8192, &text, &len);

	if (r < 0)
		return r;
	r = status_number(text, "\nPPid:", 0, &ppid);
	if (r >= 0)
		r = status_number(text, "\nUid:", 1, &uid);
	if (r < 0)
		return r;
	e->ppid = (pid_t)ppid;
	e->uid = uid;
	return 0;
}

/* Field 7 of stat, behind the name in brackets, which may hold anything. */
static int read_terminal(int dir, struct proc_entry *e)
{
	_cleanup_(freep) char *text = NULL;
	const char *p;
	size_t len;
	int r = read_text(dir, "stat", 4096, &text, &len), tty;

	if (r < 0)
		return r;
	p = strrchr(text, ')');
	if (!p || sscanf(p + 1, " %*c %*d %*d %*d %d", &tty) != 1)
		return -EBADMSG;
	e->has_terminal = tty != 0;
	return 0;
}

static int read_names(int dir, struct proc_entry *e)
{
	_cleanup_(freep) char *text = NULL;
	char exe[PATH_MAX];
	size_t len;
	ssize_t n = readlinkat(dir, "exe", exe, sizeof(exe) - 1);
	int r;

	if (n > 0) {
		exe[n] = '\0';
		/* An upgrade replaced the file under the running program. */
		if (str_has_suffix(exe, " (deleted)"))
			exe[n - (ssize_t)strlen(" (deleted)")] = '\0';
		e->exe = strdup(exe);
		if (!e->exe)
			return -ENOMEM;
	}
	r = read_text(dir, "comm", 64, &e->command, &len);
	if (r < 0)
		return r;
	e->command[strcspn(e->command, "\n")] = '\0';
	r = read_text(dir, "cmdline", ARGUMENTS_MAX, &text, &len);
	if (r < 0)
		return r;
	for (size_t i = 0; i < len; i += strlen(text + i) + 1)
		if (strv_add(&e->argv, text + i) < 0)
			return -ENOMEM;
	return 0;
}

static int read_entry(int root, const char *name, uid_t uid, const struct stat *netns, struct proc_entry *ret)
{
	_cleanup_(closep) int dir = openat(root, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct proc_entry e = { 0 };
	struct stat st;
	int r;

	if (dir < 0)
		return -errno;
	r = read_status(dir, &e);
	if (r >= 0 && uid != PROC_ANY_USER && e.uid != uid)
		return -ENOENT;
	if (r >= 0)
		r = read_names(dir, &e);
	if (r >= 0)
		r = read_terminal(dir, &e);
	if (r < 0) {
		entry_done(&e);
		return r;
	}
	e.is_inside = netns && fstatat(dir, "ns/net", &st, 0) == 0 && st.st_dev == netns->st_dev &&
		      st.st_ino == netns->st_ino;
	*ret = e;
	return 0;
}

static void closedirp(DIR **d)
{
	if (*d)
		(void)closedir(*d); /* only read from */
}

int proc_list_read(const char *root, uid_t uid, const struct stat *netns, struct proc_list *ret)
{
	_cleanup_(closedirp) DIR *d = opendir(root);
	struct proc_list l = { 0 };
	size_t cap = 0;

	if (!d)
		return -errno;
	for (const struct dirent *entry; (entry = readdir(d));) {
		struct proc_entry e;
		uint32_t pid;
		int r;

		if (parse_u32(entry->d_name, 1, INT32_MAX, &pid) < 0)
			continue;
		r = read_entry(dirfd(d), entry->d_name, uid, netns, &e);
		if (r >= 0 && l.n == cap) {
			struct proc_entry *more = reallocarray(l.entries, cap ? cap * 2 : 64, sizeof(*more));

			if (!more) {
				entry_done(&e);
				r = -ENOMEM;
			} else {
				l.entries = more;
				cap = cap ? cap * 2 : 64;
			}
		}
		if (r == -ENOMEM) {
			proc_list_done(&l);
			return r;
		}
		if (r < 0)
			continue; /* another user's, or gone meanwhile */
		e.pid = (pid_t)pid;
		l.entries[l.n++] = e;
	}
	*ret = l;
	return 0;
}

const struct proc_entry *proc_list_parent(const struct proc_list *l, const struct proc_entry *e)
{
	for (size_t i = 0; i < l->n; i++)
		if (l->entries[i].pid == e->ppid)
			return &l->entries[i];
	return NULL;
}

bool proc_list_has_inside_ancestor(const struct proc_list *l, const struct proc_entry *e)
{
	/* The list is no snapshot: numbers may have been taken again, so that a circle cannot be excluded. */
	for (size_t steps = 0; e && steps <= l->n; steps++, e = proc_list_parent(l, e))
		if (e->is_inside)
			return true;
	return false;
}

static bool is_interpreter(const char *exe)
{
	static const char *const names[] = { "python", "bash", "dash", "sh", "perl", "ruby", "node", "gjs" };
	const char *base = str_base_name(exe);

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		size_t n = strlen(names[i]);

		/* python3, python3.11, perl5.36: digits and dots may follow. */
		if (str_has_prefix(base, names[i]) && !base[n + strspn(base + n, "0123456789.")])
			return true;
	}
	return false;
}

const char *proc_entry_program(const struct proc_entry *e)
{
	if (!e->exe || !is_interpreter(e->exe) || !e->argv)
		return e->exe;
	for (char *const *a = e->argv + 1; *a; a++)
		if ((*a)[0] != '-')
			return *a;
	return e->exe;
}

bool proc_entry_is_bare_interpreter(const struct proc_entry *e)
{
	return e->exe && is_interpreter(e->exe) && proc_entry_program(e) == e->exe;
}

char *proc_environment(const char *root, pid_t pid, const char *name)
{
	_cleanup_(freep) char *path = str_format("%s/%d/environ", root, pid), *text = NULL;
	size_t len, n = strlen(name);

	if (!path || read_text(AT_FDCWD, path, ENVIRONMENT_MAX, &text, &len) < 0)
		return NULL;
	for (size_t i = 0; i < len; i += strlen(text + i) + 1)
		if (strncmp(text + i, name, n) == 0 && text[i + n] == '=')
			return strdup(text + i + n + 1);
	return NULL;
}
