/* nsvpn down [NAME | --all]: stops tunnels; what still runs inside stays locked in, and is named. */
#include <sys/stat.h>

#include "base/log.h"
#include "base/places.h"
#include "cli/options.h"
#include "cli/rootless.h"
#include "cli/tunnel-names.h"
#include "cli/tunnel-view.h"

#define PROCESSES_SHOWN 20

struct down {
	const struct cli *cli;
	struct client *c;
	bool kill;
	struct strbuf text; /* of --json */
	struct json json;
};

/* ---- the answer: a(us) ---- */

static int print_processes(struct down *d, const char *name, sd_bus_message *m)
{
	unsigned n = 0;
	const char *command;
	uint32_t pid;
	int r = sd_bus_message_enter_container(m, 'a', "(us)");

	while (r >= 0 && (r = sd_bus_message_read(m, "(us)", &pid, &command)) > 0) {
		if (d->cli->json) {
			json_begin_object(&d->json);
			json_pair_uint(&d->json, "pid", pid);
			json_pair(&d->json, "command", command);
			json_end_object(&d->json);
			continue;
		}
		if (n == 0 && d->kill && !place_is_ours())
			printf("%s is down; programs of others stay locked in, without network (`sudo nsvpn down --kill %s` ends "
			       "them):\n", name, name);
		else if (n == 0)
			printf("%s is down; programs stay locked in, without network (`nsvpn down%s --kill %s` ends them):\n",
			       name, rootless_word(), name);
		if (n++ < PROCESSES_SHOWN)
			printf("  %7u  %s\n", pid, command);
	}
	if (r < 0)
		return r;
	if (n > PROCESSES_SHOWN)
		printf("  and %u more\n", n - PROCESSES_SHOWN);
	if (n == 0 && !d->cli->json && !d->cli->quiet)
		printf("%s is down\n", name);
	return 0;
}

/* ---- one tunnel ---- */

static int call_down(struct down *d, const char *name, sd_bus_error *e, sd_bus_message **ret)
{
	sd_bus_message *m = NULL;
	int r = client_new_call(d->c, "Down", &m);

	if (r >= 0)
		r = d->kill ? sd_bus_message_append(m, "sa{sv}", name, 1, "kill", "b", 1) :
			      sd_bus_message_append(m, "sa{sv}", name, 0);
	if (r >= 0)
		r = client_call(d->c, m, USEC_INFINITY, e, ret);
	sd_bus_message_unref(m);
	return r;
}

static int say_not_up(const struct down *d, const char *name)
{
	if (!d->cli->quiet && !d->cli->json)
		printf("%s was not up\n", name);
	return 0;
}

static int down_one(struct down *d, const char *name)
{
	sd_bus_error e = SD_BUS_ERROR_NULL;
	sd_bus_message *reply = NULL;
	int r, code = EXIT_CODE_OK;

	if (d->cli->json) {
		json_begin_object(&d->json);
		json_pair(&d->json, "name", name);
		json_key(&d->json, "processes");
		json_begin_array(&d->json);
	}
	r = d->c ? call_down(d, name, &e, &reply) : 0;
	/* Down twice is no mistake. */
	if (!d->c || (r < 0 && sd_bus_error_has_name(&e, BUS_ERROR_NOT_UP)))
		r = say_not_up(d, name);
	else if (r >= 0)
		r = print_processes(d, name, reply);
	if (r < 0)
		code = client_fail(&e, r);
	if (d->cli->json) {
		json_end_array(&d->json);
		json_end_object(&d->json);
	}
	sd_bus_message_unref(reply);
	sd_bus_error_free(&e);
	return code;
}

/* ---- which ---- */

/* A helper that died before it had built anything left only its wish: the next one would fulfil it. */
static bool is_wanted(const char *name)
{
	_cleanup_(freep) char *path = str_format("%s/%s.intent", place_state(), name);

	return path && access(path, F_OK) == 0;
}

static bool is_left_over(const char *name)
{
	struct tunnel_view v = { 0 };
	bool left = tunnel_view_offline(name, &v) == 0 && !tunnel_view_is_down(&v);

	tunnel_view_done(&v);
	return left || is_wanted(name);
}

/* Nobody answers, but its socket stands: it was killed. The next one tidies up behind it. */
static bool helper_died(void)
{
	_cleanup_(freep) char *path = str_format("%s/nsvpnd.sock", place_run());

	return path && access(path, F_OK) == 0;
}

/* The helper, if it runs or if something in `names` was left by one that died. *ret NULL: nothing to do. */
static int open_client(char *const *names, struct client **ret)
{
	int r = client_open(place_is_ours() ? CLIENT_IF_RUNNING : CLIENT_START_HELPER, ret);
	bool left;

	if (r != EXIT_CODE_OK || *ret)
		return r;
	left = helper_died();
	for (; *names; names++)
		left |= is_left_over(*names);
	return left ? client_open(CLIENT_START_HELPER, ret) : EXIT_CODE_OK;
}

static int is_up(struct client *c, const char *name, bool *ret)
{
	struct tunnel_view v = { 0 };
	sd_bus_error e = SD_BUS_ERROR_NULL;
	int r = tunnel_view_read(c, name, &v, &e), code = EXIT_CODE_OK;

	if (r < 0 && r != -ENOENT)
		code = client_fail(&e, r);
	*ret = r >= 0 && !str_eq(tunnel_view_state(&v), "down");
	tunnel_view_done(&v);
	sd_bus_error_free(&e);
	return code;
}

/* Of all the helper knows, those that are not down. An exit code. */
static int up_tunnels(struct client *c, char ***ret)
{
	_cleanup_(strv_freep) char **all = NULL, **up = calloc(1, sizeof(char *));
	int r = client_list(c, &all);

	if (!up)
		return output_oom();
	for (size_t i = 0; r == EXIT_CODE_OK && all && all[i]; i++) {
		bool yes = false;

		r = is_up(c, all[i], &yes);
		if (r == EXIT_CODE_OK && yes && strv_add(&up, all[i]) < 0)
			r = output_oom();
	}
	if (r == EXIT_CODE_OK)
		*ret = TAKE_PTR(up);
	return r;
}

/* Without a name: all that are up, or the only one. An exit code. */
static int choose(struct down *d, bool all, char ***ret)
{
	_cleanup_(strv_freep) char **configured = NULL;
	int r = place_is_ours() ? tunnel_names_configured(&configured) : EXIT_CODE_OK;

	if (r == EXIT_CODE_OK)
		r = open_client(configured, &d->c);
	if (r != EXIT_CODE_OK)
		return r;
	if (!d->c)
		*ret = calloc(1, sizeof(char *));
	else
		r = up_tunnels(d->c, ret);
	if (r != EXIT_CODE_OK)
		return r;
	if (!*ret)
		return output_oom();
	if (!all && strv_len(*ret) > 1)
		return output_fail(EXIT_CODE_USAGE, "several tunnels are up; name one or say --all (`nsvpn list`)");
	if (!**ret && !d->cli->quiet && !d->cli->json)
		printf("no tunnel is up\n");
	return EXIT_CODE_OK;
}

/* One by name. An exit code. */
static int choose_named(struct down *d, const char *name, char ***ret)
{
	int r = tunnel_names_check(name);

	if (r == EXIT_CODE_OK && strv_add(ret, name) < 0)
		r = output_oom();
	if (r != EXIT_CODE_OK)
		return r;
	if (place_is_ours() && !tunnel_names_is_configured(name) && !is_left_over(name))
		return output_fail(EXIT_CODE_NOT_UP, "tunnel %s is not configured; `nsvpn list` shows those that are", name);
	return open_client(*ret, &d->c);
}

static int down_all(struct down *d, char *const *names)
{
	int code = EXIT_CODE_OK, r;

	if (d->cli->json) {
		json_begin_envelope(&d->json);
		json_key(&d->json, "tunnels");
		json_begin_array(&d->json);
	}
	for (; *names; names++) {
		r = down_one(d, *names);
		code = r != EXIT_CODE_OK ? r : code; /* the others are taken down all the same */
	}
	if (d->cli->json) {
		json_end_array(&d->json);
		r = json_end_envelope(&d->json);
	} else
		r = output_flush();
	return code != EXIT_CODE_OK ? code : r;
}

int cmd_down(struct cli *cli, const struct command *self, int argc, char **argv)
{
	struct down d = { .cli = cli };
	bool all = false;
	const struct option_spec table[] = { { "all", 0, OPTION_FLAG, &all }, { "kill", 0, OPTION_FLAG, &d.kill } };
	struct options o = { .table = table, .n_table = ARRAY_SIZE(table), .max_operands = 1 };
	_cleanup_(strv_freep) char **names = NULL;
	int r;

	r = options_parse(&o, cli, self, argc, argv);
	if (r != OPTIONS_RUN)
		return r;
	if (all && o.n_operands)
		return output_fail(EXIT_CODE_USAGE, "down: --all and a name exclude each other");
	d.json.out = &d.text;
	r = o.n_operands ? choose_named(&d, o.operands[0], &names) : choose(&d, all, &names);
	if (r == EXIT_CODE_OK)
		r = down_all(&d, names);
	client_free(d.c);
	strbuf_done(&d.text);
	return r;
}
