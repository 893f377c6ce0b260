/*
 * Options of the command line.
 *
 * Long options take "--name value" and "--name=value", letters "-t value" and "-tvalue", flags may be bundled ("-qv"). No
 * abbreviations: a script's spelling must not change its meaning when an option is added. "--" ends the options.
 */
#include "cli/options.h"

#include "base/log.h"
#include "base/parse.h"
#include "base/str.h"
#include "cli/output.h"
#include "cli/rootless.h"

static const char *const global_names[] = { "json", "quiet", "verbose", "rootless", "help" };

bool options_global(struct cli *cli, const char *arg)
{
	if (str_eq(arg, "--json"))
		cli->json = true;
	else if (str_eq(arg, "-q") || str_eq(arg, "--quiet"))
		cli->quiet = true;
	else if (str_eq(arg, "-v") || str_eq(arg, "--verbose"))
		cli->verbose = true;
	else if (str_eq(arg, "--rootless"))
		cli->rootless = true;
	else
		return false;
	return true;
}

void options_print_help(const struct command *self)
{
	printf("usage: nsvpn %s%s%s\n\n%s\n", self->name, *self->usage ? " " : "", self->usage, self->help);
}

static int mistake(const struct options *o)
{
	return o->usage_code ? o->usage_code : EXIT_CODE_USAGE;
}

static int fail_unknown(const struct options *o, const struct command *self, const char *name)
{
	const char *names[32], *near;
	size_t n = 0;

	assert(o->n_table + ARRAY_SIZE(global_names) <= ARRAY_SIZE(names));
	for (size_t i = 0; i < o->n_table; i++)
		names[n++] = o->table[i].name;
	for (size_t i = 0; i < ARRAY_SIZE(global_names); i++)
		names[n++] = global_names[i];
	near = str_nearest(name, names, n);
	if (near)
		return output_fail((enum exit_code)mistake(o), "%s: unknown option --%s, did you mean --%s? (`nsvpn %s --help`)",
				   self->name, name, near, self->name);
	return output_fail((enum exit_code)mistake(o), "%s: unknown option --%s (`nsvpn %s --help` lists them)", self->name,
			   name, self->name);
}

static int store_value(const struct options *o, const struct command *self, const struct option_spec *s,
		       const char *value)
{
	switch (s->kind) {
	case OPTION_FLAG:
		*(bool *)s->target = true;
		return OPTIONS_RUN;
	case OPTION_TEXT:
		*(const char **)s->target = value;
		return OPTIONS_RUN;
	case OPTION_SECONDS:
		if (parse_duration(value, s->target) < 0)
			return output_fail((enum exit_code)mistake(o),
					   "%s: --%s wants a duration such as 60, 90s or 5min, not '%s'", self->name,
					   s->name, value);
		return OPTIONS_RUN;
	}
	return mistake(o);
}

struct cursor {
	int argc;
	char **argv;
	int i; /* the next argument to look at */
};

/* "name" or "name=value", the dashes already cut off. */
static int take_long(const struct options *o, const struct command *self, struct cursor *c, char *arg)
{
	char *value = strchr(arg, '=');
	const struct option_spec *s = NULL;

	if (value)
		*value++ = '\0';
	for (size_t i = 0; i < o->n_table && !s; i++)
		if (str_eq(o->table[i].name, arg))
			s = &o->table[i];
	if (!s)
		return fail_unknown(o, self, arg);
	if (s->kind == OPTION_FLAG && value)
		return output_fail((enum exit_code)mistake(o), "%s: --%s takes no value", self->name, s->name);
	if (s->kind != OPTION_FLAG && !value) {
		if (c->i >= c->argc)
			return output_fail((enum exit_code)mistake(o), "%s: --%s wants a value", self->name, s->name);
		value = c->argv[c->i++];
	}
	return store_value(o, self, s, value);
}

/* The letters of one argument. */
static int take_letters(const struct options *o, struct cli *cli, const struct command *self, struct cursor *c,
			char *letters)
{
	for (char *p = letters; *p; p++) {
		const struct option_spec *s = NULL;
		const char global[] = { '-', *p, '\0' };
		char *value = NULL;
		int r;

		for (size_t i = 0; i < o->n_table && !s; i++)
			if (o->table[i].letter == *p)
				s = &o->table[i];
		if (!s && options_global(cli, global))
			continue;
		if (!s)
			return output_fail((enum exit_code)mistake(o), "%s: unknown option -%c (`nsvpn %s --help` lists them)",
					   self->name, *p, self->name);
		if (s->kind != OPTION_FLAG) {
			if (!p[1] && c->i >= c->argc)
				return output_fail((enum exit_code)mistake(o), "%s: -%c wants a value", self->name, *p);
			value = p[1] ? p + 1 : c->argv[c->i++];
		}
		r = store_value(o, self, s, value);
		if (r != OPTIONS_RUN || value)
			return r;
	}
	return OPTIONS_RUN;
}

static int check_counts(const struct options *o, const struct cli *cli, const struct command *self)
{
	if (o->n_operands < o->min_operands)
		return output_fail((enum exit_code)mistake(o), "%s: %s is missing; usage: nsvpn %s %s", self->name,
				   o->operand_name ? o->operand_name : "an argument", self->name, self->usage);
	if (o->max_operands >= 0 && o->n_operands > o->max_operands)
		return output_fail((enum exit_code)mistake(o), "%s: unexpected argument '%s'; usage: nsvpn %s%s%s", self->name,
				   o->operands[o->max_operands], self->name, *self->usage ? " " : "", self->usage);
	if (cli->json && !self->has_json)
		return output_fail((enum exit_code)mistake(o), "%s prints no data, so --json has no meaning for it", self->name);
	return OPTIONS_RUN;
}

static int begin_rootless(const struct options *o, const struct command *self)
{
	int r = rootless_begin(self);

	return r == EXIT_CODE_OK ? OPTIONS_RUN : o->usage_code ? o->usage_code : r;
}

int options_parse(struct options *o, struct cli *cli, const struct command *self, int argc, char **argv)
{
	struct cursor c = { .argc = argc, .argv = argv, .i = 1 };
	int r = OPTIONS_RUN;

	o->operands = argv + 1;
	o->n_operands = 0;
	while (c.i < argc && r == OPTIONS_RUN) {
		char *arg = argv[c.i++];

		if (str_eq(arg, "--"))
			break;
		if (arg[0] != '-' || !arg[1]) {
			o->operands[o->n_operands++] = arg; /* never ahead of the cursor */
			if (o->stop_at_operand)
				break;
			continue;
		}
		if (str_eq(arg, "--help") || str_eq(arg, "-h")) {
			options_print_help(self);
			return output_flush();
		}
		if (options_global(cli, arg))
			continue;
		r = arg[1] == '-' ? take_long(o, self, &c, arg + 2) : take_letters(o, cli, self, &c, arg + 1);
	}
	if (r != OPTIONS_RUN)
		return r;
	while (c.i < argc)
		o->operands[o->n_operands++] = argv[c.i++];
	o->operands[o->n_operands] = NULL;
	log_set_max_level(cli->verbose ? LOG_LEVEL_DEBUG : cli->quiet ? LOG_LEVEL_ERROR : LOG_LEVEL_INFO);
	r = check_counts(o, cli, self);
	return r == OPTIONS_RUN && cli->rootless ? begin_rootless(o, self) : r;
}
