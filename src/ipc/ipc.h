/*
 * The socket between nsvpnd and nsvpn-engine: one SOCK_SEQPACKET pair, one message per packet, descriptors by
 * SCM_RIGHTS. Both ends verify; the helper treats every byte of the engine as hostile.
 */
#pragma once

#include "ipc/ipc-msg.h"

#define IPC_ENGINE_FD 3 /* the engine's end, inherited */

/* Encodes and sends; fds stay the caller's. 0, -EAGAIN, -errno. */
int ipc_send(int sock, const struct ipc_msg *m, const int *fds, size_t n_fds);
/*
 * Receives and decodes one message. 1: got one (fds[0..*ret_n_fds) owned by the caller), 0: end of file,
 * -EAGAIN: nothing there, -EBADMSG: malformed (descriptors closed), -errno.
 */
int ipc_recv(int sock, struct ipc_msg *ret, int fds[static 8], size_t *ret_n_fds);
