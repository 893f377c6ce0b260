/*
 * Locks that others removed come back: net/ says that somebody changed the firewall, and a moment later what is missing
 * is put back and logged. The moment lets a program that rewrites everything finish; it grows while the same thing
 * happens again and again, so that two programs with different ideas do not eat the machine.
 */
#pragma once

struct tunnel;

/* After each prepare, and whenever programs stay behind. Idempotent; without memory or descriptors: logged. */
void tunnel_watch_start(struct tunnel *t);
/* Before the tunnel's net object goes. */
void tunnel_watch_stop(struct tunnel *t);
