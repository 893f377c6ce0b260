/* The fate of a profile's lines. */
#include "cli/report.h"

static enum style fate_style(enum fate f)
{
	switch (f) {
	case FATE_HONOURED:
		return STYLE_GOOD;
	case FATE_IGNORED:
		return STYLE_WARN;
	case FATE_REFUSED:
		return STYLE_BAD;
	case _FATE_MAX:
		break;
	}
	return STYLE_PLAIN;
}

size_t report_count(const struct notes *n, enum fate fate)
{
	size_t count = 0;

	for (size_t i = 0; i < n->n; i++)
		count += n->v[i].fate == fate;
	return count;
}

void report_print(const struct notes *n, bool all)
{
	for (size_t i = 0; i < n->n; i++) {
		const struct note *note = &n->v[i];

		if (!all && note->fate == FATE_HONOURED)
			continue;
		printf("  %5u  %s%-8s%s  %-20s  %s\n", note->line, output_style(fate_style(note->fate)),
		       fate_to_string(note->fate), output_style(STYLE_PLAIN), note->option ? note->option : "",
		       note->text ? note->text : "");
	}
}

void report_json(const struct notes *n, struct json *j)
{
	json_key(j, "lines");
	json_begin_array(j);
	for (size_t i = 0; i < n->n; i++) {
		json_begin_object(j);
		json_pair_uint(j, "line", n->v[i].line);
		json_pair(j, "fate", fate_to_string(n->v[i].fate));
		json_pair_text(j, "option", n->v[i].option);
		json_pair_text(j, "text", n->v[i].text);
		json_end_object(j);
	}
	json_end_array(j);
	for (enum fate f = 0; f < _FATE_MAX; f++)
		json_pair_uint(j, fate_to_string(f), report_count(n, f));
}
