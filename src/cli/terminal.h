/*
 * The user's terminal while a program runs in the tunnel on a pseudo-terminal of its own.
 *
 * Theory. PID 1 starts the program, so it is in another session than the user's shell and cannot have his terminal as its
 * controlling one. It gets a pseudo-terminal instead, and the bytes are carried across. Line editing, echo and signal keys
 * are the pseudo-terminal's work; the real one is raw meanwhile, but only while we are in its foreground: a background job
 * that changed the mode would take the terminal away from the shell. All descriptors here are non-blocking and both
 * directions have a bounded buffer, so a side that does not read stops the other without loss. A copy of the slave is kept
 * open until the end, so that the master does not report a hang-up while nobody has opened it yet, or no more.
 */
#pragma once

#include <poll.h>

#include "base/cleanup.h"
#include "base/macro.h"

struct terminal;

/* *ret stays NULL where none of the standard streams is a terminal. 0 or -errno. */
int terminal_new(struct terminal **ret);
/* Restores the mode. */
struct terminal *terminal_free(struct terminal *t);
DEFINE_CLEANUP(struct terminal *, terminal_free)

/* What the program gets for standard stream fd: the slave, or fd itself where it is no terminal. Borrowed. */
int terminal_stream(const struct terminal *t, int fd);
bool terminal_is_foreground(const struct terminal *t);
/* Raw mode and size, if we are in the foreground. */
void terminal_enter(struct terminal *t);
/* The mode from before. */
void terminal_leave(struct terminal *t);
/* Tells the pseudo-terminal the size of the real one; the kernel signals the program. */
void terminal_resize(struct terminal *t);

#define TERMINAL_POLL_COUNT 2
/* What to wait for, and what to do then. */
void terminal_want(const struct terminal *t, struct pollfd p[TERMINAL_POLL_COUNT]);
void terminal_carry(struct terminal *t, const struct pollfd p[TERMINAL_POLL_COUNT]);
/* The program ended: shows the rest of what it wrote. */
void terminal_drain(struct terminal *t);
