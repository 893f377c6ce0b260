/*
 * The helper's log: <run>/log/NAME.log for each tunnel (what `nsvpn logs NAME` shows) and <run>/nsvpnd.log for the rest.
 * Bounded: at LOGFILE_MAX a file becomes NAME.log.1, so a tunnel costs at most twice that.
 */
#pragma once

#include "base/macro.h"

#define LOGFILE_MAX (1024 * 1024)

/* Becomes the sink of base/log.h. also_stderr: a helper in the foreground. */
void logfile_install(bool also_stderr);
/*
 * Back to stderr alone; all files go, and the folder. For a helper that leaves nothing behind: with no tunnel left there is
 * nothing whose history anybody could need, and what went wrong was said to whoever asked.
 */
void logfile_remove_all(void);
