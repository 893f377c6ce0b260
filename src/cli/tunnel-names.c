/* Which tunnel is meant. */
#include "cli/tunnel-names.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "base/fd.h"
#include "base/ini.h"
#include "base/parse.h"
#include "base/places.h"
#include "cli/output.h"

#define NAME_LEN_MAX 10
#define CONF_MAX (64 * 1024)

/* ---- configured ---- */

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static int collect(DIR *dir, char ***ret)
{
	_cleanup_(strv_freep) char **names = calloc(1, sizeof(char *));
	const struct dirent *d;

	if (!names)
		return -ENOMEM;
	while ((d = readdir(dir)))
		if (tunnel_name_is_valid(d->d_name) && (d->d_type == DT_DIR || d->d_type == DT_UNKNOWN) &&
		    strv_add(&names, d->d_name) < 0)
			return -ENOMEM;
	qsort(names, strv_len(names), sizeof(char *), compare_names);
	*ret = TAKE_PTR(names);
	return 0;
}

int tunnel_names_configured(char ***ret)
{
	_cleanup_(freep) char *path = str_format("%s/tunnels", place_etc());
	DIR *dir;
	int r;

	if (!path)
		return output_oom();
	dir = opendir(path);
	if (!dir && errno != ENOENT)
		return output_fail(errno == EACCES ? EXIT_CODE_DENIED : EXIT_CODE_FAILED, "%s cannot be read: %m", path);
	if (dir) {
		r = collect(dir, ret);
		(void)closedir(dir); /* only read from */
	} else {
		*ret = calloc(1, sizeof(char *));
		r = *ret ? 0 : -ENOMEM;
	}
	return r < 0 ? output_oom() : EXIT_CODE_OK;
}

bool tunnel_names_is_configured(const char *name)
{
	_cleanup_(freep) char *path = place_tunnel_etc(name);
	struct stat st;

	return tunnel_name_is_valid(name) && path && stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

int tunnel_names_expect(const char *name)
{
	if (!place_is_ours() || tunnel_names_is_configured(name))
		return EXIT_CODE_OK;
	return output_fail(EXIT_CODE_NOT_UP, "tunnel %s is not configured; `nsvpn list` shows those that are", name);
}

/* ---- names ---- */

static bool is_name_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

/* Runs of anything else become one '-'; none at the ends. */
static void to_name(const char *s, size_t len, char ret[static NAME_LEN_MAX + 1])
{
	size_t n = 0;

	for (size_t i = 0; i < len && n < NAME_LEN_MAX; i++) {
		char c = (char)tolower((unsigned char)s[i]);

		if (is_name_char(c))
			ret[n++] = c;
		else if (n && ret[n - 1] != '-')
			ret[n++] = '-';
	}
	while (n && ret[n - 1] == '-')
		n--;
	ret[n] = '\0';
	if (!n)
		(void)str_copy(ret, NAME_LEN_MAX + 1, "tunnel"); /* it fits */
}

char *tunnel_names_from_file(const char *path)
{
	const char *slash = strrchr(path, '/'), *stem = slash ? slash + 1 : path, *dot = strrchr(stem, '.');
	char name[NAME_LEN_MAX + 1];

	to_name(stem, dot && dot != stem ? (size_t)(dot - stem) : strlen(stem), name);
	return strdup(name);
}

int tunnel_names_check(const char *name)
{
	char suggestion[NAME_LEN_MAX + 1];
	_cleanup_(freep) char *shown = NULL;

	if (tunnel_name_is_valid(name))
		return EXIT_CODE_OK;
	to_name(name, strlen(name), suggestion);
	shown = str_escape(name, strlen(name), 64);
	return output_fail(EXIT_CODE_USAGE,
			   "'%s' cannot name a tunnel: up to 10 of a-z, 0-9 and '-', the first one not '-'; '%s' would do",
			   shown ? shown : "?", suggestion);
}

/* ---- the default ---- */

static const char *const conf_keys[] = { "Default" };

struct conf {
	const char *path;
	char *def;
	char *error;
};

static int on_conf(void *userdata, unsigned line, unsigned column, const char *section, const char *key,
		   const char *value)
{
	struct conf *c = userdata;
	const char *near;

	if (!str_ieq(section, "nsvpn")) {
		c->error = str_format("%s:%u: unknown section [%s]; the keys of this file stand under [nsvpn]", c->path, line,
				      section);
		return -EINVAL;
	}
	if (!str_ieq(key, conf_keys[0])) {
		near = str_nearest(key, conf_keys, ARRAY_SIZE(conf_keys));
		c->error = near ? str_format("%s:%u:%u: unknown key %s, did you mean %s=?", c->path, line, column, key, near) :
				  str_format("%s:%u:%u: unknown key %s; known: Default=", c->path, line, column, key);
		return -EINVAL;
	}
	if (!tunnel_name_is_valid(value)) {
		c->error = str_format("%s:%u:%u: Default= wants the name of a tunnel, such as home", c->path, line, column);
		return -EINVAL;
	}
	free(c->def);
	c->def = strdup(value);
	return c->def ? 0 : -ENOMEM;
}

int tunnel_names_default_setting(char **ret)
{
	_cleanup_(freep) char *path = str_format("%s/nsvpn.conf", place_etc()), *text = NULL, *error = NULL;
	struct conf c = { .path = path };
	size_t len;
	int r;

	if (!path)
		return output_oom();
	r = file_read(AT_FDCWD, path, CONF_MAX, &text, &len);
	if (r == -ENOENT) {
		*ret = NULL;
		return EXIT_CODE_OK;
	}
	if (r < 0)
		return output_fail(r == -EACCES ? EXIT_CODE_DENIED : EXIT_CODE_FAILED, "%s cannot be read: %s", path,
				   strerror(-r));
	r = ini_parse(text, len, on_conf, &c, &error);
	if (r < 0) {
		free(c.def);
		if (c.error)
			return output_fail_take(EXIT_CODE_FAILED, c.error, "");
		return output_fail(EXIT_CODE_FAILED, "%s: %s", path, error ? error : "out of memory");
	}
	*ret = c.def;
	return EXIT_CODE_OK;
}

static int fail_several(char *const *names)
{
	struct strbuf b = { 0 };
	_cleanup_(freep) char *list = NULL;

	for (; *names; names++)
		strbuf_addf(&b, "%s%s", b.len ? ", " : "", *names);
	list = strbuf_take(&b);
	return output_fail(EXIT_CODE_USAGE,
			   "several tunnels are configured (%s): name one, or set Default= under [nsvpn] in %s/nsvpn.conf",
			   list ? list : "?", place_etc());
}

/* What there is to choose from. */
static int candidates(struct client *c, char ***ret)
{
	return place_is_ours() || !c ? tunnel_names_configured(ret) : client_list(c, ret);
}

int tunnel_names_default(struct client *c, char **ret)
{
	_cleanup_(strv_freep) char **names = NULL;
	_cleanup_(freep) char *setting = NULL;
	int r;

	r = tunnel_names_default_setting(&setting);
	if (r == EXIT_CODE_OK)
		r = candidates(c, &names);
	if (r != EXIT_CODE_OK)
		return r;
	if (setting && !strv_contains(names, setting))
		return output_fail(EXIT_CODE_NOT_UP,
				   "%s/nsvpn.conf has Default=%s, and there is no such tunnel for you; name another, or correct it",
				   place_etc(), setting);
	if (setting) {
		*ret = TAKE_PTR(setting);
		return EXIT_CODE_OK;
	}
	if (!names || !names[0])
		return place_is_ours() ? output_fail(EXIT_CODE_NOT_UP,
						    "no tunnel is configured; `nsvpn import FILE` takes a provider's file") :
					output_fail(EXIT_CODE_NOT_UP, "there is no tunnel for you; ask the administrator to import one "
								      "(`sudo nsvpn import FILE`) or to add you to Users= of one");
	if (names[1])
		return fail_several(names);
	*ret = strdup(names[0]);
	return *ret ? EXIT_CODE_OK : output_oom();
}
