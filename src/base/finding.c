/* See finding.h. */
#include "base/finding.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"

#define TEXT_MAX 2000

static const char *const level_names[] = {
	[FINDING_OK] = "ok",
	[FINDING_NOTE] = "note",
	[FINDING_WARNING] = "warning",
	[FINDING_PROBLEM] = "problem",
};
static_assert(ARRAY_SIZE(level_names) == _FINDING_LEVEL_MAX, "a name for each level");

const char *finding_level_to_string(enum finding_level level)
{
	return level_names[level];
}

int finding_level_from_string(const char *s, enum finding_level *ret)
{
	for (size_t i = 0; i < ARRAY_SIZE(level_names); i++) {
		if (str_eq(level_names[i], s)) {
			*ret = (enum finding_level)i;
			return 0;
		}
	}
	return -EINVAL;
}

/* Names of files and rules are other people's. */
static char *clean(const char *s)
{
	size_t len = strlen(s);

	return str_is_clean_utf8(s, len) && !strchr(s, '\t') && len <= TEXT_MAX ? strdup(s) : str_escape(s, len, TEXT_MAX);
}

static void finding_done(struct finding *f)
{
	free(f->topic);
	free(f->object);
	free(f->text);
	free(f->remedy);
}

void findings_add(struct findings *f, enum finding_level level, const char *topic, const char *object, const char *remedy,
		  const char *fmt, ...)
{
	_cleanup_(freep) char *text = NULL;
	struct finding one = { .level = level }, *v;
	va_list ap;
	int r;

	va_start(ap, fmt);
	r = vasprintf(&text, fmt, ap);
	va_end(ap);
	if (r < 0)
		text = NULL; /* its content is undefined after a failure */
	one.topic = strdup(topic);
	one.object = clean(object);
	one.text = text ? clean(text) : NULL;
	one.remedy = clean(remedy ? remedy : "");
	v = one.topic && one.object && one.text && one.remedy ? realloc(f->v, (f->n + 1) * sizeof(*v)) : NULL;
	if (!v) {
		finding_done(&one);
		f->failed = true;
		return;
	}
	f->v = v;
	v[f->n++] = one;
}

void findings_done(struct findings *f)
{
	for (size_t i = 0; i < f->n; i++)
		finding_done(&f->v[i]);
	free(f->v);
	*f = (struct findings){ 0 };
}

enum finding_level findings_worst(const struct findings *f)
{
	enum finding_level worst = FINDING_OK;

	for (size_t i = 0; i < f->n; i++)
		worst = MAX(worst, f->v[i].level);
	return worst;
}
