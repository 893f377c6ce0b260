/* nsvpn up [NAME | FILE]: the tunnel connected, or one sentence why not. */
#include <strings.h>
#include <sys/stat.h>

#include "base/log.h"
#include "base/parse.h"
#include "base/places.h"
#include "cli/ask.h"
#include "cli/bring-up.h"
#include "cli/import-files.h"
#include "cli/options.h"
#include "cli/rootless.h"
#include "cli/tunnel-names.h"

#define TIMEOUT_DEFAULT (60 * USEC_PER_SEC)

/* "home" is a name even if a file of that name lies about; "./home", "x/home" and "home.ovpn" are files. */
static bool is_file_argument(const char *arg)
{
	return strchr(arg, '/') || str_has_suffix(arg, ".ovpn") || str_has_suffix(arg, ".conf");
}

/* The tunnel of a FILE, imported where it is not there yet. An exit code. */
static int import_for_up(const struct cli *cli, const char *file, char **ret)
{
	_cleanup_(freep) char *name = tunnel_names_from_file(file);
	struct import i = { 0 };
	int r;

	if (!name)
		return output_oom();
	if (!place_is_ours())
		return output_fail(EXIT_CODE_DENIED,
				   "only root may import %s, since a profile decides where a tunnel leads; use: sudo nsvpn import %s",
				   file, file);
	r = import_read(file, &i);
	if (r != EXIT_CODE_OK)
		return r;
	if (!tunnel_names_is_configured(name)) {
		r = import_store(&i, place_etc(), name);
		if (r == EXIT_CODE_OK) {
			client_reload();
			if (!cli->quiet)
				log_notice("%s was imported as tunnel %s", file, name);
		}
	} else if (!import_is_stored(&i, name))
		log_warning("tunnel %s was imported from another version of %s and is used as it is; `nsvpn remove %s` first to "
			    "take the new one",
			    name, file, name);
	import_done(&i);
	if (r == EXIT_CODE_OK)
		*ret = TAKE_PTR(name);
	return r;
}

/* Name, file, or nothing. An exit code. */
static int which_tunnel(const struct cli *cli, struct client *c, const char *arg, char **ret)
{
	int r;

	if (!arg)
		return tunnel_names_default(c, ret);
	if (is_file_argument(arg))
		return import_for_up(cli, arg, ret);
	r = tunnel_names_check(arg);
	if (r != EXIT_CODE_OK)
		return r;
	*ret = strdup(arg);
	return *ret ? EXIT_CODE_OK : output_oom();
}

static int print_result(const struct cli *cli, const struct tunnel_view *v, bool was_up, bool waited)
{
	const char *address = v->remote_address && *v->remote_address ? v->remote_address : "?";
	struct strbuf b = { 0 };
	struct json j = { .out = &b };

	if (cli->json) {
		json_begin_envelope(&j);
		json_key(&j, "tunnels");
		json_begin_array(&j);
		tunnel_view_json(v, &j);
		json_end_array(&j);
		return json_end_envelope(&j);
	}
	if (cli->quiet)
		return EXIT_CODE_OK;
	if (!waited && !was_up) {
		printf("%s is starting, locked; `nsvpn status%s %s` tells how it goes\n", v->name, rootless_word(), v->name);
		return output_flush();
	}
	printf("%s%s%s is %s: ", output_style(STYLE_BOLD), v->name, output_style(STYLE_PLAIN),
	       was_up ? "up already" : "up");
	for (size_t i = 0; v->addresses && v->addresses[i]; i++)
		printf("%s%s", i ? ", " : "inside address ", v->addresses[i]);
	printf("%sserver %s%s%s\n", v->addresses && v->addresses[0] ? ", " : "", address,
	       v->cipher && *v->cipher ? ", " : "", v->cipher ? v->cipher : "");
	if (isatty(STDOUT_FILENO))
		printf("  next: nsvpn exec%s -t %s firefox\n", rootless_word(), v->name);
	return output_flush();
}

static int check_uplink(const struct command *self, const char *uplink)
{
	enum uplink ignored;

	if (!uplink || uplink_from_string(uplink, &ignored) == 0)
		return EXIT_CODE_OK;
	return output_fail(EXIT_CODE_USAGE, "%s: --uplink is veth or socket, not '%s'", self->name, uplink);
}

int cmd_up(struct cli *cli, const struct command *self, int argc, char **argv)
{
	struct bring_up b = { .timeout = TIMEOUT_DEFAULT };
	bool was_up = false, agent = false;
	const struct option_spec table[] = {
		{ "no-wait", 0, OPTION_FLAG, &b.no_wait },
		{ "timeout", 0, OPTION_SECONDS, &b.timeout },
		{ "credentials", 0, OPTION_TEXT, &b.credentials },
		{ "uplink", 0, OPTION_TEXT, &b.uplink },
		{ "agent", 0, OPTION_FLAG, &agent },
		{ "open", 0, OPTION_FLAG, &b.open_addresses },
	};
	struct options o = { .table = table, .n_table = ARRAY_SIZE(table), .max_operands = 1 };
	_cleanup_(client_freep) struct client *c = NULL;
	_cleanup_(freep) char *name = NULL;
	struct tunnel_view v = { 0 };
	int r;

	r = options_parse(&o, cli, self, argc, argv);
	if (r != OPTIONS_RUN)
		return r;
	if (agent)
		ask_allow_agents();
	r = check_uplink(self, b.uplink);
	if (r == EXIT_CODE_OK && !place_is_ours())
		r = client_open(CLIENT_START_HELPER, &c); /* who knows the names */
	if (r == EXIT_CODE_OK)
		r = which_tunnel(cli, c, o.operands[0], &name);
	if (r == EXIT_CODE_OK)
		r = tunnel_names_expect(name);
	if (r == EXIT_CODE_OK && !c)
		r = client_open(CLIENT_START_HELPER, &c);
	if (r != EXIT_CODE_OK)
		return r;
	b.name = name;
	b.is_quiet = cli->quiet;
	r = bring_up(c, &b, &v, &was_up);
	if (r == EXIT_CODE_OK)
		r = print_result(cli, &v, was_up, !b.no_wait);
	tunnel_view_done(&v);
	return r;
}
