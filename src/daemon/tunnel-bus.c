/* Properties of a tunnel for the bus; what they mean is in base/bus-api.h and org.nsvpn1(5). */
#include "daemon/tunnel-bus.h"

#include "base/bus-api.h"
#include "base/places.h"
#include "base/str.h"
#include "daemon/tunnel.h"

#define GETTER(name)                                                                                                   \
	static int name(sd_bus *bus _unused_, const char *path _unused_, const char *interface _unused_,               \
			const char *property _unused_, sd_bus_message *reply, void *userdata,                          \
			sd_bus_error *error _unused_)

static const char *text_of(const char *s)
{
	return s ? s : "";
}

GETTER(get_name)
{
	const struct tunnel *t = userdata;

	return sd_bus_message_append(reply, "s", t->name);
}

GETTER(get_state)
{
	const struct tunnel *t = userdata;

	return sd_bus_message_append(reply, "s", tunnel_state_to_string(t->state));
}

GETTER(get_protocol)
{
	struct tunnel *t = userdata;

	tunnel_describe(t);
	return sd_bus_message_append(reply, "s", t->profile ? protocol_to_string(t->profile->protocol) : "");
}

GETTER(get_uplink)
{
	struct tunnel *t = userdata;

	tunnel_describe(t);
	return sd_bus_message_append(reply, "s", uplink_to_string(t->uplink));
}

GETTER(get_data_path)
{
	const struct tunnel *t = userdata;

	return sd_bus_message_append(reply, "s", t->engine ? "userspace" : "");
}

GETTER(get_data_path_reason)
{
	const struct tunnel *t = userdata;

	return sd_bus_message_append(reply, "s", t->engine ? "the kernel's ovpn data path is not built into this version" : "");
}

GETTER(get_remote_host)
{
	const struct tunnel *t = userdata;

	return sd_bus_message_append(reply, "s", text_of(t->remote_host));
}

GETTER(get_remote_address)
{
	const struct tunnel *t = userdata;
	char text[INADDR_STR_MAX] = "";

	if (inaddr_is_set(&t->server.addr))
		inaddr_format(&t->server.addr, text, sizeof(text));
	return sd_bus_message_append(reply, "s", text);
}

GETTER(get_remote_port)
{
	const struct tunnel *t = userdata;

	return sd_bus_message_append(reply, "q", t->server.port);
}

GETTER(get_remote_transport)
{
	const struct tunnel *t = userdata;

	return sd_bus_message_append(reply, "s", inaddr_is_set(&t->server.addr) ? transport_to_string(t->transport) : "");
}

GETTER(get_cipher)
{
	const struct tunnel *t = userdata;

	return sd_bus_message_append(reply, "s", t->cipher);
}

GETTER(get_addresses)
{
	const struct tunnel *t = userdata;
	int r;

	r = sd_bus_message_open_container(reply, 'a', "s");
	for (unsigned i = 0; i < t->settings.n_addrs && r >= 0; i++) {
		char text[INPREFIX_STR_MAX];

		r = sd_bus_message_append(reply, "s", inprefix_format(&t->settings.addrs[i], text, sizeof(text)));
	}
	return r < 0 ? r : sd_bus_message_close_container(reply);
}

GETTER(get_dns)
{
	const struct tunnel *t = userdata;
	int r;

	r = sd_bus_message_open_container(reply, 'a', "s");
	for (unsigned i = 0; i < t->settings.n_dns && r >= 0; i++) {
		char text[INADDR_STR_MAX];

		r = sd_bus_message_append(reply, "s", inaddr_format(&t->settings.dns[i], text, sizeof(text)));
	}
	return r < 0 ? r : sd_bus_message_close_container(reply);
}

GETTER(get_search)
{
	const struct tunnel *t = userdata;
	int r;

	r = sd_bus_message_open_container(reply, 'a', "s");
	for (unsigned i = 0; i < t->settings.n_search && r >= 0; i++)
		r = sd_bus_message_append(reply, "s", t->settings.search[i]);
	return r < 0 ? r : sd_bus_message_close_container(reply);
}

GETTER(get_mtu)
{
	const struct tunnel *t = userdata;

	return sd_bus_message_append(reply, "u", t->settings.mtu);
}

GETTER(get_netns)
{
	const struct tunnel *t = userdata;
	_cleanup_(freep) char *netns = t->in_kernel && !place_is_rootless() ? place_netns(t->name) : strdup("");

	return netns ? sd_bus_message_append(reply, "s", netns) : -ENOMEM;
}

GETTER(get_full_tunnel)
{
	const struct tunnel *t = userdata;

	return sd_bus_message_append(reply, "b", t->settings.default4 || t->settings.default6);
}

/* Those that stand; where nothing stands, those of the file. */
static const struct exceptions *exceptions_of(struct tunnel *t)
{
	static const struct exceptions none;

	if (t->net && t->in_kernel)
		return tunnelnet_exceptions(t->net);
	tunnel_describe(t);
	return t->profile ? &t->profile->settings.exceptions : &none;
}

GETTER(get_exceptions)
{
	const struct exceptions *e = exceptions_of(userdata);
	int r;

	r = sd_bus_message_open_container(reply, 'a', "s");
	for (unsigned i = 0; i < e->n_publish + e->n_allow && r >= 0; i++) {
		char text[EXCEPTION_STR_MAX];

		r = sd_bus_message_append(reply, "s", exceptions_format(e, i, text, sizeof(text)));
	}
	return r < 0 ? r : sd_bus_message_close_container(reply);
}

GETTER(get_service_addresses)
{
	static const int families[] = { AF_INET, AF_INET6 };
	const struct tunnel *t = userdata;
	int r;

	r = sd_bus_message_open_container(reply, 'a', "s");
	for (size_t i = 0; i < ARRAY_SIZE(families) && r >= 0; i++) {
		char text[INADDR_STR_MAX];
		struct inaddr a;

		if (t->net && t->in_kernel && tunnelnet_service_address(t->net, families[i], &a))
			r = sd_bus_message_append(reply, "s", inaddr_format(&a, text, sizeof(text)));
	}
	return r < 0 ? r : sd_bus_message_close_container(reply);
}

GETTER(get_since)
{
	const struct tunnel *t = userdata;

	return sd_bus_message_append(reply, "t", t->since);
}

GETTER(get_last_handshake)
{
	const struct tunnel *t = userdata;

	return sd_bus_message_append(reply, "t", t->stats.last_handshake);
}

GETTER(get_engine_pid)
{
	const struct tunnel *t = userdata;

	return sd_bus_message_append(reply, "u", (uint32_t)engine_proc_pid(t->engine));
}

GETTER(get_question)
{
	const struct tunnel *t = userdata;

	return sd_bus_message_append(reply, "s", text_of(t->question));
}

GETTER(get_question_kind)
{
	static const char *const names[] = { [QUESTION_NONE] = "", [QUESTION_TEXT] = "text", [QUESTION_SECRET] = "secret",
					     [QUESTION_URL] = "url" };
	const struct tunnel *t = userdata;

	static_assert(ARRAY_SIZE(names) == _QUESTION_KIND_MAX, "a name for each kind");
	return sd_bus_message_append(reply, "s", names[t->question_kind]);
}

GETTER(get_last_error)
{
	const struct tunnel *t = userdata;

	return sd_bus_message_append(reply, "s", text_of(t->last_error));
}

GETTER(get_last_error_name)
{
	const struct tunnel *t = userdata;

	return sd_bus_message_append(reply, "s", text_of(t->last_error_name));
}

GETTER(get_rx_bytes)
{
	struct tunnel *t = userdata;

	tunnel_refresh_stats(t);
	return sd_bus_message_append(reply, "t", t->stats.rx_bytes);
}

GETTER(get_tx_bytes)
{
	struct tunnel *t = userdata;

	tunnel_refresh_stats(t);
	return sd_bus_message_append(reply, "t", t->stats.tx_bytes);
}

GETTER(get_dropped)
{
	struct tunnel *t = userdata;

	tunnel_refresh_stats(t);
	return sd_bus_message_append(reply, "t", t->dropped);
}

GETTER(get_process_count)
{
	struct tunnel *t = userdata;

	tunnel_refresh_stats(t);
	return sd_bus_message_append(reply, "u", t->n_processes);
}

#define SIGNALLED SD_BUS_VTABLE_PROPERTY_EMITS_INVALIDATION /* see tunnel-bus.h */

static const sd_bus_vtable vtable[] = {
	SD_BUS_VTABLE_START(0),
	SD_BUS_PROPERTY("Name", "s", get_name, 0, SD_BUS_VTABLE_PROPERTY_CONST),
	SD_BUS_PROPERTY("State", "s", get_state, 0, SIGNALLED),
	SD_BUS_PROPERTY("Protocol", "s", get_protocol, 0, SIGNALLED),
	SD_BUS_PROPERTY("Uplink", "s", get_uplink, 0, SIGNALLED),
	SD_BUS_PROPERTY("DataPath", "s", get_data_path, 0, SIGNALLED),
	SD_BUS_PROPERTY("DataPathReason", "s", get_data_path_reason, 0, SIGNALLED),
	SD_BUS_PROPERTY("RemoteHost", "s", get_remote_host, 0, SIGNALLED),
	SD_BUS_PROPERTY("RemoteAddress", "s", get_remote_address, 0, SIGNALLED),
	SD_BUS_PROPERTY("RemotePort", "q", get_remote_port, 0, SIGNALLED),
	SD_BUS_PROPERTY("RemoteTransport", "s", get_remote_transport, 0, SIGNALLED),
	SD_BUS_PROPERTY("Cipher", "s", get_cipher, 0, SIGNALLED),
	SD_BUS_PROPERTY("Addresses", "as", get_addresses, 0, SIGNALLED),
	SD_BUS_PROPERTY("Dns", "as", get_dns, 0, SIGNALLED),
	SD_BUS_PROPERTY("SearchDomains", "as", get_search, 0, SIGNALLED),
	SD_BUS_PROPERTY("Mtu", "u", get_mtu, 0, SIGNALLED),
	SD_BUS_PROPERTY("Netns", "s", get_netns, 0, SIGNALLED),
	SD_BUS_PROPERTY("FullTunnel", "b", get_full_tunnel, 0, SIGNALLED),
	SD_BUS_PROPERTY("Exceptions", "as", get_exceptions, 0, SIGNALLED),
	SD_BUS_PROPERTY("ServiceAddresses", "as", get_service_addresses, 0, SIGNALLED),
	SD_BUS_PROPERTY("Since", "t", get_since, 0, SIGNALLED),
	SD_BUS_PROPERTY("LastHandshake", "t", get_last_handshake, 0, SIGNALLED),
	SD_BUS_PROPERTY("EnginePid", "u", get_engine_pid, 0, SIGNALLED),
	SD_BUS_PROPERTY("Question", "s", get_question, 0, SIGNALLED),
	SD_BUS_PROPERTY("QuestionKind", "s", get_question_kind, 0, SIGNALLED),
	SD_BUS_PROPERTY("LastError", "s", get_last_error, 0, SIGNALLED),
	SD_BUS_PROPERTY("LastErrorName", "s", get_last_error_name, 0, SIGNALLED),
	SD_BUS_PROPERTY("RxBytes", "t", get_rx_bytes, 0, 0),
	SD_BUS_PROPERTY("TxBytes", "t", get_tx_bytes, 0, 0),
	SD_BUS_PROPERTY("DroppedByLock", "t", get_dropped, 0, 0),
	SD_BUS_PROPERTY("ProcessCount", "u", get_process_count, 0, 0),
	SD_BUS_VTABLE_END,
};

/* NULL while a signal is made: then nobody asks. */
static sd_bus_message *current_call(sd_bus *bus)
{
	sd_bus_message *m = sd_bus_get_current_message(bus);
	const char *interface = m ? sd_bus_message_get_interface(m) : NULL;

	/* A method of the manager may cause signals; only these two show a tunnel to the sender. */
	if (!interface || (!str_eq(interface, "org.freedesktop.DBus.Properties") &&
			   !str_eq(interface, "org.freedesktop.DBus.Introspectable")))
		return NULL;
	return m;
}

static int find_tunnel(sd_bus *bus, const char *path, const char *interface _unused_, void *userdata, void **ret_found,
		       sd_bus_error *error)
{
	sd_bus_message *m = current_call(bus);
	struct bus_context *c = userdata;
	_cleanup_(freep) char *name = NULL;
	struct tunnel *t;
	int r;

	r = sd_bus_path_decode(path, BUS_PATH_TUNNEL_PREFIX, &name);
	if (r <= 0)
		return r;
	r = manager_get(c->manager, name, &t);
	if (r == -ENOENT || r == -EINVAL)
		return 0;
	if (r < 0)
		return r;
	if (m && !bus_context_may_use(c, m, name, error))
		return -EACCES;
	*ret_found = t;
	return 1;
}

static int list_tunnels(sd_bus *bus, const char *prefix _unused_, void *userdata, char ***ret_nodes,
			sd_bus_error *error _unused_)
{
	_cleanup_(strv_freep) char **names = NULL, **paths = NULL;
	sd_bus_message *m = current_call(bus);
	struct bus_context *c = userdata;
	int r;

	r = manager_names(c->manager, &names);
	for (size_t i = 0; r >= 0 && i < strv_len(names); i++) {
		_cleanup_(freep) char *path = NULL;

		if (m && !bus_context_may_use(c, m, names[i], NULL))
			continue;
		r = sd_bus_path_encode(BUS_PATH_TUNNEL_PREFIX, names[i], &path);
		if (r >= 0)
			r = strv_add(&paths, path);
	}
	if (r < 0)
		return r;
	*ret_nodes = TAKE_PTR(paths);
	return 0;
}

int tunnel_bus_add(sd_bus *bus, struct bus_context *context)
{
	int r;

	r = sd_bus_add_fallback_vtable(bus, NULL, BUS_PATH_TUNNEL_PREFIX, BUS_IFACE_TUNNEL, vtable, find_tunnel, context);
	if (r < 0)
		return r;
	return sd_bus_add_node_enumerator(bus, NULL, BUS_PATH_TUNNEL_PREFIX, list_tunnels, context);
}

int tunnel_bus_emit(sd_bus *bus, const struct tunnel *t, char *const *properties)
{
	_cleanup_(freep) char *path = NULL;
	int r;

	r = sd_bus_path_encode(BUS_PATH_TUNNEL_PREFIX, t->name, &path);
	if (r < 0)
		return r;
	return sd_bus_emit_properties_changed_strv(bus, path, BUS_IFACE_TUNNEL, (char **)properties);
}
