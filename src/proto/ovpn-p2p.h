/* `tls-client` without `pull`: two equal sides, and no PUSH_REPLY that says how data is carried. */
#pragma once

#include "proto/ovpn-push.h"
#include "proto/ovpn-session.h"

/*
 * Fills in what both sides' peer info agrees on: data cipher, peer id, the way keys are made. The first key exchange of the
 * session is complete. What is not agreed stays as it is: the cipher is then that of the options string or the profile's.
 */
void ovpn_p2p_agree(const struct ovpn_session *s, struct ovpn_push *push);
