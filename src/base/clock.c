/* Reading the two clocks we use, and times for people. */
#include "base/clock.h"

#include <stdio.h>

static usec_t clock_now(clockid_t id)
{
	struct timespec ts;

	if (clock_gettime(id, &ts) < 0)
		return 0; /* both clocks exist on every kernel we run on */
	return (usec_t)ts.tv_sec * USEC_PER_SEC + (usec_t)ts.tv_nsec / 1000;
}

usec_t clock_boottime(void)
{
	return clock_now(CLOCK_BOOTTIME);
}

usec_t clock_realtime(void)
{
	return clock_now(CLOCK_REALTIME);
}

char *clock_format_utc(usec_t realtime, char *buf, size_t cap)
{
	time_t t = (time_t)(realtime / USEC_PER_SEC);
	struct tm tm;

	if (cap == 0)
		return buf;
	buf[0] = '\0';
	if (realtime == 0 || realtime == USEC_INFINITY || !gmtime_r(&t, &tm))
		return buf;
	if (strftime(buf, cap, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
		buf[0] = '\0';
	return buf;
}

char *clock_format_span(usec_t span, char *buf, size_t cap)
{
	static const struct {
		usec_t usec;
		const char *name;
	} units[] = {
		{ 24 * 3600 * USEC_PER_SEC, "d" }, { 3600 * USEC_PER_SEC, "h" }, { 60 * USEC_PER_SEC, "min" },
		{ USEC_PER_SEC, "s" },             { USEC_PER_MSEC, "ms" },
	};

	if (span == USEC_INFINITY) {
		(void)snprintf(buf, cap, "for ever");
		return buf;
	}
	/* The largest unit that fits and the one below it; nobody needs the milliseconds of an hour or of a second. */
	for (size_t i = 0; i < ARRAY_SIZE(units); i++) {
		if (span < units[i].usec)
			continue;

		unsigned long long whole = span / units[i].usec, rest = 0;

		if (i + 1 < ARRAY_SIZE(units) && units[i].usec > USEC_PER_SEC)
			rest = span % units[i].usec / units[i + 1].usec;
		if (rest)
			(void)snprintf(buf, cap, "%llu %s %llu %s", whole, units[i].name, rest, units[i + 1].name);
		else
			(void)snprintf(buf, cap, "%llu %s", whole, units[i].name);
		return buf;
	}
	(void)snprintf(buf, cap, "0 s");
	return buf;
}
