/*
 * The helper's part of `nsvpn doctor`: what only it may look at (net/examine.h). Asked over the bus, or, where no helper
 * runs, by root's nsvpn with `nsvpnd --examine`, so that looking starts nothing and repairs nothing.
 */
#pragma once

#include <systemd/sd-bus.h>

#include "base/finding.h"

struct bus_context;
struct manager;

/* m NULL: no helper runs. */
void checkup(struct manager *m, struct findings *f);
/* Manager.Examine() -> a(sssss). For users within a second the same: trying the kernel costs something. */
int checkup_method(struct bus_context *c, sd_bus_message *m, sd_bus_error *error);
/* For `nsvpnd --examine`: a line each on stdout, tabs between the five fields. An exit code. */
int checkup_print(void);
