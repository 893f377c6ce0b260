/* The services that have a drop-in of ours. */
#pragma once

#include "cli/cli.h"

/* Prints them; an exit code. */
int unit_list(const struct cli *cli);
/* A service that has one for this tunnel: malloc'ed name, NULL when there is none. 0 or -ENOMEM. */
int unit_of_tunnel(const char *tunnel, char **ret);
