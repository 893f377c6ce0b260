/* nsvpn plan NAME: every change that `up` would make, as the helper would make it. */
#include "base/places.h"
#include "cli/client.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/tunnel-names.h"

static int print_plan(const struct cli *cli, const char *name, const char *text)
{
	struct strbuf b = { 0 };
	struct json j = { .out = &b };

	if (!cli->json) {
		(void)fputs(text, stdout); /* output_flush() sees a failure */
		return output_flush();
	}
	json_begin_envelope(&j);
	json_pair(&j, "name", name);
	json_key(&j, "plan");
	json_begin_array(&j);
	while (*text) {
		size_t n = strcspn(text, "\n");
		_cleanup_(freep) char *line = strndup(text, n);

		json_string(&j, line);
		text += n + (text[n] == '\n');
	}
	json_end_array(&j);
	return json_end_envelope(&j);
}

static int call_plan(const struct cli *cli, struct client *c, const char *name)
{
	sd_bus_error e = SD_BUS_ERROR_NULL;
	sd_bus_message *reply = NULL;
	const char *text;
	int r, code;

	r = sd_bus_call_method(c->bus, BUS_NAME, BUS_PATH, BUS_IFACE_MANAGER, "Plan", &e, &reply, "s", name);
	if (r >= 0)
		r = sd_bus_message_read_basic(reply, 's', &text);
	code = r < 0 ? client_fail(&e, r) : print_plan(cli, name, text);
	sd_bus_message_unref(reply);
	sd_bus_error_free(&e);
	return code;
}

int cmd_plan(struct cli *cli, const struct command *self, int argc, char **argv)
{
	struct options o = { .max_operands = 1 };
	_cleanup_(client_freep) struct client *c = NULL;
	_cleanup_(freep) char *name = NULL;
	int r;

	r = options_parse(&o, cli, self, argc, argv);
	if (r != OPTIONS_RUN)
		return r;
	r = o.n_operands ? tunnel_names_check(o.operands[0]) : EXIT_CODE_OK;
	if (r == EXIT_CODE_OK && !place_is_ours())
		r = client_open(CLIENT_START_HELPER, &c); /* who knows the names */
	if (r == EXIT_CODE_OK && !o.n_operands)
		r = tunnel_names_default(c, &name);
	if (r != EXIT_CODE_OK)
		return r;
	if (o.n_operands)
		name = strdup(o.operands[0]);
	if (!name)
		return output_oom();
	r = tunnel_names_expect(name);
	if (r == EXIT_CODE_OK && !c)
		r = client_open(CLIENT_START_HELPER, &c);
	return r == EXIT_CODE_OK ? call_plan(cli, c, name) : r;
}
