/*
 * nsvpn exec, nsvpn shell: a program in the tunnel; root's in this very process, a user's through the helper and PID 1.
 *
 * Exit codes below 125 belong to the program; whatever goes wrong before it runs is 125, 126 or 127, mistakes in the
 * arguments included (as with env(1) and timeout(1)).
 */
#include <sys/stat.h>
#include <sys/types.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/parse.h"
#include "base/places.h"
#include "cli/bring-up.h"
#include "cli/caller.h"
#include "cli/instances.h"
#include "cli/notify.h"
#include "cli/options.h"
#include "cli/program-file.h"
#include "cli/remote-exec.h"
#include "cli/rootless.h"
#include "cli/tunnel-names.h"
#include "launch/creds.h"
#include "launch/launch.h"

#define TIMEOUT_DEFAULT (60 * USEC_PER_SEC)

struct exec_options {
	const char *tunnel, *user, *credentials, *config;
	usec_t timeout;
	bool no_wait, allow_inet_stdio, new_instance, allow_running, notify, no_new_privs, isolate;
};

#define EXEC_OPTION_COUNT 12
static void fill_table(struct option_spec table[EXEC_OPTION_COUNT], struct exec_options *e)
{
	table[0] = (struct option_spec){ "tunnel", 't', OPTION_TEXT, &e->tunnel };
	table[1] = (struct option_spec){ "user", 0, OPTION_TEXT, &e->user };
	table[2] = (struct option_spec){ "timeout", 0, OPTION_SECONDS, &e->timeout };
	table[3] = (struct option_spec){ "credentials", 0, OPTION_TEXT, &e->credentials };
	table[4] = (struct option_spec){ "no-wait", 0, OPTION_FLAG, &e->no_wait };
	table[5] = (struct option_spec){ "allow-inet-stdio", 0, OPTION_FLAG, &e->allow_inet_stdio };
	table[6] = (struct option_spec){ "new-instance", 0, OPTION_FLAG, &e->new_instance };
	table[7] = (struct option_spec){ "allow-running", 0, OPTION_FLAG, &e->allow_running };
	table[8] = (struct option_spec){ "notify", 0, OPTION_FLAG, &e->notify };
	table[9] = (struct option_spec){ "no-new-privs", 0, OPTION_FLAG, &e->no_new_privs };
	table[10] = (struct option_spec){ "config", 0, OPTION_TEXT, &e->config };
	table[11] = (struct option_spec){ "isolate", 0, OPTION_FLAG, &e->isolate };
}

static int check_config(const struct command *self, const struct exec_options *e)
{
	if (!e->config)
		return EXIT_CODE_OK;
	if (!place_is_rootless())
		return output_fail(EXIT_CODE_USAGE, "%s: --config goes with --rootless; `nsvpn import %s` takes the file as a tunnel",
				   self->name, e->config);
	if (e->tunnel)
		return output_fail(EXIT_CODE_USAGE, "%s: --config and --tunnel both name a tunnel; give one of them", self->name);
	return EXIT_CODE_OK;
}

static int which_tunnel(const struct exec_options *e, struct client *c, char **ret)
{
	int r;

	if (e->config)
		return rootless_take_config(e->config, ret);
	if (!e->tunnel)
		return tunnel_names_default(c, ret);
	r = tunnel_names_check(e->tunnel);
	if (r != EXIT_CODE_OK)
		return r;
	*ret = strdup(e->tunnel);
	return *ret ? EXIT_CODE_OK : output_oom();
}

/*
 * A tunnel that lost its connection still stands, locked: the program need not wait for the way out to come back, and is
 * as well off as those that run inside already. Said to a person, not to a script's log.
 */
static void say_locked(const struct cli *cli, const struct tunnel_view *v)
{
	bool has_error = v->last_error && *v->last_error;

	if (cli->quiet || str_eq(tunnel_view_state(v), "connected") || !isatty(STDERR_FILENO))
		return;
	log_warning("tunnel %s is %s, so the program is locked in and has no network until it is connected%s%s%s", v->name,
		    tunnel_view_state(v), has_error ? " (" : "", has_error ? v->last_error : "", has_error ? ")" : "");
}

/* Connected, or built and locked. *c: opened if it is not. An exit code. */
static int ensure_up(const struct cli *cli, const struct exec_options *e, const char *name, struct client **c)
{
	const struct bring_up b = {
		.name = name,
		.timeout = e->timeout,
		.credentials = e->credentials,
		.no_wait = e->no_wait,
		.locked_is_enough = true,
		.is_quiet = cli->quiet,
	};
	struct tunnel_view v = { 0 };
	bool was_up;
	int r;

	r = tunnel_names_expect(name);
	if (r == EXIT_CODE_OK && !*c)
		r = client_open(CLIENT_START_HELPER, c);
	if (r == EXIT_CODE_OK)
		r = bring_up(*c, &b, &v, &was_up);
	if (r == EXIT_CODE_OK)
		say_locked(cli, &v);
	tunnel_view_done(&v);
	return r;
}

/* The look for instances outside, kept for the second one when the program has ended. */
struct look {
	char *netns, *state_home;
	struct launch_own own; /* rootless: the namespaces, where the tunnel is up */
	struct instances_query query;
	struct instances found;
};

static void look_done(struct look *l)
{
	instances_done(&l->found);
	free(l->netns);
	free(l->state_home);
	l->own.user_fd = fd_close(l->own.user_fd);
	l->own.netns_fd = fd_close(l->own.netns_fd);
}

/*
 * Looks for instances outside as the user who will run the program: what is read and made then is what he may. An exit
 * code; the caller releases l.
 */
static int look_for_instances(const struct exec_options *e, const struct caller *caller, const char *name,
			      char *const *program, struct look *l)
{
	struct creds_own own;
	int r, code;

	l->netns = l->own.netns_fd >= 0 ? str_format("/proc/self/fd/%d", l->own.netns_fd) : place_netns(name);
	l->state_home = instances_state_home(caller->is_switch ? caller->home : getenv("HOME"), !caller->is_switch);
	if (!l->netns || !l->state_home)
		return output_oom();
	l->query = (struct instances_query){
		.argv = program,
		.tunnel = name,
		.netns = l->netns,
		.proc = "/proc",
		.state_home = l->state_home,
		.uid = caller->uid,
		.new_instance = e->new_instance,
		.allow_running = e->allow_running,
	};
	r = caller->is_switch ? creds_borrow(caller->uid, caller->gid, &own) : 0;
	if (r < 0)
		return output_fail(EXIT_CODE_EXEC_FAILED, "cannot look at user %u's programs as that user: %s", caller->uid, strerror(-r));
	code = instances_check(&l->query, &l->found);
	r = caller->is_switch ? creds_return(&own) : 0;
	if (r < 0)
		return output_fail(EXIT_CODE_EXEC_FAILED, "cannot become root again: %s", strerror(-r));
	return code;
}

/* Interrupted stays what it is; everything else is "nsvpn failed". */
static int own_failure(int code)
{
	return code > 128 ? code : EXIT_CODE_EXEC_FAILED;
}

/* Root's way, and a rootless user's: this very process becomes the program. Returns on failure only. */
static int run_here(const struct exec_options *e, const struct caller *caller, const struct look *look, const char *name,
		    char *const *program)
{
	const struct launch l = {
		.tunnel = name,
		.argv = program,
		.uid = caller->uid,
		.gid = caller->gid,
		.switch_user = caller->is_switch,
		.allow_inet_stdio = e->allow_inet_stdio,
		.no_new_privs = e->no_new_privs,
		.isolate = e->isolate,
		.own = place_is_rootless() ? &look->own : NULL,
	};
	char *error = NULL;
	int r = launch_exec(&l, &error);

	return output_fail_take((enum exit_code)r, error, "the program could not be started");
}

/* A user's way: PID 1 starts it. We are there when it ends, and look again. */
static int run_there(struct client *c_take, const struct exec_options *e, const struct look *l, const char *name,
		     char *const *program)
{
	const struct remote_exec x = {
		.tunnel = name, .argv = program, .isolate = e->isolate, .no_new_privs = e->no_new_privs,
	};
	usec_t started = clock_boottime();
	int r;

	if (e->allow_inet_stdio) {
		client_free(c_take);
		return output_fail(EXIT_CODE_EXEC_DENIED, "--allow-inet-stdio is for root: it lets a program talk past the tunnel");
	}
	r = remote_exec(c_take, &x);
	(void)instances_check_handover(&l->query, &l->found, clock_boottime() - started, r);
	return r;
}

static bool is_inside(const char *name)
{
	_cleanup_(freep) char *path = place_netns(name);
	struct stat own, pinned;

	return path && stat("/proc/self/ns/net", &own) == 0 && stat(path, &pinned) == 0 && own.st_dev == pinned.st_dev &&
	       own.st_ino == pinned.st_ino;
}

/* Called by a program in a tunnel. (NSVPN_TUNNEL alone proves nothing: a server of tmux outside may have it, too.) */
static int check_inside(const char *name, const char *program)
{
	const char *here = getenv("NSVPN_TUNNEL");

	if (is_inside(name))
		return output_fail(EXIT_CODE_EXEC_FAILED, "this runs inside tunnel %s already; start %s as it is", name, program);
	if (!place_is_ours() && here && tunnel_name_is_valid(here) && is_inside(here))
		return output_fail(EXIT_CODE_EXEC_FAILED, "this runs inside tunnel %s, from where nothing is started in tunnel %s; use a "
							  "terminal outside of it", here, name);
	return EXIT_CODE_OK;
}

/* Which tunnel, who is there already, and the tunnel up. An exit code; *c, *ret_name and l are the caller's to release. */
static int prepare(const struct cli *cli, const struct exec_options *e, const struct caller *caller, char *const *program,
		   struct client **c, char **ret_name, struct look *l)
{
	int r = EXIT_CODE_OK;

	if (geteuid() != 0)
		r = client_open(CLIENT_START_HELPER, c); /* who knows the names */
	if (r == EXIT_CODE_OK)
		r = which_tunnel(e, *c, ret_name);
	if (r == EXIT_CODE_OK && !place_is_rootless())
		r = check_inside(*ret_name, program[0]);
	if (r == EXIT_CODE_OK && place_is_rootless())
		r = rootless_fetch(*c, *ret_name, true, &l->own);
	if (r == EXIT_CODE_OK)
		r = look_for_instances(e, caller, *ret_name, program, l);
	if (r == EXIT_CODE_OK)
		r = ensure_up(cli, e, *ret_name, c);
	if (r == EXIT_CODE_OK && place_is_rootless())
		r = rootless_fetch(*c, *ret_name, false, &l->own);
	return r;
}

static int run(const struct cli *cli, const struct exec_options *e, const struct caller *caller, char *const *program)
{
	struct look l = { .own = { -EBADF, -EBADF } };
	_cleanup_(freep) char *name = NULL;
	struct client *c = NULL;
	int r = prepare(cli, e, caller, program, &c, &name, &l);

	if (r != EXIT_CODE_OK) {
		client_free(c);
		look_done(&l);
		return own_failure(r);
	}
	if (l.found.argv)
		program = l.found.argv;
	if (place_is_ours()) {
		client_free(c);
		r = run_here(e, caller, &l, name, program);
	} else {
		r = run_there(c, e, &l, name, program);
	}
	look_done(&l);
	return r;
}

int cmd_exec(struct cli *cli, const struct command *self, int argc, char **argv)
{
	struct exec_options e = { .timeout = TIMEOUT_DEFAULT };
	struct option_spec table[EXEC_OPTION_COUNT];
	struct options o = { .table = table, .n_table = ARRAY_SIZE(table), .min_operands = 1, .max_operands = -1,
			     .operand_name = "PROGRAM", .stop_at_operand = true, .usage_code = EXIT_CODE_EXEC_FAILED };
	struct caller caller = { 0 };
	int r;

	fill_table(table, &e);
	r = options_parse(&o, cli, self, argc, argv);
	if (r != OPTIONS_RUN)
		return r;
	if (e.notify)
		notify_begin(o.operands[program_file_skip_wrappers(o.operands)]);
	if (!*o.operands[0])
		return output_fail(EXIT_CODE_EXEC_NOT_FOUND, "exec: the name of the program is empty");
	if (check_config(self, &e) != EXIT_CODE_OK || caller_resolve(e.user, &caller) != EXIT_CODE_OK)
		return EXIT_CODE_EXEC_FAILED;
	r = run(cli, &e, &caller, o.operands);
	caller_done(&caller);
	return r;
}

int cmd_shell(struct cli *cli, const struct command *self, int argc, char **argv)
{
	struct exec_options e = { .timeout = TIMEOUT_DEFAULT };
	struct option_spec table[EXEC_OPTION_COUNT];
	struct options o = { .table = table, .n_table = ARRAY_SIZE(table), .max_operands = 0,
			     .usage_code = EXIT_CODE_EXEC_FAILED };
	struct caller caller = { 0 };
	const char *shell;
	int r;

	fill_table(table, &e);
	r = options_parse(&o, cli, self, argc, argv);
	if (r != OPTIONS_RUN)
		return r;
	if (check_config(self, &e) != EXIT_CODE_OK || caller_resolve(e.user, &caller) != EXIT_CODE_OK)
		return EXIT_CODE_EXEC_FAILED;
	/* $SHELL is ours only as long as we stay who we are. */
	shell = caller.is_switch ? NULL : getenv("SHELL");
	if (!shell || shell[0] != '/')
		shell = caller.shell ? caller.shell : "/bin/sh";

	char *const program[] = { (char *)shell, NULL };

	r = run(cli, &e, &caller, program);
	caller_done(&caller);
	return r;
}
