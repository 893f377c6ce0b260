/* The one method of org.nsvpn1.Rootless; signature in base/bus-api.h. */
#include "daemon/rootless-bus.h"

#include "base/bus-api.h"
#include "base/cleanup.h"
#include "base/fd.h"
#include "daemon/members.h"
#include "daemon/userns.h"
#include "daemon/tunnel.h"

static int reply_namespaces(sd_bus_message *m, const struct tunnel *t, sd_bus_error *error)
{
	_cleanup_(closep) int user = userns_open();

	if (user < 0)
		return sd_bus_error_set_errno(error, user);
	return sd_bus_reply_method_return(m, "hh", user, tunnelnet_netns_fd(t->net)); /* copied by the message */
}

static int method_enter(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	struct manager *manager = userdata;
	struct tunnel *t;
	const char *name;
	int pidfd, r;

	r = sd_bus_message_read(m, "sh", &name, &pidfd);
	if (r < 0)
		return r;
	t = manager_find(manager, name);
	if (!t || !t->net || !t->in_kernel || tunnelnet_netns_fd(t->net) < 0)
		return sd_bus_error_set(error, BUS_ERROR_NOT_UP, "the tunnel is not up; `nsvpn up --rootless` with its name");
	pidfd = fd_dup(pidfd);
	r = pidfd < 0 ? pidfd : members_add(manager->members, name, pidfd);
	if (r < 0)
		return sd_bus_error_set_errno(error, r);
	return reply_namespaces(m, t, error);
}

static const sd_bus_vtable vtable[] = {
	SD_BUS_VTABLE_START(0),
	SD_BUS_METHOD_WITH_NAMES("Enter", "sh", SD_BUS_PARAM(name) SD_BUS_PARAM(program), "hh",
				 SD_BUS_PARAM(user_namespace) SD_BUS_PARAM(network_namespace), method_enter,
				 SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_VTABLE_END,
};

int rootless_bus_add(sd_bus *bus, struct manager *m)
{
	if (!m->members)
		return 0;
	return sd_bus_add_object_vtable(bus, NULL, BUS_PATH, BUS_IFACE_ROOTLESS, vtable, m);
}
