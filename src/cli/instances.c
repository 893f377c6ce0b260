/* Instances outside; theory in instances.h. */
#include "cli/instances.h"

#include <limits.h>
#include <sys/stat.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/parse.h"
#include "cli/families.h"
#include "cli/output.h"
#include "cli/proc-list.h"
#include "cli/program-file.h"

#define HANDOVER_MAX (2 * USEC_PER_SEC)
#define COMMAND_LEN 15 /* what the kernel keeps of a name */

void instances_done(struct instances *i)
{
	free(i->program);
	strv_free(i->names);
	strv_free(i->argv);
	*i = (struct instances){ 0 };
}

char *instances_state_home(const char *home, bool use_environment)
{
	const char *xdg = use_environment ? getenv("XDG_STATE_HOME") : NULL;

	if (xdg && xdg[0] == '/')
		return strdup(xdg);
	return str_format("%s/.local/state", home && home[0] == '/' ? home : "/tmp");
}

/* ---- which processes are meant ---- */

/* Only the name is known, cut off by the kernel. */
static bool command_is_of(const struct family *f, const char *command)
{
	for (const char *p = f->programs; *p; p += strspn(p, " ")) {
		size_t n = strcspn(p, " ");

		if (strlen(command) == MIN(n, (size_t)COMMAND_LEN) && strncmp(p, command, strlen(command)) == 0)
			return true;
		p += n;
	}
	return false;
}

/* A program of the desktop: it has a display and was started by no shell. */
static bool is_of_desktop(const char *proc, const struct proc_entry *e)
{
	_cleanup_(freep) char *x11 = NULL, *wayland = NULL;

	if (e->has_terminal || proc_entry_is_bare_interpreter(e))
		return false;
	x11 = proc_environment(proc, e->pid, "DISPLAY");
	wayland = proc_environment(proc, e->pid, "WAYLAND_DISPLAY");
	return x11 || wayland;
}

/* Of the same family, or the same file; of unknown programs first_outside() looks closer. */
static bool is_meant(const struct instances *i, const struct proc_entry *e)
{
	const char *program = proc_entry_program(e);

	if (i->family)
		return program ? family_has(i->family, program) : command_is_of(i->family, e->command);
	return program && i->program &&
	       (str_eq(program, i->program) || (program != e->exe && strv_contains(i->names, str_base_name(program))));
}

/* An older process of the same kind answers for this one. */
static bool has_meant_ancestor(const struct instances *i, const struct proc_list *l, const struct proc_entry *e)
{
	for (size_t steps = 0; steps < l->n && (e = proc_list_parent(l, e)); steps++)
		if (is_meant(i, e))
			return true;
	return false;
}

static int look(const struct instances_query *q, struct proc_list *ret)
{
	struct stat st;
	bool exists = q->netns && stat(q->netns, &st) == 0;

	return proc_list_read(q->proc, q->uid, exists ? &st : NULL, ret);
}

/* The first instance outside; its index or the list's length. */
static size_t first_outside(const char *proc, const struct instances *i, const struct proc_list *l)
{
	size_t k;

	for (k = 0; k < l->n; k++) {
		const struct proc_entry *e = &l->entries[k];

		if (!e->is_inside && e->pid != getpid() && is_meant(i, e) && !has_meant_ancestor(i, l, e) &&
		    (i->family || is_of_desktop(proc, e)))
			break;
	}
	return k;
}

/* ---- folders of separate instances ---- */

/*
 * Who holds the folder by its lock: Firefox has "lock" -> "ADDRESS:+PID", Chromium "SingletonLock" -> "HOST-PID". 0:
 * nobody, as far as can be seen.
 */
static pid_t folder_holder(const char *folder)
{
	static const char *const locks[] = { "lock", "SingletonLock" };

	for (size_t i = 0; i < ARRAY_SIZE(locks); i++) {
		_cleanup_(freep) char *path = str_format("%s/%s", folder, locks[i]);
		char target[256];
		ssize_t n = path ? readlink(path, target, sizeof(target) - 1) : -1;
		const char *digits;
		uint32_t pid;

		if (n <= 0)
			continue;
		target[n] = '\0';
		digits = strpbrk(target, "+-") ? target + n : target;
		while (digits > target && digits[-1] >= '0' && digits[-1] <= '9')
			digits--;
		if (parse_u32(digits, 1, INT32_MAX, &pid) == 0)
			return (pid_t)pid;
	}
	return 0;
}

static bool is_same_folder(const char *a, const char *b)
{
	_cleanup_(freep) char *x = realpath(a, NULL), *y = realpath(b, NULL);

	return str_eq(x ? x : a, y ? y : b);
}

/* Does somebody of the list use the folder, by its lock or by his own words? inside: look there, else outside. */
static bool is_folder_used(const struct instances *i, const struct proc_list *l, const char *folder, bool inside)
{
	pid_t holder = folder_holder(folder);

	for (size_t k = 0; k < l->n; k++) {
		const struct proc_entry *e = &l->entries[k];
		const char *own;

		if (proc_list_has_inside_ancestor(l, e) != inside)
			continue;
		if (e->pid == holder && is_meant(i, e))
			return true;
		own = e->argv && is_meant(i, e) ? family_own_folder(i->family, e->argv + 1) : NULL;
		if (own && is_same_folder(own, folder))
			return true;
	}
	return false;
}

/* ---- before ---- */

static int refuse(const struct instances *i, const struct proc_entry *e, const char *tunnel)
{
	const char *program = proc_entry_program(e);

	if (!i->family->separate)
		return output_fail(EXIT_CODE_EXEC_FAILED,
				   "%s already runs outside tunnel %s (pid %d, %s) and would do the work there; close it first",
				   i->family->title, tunnel, e->pid, program ? program : e->command);
	return output_fail(EXIT_CODE_EXEC_FAILED,
			   "%s already runs outside tunnel %s (pid %d, %s) and would open the window there; close it, or give "
			   "--new-instance before the program's name",
			   i->family->title, tunnel, e->pid, program ? program : e->command);
}

static char *separate_folder(const struct instances_query *q, const struct family *f)
{
	return str_format("%s/nsvpn/%s/%.*s", q->state_home, q->tunnel, (int)strcspn(f->programs, " "), f->programs);
}

/* argv with the arguments of a separate instance behind the program's name. An exit code. */
static int add_separate(const struct instances_query *q, const struct proc_list *l, size_t program, struct instances *i)
{
	_cleanup_(freep) char *folder = separate_folder(q, i->family);
	_cleanup_(strv_freep) char **args = NULL, **argv = NULL;
	int r;

	if (!folder)
		return output_oom();
	if (is_folder_used(i, l, folder, false))
		return output_fail(EXIT_CODE_EXEC_FAILED,
				   "an instance of %s outside tunnel %s uses the folder %s, which is kept for the tunnel; close it",
				   i->family->title, q->tunnel, folder);
	r = family_separate(i->family, folder, is_folder_used(i, l, folder, true), &args);
	if (r == -ENOMEM)
		return output_oom();
	r = strstr(i->family->separate, "%d") ? dir_make(folder, 0700) : 0;
	if (r < 0)
		return output_fail(EXIT_CODE_EXEC_FAILED, "the folder %s for the separate instance cannot be made: %s", folder,
				   strerror(-r));
	for (size_t k = 0; q->argv[k]; k++) {
		if (strv_add(&argv, q->argv[k]) < 0)
			return output_oom();
		for (size_t a = 0; k == program && args && args[a]; a++)
			if (strv_add(&argv, args[a]) < 0)
				return output_oom();
	}
	i->argv = TAKE_PTR(argv);
	i->is_apart = true;
	return EXIT_CODE_OK;
}

/* A program of the table: the heart of the matter. */
static int check_family(const struct instances_query *q, const struct proc_list *l, size_t program, struct instances *i)
{
	char *const *arguments = q->argv + program + 1;
	const char *own = family_own_folder(i->family, arguments);
	size_t outside = first_outside(q->proc, i, l);

	if (own)
		i->is_apart = !is_folder_used(i, l, own, false);
	else
		i->is_apart = family_is_apart(i->family, arguments);
	if (i->is_apart)
		return EXIT_CODE_OK;
	if (q->new_instance && own)
		return output_fail(EXIT_CODE_EXEC_FAILED,
				   "the folder %s is in use by an instance of %s outside; name another one, or leave it to "
				   "--new-instance alone",
				   own, i->family->title);
	if (q->new_instance && i->family->separate)
		return add_separate(q, l, program, i);
	if (outside == l->n)
		return EXIT_CODE_OK;
	return q->allow_running && !q->new_instance ? EXIT_CODE_OK : refuse(i, &l->entries[outside], q->tunnel);
}

/* The row of any name that was met: links and wrappers have names of their own. */
static const struct family *family_of(const struct program_file *f)
{
	const struct family *family = family_find(f->path);

	for (char **n = f->names; !family && n && *n; n++)
		family = family_find(*n);
	return family;
}

/* Not in the table: said, and left to the user. */
static int check_unknown(const struct instances_query *q, const struct proc_list *l, size_t program,
			 const struct instances *i)
{
	size_t outside = first_outside(q->proc, i, l);

	if (q->new_instance)
		return output_fail(EXIT_CODE_EXEC_FAILED,
				   "nsvpn does not know what makes a separate instance of %s; leave out --new-instance and give "
				   "the program's own option for it",
				   q->argv[program]);
	if (outside < l->n && !q->allow_running)
		log_notice("%s already runs outside tunnel %s (pid %d); if it keeps a single instance, its windows open there",
			   q->argv[program], q->tunnel, l->entries[outside].pid);
	return EXIT_CODE_OK;
}

/* What is running, and what that means. An exit code. */
static int check_running(const struct instances_query *q, size_t program, struct instances *i)
{
	struct proc_list l = { 0 };
	int r = look(q, &l);

	if (r < 0 && i->family && !q->allow_running)
		return output_fail(EXIT_CODE_EXEC_FAILED,
				   "%s cannot be read (%s), so whether %s runs outside is not known; --allow-running starts it "
				   "nevertheless",
				   q->proc, strerror(-r), i->family->title);
	r = i->family ? check_family(q, &l, program, i) : check_unknown(q, &l, program, i);
	proc_list_done(&l);
	return r;
}

int instances_check(const struct instances_query *q, struct instances *ret)
{
	size_t program = program_file_skip_wrappers(q->argv);
	struct program_file file = { 0 };
	struct instances i = { 0 };
	int r = program_file_resolve(q->argv[program], getenv("PATH"), &file);

	if (r == -ENOENT) {
		*ret = i;
		return EXIT_CODE_OK;
	}
	if (r < 0)
		return output_oom();
	i.family = family_of(&file);
	i.program = TAKE_PTR(file.path);
	i.names = TAKE_PTR(file.names);
	r = check_running(q, program, &i);
	if (r != EXIT_CODE_OK) {
		instances_done(&i);
		return r;
	}
	*ret = i;
	return EXIT_CODE_OK;
}

/* ---- after ---- */

bool instances_check_handover(const struct instances_query *q, const struct instances *i, usec_t lived, int status)
{
	struct proc_list l = { 0 };
	bool found;
	size_t k;

	if (status != 0 || lived > HANDOVER_MAX || !i->program || i->is_apart || look(q, &l) < 0)
		return false;
	k = first_outside(q->proc, i, &l);
	found = k < l.n;
	if (found)
		log_warning("%s ended at once, and an instance runs OUTSIDE tunnel %s (pid %d): what it was asked to do most "
			    "likely happens there, past the tunnel; close that instance, or give --new-instance",
			    i->family ? i->family->title : str_base_name(i->program), q->tunnel, l.entries[k].pid);
	proc_list_done(&l);
	return found;
}
