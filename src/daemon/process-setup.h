/* A privileged process that begins with nothing of whoever started it. */
#pragma once

/*
 * umask, folder, descriptors (0-2, keep_fd if it is one, and the n_listen from 3 on that a service manager gave), signals, no core file, few capabilities (privileges.h), and an
 * environment of our own. What is taken over of the old one: the roots NSVPN_ETC, NSVPN_RUN, NSVPN_STATE, the tests'
 * failpoint, and where the service manager listens. 0 or -errno.
 */
int process_setup(int keep_fd, unsigned n_listen);
