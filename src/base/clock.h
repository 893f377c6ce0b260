/* Time. Protocol code gets time as an argument; only programs read clocks. */
#pragma once

#include <time.h>

#include "base/macro.h"

usec_t clock_boottime(void); /* CLOCK_BOOTTIME: goes on during suspend; the clock of all deadlines */
usec_t clock_realtime(void); /* since the epoch */
/* "2026-01-01T00:00:00Z"; buf of at least 21. Returns buf. 0 gives "". */
char *clock_format_utc(usec_t realtime, char *buf, size_t cap);
/* "2 h 5 min" style, for people. */
char *clock_format_span(usec_t span, char *buf, size_t cap);
