/* nsvpn import FILE, nsvpn remove NAME: into the configuration folder and out of it. */
#include "base/places.h"
#include "cli/client.h"
#include "cli/import-files.h"
#include "cli/options.h"
#include "cli/report.h"
#include "cli/rootless.h"
#include "cli/tunnel-names.h"
#include "cli/unit-list.h"
#include "cli/tunnel-view.h"

static void print_asks(const struct import *i, const char *name)
{
	_cleanup_(freep) char *shown = i->missing ? str_escape(i->missing, strlen(i->missing), 80) : NULL;

	if (!i->asks && !i->asks_phrase)
		return;
	if (shown)
		printf("  the password file %s that it names is not there\n", shown);
	printf("  `nsvpn up%s %s` will ask for %s%s%s, or takes them from --credentials FILE\n", rootless_word(), name,
	       i->asks ? "user name and password" : "", i->asks && i->asks_phrase ? " and " : "",
	       i->asks_phrase ? "the pass phrase of the private key" : "");
}

static int print_import(const struct cli *cli, const struct import *i, const char *name)
{
	struct strbuf b = { 0 };
	struct json j = { .out = &b };

	if (cli->json) {
		json_begin_envelope(&j);
		json_pair(&j, "name", name);
		json_pair(&j, "file", i->source);
		json_key(&j, "asks_credentials");
		json_bool(&j, i->asks || i->asks_phrase);
		report_json(&i->notes, &j);
		return json_end_envelope(&j);
	}
	if (cli->quiet)
		return EXIT_CODE_OK;
	printf("%s is now tunnel %s%s%s (%s/tunnels/%s): %zu lines honoured, %zu ignored\n", i->source,
	       output_style(STYLE_BOLD), name, output_style(STYLE_PLAIN), place_etc(), name,
	       report_count(&i->notes, FATE_HONOURED), report_count(&i->notes, FATE_IGNORED));
	report_print(&i->notes, cli->verbose);
	if (i->is_inlined)
		printf("  the files that it names are stored inside the profile\n");
	print_asks(i, name);
	if (isatty(STDOUT_FILENO))
		printf("  next: nsvpn up%s %s\n", rootless_word(), name);
	return output_flush();
}

int cmd_import(struct cli *cli, const struct command *self, int argc, char **argv)
{
	const char *wanted = NULL;
	const struct option_spec table[] = { { "name", 0, OPTION_TEXT, &wanted } };
	struct options o = { .table = table, .n_table = ARRAY_SIZE(table), .min_operands = 1, .max_operands = 1,
			     .operand_name = "FILE" };
	_cleanup_(freep) char *name = NULL;
	struct import i = { 0 };
	int r;

	r = options_parse(&o, cli, self, argc, argv);
	if (r != OPTIONS_RUN)
		return r;
	r = wanted ? tunnel_names_check(wanted) : EXIT_CODE_OK;
	if (r == EXIT_CODE_OK)
		r = cli_need_root(self);
	if (r != EXIT_CODE_OK)
		return r;
	name = wanted ? strdup(wanted) : tunnel_names_from_file(o.operands[0]);
	if (!name)
		return output_oom();
	r = import_read(o.operands[0], &i);
	if (r == EXIT_CODE_OK)
		r = import_store(&i, place_etc(), name);
	if (r == EXIT_CODE_OK) {
		client_reload();
		r = print_import(cli, &i, name);
	}
	import_done(&i);
	return r;
}

/* 0 when nothing of the tunnel is up or left over. An exit code. */
static int check_is_down(const char *name)
{
	_cleanup_(client_freep) struct client *c = NULL;
	struct tunnel_view v = { 0 };
	sd_bus_error e = SD_BUS_ERROR_NULL;
	int r = client_open(CLIENT_IF_RUNNING, &c), code;

	if (r != EXIT_CODE_OK)
		return r;
	r = c ? tunnel_view_read(c, name, &v, &e) : tunnel_view_offline(name, &v);
	if (r == -ENOENT)
		code = EXIT_CODE_OK; /* the helper has never heard of it */
	else if (r < 0)
		code = client_fail(&e, r);
	else if (!tunnel_view_is_down(&v))
		code = output_fail(EXIT_CODE_FAILED, "tunnel %s is %s; `nsvpn down %s` first", name, tunnel_view_state(&v),
				   name);
	else
		code = EXIT_CODE_OK;
	tunnel_view_done(&v);
	sd_bus_error_free(&e);
	return code;
}

/* A service that is bound to a tunnel which does not exist can never be started again. */
static int check_is_unused(const char *name)
{
	_cleanup_(freep) char *unit = NULL;

	if (unit_of_tunnel(name, &unit) < 0)
		return output_oom();
	return unit ? output_fail(EXIT_CODE_FAILED, "%s lives in tunnel %s; `nsvpn unit remove %s` first", unit, name, unit) : EXIT_CODE_OK;
}

int cmd_remove(struct cli *cli, const struct command *self, int argc, char **argv)
{
	struct options o = { .min_operands = 1, .max_operands = 1, .operand_name = "NAME" };
	const char *name;
	int r;

	r = options_parse(&o, cli, self, argc, argv);
	if (r != OPTIONS_RUN)
		return r;
	name = o.operands[0];
	r = tunnel_names_check(name);
	if (r == EXIT_CODE_OK)
		r = cli_need_root(self);
	if (r != EXIT_CODE_OK)
		return r;
	if (!tunnel_names_is_configured(name))
		return output_fail(EXIT_CODE_NOT_UP, "tunnel %s is not configured; `nsvpn list` shows those that are", name);
	r = check_is_down(name);
	if (r == EXIT_CODE_OK)
		r = check_is_unused(name);
	if (r == EXIT_CODE_OK)
		r = import_remove(name);
	if (r != EXIT_CODE_OK)
		return r;
	client_reload();
	if (!cli->quiet)
		printf("%s is removed\n", name);
	return output_flush();
}
