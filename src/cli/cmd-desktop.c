/*
 * nsvpn desktop add, remove, list: menu entries "APP (NAME)" of the calling user.
 *
 * Nothing here needs a right: the entry is a file in the user's own folder, and what it starts is `nsvpn exec`.
 */
#include <fcntl.h>
#include <limits.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/parse.h"
#include "cli/desktop-files.h"
#include "cli/families.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/tunnel-names.h"

struct desktop_options {
	const char *tunnel;
	bool new_instance;
};

/* The menu is that of whoever sits at it; root by sudo has another one. */
static int need_own_menu(void)
{
	if (geteuid() == 0 && getenv("SUDO_UID"))
		return output_fail(EXIT_CODE_USAGE, "menu entries belong to the user who clicks on them; run this without sudo");
	return EXIT_CODE_OK;
}

/* An exit code for the -errno and sentence of desktop-files.h. */
static int fail(int r, char *sentence)
{
	if (r == -ENOMEM)
		return output_oom();
	return output_fail_take(r == -ENOTUNIQ ? EXIT_CODE_USAGE : EXIT_CODE_FAILED, sentence, "the menu entry cannot be read");
}

static int which_tunnel(const char *given, char **ret)
{
	_cleanup_(client_freep) struct client *c = NULL;
	int r;

	if (!given) { /* a user's names are the helper's to say */
		r = geteuid() == 0 ? EXIT_CODE_OK : client_open(CLIENT_IF_RUNNING, &c);
		return r == EXIT_CODE_OK ? tunnel_names_default(c, ret) : r;
	}
	r = tunnel_names_check(given);
	if (r != EXIT_CODE_OK)
		return r;
	*ret = strdup(given);
	return *ret ? EXIT_CODE_OK : output_oom();
}

/* ---- add ---- */

static int own_program(char **ret)
{
	char path[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 1);

	if (n <= 0)
		return output_fail(EXIT_CODE_FAILED, "/proc/self/exe does not say where nsvpn is: %m");
	path[n] = '\0';
	*ret = strdup(path);
	return *ret ? EXIT_CODE_OK : output_oom();
}

static int write_entry(const char *tunnel, const struct desktop_file *f, const char *text)
{
	char *error = NULL;
	_cleanup_(freep) char *folder = desktop_files_own_folder(&error), *path = NULL;
	int r;

	if (!folder)
		return output_fail_take(EXIT_CODE_FAILED, error, "out of memory");
	path = str_format("%s/nsvpn-%s-%s.desktop", folder, tunnel, f->id);
	if (!path)
		return output_oom();
	r = dir_make(folder, 0700);
	if (r >= 0)
		r = file_write_atomic(AT_FDCWD, path, text, strlen(text), 0644);
	if (r < 0)
		return output_fail(EXIT_CODE_FAILED, "%s cannot be written: %s", path, strerror(-r));
	printf("%s: %s (%s)\n", path, desktop_entry_get(&f->entry, "Name"), tunnel);
	return output_flush();
}

/* Asked for where exec would not know what to do: said now, not from the menu. */
static int check_new_instance(const struct desktop_file *f)
{
	_cleanup_(strv_freep) char **args = NULL;
	bool known = false;

	if (desktop_entry_original(&f->entry, &args) == 0)
		for (char **a = args; *a && !known; a++) {
			const struct family *family = family_find(*a);

			known = family && family->separate;
		}
	return known ? EXIT_CODE_OK :
		       output_fail(EXIT_CODE_FAILED, "nsvpn does not know what makes a separate instance of %s; leave out --new-instance",
				   f->id);
}

static int add(const struct desktop_options *o, const char *app)
{
	_cleanup_(freep) char *tunnel = NULL, *program = NULL, *text = NULL;
	struct desktop_file f = { 0 };
	char *error = NULL;
	int r = need_own_menu();

	if (r == EXIT_CODE_OK)
		r = which_tunnel(o->tunnel, &tunnel);
	if (r == EXIT_CODE_OK)
		r = own_program(&program);
	if (r != EXIT_CODE_OK)
		return r;
	r = desktop_files_find(app, &f, &error);
	if (r < 0)
		return fail(r, error);
	r = o->new_instance ? check_new_instance(&f) : EXIT_CODE_OK;
	if (r == EXIT_CODE_OK) {
		const struct desktop_rewrite w = { program, tunnel, f.id, o->new_instance };
		int q = desktop_entry_rewrite(&f.entry, &w, &text, &error);

		if (q >= 0)
			r = write_entry(tunnel, &f, text);
		else if (q == -ENOMEM)
			r = output_oom();
		else
			r = output_fail(EXIT_CODE_FAILED, "%s cannot be started in a tunnel: %s", f.path, error);
	}
	free(error);
	desktop_file_done(&f);
	return r;
}

/* ---- remove ---- */

static int remove_entry(const struct desktop_options *o, const char *app)
{
	struct desktop_file *files = NULL, *found = NULL;
	size_t n = 0, matches = 0;
	int r = need_own_menu();

	if (r == EXIT_CODE_OK && o->tunnel)
		r = tunnel_names_check(o->tunnel);
	if (r != EXIT_CODE_OK)
		return r;
	if (desktop_files_of_tunnels(&files, &n) < 0)
		return output_oom();
	for (size_t i = 0; i < n; i++) {
		if (!desktop_file_is_meant(&files[i], files[i].id, app) ||
		    (o->tunnel && !str_eq(desktop_entry_get(&files[i].entry, DESKTOP_KEY_TUNNEL), o->tunnel)))
			continue;
		found = &files[i];
		matches++;
	}
	if (matches == 0)
		r = output_fail(EXIT_CODE_FAILED, "%s has no menu entry%s%s; `nsvpn desktop list` shows those there are", app,
				o->tunnel ? " for tunnel " : " for a tunnel", o->tunnel ? o->tunnel : "");
	else if (matches > 1)
		r = output_fail(EXIT_CODE_USAGE, "%s has several menu entries; say which with -t NAME, or with its id", app);
	else if (unlink(found->path) < 0)
		r = output_fail(EXIT_CODE_FAILED, "%s cannot be removed: %m", found->path);
	desktop_files_free(files, n);
	return r;
}

/* ---- list ---- */

static int list(const struct cli *cli)
{
	struct desktop_file *files = NULL;
	struct strbuf b = { 0 };
	struct json j = { .out = &b };
	size_t n = 0;

	if (desktop_files_of_tunnels(&files, &n) < 0)
		return output_oom();
	json_begin_envelope(&j);
	json_key(&j, "entries");
	json_begin_array(&j);
	for (size_t i = 0; i < n; i++) {
		const char *tunnel = desktop_entry_get(&files[i].entry, DESKTOP_KEY_TUNNEL);
		const char *name = desktop_entry_get(&files[i].entry, "Name");

		if (!cli->json)
			printf("%-10s  %-24s  %s\n", tunnel, files[i].id, name ? name : "");
		json_begin_object(&j);
		json_pair(&j, "tunnel", tunnel);
		json_pair(&j, "id", files[i].id);
		json_pair_text(&j, "name", name);
		json_pair(&j, "path", files[i].path);
		json_end_object(&j);
	}
	json_end_array(&j);
	desktop_files_free(files, n);
	if (cli->json)
		return json_end_envelope(&j);
	strbuf_done(&b);
	if (n == 0 && !cli->quiet)
		printf("no menu entry starts a program in a tunnel; `nsvpn desktop add APP` makes one\n");
	return output_flush();
}

int cmd_desktop(struct cli *cli, const struct command *self, int argc, char **argv)
{
	struct desktop_options d = { 0 };
	const struct option_spec table[] = { { "tunnel", 't', OPTION_TEXT, &d.tunnel },
					     { "new-instance", 0, OPTION_FLAG, &d.new_instance } };
	struct options o = { .table = table, .n_table = ARRAY_SIZE(table), .min_operands = 1, .max_operands = 2,
			     .operand_name = "add, remove or list" };
	const char *verb;
	int r;

	r = options_parse(&o, cli, self, argc, argv);
	if (r != OPTIONS_RUN)
		return r;
	verb = o.operands[0];
	if (str_eq(verb, "list") && o.n_operands == 1)
		return list(cli);
	if (cli->json)
		return output_fail(EXIT_CODE_USAGE, "desktop: only `desktop list` prints data, --json has no meaning for %s", verb);
	if (str_eq(verb, "add") && o.n_operands == 2)
		return add(&d, o.operands[1]);
	if (str_eq(verb, "remove") && o.n_operands == 2)
		return remove_entry(&d, o.operands[1]);
	return output_fail(EXIT_CODE_USAGE, "desktop: say `add APP`, `remove APP` or `list`; usage: nsvpn desktop %s", self->usage);
}
