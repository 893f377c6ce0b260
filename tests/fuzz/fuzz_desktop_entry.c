/* Desktop entries on arbitrary bytes: what is taken and rewritten can be read again, and starts nothing but nsvpn. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "cli/desktop-entry.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define REQUIRE(cond) ((cond) ? (void)0 : abort())

/* Every Exec= of the text begins with our own program. */
static void check_text(const char *text)
{
	struct desktop_entry e = { 0 };
	char *error = NULL;

	REQUIRE(desktop_entry_parse(text, strlen(text), &e, &error) == 0);
	for (size_t i = 0; i < e.n; i++) {
		char **args = NULL;

		REQUIRE(!str_eq(e.keys[i].key, "MimeType") && !str_eq(e.keys[i].key, "Implements"));
		if (!str_eq(e.keys[i].key, "Exec"))
			continue;
		REQUIRE(desktop_exec_split(e.keys[i].value, &args) == 0);
		REQUIRE(strv_len(args) >= 7 && str_eq(args[0], "/opt/n s/nsvpn") && str_eq(args[1], "exec") && str_eq(args[5], "--"));
		strv_free(args);
	}
	REQUIRE(str_eq(desktop_entry_get(&e, "DBusActivatable"), "false"));
	desktop_entry_done(&e);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct desktop_rewrite w = { "/opt/n s/nsvpn", "home", "app", false };
	char *copy = malloc(size + 1), *text = NULL, *error = NULL, **args;
	struct desktop_entry e = { 0 };
	int r;

	memcpy(copy, data, size);
	copy[size] = '\0';
	r = desktop_entry_parse(copy, size, &e, &error);
	REQUIRE(r == 0 || (r == -EINVAL && error && !e.keys));
	if (r == 0) {
		if (desktop_entry_original(&e, &args) == 0) {
			REQUIRE(args && args[0]);
			strv_free(args);
		}
		r = desktop_entry_rewrite(&e, &w, &text, &error);
		REQUIRE(r == 0 ? text != NULL : r == -EINVAL && error && !text);
		if (text)
			check_text(text);
		desktop_entry_done(&e);
	}
	free(text);
	free(error);
	free(copy);
	return 0;
}
