/*
 * Which program a name stands for.
 *
 * Debian's /usr/bin/firefox is a script that execs firefox-esr, which is a link into /usr/lib; /usr/bin/chromium is a
 * script with variables. What comes out is compared with the executables of running processes, so a wrong guess costs a
 * missed or needless refusal, never a wrong program: exec finds it anew.
 */
#include "cli/program-file.h"

#include <ctype.h>
#include <fcntl.h>
#include <limits.h>
#include <paths.h>
#include <sys/stat.h>

#include "base/fd.h"
#include "base/str.h"

#define DEPTH_MAX 6
#define SCRIPT_MAX (64U << 10)

void program_file_done(struct program_file *p)
{
	free(p->path);
	strv_free(p->names);
	*p = (struct program_file){ 0 };
}

static bool is_program(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISREG(st.st_mode) && faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) == 0;
}

/* malloc'ed path, NULL when there is none (or no memory). */
static char *look_up(const char *name, const char *path_list)
{
	if (!*name)
		return NULL;
	if (strchr(name, '/'))
		return is_program(name) ? strdup(name) : NULL;
	for (const char *p = path_list ? path_list : _PATH_STDPATH; p;) {
		size_t n = strcspn(p, ":");
		char *path = n ? str_format("%.*s/%s", (int)n, p, name) : str_format("./%s", name);

		if (path && is_program(path))
			return path;
		free(path);
		p = p[n] ? p + n + 1 : NULL;
	}
	return NULL;
}

static int note_name(struct program_file *f, const char *path)
{
	const char *name = str_base_name(path);

	return !*name || strv_contains(f->names, name) ? 0 : strv_add(&f->names, name);
}

/* ---- wrapper scripts ---- */

struct variables {
	char **names, **values;
};

static const char *variable_value(const struct variables *v, const char *name, size_t len)
{
	for (size_t i = strv_len(v->names); i-- > 0;)
		if (strlen(v->names[i]) == len && memcmp(v->names[i], name, len) == 0)
			return v->values[i];
	return NULL;
}

static bool is_name_char(char c)
{
	return isalnum((unsigned char)c) || c == '_';
}

/*
 * The shell word at *p, quotes removed and variables of the script filled in. NULL where it holds anything else that a
 * shell would expand; *p then is undefined.
 */
static char *read_word(const char **p, const struct variables *v)
{
	struct strbuf b = { 0 };
	const char *s = *p;
	char quote = 0;

	for (; *s && (quote || !strchr(" \t;&|<>()", *s)); s++) {
		if (quote != '\'' && *s == '$') {
			bool is_braced = s[1] == '{';
			const char *name = s + 1 + is_braced, *value;
			size_t n = 0;

			while (is_name_char(name[n]))
				n++;
			value = variable_value(v, name, n);
			if (!n || !value || (is_braced && name[n] != '}')) {
				strbuf_done(&b);
				return NULL;
			}
			strbuf_add(&b, value);
			s = name + n + is_braced - 1;
		} else if (*s == '`' && quote != '\'') {
			strbuf_done(&b);
			return NULL;
		} else if (quote ? *s == quote : (*s == '"' || *s == '\''))
			quote = quote ? 0 : *s;
		else if (*s == '\\' && !quote && s[1])
			strbuf_add_bytes(&b, ++s, 1);
		else
			strbuf_add_bytes(&b, s, 1);
	}
	*p = s;
	return strbuf_take(&b);
}

/* NAME=value at the start of a line, with or without export. */
static int note_assignment(struct variables *v, const char *line)
{
	_cleanup_(freep) char *name = NULL, *value = NULL;
	const char *p = line;
	size_t n = 0;

	if (str_has_prefix(p, "export "))
		p += strlen("export ");
	while (is_name_char(p[n]))
		n++;
	if (!n || p[n] != '=')
		return 0;
	name = strndup(p, n);
	p += n + 1;
	value = read_word(&p, v);
	if (!name)
		return -ENOMEM;
	if (!value)
		return 0;
	return strv_add(&v->names, name) < 0 || strv_add(&v->values, value) < 0 ? -ENOMEM : 0;
}

/* What the line execs, if it says so plainly; malloc'ed or NULL. */
static char *exec_target(const char *line, const struct variables *v)
{
	const char *p = line;

	while ((p = strstr(p, "exec"))) {
		bool is_word = (p == line || strchr(" \t;&|(", p[-1])) && (p[4] == ' ' || p[4] == '\t');

		p += 4;
		if (!is_word)
			continue;
		for (;;) {
			_cleanup_(freep) char *word = NULL;

			p += strspn(p, " \t");
			if (!*p)
				return NULL;
			/* Options of exec itself: -a takes a name, -c and -l nothing. */
			if (*p == '-') {
				bool takes_name = p[1] == 'a';

				p += strcspn(p, " \t");
				if (takes_name) {
					p += strspn(p, " \t");
					p += strcspn(p, " \t");
				}
				continue;
			}
			word = read_word(&p, v);
			return word && *word ? TAKE_PTR(word) : NULL;
		}
	}
	return NULL;
}

/* The last plain `exec` of a script that leads to a program; malloc'ed path, or NULL where there is none. */
static char *follow_script(const char *path, const char *path_list)
{
	_cleanup_(freep) char *text = NULL, *found = NULL;
	struct variables v = { 0 };
	size_t len = 0;

	if (file_read(AT_FDCWD, path, SCRIPT_MAX, &text, &len) < 0 || !str_has_prefix(text, "#!") || strlen(text) != len)
		return NULL;
	for (char *line = text, *next; line; line = next) {
		_cleanup_(freep) char *target = NULL;
		char *program;

		next = strchr(line, '\n');
		if (next)
			*next++ = '\0';
		line = str_trim(line);
		if (*line == '#')
			continue;
		if (note_assignment(&v, line) < 0)
			break;
		target = exec_target(line, &v);
		program = target ? look_up(target, path_list) : NULL;
		if (program) {
			free(found);
			found = program;
		}
	}
	strv_free(v.names);
	strv_free(v.values);
	return TAKE_PTR(found);
}

int program_file_resolve(const char *name, const char *path_list, struct program_file *ret)
{
	struct program_file f = { 0 };
	_cleanup_(freep) char *path = look_up(name, path_list);
	int r = path ? note_name(&f, name) : -ENOENT;

	for (int depth = 0; r >= 0 && path && depth < DEPTH_MAX; depth++) {
		char *real = realpath(path, NULL);

		r = note_name(&f, path);
		if (r < 0 || !real)
			break;
		r = note_name(&f, real);
		free(f.path);
		f.path = real;
		free(path);
		path = follow_script(real, path_list);
		if (path && str_eq(path, real))
			break;
	}
	if (r >= 0 && !f.path)
		r = -ENOENT;
	if (r < 0) {
		program_file_done(&f);
		return r;
	}
	*ret = f;
	return 0;
}

/* ---- programs that run another one ---- */

size_t program_file_skip_wrappers(char *const *argv)
{
	size_t i = 0;

	while (argv[i]) {
		const char *name = str_base_name(argv[i]);
		bool is_env = str_eq(name, "env");
		size_t next = i + 1;

		if (!is_env && !str_eq(name, "nohup") && !str_eq(name, "setsid"))
			return i;
		while (argv[next] && (argv[next][0] == '-' || (is_env && strchr(argv[next], '=')))) {
			bool takes_value = is_env && (str_eq(argv[next], "-u") || str_eq(argv[next], "-C"));

			next += takes_value && argv[next + 1] ? 2 : 1;
		}
		if (!argv[next])
			return i;
		i = next;
	}
	return 0;
}
