/* Closing the engine in, before the first byte that anybody else wrote. See sandbox.c for the stages. */
#pragma once

#include "base/macro.h"

struct sandbox_report {
	bool mounts_empty; /* the process sees an empty file system */
};

/*
 * All stages in order. 0 with *ret; or -errno with *ret_stage naming the stage that failed (static text): the process
 * must not go on then.
 */
int sandbox_enter(struct sandbox_report *ret, const char **ret_stage);

/* The single stages, for tests. Each 0 or -errno. */
int sandbox_limit(void);
int sandbox_empty_mounts(void);
int sandbox_drop_capabilities(void);
int sandbox_filter(void);
/* Whether the filter has a row for this call (SCMP_SYS number), passing or refusing; anything else ends the engine. */
bool sandbox_knows(int nr);
