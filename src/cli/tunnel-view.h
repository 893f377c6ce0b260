/* One tunnel as the helper shows it (org.nsvpn1.Tunnel), or as the files show it where no helper runs. */
#pragma once

#include "cli/client.h"
#include "cli/output.h"
#include "cli/programs.h"

struct tunnel_view {
	char *name, *state, *protocol, *uplink, *data_path, *data_path_reason;
	char *remote_host, *remote_address, *remote_transport;
	char *cipher, *netns, *last_error, *last_error_name, *question, *question_kind;
	char **addresses, **dns, **search_domains;
	char **exceptions, **service_addresses;
	uint16_t remote_port;
	uint32_t mtu, engine_pid, process_count;
	int full_tunnel; /* sd-bus' boolean */
	uint64_t since, last_handshake; /* realtime usec; 0: never */
	uint64_t rx_bytes, tx_bytes, dropped;
	struct programs programs; /* inside; empty where the helper does not say */
};

void tunnel_view_done(struct tunnel_view *v);

/* Reads all properties. 0; -ENOENT: the helper knows no such tunnel; -errno with e set. *ret is replaced. */
int tunnel_view_read(struct client *c, const char *name, struct tunnel_view *ret, sd_bus_error *e);
/* Without a helper: "down", or "blocked" when something of it still stands. 0 or -ENOMEM. */
int tunnel_view_offline(const char *name, struct tunnel_view *ret);

/* Adds what only the configuration says where nobody told (first remote, protocol), as far as we may read it. */
void tunnel_view_describe(struct tunnel_view *v);

/* Fills in the programs inside where there are any. What the helper does not tell is left out. */
void tunnel_view_read_programs(struct client *c, struct tunnel_view *v);

/* Never NULL. */
static inline const char *tunnel_view_state(const struct tunnel_view *v)
{
	return v->state ? v->state : "down";
}
/* True when nothing of the tunnel is wanted or working: "down" or "failed". */
bool tunnel_view_is_down(const struct tunnel_view *v);

/* The object of CONTRACT.md. */
void tunnel_view_json(const struct tunnel_view *v, struct json *j);
/* The text for people on stdout. */
void tunnel_view_print(const struct tunnel_view *v, bool verbose);
