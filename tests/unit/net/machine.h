/*
 * A machine for tests of net/: namespaces of our own, so that nothing of the real one is touched.
 *
 *     [ this test's default namespace ] eth0 192.0.2.2, 2001:db8::2 ------- eth0 192.0.2.1, 2001:db8::1 [ wan ]
 *
 * `wan` also owns 198.51.100.1 and is the default gateway. Skips the test when it is not root.
 */
#pragma once

#include <criterion/criterion.h>

#include "net/netctx.h"
#include "nl/rtnl.h"

void machine_start(void);
/* Runs a shell line; the test fails when it fails. */
void machine_run(const char *line);
/* Its output, malloc'ed; "" when it fails. */
char *machine_output(const char *line);
/* Everything that a tunnel could leave behind or change, as text; malloc'ed. */
char *machine_dump(void);
/* The test fails and shows the difference when the machine is not as `before` says. */
void machine_must_be(const char *before, const char *when);

/* A tunnel object, or the test fails. */
struct tunnelnet *machine_tunnel(const char *name, enum uplink uplink);
/* Everything up to connected; the descriptors are the caller's. */
struct session {
	int transport;
	int tun;
};
void machine_up(struct tunnelnet *n, const char *server, struct session *ret);
/* What the tunnels of this process's machine_up() and machine_cycle() get, "Publish=..." and "Allow=..." by blanks. */
void machine_exceptions(const char *words);
/* The same, but errors are returned and nothing is asserted: for children that are killed on the way. */
int machine_cycle(const char *name, enum uplink uplink, const char *server);
void machine_settings(struct settings *s);

#define must_ok(expr)                                                                                                  \
	do {                                                                                                           \
		char *_error = NULL;                                                                                   \
		char **error = &_error;                                                                                \
		int _r = (expr);                                                                                       \
		cr_assert(_r == 0, "%s: %d %s", #expr, _r, _error ? _error : "");                                      \
	} while (0)

/* Fails with this errno and a sentence that contains `word`. */
#define must_fail(expr, number, word)                                                                                  \
	do {                                                                                                           \
		char *_error = NULL;                                                                                   \
		char **error = &_error;                                                                                \
		int _r = (expr);                                                                                       \
		cr_assert(_r == -(number), "%s: %d %s", #expr, _r, _error ? _error : "");                              \
		cr_assert(_error &&strstr(_error, word), "%s: says '%s', not '%s'", #expr, _error ? _error : "",       \
			  word);                                                                                       \
		free(_error);                                                                                          \
	} while (0)
