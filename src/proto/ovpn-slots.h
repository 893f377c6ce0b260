/*
 * Inside of ovpn-session: the two key slots and what moves keys between them (ovpn-slots.c), and the pump between the
 * reliability layer and TLS (ovpn-exchange.c).
 */
#pragma once

#include "proto/ovpn-session.h"

#define OVPN_WKC_MAX 1024 /* leaves room for TLS bytes in a packet that carries it */
#define OVPN_CONTROL_PACKET_MAX 1250 /* with outer headers and wrap: passes every path that carries IPv6 */

/* ---- ovpn-slots.c */

/* A key that begins with a reset of this opcode, due at once. 0 or -ENOMEM. */
int ovpn_slots_key_new(struct ovpn_key **ret, const struct ovpn_session *s, uint8_t id, uint8_t opcode, usec_t now);
void ovpn_slots_key_free(struct ovpn_key *k);
uint8_t ovpn_slots_next_id(uint8_t id);
bool ovpn_slots_is_generated(const struct ovpn_key *k);
/* Makes the primary lame, and a new one. 0 or -ENOMEM. */
int ovpn_slots_begin(struct ovpn_session *s, usec_t now);
/* A key cannot go on: the first one ends the session, a renewal is given up. k may be freed. */
void ovpn_slots_fail(struct ovpn_session *s, struct ovpn_key *k, uint8_t fail, const char *text, usec_t now);
void ovpn_slots_fail_tls(struct ovpn_session *s, struct ovpn_key *k, usec_t now);
/* The data keys of k by what was agreed; 0 or -errno, which ovpn_slots_fail_derive() puts into words. */
int ovpn_slots_make_data_keys(struct ovpn_session *s, struct ovpn_key *k, usec_t now);
void ovpn_slots_fail_derive(struct ovpn_session *s, struct ovpn_key *k, int error, usec_t now);

/* ---- ovpn-exchange.c */

/* After something came in for k: TLS as far as it goes, key method 2, control messages. k may be freed. */
void ovpn_exchange_pump(struct ovpn_session *s, struct ovpn_key *k, usec_t now);
/* What TLS wants to say, as far as the window has room. */
void ovpn_exchange_write(const struct ovpn_session *s, struct ovpn_key *k);
