/* Finding desktop entries; contracts in desktop-files.h. */
#include "cli/desktop-files.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "base/fd.h"
#include "base/str.h"
#include "cli/program-file.h"

#define SUFFIX ".desktop"
#define DEPTH_MAX 3
#define PREFIX "nsvpn-"

void desktop_file_done(struct desktop_file *f)
{
	free(f->path);
	free(f->id);
	desktop_entry_done(&f->entry);
	*f = (struct desktop_file){ 0 };
}

void desktop_files_free(struct desktop_file *files, size_t n)
{
	for (size_t i = 0; i < n; i++)
		desktop_file_done(&files[i]);
	free(files);
}

/* ---- folders ---- */

char *desktop_files_own_folder(char **ret_error)
{
	const char *data = getenv("XDG_DATA_HOME"), *home = getenv("HOME");

	if (data && data[0] == '/')
		return str_format("%s/applications", data);
	if (home && home[0] == '/')
		return str_format("%s/.local/share/applications", home);
	*ret_error = strdup("neither HOME nor XDG_DATA_HOME names a folder; set HOME");
	return NULL;
}

/* The folders by rank, a strv. */
static int all_folders(char ***ret)
{
	_cleanup_(strv_freep) char **folders = NULL;
	_cleanup_(freep) char *error = NULL, *own = desktop_files_own_folder(&error);
	const char *dirs = getenv("XDG_DATA_DIRS");

	if (own && strv_add(&folders, own) < 0)
		return -ENOMEM;
	if (!dirs || !*dirs)
		dirs = "/usr/local/share:/usr/share";
	for (const char *p = dirs; p;) {
		size_t n = strcspn(p, ":");
		_cleanup_(freep) char *path = str_format("%.*s/applications", (int)n, p);

		if (!path || (*p == '/' && strv_add(&folders, path) < 0))
			return -ENOMEM;
		p = p[n] ? p + n + 1 : NULL;
	}
	*ret = TAKE_PTR(folders);
	return 0;
}

/* ---- one file ---- */

/* Ids go into names of files and into entries. */
static bool is_id(const char *id)
{
	return *id && *id != '.' && *id != '-' &&
	       !id[strspn(id, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-")];
}

static int read_entry(const char *path, struct desktop_entry *ret, char **ret_error)
{
	_cleanup_(freep) char *text = NULL;
	size_t len;
	int r = file_read(AT_FDCWD, path, DESKTOP_ENTRY_MAX, &text, &len);

	return r < 0 ? r : desktop_entry_parse(text, len, ret, ret_error);
}

/* Does a command line start that program? */
static bool starts(char *const *args, const char *app)
{
	const char *program = args[program_file_skip_wrappers(args)];

	return str_eq(program, app) || str_eq(str_base_name(program), app);
}

static bool is_named(const char *id, const char *app)
{
	size_t n = strlen(id);

	return strncmp(app, id, n) == 0 && (!app[n] || str_eq(app + n, SUFFIX));
}

bool desktop_file_is_meant(const struct desktop_file *f, const char *id, const char *app)
{
	_cleanup_(strv_freep) char **args = NULL;
	const char *try = desktop_entry_get(&f->entry, "TryExec");

	if (is_named(id, app))
		return true;
	if (try && (str_eq(try, app) || str_eq(str_base_name(try), app)))
		return true;
	return desktop_entry_original(&f->entry, &args) == 0 && starts(args, app);
}

/* ---- the search ---- */

struct search {
	const char *app;
	char **seen;              /* ids; the first one with an id is the one that counts */
	struct desktop_file best; /* by program; its rank: */
	bool best_is_shown;
	char **rivals;            /* ids of other entries with the same program and rank */
	struct desktop_file by_id;
	char *unreadable;         /* sentence about the one with the right id */
};

static void search_done(struct search *s)
{
	strv_free(s->seen);
	strv_free(s->rivals);
	desktop_file_done(&s->best);
	desktop_file_done(&s->by_id);
	free(s->unreadable);
}

/* An entry that starts the program; those that menus show are preferred, else the first one. */
static int consider(struct search *s, struct desktop_file *f)
{
	bool is_shown = !desktop_entry_is(&f->entry, "NoDisplay");

	if (s->best.path && is_shown == s->best_is_shown)
		return strv_add(&s->rivals, f->id);
	if (s->best.path && !is_shown)
		return 0;
	desktop_file_done(&s->best);
	strv_free(s->rivals);
	s->rivals = NULL;
	s->best = *f;
	s->best_is_shown = is_shown;
	*f = (struct desktop_file){ 0 };
	return 0;
}

static int look_at(struct search *s, const char *path, const char *id)
{
	struct desktop_file f = { 0 };
	_cleanup_(freep) char *error = NULL;
	int r;

	if (!is_id(id) || strv_contains(s->seen, id))
		return 0;
	if (strv_add(&s->seen, id) < 0)
		return -ENOMEM;
	r = read_entry(path, &f.entry, &error);
	if (r == -ENOMEM)
		return r;
	if (r < 0 && is_named(id, s->app) && !s->unreadable) {
		s->unreadable = error ? str_format("%s: %s", path, error) : str_format("%s: %s", path, strerror(-r));
		return 0;
	}
	if (r < 0 || desktop_entry_get(&f.entry, DESKTOP_KEY_TUNNEL) || desktop_entry_is(&f.entry, "Hidden")) {
		desktop_entry_done(&f.entry);
		return 0;
	}
	f.path = strdup(path);
	f.id = strdup(id);
	r = f.path && f.id ? 0 : -ENOMEM;
	if (r >= 0 && is_named(id, s->app)) {
		s->by_id = f;
		return 0;
	}
	if (r >= 0 && desktop_file_is_meant(&f, id, s->app))
		r = consider(s, &f);
	desktop_file_done(&f);
	return r;
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static int look_in(struct search *s, const char *folder, const char *id_prefix, int depth)
{
	struct dirent **names;
	int n = scandir(folder, &names, NULL, by_name), r = 0;

	for (int i = 0; i < n; i++) {
		const char *name = names[i]->d_name;
		_cleanup_(freep) char *path = str_format("%s/%s", folder, name), *id = str_format("%s%s", id_prefix, name);
		struct stat st;

		if (r < 0 || name[0] == '.')
			r = r < 0 ? r : 0;
		else if (!path || !id)
			r = -ENOMEM;
		else if (str_has_suffix(name, SUFFIX)) {
			id[strlen(id) - strlen(SUFFIX)] = '\0';
			r = look_at(s, path, id);
		} else if (depth < DEPTH_MAX && stat(path, &st) == 0 && S_ISDIR(st.st_mode)) {
			_cleanup_(freep) char *prefix = str_format("%s-", id);

			r = prefix ? look_in(s, path, prefix, depth + 1) : -ENOMEM;
		}
		free(names[i]);
	}
	if (n >= 0)
		free(names);
	return r;
}

/* Which of what was found it is. */
static int decide(struct search *s, struct desktop_file *ret, char **ret_error)
{
	struct strbuf b = { 0 };

	if (s->by_id.path || (s->best.path && !s->rivals)) {
		struct desktop_file *f = s->by_id.path ? &s->by_id : &s->best;

		*ret = *f;
		*f = (struct desktop_file){ 0 };
		return 0;
	}
	if (s->unreadable) {
		*ret_error = TAKE_PTR(s->unreadable);
		return -EINVAL;
	}
	if (!s->best.path) {
		*ret_error = str_format("%s: no menu entry has this id or starts this program; XDG_DATA_DIRS says where to look",
					s->app);
		return *ret_error ? -ENOENT : -ENOMEM;
	}
	strbuf_addf(&b, "%s: several menu entries start this program, name one of them: %s", s->app, s->best.id);
	for (char **id = s->rivals; *id; id++)
		strbuf_addf(&b, ", %s", *id);
	*ret_error = strbuf_take(&b);
	return *ret_error ? -ENOTUNIQ : -ENOMEM;
}

int desktop_files_find(const char *app, struct desktop_file *ret, char **ret_error)
{
	_cleanup_(strv_freep) char **folders = NULL;
	struct search s = { .app = app };
	int r = all_folders(&folders);

	for (char **f = folders; r >= 0 && *f; f++)
		r = look_in(&s, *f, "", 1);
	if (r >= 0)
		r = decide(&s, ret, ret_error);
	search_done(&s);
	return r;
}

/* ---- those of tunnels ---- */

static int add_of_tunnel(const char *folder, const char *name, struct desktop_file **files, size_t *n)
{
	struct desktop_file f = { .path = str_format("%s/%s", folder, name) }, *more;
	_cleanup_(freep) char *error = NULL;
	const char *id;

	if (!f.path)
		return -ENOMEM;
	if (read_entry(f.path, &f.entry, &error) < 0)
		goto skip;
	id = desktop_entry_get(&f.entry, DESKTOP_KEY_ID);
	if (!id || !desktop_entry_get(&f.entry, DESKTOP_KEY_TUNNEL))
		goto skip;
	f.id = strdup(id);
	more = f.id ? reallocarray(*files, *n + 1, sizeof(*more)) : NULL;
	if (!more) {
		desktop_file_done(&f);
		return -ENOMEM;
	}
	*files = more;
	more[(*n)++] = f;
	return 0;
skip:
	desktop_file_done(&f);
	return 0;
}

int desktop_files_of_tunnels(struct desktop_file **ret, size_t *ret_n)
{
	_cleanup_(freep) char *error = NULL, *folder = desktop_files_own_folder(&error);
	struct desktop_file *files = NULL;
	struct dirent **names;
	size_t count = 0;
	int n = folder ? scandir(folder, &names, NULL, by_name) : -1, r = 0;

	for (int i = 0; i < n; i++) {
		if (r >= 0 && str_has_prefix(names[i]->d_name, PREFIX) && str_has_suffix(names[i]->d_name, SUFFIX))
			r = add_of_tunnel(folder, names[i]->d_name, &files, &count);
		free(names[i]);
	}
	if (n >= 0)
		free(names);
	if (r < 0) {
		desktop_files_free(files, count);
		return r;
	}
	*ret = files;
	*ret_n = count;
	return 0;
}
