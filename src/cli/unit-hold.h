/* The process of nsvpn@NAME.service: as long as it runs, the tunnel is locked. */
#pragma once

/*
 * Runs inside the tunnel's network namespace, tells the service manager "ready" when the tunnel is connected (locked, with
 * Ready=locked in its settings), and returns when it is taken down, is not locked any more or after SIGTERM. An exit code.
 */
int unit_hold(const char *tunnel);
