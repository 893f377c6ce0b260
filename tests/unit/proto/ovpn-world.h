/* What most tests of the client need: an authority, a profile, a server, a network. Change the fields, then start. */
#pragma once

#include <criterion/criterion.h>

#include "ovpn-peer.h"

struct world {
	struct pki ca, other_ca, server, laptop;
	struct profile profile;
	struct ovpn_options *o;  /* of the profile */
	struct peer_config peer;
	struct secret *username, *password, *answer, *token;
	uint32_t path_mtu, tun_mtu_max;
	enum transport transport;
	usec_t waited; /* before start(): TCP is connecting */
	int64_t realtime;
	struct sim sim;
};

#define WORLD_PUSH "topology subnet,ifconfig 10.8.0.2 255.255.255.0,route-gateway 10.8.0.1,ping 10,ping-restart 60"

void world_init(struct world *w);
void world_done(struct world *w);
/* Makes client and server and begins. */
void world_start(struct world *w, uint64_t seed);
void world_set_wrap(struct world *w, enum control_wrap wrap, enum key_direction server);
/* Another client for another server of the same kind. */
void world_restart(struct world *w, uint64_t seed);
struct secret *world_secret(const char *text);
/* Starts, and expects to be up within a minute of simulated time. */
void world_up(struct world *w, uint64_t seed);
/* n packets each way, spread over span; all of them must arrive. */
void world_exchange(struct world *w, unsigned n, usec_t span);
/* Starts and expects one FAILED of this class whose text has `part`. */
void world_fails(struct world *w, enum fail_class fail, enum proto_advice advice, const char *part);
