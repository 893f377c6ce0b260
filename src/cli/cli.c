/* Finds the command and runs it. */
#include "cli/cli.h"

#include <fcntl.h>

#include "base/log.h"
#include "base/places.h"
#include "base/str.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/rootless.h"

static void print_help(const struct command *commands, size_t n)
{
	printf("usage: nsvpn [-q] [-v] [--json] [--rootless] COMMAND [ARGUMENT...]\n\n"
	       "Runs chosen programs in a network namespace whose only way out is a VPN tunnel.\n\n");
	for (size_t i = 0; i < n; i++)
		printf("  %-8s  %s\n", commands[i].name, commands[i].summary);
	printf("\n"
	       "  -q, --quiet    print errors only\n"
	       "  -v, --verbose  say more\n"
	       "      --json     data as JSON, for commands that print data\n"
	       "      --rootless a tunnel of your own, without root and without the service\n"
	       "      --version  the version\n\n"
	       "Begin with:  sudo nsvpn import provider.ovpn && sudo nsvpn up && sudo nsvpn exec firefox\n"
	       "More about one command: nsvpn COMMAND --help. The manual: nsvpn(1).\n");
}

static const struct command *find(const struct command *commands, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (str_eq(commands[i].name, name))
			return &commands[i];
	return NULL;
}

static int fail_unknown(const struct command *commands, size_t n, const char *name)
{
	const char *names[32], *near;

	assert(n <= ARRAY_SIZE(names));
	for (size_t i = 0; i < n; i++)
		names[i] = commands[i].name;
	near = str_nearest(name, names, n);
	if (near)
		return output_fail(EXIT_CODE_USAGE, "unknown command '%s', did you mean '%s'? (`nsvpn --help`)", name, near);
	return output_fail(EXIT_CODE_USAGE, "unknown command '%s'; `nsvpn --help` lists them", name);
}

/* A program started with a closed standard stream must not get its bus socket or a file as number 1. */
static void open_closed_streams(void)
{
	for (int fd = 0; fd <= 2; fd++)
		if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", fd == 0 ? O_RDONLY : O_WRONLY) != fd)
			_exit(EXIT_CODE_FAILED);
}

int cli_need_root(const struct command *self)
{
	if (place_is_ours())
		return EXIT_CODE_OK;
	return output_fail(EXIT_CODE_DENIED, "only root may do this; use: sudo nsvpn %s%s", self->name,
			   rootless_is_for(self) ? ", or add --rootless for a tunnel of your own" : "");
}

int cli_main(const struct command *commands, size_t n_commands, int argc, char **argv)
{
	struct cli cli = { 0 };
	const struct command *c;
	int i = 1;

	open_closed_streams();
	log_set_program("nsvpn");
	for (; i < argc && argv[i][0] == '-'; i++) {
		if (str_eq(argv[i], "--help") || str_eq(argv[i], "-h")) {
			print_help(commands, n_commands);
			return output_flush();
		}
		if (str_eq(argv[i], "--version")) {
			printf("nsvpn %s\n", NSVPN_VERSION);
			return output_flush();
		}
		if (!options_global(&cli, argv[i]))
			return output_fail(EXIT_CODE_USAGE,
					   "unknown option %s before the command; options of a command stand after its name",
					   argv[i]);
	}
	if (i >= argc)
		return output_fail(EXIT_CODE_USAGE, "a command is missing; `nsvpn --help` lists them");
	if (str_eq(argv[i], "help")) {
		c = i + 1 < argc ? find(commands, n_commands, argv[i + 1]) : NULL;
		if (i + 1 < argc && !c)
			return fail_unknown(commands, n_commands, argv[i + 1]);
		if (c)
			options_print_help(c);
		else
			print_help(commands, n_commands);
		return output_flush();
	}
	c = find(commands, n_commands, argv[i]);
	if (!c)
		return fail_unknown(commands, n_commands, argv[i]);
	return c->run(&cli, c, argc - i, argv + i);
}
