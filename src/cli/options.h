/* A command's arguments against its table of options; the same words for every mistake. */
#pragma once

#include "cli/cli.h"

enum option_kind {
	OPTION_FLAG,    /* target: bool * */
	OPTION_TEXT,    /* target: const char ** (borrowed from argv) */
	OPTION_SECONDS, /* target: usec_t *; a duration such as 90, 500ms, 5min */
};

struct option_spec {
	const char *name; /* without -- */
	char letter;      /* 0: none */
	enum option_kind kind;
	void *target;
};

#define OPTIONS_RUN (-1)

struct options {
	const struct option_spec *table;
	size_t n_table;
	int min_operands, max_operands; /* max -1: any number */
	const char *operand_name;       /* what is missing when there are too few */
	bool stop_at_operand;           /* the first operand ends the options: the rest is a program's */
	int usage_code;                 /* what a mistake gives; 0: exit code 2 */
	/* filled: the operands, in place at the front of argv + 1; NULL-terminated like argv */
	char **operands;
	int n_operands;
};

/*
 * Fills the targets. OPTIONS_RUN: go on; otherwise the exit code to return (0 after --help, 2 after a mistake, with its
 * sentence printed).
 */
int options_parse(struct options *o, struct cli *cli, const struct command *self, int argc, char **argv);

/* A global option (--json, --quiet, --verbose, --rootless, or -q, -v) noted in cli: true when arg was one. */
bool options_global(struct cli *cli, const char *arg);

void options_print_help(const struct command *self);
