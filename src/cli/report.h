/* What becomes of each line of a profile, for people and as JSON: `explain`, and the summary of `import`. */
#pragma once

#include "cli/output.h"
#include "profile/profile.h"

/* How many notes have that fate. */
size_t report_count(const struct notes *n, enum fate fate);
/* Every line with its fate. `all`: the honoured ones too. */
void report_print(const struct notes *n, bool all);
/* "lines":[...],"honoured":N,"ignored":N,"refused":N into an open object. */
void report_json(const struct notes *n, struct json *j);
