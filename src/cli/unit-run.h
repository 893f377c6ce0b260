/* The parts of `nsvpn unit` that are run by units and by systemd's generator, not by people. */
#pragma once

#include "base/macro.h"

/*
 * words: "guard NAME" (a condition; 255 when refused), "keep NAME" (MAINPID in the environment), "hold NAME" (Type=notify),
 * "release NAME" (`down`, also where no helper runs), "generate TEMPLATE FOLDER ..." (systemd.generator(7)). False: none of
 * these; else *ret_code is an exit code.
 */
bool unit_run(char *const *words, int n, int *ret_code);
