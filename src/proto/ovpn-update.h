/*
 * PUSH_UPDATE (OpenVPN 2.7): a server changes some of what it pushed, while the connection stays up.
 *
 *   ovpn_update_new, ovpn_update_add (until it returns 1), ovpn_update_finish, ovpn_update_free
 */
#pragma once

#include "proto/ovpn-push.h"

struct ovpn_update;

/* Starts from what the server has said so far; base is read now only. 0 or -ENOMEM. */
int ovpn_update_new(struct ovpn_update **ret, const struct ovpn_push *base);
struct ovpn_update *ovpn_update_free(struct ovpn_update *u);

/*
 * The text of one PUSH_UPDATE behind its comma. 1: the update is complete; 0: more will follow. -EPROTO: an option that
 * cannot be changed like that and is not marked as optional, -EACCES: a `pull-filter reject` hit: both mean a new
 * connection, where the server pushes everything anew; -EBADMSG: not clean text, as if it had never come; all with a
 * malloc'ed sentence. -ENOMEM. After an error the object is only good for free().
 */
int ovpn_update_add(struct ovpn_update *u, const char *text, char **ret_error);

/*
 * Makes settings of the whole, as ovpn_push_finish() does. *ret_push: what the server has said from now on, as after one
 * PUSH_REPLY with these options; done with ovpn_push_done(). 0; -EPROTO with a sentence; -ENOMEM.
 */
int ovpn_update_finish(struct ovpn_update *u, uint32_t tun_mtu_max, struct ovpn_push *ret_push, struct settings *ret,
		       char **ret_error);
