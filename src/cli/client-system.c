/* The system bus; contract in client-system.h. */
#include "cli/client-system.h"

#include <errno.h>
#include <string.h>

#include "base/bus-api.h"
#include "base/str.h"

/*
 * Installed nowhere, switched off, or no service manager to start it: then there is no service here, which is no error. The
 * activation file names a program that fails, for a bus that would start it itself.
 */
static bool is_no_service(const sd_bus_error *e)
{
	static const char *const names[] = {
		SD_BUS_ERROR_SERVICE_UNKNOWN,
		SD_BUS_ERROR_NAME_HAS_NO_OWNER,
		"org.freedesktop.DBus.Error.Spawn.ServiceNotFound",
		"org.freedesktop.DBus.Error.Spawn.ExecFailed",
		"org.freedesktop.DBus.Error.Spawn.ChildExited",
		"org.freedesktop.systemd1.NoSuchUnit",
		"org.freedesktop.systemd1.UnitMasked",
		"org.freedesktop.systemd1.LoadFailed",
	};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (sd_bus_error_has_name(e, names[i]))
			return true;
	return false;
}

int client_system_is_running(sd_bus *bus, sd_bus_error *e)
{
	sd_bus_message *reply = NULL;
	int yes = 0, r;

	r = sd_bus_call_method(bus, "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "NameHasOwner", e,
			       &reply, "s", BUS_NAME);
	if (r >= 0)
		r = sd_bus_message_read_basic(reply, 'b', &yes);
	sd_bus_message_unref(reply);
	return r < 0 ? r : yes;
}

/* The call itself starts the service. */
static int ping(sd_bus *bus, sd_bus_error *e)
{
	return sd_bus_call_method(bus, BUS_NAME, BUS_PATH, "org.freedesktop.DBus.Peer", "Ping", e, NULL, NULL);
}

int client_system_open(bool start, sd_bus **ret, char **ret_error)
{
	sd_bus_error e = SD_BUS_ERROR_NULL;
	sd_bus *bus = NULL;
	int r;

	r = sd_bus_open_system(&bus);
	if (r < 0)
		return -ENOENT; /* a machine without a bus has no service on it */
	r = start ? 1 : client_system_is_running(bus, &e);
	if (r > 0)
		r = ping(bus, &e);
	else if (r == 0)
		r = -ENOENT;
	if (r >= 0) {
		*ret = bus;
		sd_bus_error_free(&e);
		return 0;
	}
	if (sd_bus_error_is_set(&e) && is_no_service(&e))
		r = -ENOENT;
	else if (r == -ENOBUFS || sd_bus_error_has_name(&e, SD_BUS_ERROR_LIMITS_EXCEEDED))
		*ret_error = strdup("the system bus takes no more connections of yours for now; try again when some of the programs that "
				    "use it have ended");
	else if (r != -ENOENT)
		*ret_error = str_format("the service nsvpnd does not answer on the system bus (%s); `systemctl status nsvpnd` says "
					"why",
					e.message && *e.message ? e.message : strerror(-r));
	sd_bus_error_free(&e);
	sd_bus_flush_close_unref(bus);
	return r;
}
