/* The list of notes: what becomes of each line of a file. */
#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "profile/profile.h"

#define OPTION_SHOWN_MAX 60

static const char *const fate_names[] = {
	[FATE_HONOURED] = "honoured",
	[FATE_IGNORED] = "ignored",
	[FATE_REFUSED] = "refused",
};
static_assert(ARRAY_SIZE(fate_names) == _FATE_MAX, "a name for every fate");

const char *fate_to_string(enum fate f)
{
	return (unsigned)f < _FATE_MAX ? fate_names[f] : "unknown";
}

void notes_done(struct notes *n)
{
	for (size_t i = 0; i < n->n; i++) {
		free(n->v[i].option);
		free(n->v[i].text);
	}
	free(n->v);
	*n = (struct notes){ 0 };
}

int notes_add(struct notes *n, unsigned line, enum fate fate, const char *option, const char *fmt, ...)
{
	_cleanup_(freep) char *shown = NULL, *text = NULL;
	va_list ap;
	int r;

	/* Doubles at every power of two, so that no capacity has to be stored. */
	if ((n->n & (n->n - 1)) == 0) {
		struct note *v = realloc(n->v, MAX(n->n * 2, (size_t)1) * sizeof(*v));

		if (!v)
			return -ENOMEM;
		n->v = v;
	}
	va_start(ap, fmt);
	r = vasprintf(&text, fmt, ap);
	va_end(ap);
	if (r < 0) {
		text = NULL;
		return -ENOMEM;
	}
	shown = str_escape(option, strlen(option), OPTION_SHOWN_MAX);
	if (!shown)
		return -ENOMEM;
	n->v[n->n++] = (struct note){ .line = line, .fate = fate, .option = TAKE_PTR(shown), .text = TAKE_PTR(text) };
	return 0;
}
