/* The helper as a system service: found on, and started by, the system bus. */
#pragma once

#include <stdbool.h>
#include <systemd/sd-bus.h>

/*
 * A connection on which BUS_NAME answers. -ENOENT: there is no system bus, or no such service (or nobody runs it, with
 * start false); other errors with a sentence in *ret_error.
 */
int client_system_open(bool start, sd_bus **ret, char **ret_error);
/* Somebody is BUS_NAME: asked of the bus, so that the question does not start the service. 1, 0, or -errno; e may be NULL. */
int client_system_is_running(sd_bus *bus, sd_bus_error *e);
