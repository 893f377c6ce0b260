/*
 * When a tunnel does not come up: is somebody's firewall on this machine in the way?
 *
 * Theory. A packet that somebody drops between the veth and the outgoing interface looks like a silent server. But the outer
 * lock counts on both sides of all others: what came out of the namespace, and what of that left the machine. So a moment
 * after the first packet it is known that they are dropped here, and net/ finds out by whom. A first `up` then fails with the
 * sentence, within five seconds; a tunnel that was connected once, or is wanted at boot, goes on trying and shows it.
 * Nobody counts what this machine sends itself (uplink = socket, questions for names): there the rules alone are asked.
 */
#pragma once

struct tunnel;

/* With each transport socket; what runs already goes on. */
void tunnel_blocked_start(struct tunnel *t);
/* With each question for a server's address, before there is a socket. */
void tunnel_blocked_start_names(struct tunnel *t);
/* Connected, or down. */
void tunnel_blocked_stop(struct tunnel *t);
