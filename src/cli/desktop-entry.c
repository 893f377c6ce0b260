/* Reading desktop entries and writing those of a tunnel; theory in desktop-entry.h. */
#include "cli/desktop-entry.h"

#include "base/str.h"

#define MAIN_GROUP "Desktop Entry"
#define ACTION_GROUP "Desktop Action "
#define KEYS_MAX 4096U

void desktop_entry_done(struct desktop_entry *e)
{
	for (size_t i = 0; i < e->n; i++) {
		free(e->keys[i].group);
		free(e->keys[i].key);
		free(e->keys[i].value);
	}
	free(e->keys);
	*e = (struct desktop_entry){ 0 };
}

/* ---- reading ---- */

static int complain(unsigned line, const char *what, char **ret_error)
{
	*ret_error = str_format("line %u: %s", line, what);
	return *ret_error ? -EINVAL : -ENOMEM;
}

static int add_key(struct desktop_entry *e, const char *group, const char *key, const char *value)
{
	struct desktop_key *keys = reallocarray(e->keys, e->n + 1, sizeof(*keys)), *k;

	if (!keys)
		return -ENOMEM;
	e->keys = keys;
	k = &keys[e->n++];
	*k = (struct desktop_key){ strdup(group), strdup(key), strdup(value) };
	return k->group && k->key && k->value ? 0 : -ENOMEM;
}

/* A-Z a-z 0-9 and '-', then at most one [locale] at the end. */
static bool is_key(const char *key)
{
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-";
	size_t n = strspn(key, letters), m;

	if (n == 0 || !key[n])
		return n > 0;
	m = strcspn(key + n + 1, "[]");
	return key[n] == '[' && m > 0 && str_eq(key + n + 1 + m, "]");
}

static bool has_key(const struct desktop_entry *e, const char *group, const char *key)
{
	for (size_t i = 0; i < e->n; i++)
		if (str_eq(e->keys[i].group, group) && str_eq(e->keys[i].key, key))
			return true;
	return false;
}

static int parse_line(struct desktop_entry *e, unsigned number, char *line, char **group, char **ret_error)
{
	char *eq;

	if (!str_is_clean_utf8(line, strlen(line)))
		return complain(number, "bytes that are no plain UTF-8 text", ret_error);
	if (!*line || *line == '#')
		return 0;
	if (*line == '[') {
		size_t n = strcspn(line + 1, "[]");

		if (n == 0 || !str_eq(line + 1 + n, "]"))
			return complain(number, "a group header that does not end in ]", ret_error);
		line[1 + n] = '\0';
		*group = line + 1;
		return 0;
	}
	eq = strchr(line, '=');
	if (!eq || !*group)
		return complain(number, *group ? "neither Key=value nor a group" : "a line before the first group", ret_error);
	*eq = '\0';
	line = str_trim(line);
	if (!is_key(line))
		return complain(number, "this is no name of a key", ret_error);
	/* The specification forbids a second one; readers differ in which they take, so none is taken. */
	if (has_key(e, *group, line))
		return complain(number, "this key was there before", ret_error);
	if (e->n == KEYS_MAX)
		return complain(number, "more keys than any application has", ret_error);
	return add_key(e, *group, line, str_trim(eq + 1));
}

int desktop_entry_parse(const char *text, size_t len, struct desktop_entry *ret, char **ret_error)
{
	_cleanup_(freep) char *copy = strndup(text, len);
	struct desktop_entry e = { 0 };
	char *group = NULL;
	unsigned number = 0;
	int r = 0;

	if (!copy)
		return -ENOMEM;
	if (strlen(copy) != len)
		return complain(1, "a NUL byte; this is no text", ret_error);
	for (char *line = copy, *next; line && r >= 0; line = next) {
		next = strchr(line, '\n');
		if (next)
			*next++ = '\0';
		r = parse_line(&e, ++number, str_trim(line), &group, ret_error);
	}
	if (r < 0) {
		desktop_entry_done(&e);
		return r;
	}
	*ret = e;
	return 0;
}

const char *desktop_entry_get(const struct desktop_entry *e, const char *key)
{
	for (size_t i = 0; i < e->n; i++)
		if (str_eq(e->keys[i].group, MAIN_GROUP) && str_eq(e->keys[i].key, key))
			return e->keys[i].value;
	return NULL;
}

bool desktop_entry_is(const struct desktop_entry *e, const char *key)
{
	const char *value = desktop_entry_get(e, key);

	return value && str_eq(value, "true");
}

/* ---- writing ---- */

/* What is kept; all other keys are left out. */
static const struct {
	const char *key;
	bool localized;
} kept[] = {
	{ "Type", false },       { "Version", false },      { "Name", true },           { "GenericName", true },
	{ "Comment", true },     { "Keywords", true },      { "Icon", true },           { "Categories", false },
	{ "Terminal", false },   { "Path", false },         { "StartupNotify", false }, { "StartupWMClass", false },
	{ "OnlyShowIn", false }, { "NotShowIn", false },    { "Actions", false },       { "SingleMainWindow", false },
	{ "Exec", false },       { "PrefersNonDefaultGPU", false },
};

static bool is_kept(const char *key)
{
	size_t n = strcspn(key, "[");

	for (size_t i = 0; i < ARRAY_SIZE(kept); i++)
		if (strlen(kept[i].key) == n && strncmp(kept[i].key, key, n) == 0)
			return !key[n] || kept[i].localized;
	return false;
}

static bool is_name(const char *key)
{
	return str_eq(key, "Name") || str_has_prefix(key, "Name[");
}

/* "nsvpn exec ... -- " in front of a command line. */
static void add_exec(struct strbuf *b, const struct desktop_rewrite *w, const char *value)
{
	_cleanup_(freep) char *nsvpn = desktop_exec_quote(w->nsvpn);

	if (!nsvpn) {
		b->failed = true;
		return;
	}
	strbuf_addf(b, "Exec=%s exec --notify -t %s%s -- %s\n", nsvpn, w->tunnel, w->new_instance ? " --new-instance" : "", value);
}

static int check(const struct desktop_entry *e, char **ret_error)
{
	const char *type = desktop_entry_get(e, "Type"), *exec = desktop_entry_get(e, "Exec"), *why = NULL;

	if (!type || !str_eq(type, "Application"))
		why = "it is no application";
	else if (desktop_entry_is(e, "Hidden"))
		why = "it says Hidden=true: its user removed it";
	else if (!exec || !*exec)
		why = "it has no Exec= line: it is only started over D-Bus, past any tunnel";
	else if (!desktop_entry_get(e, "Name"))
		why = "it has no Name=";
	if (!why)
		return 0;
	*ret_error = strdup(why);
	return *ret_error ? -EINVAL : -ENOMEM;
}

/* A command line that cannot be taken apart is refused: what would start is anybody's guess. */
static int check_exec(const struct desktop_key *k, char **ret_error)
{
	_cleanup_(strv_freep) char **args = NULL;
	int r = desktop_exec_split(k->value, &args);

	if (r != -EINVAL)
		return r;
	*ret_error = str_format("its Exec= line in [%s] is not quoted as the specification asks", k->group);
	return *ret_error ? -EINVAL : -ENOMEM;
}

/* The program that has to be there; the value of a string key. */
static int add_try_exec(struct strbuf *b, const struct desktop_entry *e)
{
	const char *given = desktop_entry_get(e, "TryExec");
	static const char special[] = "\\\n\r\t", letters[] = "\\nrt";
	_cleanup_(strv_freep) char **args = NULL;
	int r;

	if (given && *given) {
		strbuf_addf(b, "TryExec=%s\n", given);
		return 0;
	}
	r = desktop_exec_split(desktop_entry_get(e, "Exec"), &args);
	if (r < 0)
		return r;
	strbuf_add(b, "TryExec=");
	for (const char *p = args[0]; *p; p++) {
		const char *at = strchr(special, *p);

		if (at)
			strbuf_addf(b, "\\%c", letters[at - special]);
		else if (*p != '%' || p[1] != '%') /* of a doubled one, the second */
			strbuf_add_bytes(b, p, 1);
	}
	strbuf_add(b, "\n");
	return 0;
}

/* The keys of one group. */
static int add_group(struct strbuf *b, const struct desktop_entry *e, const char *group, const struct desktop_rewrite *w,
		     char **ret_error)
{
	bool is_main = str_eq(group, MAIN_GROUP);
	int r = 0;

	strbuf_addf(b, "[%s]\n", group);
	for (size_t i = 0; i < e->n && r >= 0; i++) {
		const struct desktop_key *k = &e->keys[i];

		if (!str_eq(k->group, group) || !is_kept(k->key))
			continue;
		if (str_eq(k->key, "Exec")) {
			r = check_exec(k, ret_error);
			add_exec(b, w, k->value);
		} else if (is_main && is_name(k->key))
			strbuf_addf(b, "%s=%s (%s)\n", k->key, k->value, w->tunnel);
		else
			strbuf_addf(b, "%s=%s\n", k->key, k->value);
	}
	if (is_main && r >= 0) {
		r = add_try_exec(b, e);
		strbuf_addf(b, "DBusActivatable=false\n%s=%s\n%s=%s\n", DESKTOP_KEY_TUNNEL, w->tunnel, DESKTOP_KEY_ID, w->id);
	}
	return r;
}

int desktop_entry_rewrite(const struct desktop_entry *e, const struct desktop_rewrite *w, char **ret, char **ret_error)
{
	struct strbuf b = { 0 };
	int r = check(e, ret_error);

	if (r < 0)
		return r;
	strbuf_addf(&b, "# Made by `nsvpn desktop add`; `nsvpn desktop remove` takes it away.\n");
	r = add_group(&b, e, MAIN_GROUP, w, ret_error);
	for (size_t i = 0; i < e->n && r >= 0; i++) {
		const char *group = e->keys[i].group;
		bool seen = false;

		for (size_t k = 0; k < i && !seen; k++)
			seen = str_eq(e->keys[k].group, group);
		if (seen || !str_has_prefix(group, ACTION_GROUP))
			continue;
		strbuf_add(&b, "\n");
		r = add_group(&b, e, group, w, ret_error);
	}
	if (r < 0) {
		strbuf_done(&b);
		return r;
	}
	*ret = strbuf_take(&b);
	return *ret ? 0 : -ENOMEM;
}

int desktop_entry_original(const struct desktop_entry *e, char ***ret)
{
	_cleanup_(strv_freep) char **args = NULL, **rest = NULL;
	const char *exec = desktop_entry_get(e, "Exec");
	size_t start = 0;
	int r = exec ? desktop_exec_split(exec, &args) : -EINVAL;

	if (r < 0)
		return r;
	while (desktop_entry_get(e, DESKTOP_KEY_TUNNEL) && args[start] && !str_eq(args[start], "--"))
		start++;
	for (size_t i = start + (start > 0); args[start] && args[i]; i++)
		if (strv_add(&rest, args[i]) < 0)
			return -ENOMEM;
	if (!rest)
		return -EINVAL;
	*ret = TAKE_PTR(rest);
	return 0;
}
