/* The frame of the command line: what a command is, what all of them share, how one is found and run. */
#pragma once

#include "base/bus-api.h"
#include "base/macro.h"

/* The options that every command understands, before or after its name. */
struct cli {
	bool json;
	bool quiet;   /* -q: errors only */
	bool verbose; /* -v */
	bool rootless;
};

struct command {
	const char *name;
	const char *usage;   /* what follows the name */
	const char *summary; /* one line */
	const char *help;    /* long text: what it does, its options, an example */
	bool has_json;       /* it prints data, so --json is understood */
	/* argv[0] is the command's name. Returns an exit code; diagnostics are printed. */
	int (*run)(struct cli *cli, const struct command *self, int argc, char **argv);
};

/* Global options, command, its run(). Returns the exit code of the process. */
int cli_main(const struct command *commands, size_t n_commands, int argc, char **argv);

/* 0, or exit code 6 with a sentence that says how: most commands are for root in this version. */
int cli_need_root(const struct command *self);

int cmd_import(struct cli *cli, const struct command *self, int argc, char **argv);
int cmd_remove(struct cli *cli, const struct command *self, int argc, char **argv);
int cmd_up(struct cli *cli, const struct command *self, int argc, char **argv);
int cmd_down(struct cli *cli, const struct command *self, int argc, char **argv);
int cmd_exec(struct cli *cli, const struct command *self, int argc, char **argv);
int cmd_shell(struct cli *cli, const struct command *self, int argc, char **argv);
int cmd_status(struct cli *cli, const struct command *self, int argc, char **argv);
int cmd_list(struct cli *cli, const struct command *self, int argc, char **argv);
int cmd_explain(struct cli *cli, const struct command *self, int argc, char **argv);
int cmd_plan(struct cli *cli, const struct command *self, int argc, char **argv);
int cmd_logs(struct cli *cli, const struct command *self, int argc, char **argv);
int cmd_unit(struct cli *cli, const struct command *self, int argc, char **argv);
int cmd_desktop(struct cli *cli, const struct command *self, int argc, char **argv);
int cmd_doctor(struct cli *cli, const struct command *self, int argc, char **argv);
int cmd_demo(struct cli *cli, const struct command *self, int argc, char **argv);
