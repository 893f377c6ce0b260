/*
 * What units and systemd's generator run: `nsvpn unit guard`, `keep`, `hold`, `release`, `generate`. They are in drop-ins of people's
 * own, too, so their names and arguments stay.
 */
#include "cli/unit-run.h"

#include <limits.h>
#include <stdlib.h>
#include <syslog.h>
#include <systemd/sd-journal.h>
#include <systemd/sd-login.h>
#include <time.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/parse.h"
#include "base/places.h"
#include "cli/client-system.h"
#include "cli/output.h"
#include "cli/service-manager.h"
#include "cli/tunnel-names.h"
#include "cli/unit-dropin.h"
#include "cli/unit-hold.h"
#include "launch/guard.h"
#include "launch/mounts.h"
#include "profile/profile.h"

#define GUARD_REFUSED 255 /* systemd: a condition that makes the unit fail; smaller ones only skip it */
#define HELPER_STEPS 200 /* of 50 ms: what a helper needs to start on a slow machine, and more */

static int check_tunnel_argument(const char *name)
{
	int r = tunnel_names_check(name);

	return r == EXIT_CODE_OK && geteuid() != 0 ?
		       output_fail(EXIT_CODE_DENIED, "this is for units, which run it as root: put a + in front of it") :
		       r;
}

/*
 * A unit that throws its output away (StandardOutput=null) would throw the reason away, too. The journal may look for us when we
 * have ended already, so the unit is named: root's word counts there.
 */
static void tell_journal(const char *sentence)
{
	char *unit = NULL;

	if (getenv("JOURNAL_STREAM") || sd_pid_get_unit(0, &unit) < 0)
		return;
	(void)sd_journal_send("MESSAGE=nsvpn: %s", sentence, "PRIORITY=%d", LOG_ERR, "OBJECT_SYSTEMD_UNIT=%s", unit,
			      NULL); /* no journal, no reader */
	free(unit);
}

static int guard(const char *tunnel)
{
	char *error = NULL;

	if (check_tunnel_argument(tunnel) != EXIT_CODE_OK)
		return GUARD_REFUSED;
	if (guard_verify(tunnel, &error) == 0)
		return EXIT_CODE_OK;
	if (error)
		tell_journal(error);
	(void)output_fail_take(EXIT_CODE_FAILED, error, "out of memory");
	return GUARD_REFUSED;
}

/* systemd says in MAINPID whom it has started; a unit without one (oneshot) has ended by now. */
static int keep(const char *tunnel)
{
	_cleanup_(freep) char *run = place_tunnel_run(tunnel);
	const char *text = getenv("MAINPID");
	char *error = NULL;
	uint32_t pid;
	int r = check_tunnel_argument(tunnel);

	if (r != EXIT_CODE_OK || !text)
		return r;
	if (!run || parse_u32(text, 2, INT_MAX, &pid) < 0)
		return output_fail(EXIT_CODE_FAILED, "MAINPID is not the number of a process");
	r = mounts_keep((pid_t)pid, run, &error);
	return r < 0 ? output_fail_take(EXIT_CODE_FAILED, error, "out of memory") : EXIT_CODE_OK;
}

/* One link of a generator; systemd.generator(7). */
static int want(const char *folder, const char *template, const char *tunnel)
{
	_cleanup_(freep) char *wants = str_format("%s/multi-user.target.wants", folder), *anchor = dropin_anchor(tunnel), *link = NULL;

	if (wants && anchor)
		link = str_format("%s/%s", wants, anchor);
	if (!link)
		return output_oom();
	if (dir_make(wants, 0755) < 0 || (symlink(template, link) < 0 && errno != EEXIST))
		return output_fail(EXIT_CODE_FAILED, "%s cannot be made: %m", link);
	return EXIT_CODE_OK;
}

/* Tunnels with Autostart=yes are wanted at boot. One that cannot be read does not keep the others away. */
static int generate(const char *template, const char *folder)
{
	_cleanup_(strv_freep) char **names = NULL;
	int code = tunnel_names_configured(&names);

	for (char **n = names; code == EXIT_CODE_OK && *n; n++) {
		struct tunnel_settings s = { 0 };
		char *error = NULL;

		if (tunnel_settings_load(*n, &s, &error) < 0) {
			log_error("%s; tunnel %s is not started at boot", error ? error : "out of memory", *n);
			free(error);
			continue;
		}
		if (s.autostart)
			code = want(folder, template, *n);
		tunnel_settings_done(&s);
	}
	return code;
}

static int hold(const char *tunnel)
{
	int r = check_tunnel_argument(tunnel);

	return r == EXIT_CODE_OK ? unit_hold(tunnel) : r;
}

/* ---- nsvpn-netns@NAME.service, ExecStop= ---- */

/*
 * That unit is ordered after nsvpnd.service, so that at shutdown the helper is there until the last tunnel has said goodbye. A
 * helper that does not run would therefore be started only after the job that we are part of: it is asked for at once.
 * False: there is none, and none will come, since the machine goes down.
 */
static bool have_helper(sd_bus *bus)
{
	const struct timespec step = { .tv_nsec = 50 * 1000000L };
	char *error = NULL;

	if (client_system_is_running(bus, NULL) > 0)
		return true;
	if (service_manager_is_stopping(bus))
		return false;
	if (service_manager_start(bus, "nsvpnd.service", true, &error) < 0)
		log_warning("%s", error ? error : "out of memory");
	free(error);
	for (int i = 0; i < HELPER_STEPS && client_system_is_running(bus, NULL) == 0; i++)
		(void)nanosleep(&step, NULL); /* a shorter one is fine */
	return true; /* or `down` has the better sentence */
}

static int release(const char *tunnel)
{
	char *argv[] = { (char *)"nsvpn", (char *)"down", (char *)tunnel, NULL };
	sd_bus *bus = NULL;
	int r = check_tunnel_argument(tunnel);
	bool there;

	if (r == EXIT_CODE_OK)
		r = service_manager_open(&bus);
	if (r != EXIT_CODE_OK)
		return r;
	there = have_helper(bus);
	sd_bus_flush_close_unref(bus);
	if (!there) {
		log_notice("the machine goes down, and tunnel %s with it, locked", tunnel);
		return EXIT_CODE_OK;
	}
	(void)execv("/proc/self/exe", argv); /* returns on failure only */
	return output_fail(EXIT_CODE_FAILED, "/proc/self/exe cannot be run again: %m");
}

bool unit_run(char *const *words, int n, int *ret_code)
{
	static const struct {
		const char *verb;
		int (*run)(const char *tunnel);
	} verbs[] = { { "guard", guard }, { "keep", keep }, { "hold", hold }, { "release", release } };

	for (size_t i = 0; i < ARRAY_SIZE(verbs); i++)
		if (n == 2 && str_eq(words[0], verbs[i].verb)) {
			*ret_code = verbs[i].run(words[1]);
			return true;
		}
	if (n < 3 || !str_eq(words[0], "generate"))
		return false;
	*ret_code = generate(words[1], words[2]);
	return true;
}
