/* Arguments: every spelling, every mistake, and what a mistake says. */
#include <criterion/criterion.h>
#include <criterion/redirect.h>

#include "base/str.h"
#include "cli/options.h"

static bool flag;
static const char *text;
static usec_t seconds;

static const struct option_spec table[] = {
	{ "no-wait", 0, OPTION_FLAG, &flag },
	{ "tunnel", 't', OPTION_TEXT, &text },
	{ "timeout", 0, OPTION_SECONDS, &seconds },
	{ "follow", 'f', OPTION_FLAG, &flag },
};

static const struct command with_json = { "up", "[NAME]", "s", "long help", true, NULL };
static const struct command without_json = { "exec", "PROGRAM", "s", "long help", false, NULL };

struct parsed {
	struct options o;
	struct cli cli;
	int r;
	char *args[16];
};

static struct parsed parse(const struct command *self, const struct options *base, const char *line)
{
	static char buf[256];
	struct parsed p = { .o = *base };
	char *rest = buf, *word;
	int argc = 0;

	flag = false;
	text = NULL;
	seconds = 0;
	p.o.table = table;
	p.o.n_table = ARRAY_SIZE(table);
	cr_assert(str_copy(buf, sizeof(buf), line));
	p.args[argc++] = (char *)self->name;
	while ((word = str_next_word(&rest)))
		p.args[argc++] = word;
	p.r = options_parse(&p.o, &p.cli, self, argc, p.args);
	return p;
}

static const struct options any = { .max_operands = -1 };

static void stderr_has(const char *part)
{
	char buf[1024] = "";
	FILE *f = cr_get_redirected_stderr();

	fflush(stderr);
	(void)!fread(buf, 1, sizeof(buf) - 1, f);
	cr_assert(strstr(buf, part), "'%s' is not in '%s'", part, buf);
	cr_assert(str_has_prefix(buf, "nsvpn: "), "%s", buf);
	cr_assert_eq(strchr(buf, '\n')[1], '\0', "one line: %s", buf);
}

Test(options, takes_every_spelling)
{
	static const char *const lines[] = { "-t home", "-thome", "--tunnel home", "--tunnel=home" };

	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		struct parsed p = parse(&with_json, &any, lines[i]);

		cr_expect_eq(p.r, OPTIONS_RUN);
		cr_assert_not_null(text, "%s", lines[i]);
		cr_expect_str_eq(text, "home");
		cr_expect_eq(p.o.n_operands, 0);
	}
}

Test(options, mixes_operands_options_and_globals)
{
	struct parsed p = parse(&with_json, &any, "home -qf --json --timeout 5min -v work");

	cr_assert_eq(p.r, OPTIONS_RUN);
	cr_expect(flag && p.cli.quiet && p.cli.verbose && p.cli.json);
	cr_expect_eq(seconds, 300 * USEC_PER_SEC);
	cr_assert_eq(p.o.n_operands, 2);
	cr_expect_str_eq(p.o.operands[0], "home");
	cr_expect_str_eq(p.o.operands[1], "work");
	cr_expect_null(p.o.operands[2]);
}

Test(options, first_operand_may_end_them)
{
	struct options base = { .max_operands = -1, .stop_at_operand = true };
	struct parsed p = parse(&without_json, &base, "-t home curl -t 5 --json -- x");

	cr_assert_eq(p.r, OPTIONS_RUN);
	cr_expect_str_eq(text, "home");
	cr_expect_not(p.cli.json);
	cr_assert_eq(p.o.n_operands, 6);
	cr_expect_str_eq(p.o.operands[1], "-t");
	cr_expect_str_eq(p.o.operands[4], "--");
}

Test(options, two_dashes_end_them)
{
	struct options base = { .max_operands = -1, .stop_at_operand = true };
	struct parsed p = parse(&without_json, &base, "-f -- -weird --name");

	cr_assert_eq(p.r, OPTIONS_RUN);
	cr_assert_eq(p.o.n_operands, 2);
	cr_expect_str_eq(p.o.operands[0], "-weird");
}

Test(options, a_lone_dash_is_an_operand)
{
	struct parsed p = parse(&with_json, &any, "-");

	cr_assert_eq(p.r, OPTIONS_RUN);
	cr_assert_eq(p.o.n_operands, 1);
}

Test(options, unknown_option_names_the_nearest, .init = cr_redirect_stderr)
{
	cr_expect_eq(parse(&with_json, &any, "--timout 3").r, EXIT_CODE_USAGE);
	stderr_has("--timeout");
}

Test(options, unknown_letter, .init = cr_redirect_stderr)
{
	cr_expect_eq(parse(&with_json, &any, "-x").r, EXIT_CODE_USAGE);
	stderr_has("-x");
}

Test(options, missing_value, .init = cr_redirect_stderr)
{
	cr_expect_eq(parse(&with_json, &any, "--tunnel").r, EXIT_CODE_USAGE);
	stderr_has("--tunnel");
}

Test(options, missing_value_of_a_letter, .init = cr_redirect_stderr)
{
	cr_expect_eq(parse(&with_json, &any, "-t").r, EXIT_CODE_USAGE);
	stderr_has("-t");
}

Test(options, value_for_a_flag, .init = cr_redirect_stderr)
{
	cr_expect_eq(parse(&with_json, &any, "--no-wait=yes").r, EXIT_CODE_USAGE);
	stderr_has("--no-wait");
}

Test(options, bad_duration, .init = cr_redirect_stderr)
{
	cr_expect_eq(parse(&with_json, &any, "--timeout soon").r, EXIT_CODE_USAGE);
	stderr_has("timeout");
}

Test(options, too_few_operands, .init = cr_redirect_stderr)
{
	struct options base = { .min_operands = 1, .max_operands = 1, .operand_name = "FILE" };

	cr_expect_eq(parse(&with_json, &base, "").r, EXIT_CODE_USAGE);
	stderr_has("FILE is missing");
}

Test(options, too_many_operands, .init = cr_redirect_stderr)
{
	struct options base = { .max_operands = 1 };

	cr_expect_eq(parse(&with_json, &base, "a b").r, EXIT_CODE_USAGE);
	stderr_has("'b'");
}

Test(options, json_only_where_there_is_data, .init = cr_redirect_stderr)
{
	cr_expect_eq(parse(&without_json, &any, "--json").r, EXIT_CODE_USAGE);
	stderr_has("--json");
}

Test(options, another_code_for_mistakes, .init = cr_redirect_stderr)
{
	struct options base = { .max_operands = -1, .usage_code = EXIT_CODE_EXEC_FAILED };

	cr_expect_eq(parse(&without_json, &base, "--nothing").r, EXIT_CODE_EXEC_FAILED);
	stderr_has("--nothing");
}

Test(options, help_ends_with_success, .init = cr_redirect_stdout)
{
	cr_expect_eq(parse(&with_json, &any, "--help").r, EXIT_CODE_OK);
	fflush(stdout);
	cr_expect_stdout_eq_str("usage: nsvpn up [NAME]\n\nlong help\n");
}

/* ---- commands ---- */

static int ran;

static int run_it(struct cli *cli, const struct command *self, int argc, char **argv)
{
	struct options o = { .max_operands = -1 };
	int r = options_parse(&o, cli, self, argc, argv);

	ran = r == OPTIONS_RUN ? o.n_operands + 1 : -1;
	return r == OPTIONS_RUN ? 7 : r;
}

static const struct command commands[] = {
	{ "import", "FILE", "take", "h", false, run_it },
	{ "exec", "PROGRAM", "run", "h", false, run_it },
};

#define MAIN(...)                                                                                                      \
	({                                                                                                             \
		char *_argv[] = { (char *)"nsvpn", ##__VA_ARGS__, NULL };                                                \
		cli_main(commands, ARRAY_SIZE(commands), (int)ARRAY_SIZE(_argv) - 1, _argv);                           \
	})
#define S(text) ((char[]){ text })

Test(cli, runs_the_command_and_returns_its_code)
{
	cr_expect_eq(MAIN(S("-q"), S("exec"), S("a"), S("b")), 7);
	cr_expect_eq(ran, 3);
}

Test(cli, unknown_command_names_the_nearest, .init = cr_redirect_stderr)
{
	cr_expect_eq(MAIN(S("imporrt")), EXIT_CODE_USAGE);
	stderr_has("'import'");
}

Test(cli, unknown_command_without_a_near_one, .init = cr_redirect_stderr)
{
	cr_expect_eq(MAIN(S("zzzzzzzzz")), EXIT_CODE_USAGE);
	stderr_has("nsvpn --help");
}

Test(cli, no_command, .init = cr_redirect_stderr)
{
	cr_expect_eq(MAIN(), EXIT_CODE_USAGE);
	stderr_has("missing");
}

Test(cli, unknown_global_option, .init = cr_redirect_stderr)
{
	cr_expect_eq(MAIN(S("--jsno"), S("exec")), EXIT_CODE_USAGE);
	stderr_has("--jsno");
}

Test(cli, version, .init = cr_redirect_stdout)
{
	cr_expect_eq(MAIN(S("--version")), EXIT_CODE_OK);
	fflush(stdout);
	cr_expect_stdout_eq_str("nsvpn " NSVPN_VERSION "\n");
}
