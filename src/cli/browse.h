/* Opens an address in the browser of whoever runs nsvpn: `up --open`, where a server asks for a log-in there. */
#pragma once

/*
 * Starts xdg-open(1) in a session of its own, with the caller's environment and without his terminal, and does not wait for
 * what it opens. url: https, printable ASCII (proto/ovpn-login.c looks at that). 0, or -errno: -ENOENT where xdg-open is not
 * installed, -EINVAL for another kind of address.
 */
int browse(const char *url);
