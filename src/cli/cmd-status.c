/* nsvpn status [NAME], nsvpn list: what there is and how it is. Nothing is started to find out. */
#include <sys/stat.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/places.h"
#include "cli/options.h"
#include "cli/proc-list.h"
#include "cli/rootless.h"
#include "cli/tunnel-names.h"
#include "cli/tunnel-view.h"

#define WATCH_USEC USEC_PER_SEC

/* Configured tunnels and those that the helper still has; for a user, those that the helper shows him. An exit code. */
static int all_names(struct client *c, char ***ret)
{
	_cleanup_(strv_freep) char **names = calloc(1, sizeof(char *)), **known = NULL;
	int r = EXIT_CODE_OK;

	if (!names)
		return output_oom();
	if (place_is_ours() || !c) {
		strv_free(TAKE_PTR(names));
		r = tunnel_names_configured(&names);
	}
	if (r == EXIT_CODE_OK && c)
		r = client_list(c, &known);
	for (size_t i = 0; r == EXIT_CODE_OK && known && known[i]; i++)
		if (!strv_contains(names, known[i]) && strv_add(&names, known[i]) < 0)
			r = output_oom();
	if (r == EXIT_CODE_OK)
		*ret = TAKE_PTR(names);
	return r;
}

static int read_one(struct client *c, const char *name, struct tunnel_view *v)
{
	sd_bus_error e = SD_BUS_ERROR_NULL;
	int r = c ? tunnel_view_read(c, name, v, &e) : -ENOENT, code = EXIT_CODE_OK;

	if (r == -ENOENT && c && !place_is_ours())
		code = output_fail(EXIT_CODE_NOT_UP, "tunnel %s is not configured; `nsvpn list` shows those that are", name);
	else if (r == -ENOENT)
		r = tunnel_view_offline(name, v);
	else if (r >= 0) {
		tunnel_view_describe(v);
		tunnel_view_read_programs(c, v);
	}
	if (r < 0 && code == EXIT_CODE_OK)
		code = client_fail(&e, r);
	sd_bus_error_free(&e);
	return code;
}

static void say_none(void)
{
	if (place_is_ours())
		printf("no tunnel is configured; `nsvpn import%s FILE` takes a provider's file\n", rootless_word());
	else
		printf("there is no tunnel for you; ask the administrator to import one (`sudo nsvpn import FILE`) or to add you to Users= of one\n");
}

/* ---- status ---- */

static int status_json(struct client *c, char *const *names)
{
	struct strbuf b = { 0 };
	struct json j = { .out = &b };
	int r = EXIT_CODE_OK;

	json_begin_envelope(&j);
	json_key(&j, "tunnels");
	json_begin_array(&j);
	for (; *names && r == EXIT_CODE_OK; names++) {
		struct tunnel_view v = { 0 };

		r = read_one(c, *names, &v);
		if (r == EXIT_CODE_OK)
			tunnel_view_json(&v, &j);
		tunnel_view_done(&v);
	}
	json_end_array(&j);
	if (r == EXIT_CODE_OK)
		return json_end_envelope(&j);
	strbuf_done(&b);
	return r;
}

static int status_text(const struct cli *cli, struct client *c, char *const *names)
{
	int r = EXIT_CODE_OK;

	if (!*names && !cli->quiet)
		say_none();
	for (; *names && r == EXIT_CODE_OK; names++) {
		struct tunnel_view v = { 0 };

		r = read_one(c, *names, &v);
		if (r == EXIT_CODE_OK)
			tunnel_view_print(&v, cli->verbose);
		tunnel_view_done(&v);
	}
	return r == EXIT_CODE_OK ? output_flush() : r;
}

/* ---- escapes ---- */

static void print_escapes(const char *name, const struct programs *p)
{
	printf("%s: %s\n", name, p->n ? "programs that were started for it and run outside:" : "no program that got out is seen");
	for (size_t i = 0; i < p->n; i++)
		printf("  %7u  %s\n", p->items[i].pid, p->items[i].command);
}

/*
 * Processes of one tunnel that run outside. 0 or -errno. Asks the kernel, not the helper; only a rootless helper has to say
 * which namespace it is, since nobody else sees it.
 */
static int find_escapes(struct client *c, const char *name, struct programs *ret)
{
	struct launch_own own = { -EBADF, -EBADF };
	_cleanup_(freep) char *netns = NULL;
	int r = -ENOMEM;

	if (c && place_is_rootless() && rootless_fetch(c, name, true, &own) != EXIT_CODE_OK)
		return -EPROTO;
	netns = own.netns_fd >= 0 ? str_format("/proc/self/fd/%d", own.netns_fd) : place_netns(name);
	if (netns)
		r = programs_escaped("/proc", name, netns, geteuid() == 0 ? PROC_ANY_USER : geteuid(), ret);
	(void)fd_close(own.user_fd);
	(void)fd_close(own.netns_fd);
	return r;
}

/* Exit code 5 when something was found. */
static int show_escapes(const struct cli *cli, struct client *c, char *const *names)
{
	struct strbuf b = { 0 };
	struct json j = { .out = &b };
	bool found = false;
	int r = 0;

	json_begin_envelope(&j);
	json_key(&j, "tunnels");
	json_begin_array(&j);
	for (; *names && r >= 0; names++) {
		struct programs p = { 0 };

		r = find_escapes(c, *names, &p);
		if (r < 0)
			break;
		found = found || p.n;
		if (!cli->json)
			print_escapes(*names, &p);
		json_begin_object(&j);
		json_pair(&j, "name", *names);
		json_key(&j, "escapes");
		programs_json(&p, &j);
		json_end_object(&j);
		programs_done(&p);
	}
	json_end_array(&j);
	if (r >= 0 && cli->json)
		r = json_end_envelope(&j);
	else if (r >= 0)
		r = output_flush();
	else
		r = output_fail(EXIT_CODE_FAILED, "the running programs cannot be looked at: %s", strerror(-r));
	strbuf_done(&b);
	return r == EXIT_CODE_OK && found ? EXIT_CODE_NOT_PROTECTED : r;
}

/* One look with a connection of its own, so that --watch lives through helpers that come and go. */
static int look(const struct cli *cli, const char *name, bool escapes)
{
	_cleanup_(client_freep) struct client *c = NULL;
	_cleanup_(strv_freep) char **names = NULL;
	int r = client_open(CLIENT_IF_RUNNING, &c);

	if (r != EXIT_CODE_OK)
		return r;
	r = all_names(c, &names);
	if (r != EXIT_CODE_OK)
		return r;
	/* One that is not a user's to see: the helper says why. */
	if (name && !strv_contains(names, name) && (place_is_ours() || !c))
		return output_fail(EXIT_CODE_NOT_UP, "tunnel %s is not configured; `nsvpn list` shows those that are", name);
	if (name) {
		strv_free(names);
		names = NULL;
		if (strv_add(&names, name) < 0)
			return output_oom();
	}
	if (escapes)
		return show_escapes(cli, c, names);
	return cli->json ? status_json(c, names) : status_text(cli, c, names);
}

/* Until a signal or a failure ends it. */
static int watch(const struct cli *cli, const char *name, bool escapes)
{
	bool is_screen = !cli->json && isatty(STDOUT_FILENO);
	int r;

	do {
		const struct timespec pause = { .tv_sec = WATCH_USEC / USEC_PER_SEC };

		if (is_screen)
			printf("\033[H\033[2J");
		r = look(cli, name, escapes);
		if (r == EXIT_CODE_OK)
			(void)nanosleep(&pause, NULL); /* woken early: looks early */
	} while (r == EXIT_CODE_OK);
	return r;
}

int cmd_status(struct cli *cli, const struct command *self, int argc, char **argv)
{
	bool is_watch = false, escapes = false;
	const struct option_spec table[] = { { "watch", 0, OPTION_FLAG, &is_watch },
					     { "escapes", 0, OPTION_FLAG, &escapes } };
	struct options o = { .table = table, .n_table = ARRAY_SIZE(table), .max_operands = 1 };
	int r;

	r = options_parse(&o, cli, self, argc, argv);
	if (r != OPTIONS_RUN)
		return r;
	r = o.n_operands ? tunnel_names_check(o.operands[0]) : EXIT_CODE_OK;
	if (r != EXIT_CODE_OK)
		return r;
	return is_watch ? watch(cli, o.operands[0], escapes) : look(cli, o.operands[0], escapes);
}

/* ---- list ---- */

static void list_item(const struct tunnel_view *v, bool is_default, const struct cli *cli, struct json *j)
{
	if (cli->json) {
		json_begin_object(j);
		json_pair(j, "name", v->name);
		json_pair(j, "state", tunnel_view_state(v));
		json_pair_text(j, "protocol", v->protocol);
		json_pair_text(j, "remote", v->remote_host);
		json_key(j, "default");
		json_bool(j, is_default);
		json_end_object(j);
		return;
	}
	printf("%-10s  %-12s  %-9s  %s%s\n", v->name, tunnel_view_state(v),
	       v->protocol && *v->protocol ? v->protocol : "-",
	       v->remote_host && *v->remote_host ? v->remote_host : "-", is_default ? "  (default)" : "");
}

static int list_all(const struct cli *cli, struct client *c, char *const *names)
{
	struct strbuf b = { 0 };
	struct json j = { .out = &b };
	_cleanup_(freep) char *def = NULL;
	int r = tunnel_names_default_setting(&def);

	json_begin_envelope(&j);
	json_key(&j, "tunnels");
	json_begin_array(&j);
	for (size_t i = 0; r == EXIT_CODE_OK && names[i]; i++) {
		struct tunnel_view v = { 0 };
		bool is_default = def ? str_eq(def, names[i]) : !names[1];

		r = read_one(c, names[i], &v);
		if (r == EXIT_CODE_OK)
			list_item(&v, is_default, cli, &j);
		tunnel_view_done(&v);
	}
	json_end_array(&j);
	if (r == EXIT_CODE_OK && cli->json)
		return json_end_envelope(&j);
	strbuf_done(&b);
	if (r == EXIT_CODE_OK && !*names && !cli->quiet)
		say_none();
	return r == EXIT_CODE_OK ? output_flush() : r;
}

int cmd_list(struct cli *cli, const struct command *self, int argc, char **argv)
{
	bool names_only = false; /* for shell completion; needs no right but to read the folder */
	const struct option_spec table[] = { { "names", 0, OPTION_FLAG, &names_only } };
	struct options o = { .table = table, .n_table = ARRAY_SIZE(table), .max_operands = 0 };
	_cleanup_(client_freep) struct client *c = NULL;
	_cleanup_(strv_freep) char **names = NULL;
	int r;

	r = options_parse(&o, cli, self, argc, argv);
	if (r != OPTIONS_RUN)
		return r;
	r = names_only && place_is_ours() ? EXIT_CODE_OK : client_open(CLIENT_IF_RUNNING, &c);
	if (r == EXIT_CODE_OK)
		r = all_names(c, &names);
	if (r != EXIT_CODE_OK)
		return r;
	if (!names_only)
		return list_all(cli, c, names);
	for (size_t i = 0; names[i]; i++)
		printf("%s\n", names[i]);
	return output_flush();
}
