/*
 * nsvpnd, the privileged helper. As a service it is on the system bus and started by whoever calls it there; standalone it
 * serves <run>/nsvpnd.sock and is started by root's `nsvpn` when there is work. Either way it ends when nothing needs it.
 *
 * Theory. Privilege lives here, so little else may: no packet from the network is parsed, no TLS linked, no shell or
 * other program run but nsvpn-engine, by absolute path. The process begins clean (process-setup.h), signals arrive through
 * the loop. How it lives: helper.h.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bus-api.h"
#include "base/log.h"
#include "base/parse.h"
#include "base/places.h"
#include "base/str.h"
#include "daemon/checkup.h"
#include "daemon/handover.h"
#include "daemon/helper.h"
#include "daemon/process-setup.h"
#include "daemon/userns.h"
#include "net/tunnelnet.h"

struct options {
	bool standalone, rootless, examine;
	int ready_fd;
};

static const char help_text[] =
	"nsvpnd [--standalone [--rootless]] [--ready-fd N] | --examine\n"
	"\n"
	"The privileged helper of nsvpn: nsvpnd.service on the system bus, which starts it when it is needed. Where that is not\n"
	"installed, root's `nsvpn up` starts it standalone. See nsvpnd(8).\n"
	"\n"
	"  --standalone    serve the private socket nsvpnd.sock in the runtime folder, without system bus\n"
	"  --rootless      a user's own helper: in a user namespace, without any right outside of it\n"
	"  --ready-fd N    write READY, or one sentence that says what is wrong, to descriptor N\n"
	"  --examine       look at this machine for `nsvpn doctor`, print what was found, end; changes nothing\n"
	"  --help, --version\n";

/* ---- command line ---------------------------------------------------------------------------------------------------- */

static _noreturn_ void usage_error(const char *what, const char *arg)
{
	_cleanup_(freep) char *shown = str_escape(arg, strlen(arg), 60);

	fprintf(stderr, "nsvpnd: %s \"%s\"; usage: nsvpnd [--standalone [--rootless]] [--ready-fd N] | --examine, see nsvpnd(8)\n", what,
		shown ? shown : "");
	exit(EXIT_CODE_USAGE);
}

/* For tests: where net/ can be made to fail or die. */
static _noreturn_ void list_failpoints(void)
{
	_cleanup_(strv_freep) char **names = NULL;

	if (tunnelnet_failpoints(&names) < 0)
		exit(EXIT_CODE_FAILED);
	for (size_t i = 0; i < strv_len(names); i++)
		puts(names[i]);
	exit(EXIT_CODE_OK);
}

static struct options parse_options(int argc, char **argv)
{
	struct options o = { .ready_fd = -EBADF };
	uint32_t fd;

	for (int i = 1; i < argc; i++) {
		if (str_eq(argv[i], "--help") || str_eq(argv[i], "--version")) {
			fputs(str_eq(argv[i], "--help") ? help_text : "nsvpnd " NSVPN_VERSION "\n", stdout);
			exit(EXIT_CODE_OK);
		} else if (str_eq(argv[i], "--list-failpoints")) {
			list_failpoints();
		} else if (str_eq(argv[i], "--standalone")) {
			o.standalone = true;
		} else if (str_eq(argv[i], "--examine")) {
			o.examine = true;
		} else if (str_eq(argv[i], "--rootless")) {
			o.rootless = true;
		} else if (str_eq(argv[i], "--ready-fd")) {
			if (++i >= argc)
				usage_error("a descriptor number must follow", "--ready-fd");
			if (parse_u32(argv[i], 3, 1023, &fd) < 0 || fcntl((int)fd, F_GETFD) < 0)
				usage_error("not the number of an open descriptor above 2:", argv[i]);
			o.ready_fd = (int)fd;
		} else {
			usage_error("unknown argument", argv[i]);
		}
	}
	return o;
}

static int check_root(const struct options *o)
{
	if (geteuid() == 0)
		return EXIT_CODE_OK;
	helper_report(o->ready_fd, "must be started by root (try `sudo nsvpn up NAME`, which starts it when needed), or with "
				   "--standalone --rootless by a user");
	return EXIT_CODE_DENIED;
}

static int become_rootless(const struct options *o)
{
	_cleanup_(freep) char *error = NULL;
	int r;

	if (!o->standalone || geteuid() == 0) {
		helper_report(o->ready_fd, o->standalone ? "--rootless is for users; root needs no user namespace" :
							   "--rootless goes with --standalone only");
		return EXIT_CODE_USAGE;
	}
	r = places_use_rootless(&error);
	if (r >= 0)
		r = userns_enter(&error);
	if (r >= 0)
		return EXIT_CODE_OK;
	helper_report(o->ready_fd, error ? error : strerror(-r));
	return EXIT_CODE_DENIED;
}

int main(int argc, char **argv)
{
	struct options o = parse_options(argc, argv);
	struct handover *handover = NULL;
	unsigned n_listen = 0;
	int r;

	log_set_program("nsvpnd");
	r = o.rootless ? become_rootless(&o) : check_root(&o);
	if (r != EXIT_CODE_OK)
		return r;
	if (!o.standalone && o.ready_fd < 0 && !o.examine)
		handover = handover_receive(&n_listen);
	r = process_setup(o.ready_fd, n_listen);
	if (r < 0) {
		helper_report(o.ready_fd, strerror(-r));
		return EXIT_CODE_FAILED;
	}
	if (o.examine)
		return checkup_print();
	return helper_run(&(struct helper_options){ .standalone = o.standalone, .ready_fd = o.ready_fd, .handover = handover });
}
