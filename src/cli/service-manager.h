/* The service manager (PID 1) on the system bus, as far as `nsvpn unit` needs it. */
#pragma once

#include <systemd/sd-bus.h>

#include "cli/unit-facts.h"

/* An exit code. */
int service_manager_open(sd_bus **ret);

/* All about a service (an instance, not a template). 0, or -errno with one sentence (-ENOMEM: without). */
int service_manager_facts(sd_bus *bus, const char *unit, struct unit_facts *ret, char **ret_error);
/* A template's file is there. 0, -ENOENT, or as above. */
int service_manager_find_template(sd_bus *bus, const char *template, char **ret_error);
/* `unit` starts before `other`, directly or over others. As above. */
int service_manager_is_before(sd_bus *bus, const char *unit, const char *other, bool *ret, char **ret_error);
/* Names of loaded units that match the glob pattern; a strv, NULL when there are none. */
int service_manager_names(sd_bus *bus, const char *pattern, char ***ret, char **ret_error);

int service_manager_reload(sd_bus *bus, char **ret_error);
/*
 * Has it started; does not wait. `at_once`: whatever is ordered before it, for a caller that itself runs in a job that it would
 * wait for.
 */
int service_manager_start(sd_bus *bus, const char *unit, bool at_once, char **ret_error);
/* The machine is going down: nothing is started any more. */
bool service_manager_is_stopping(sd_bus *bus);
/* Restarts (or starts) a unit and waits until that is done. */
int service_manager_restart(sd_bus *bus, const char *unit, char **ret_error);
/* Stops one and waits until that is done. */
int service_manager_stop(sd_bus *bus, const char *unit, char **ret_error);
