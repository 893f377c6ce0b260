/*
 * org.nsvpn1.Manager.Exec: a user's program in a tunnel, started by PID 1. Contract of the method: base/bus-api.h; what is
 * said to nsvpn-launch: base/launch-api.h.
 *
 * Theory. nsvpnd does not fork the program: that would live in the service's cgroup and sandbox, and end with it. It hands
 * an order to PID 1, whose child nsvpn-launch becomes the user. Identity is taken twice from the kernel: the bus daemon's
 * record of the sender's connection, and the credentials in the control socket, which say who made the socket pair. Both
 * must agree, so neither a socket that somebody else lent nor a bus connection that was handed on gives anything away. The
 * request itself (arguments, environment) is not looked at here.
 */
#pragma once

#include "daemon/manager-bus.h"

/* After authorisation; answers m, later. 1, or an error in *error. */
int exec_method(struct bus_context *c, sd_bus_message *m, sd_bus_error *error);

/*
 * For the test: identity from the control socket, compared with what the bus says. 0, or -errno with one sentence: no
 * SOCK_SEQPACKET pair, another user, groups that the sender has not.
 */
struct launch_order;
int exec_identify(int control, const struct sender *who, struct launch_order *ret, char **ret_error);
/* For the test: a memfd that cannot change any more, not larger than LAUNCH_REQUEST_MAX. */
int exec_check_request(int fd, char **ret_error);
