/*
 * nsvpn logs [NAME] [-f]: the tunnel's log, a plain file of the helper's.
 *
 * Following: at the end of the file we look again four times a second. The helper begins a new file when one is full or
 * the tunnel starts again; so a file that is another one or shorter than before is opened anew.
 */
#include <errno.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/places.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/tunnel-names.h"

static void print_log_line(const struct cli *cli, char *line, ssize_t len)
{
	struct strbuf b = { 0 };
	struct json j = { .out = &b };

	if (len > 0 && line[len - 1] == '\n')
		line[len - 1] = '\0';
	if (cli->json) {
		json_begin_envelope(&j);
		json_pair(&j, "line", line);
		(void)json_end_envelope(&j); /* the caller flushes and looks */
		return;
	}
	/* What a peer said was escaped when it was written; this is the second lock on the terminal. */
	for (unsigned char *p = (unsigned char *)line; *p; p++)
		if ((*p < 0x20 && *p != '\t') || *p == 0x7f)
			*p = '?';
	(void)puts(line); /* output_flush() sees a failure */
}

/* To the end of the file. */
static void copy(const struct cli *cli, FILE *f)
{
	char *line = NULL;
	size_t cap = 0;
	ssize_t len;

	while ((len = getline(&line, &cap, f)) > 0)
		print_log_line(cli, line, len);
	free(line);
	clearerr(f); /* there may be more later */
}

/* True when path is not the file behind f any more, or was emptied. */
static bool was_replaced(const char *path, FILE *f)
{
	struct stat named, open_file;

	if (stat(path, &named) < 0)
		return false; /* nothing to change to yet */
	if (fstat(fileno(f), &open_file) < 0)
		return true;
	return named.st_ino != open_file.st_ino || named.st_dev != open_file.st_dev || open_file.st_size < ftello(f);
}

static int follow(const struct cli *cli, const char *path, FILE *f)
{
	const struct timespec pause = { .tv_nsec = 250 * 1000 * 1000 };
	int r = EXIT_CODE_OK;

	while (r == EXIT_CODE_OK && f) {
		(void)nanosleep(&pause, NULL); /* woken early: looks early */
		copy(cli, f);
		if (was_replaced(path, f)) {
			(void)fclose(f); /* only read from */
			f = fopen(path, "re");
			if (!f)
				return output_fail(EXIT_CODE_FAILED, "%s cannot be opened any more: %m", path);
			copy(cli, f);
		}
		r = output_flush();
	}
	if (f)
		(void)fclose(f);
	return r;
}

int cmd_logs(struct cli *cli, const struct command *self, int argc, char **argv)
{
	bool is_follow = false;
	const struct option_spec table[] = { { "follow", 'f', OPTION_FLAG, &is_follow } };
	struct options o = { .table = table, .n_table = ARRAY_SIZE(table), .max_operands = 1 };
	_cleanup_(freep) char *name = NULL, *path = NULL;
	FILE *f;
	int r;

	r = options_parse(&o, cli, self, argc, argv);
	if (r != OPTIONS_RUN)
		return r;
	if (!place_is_ours()) /* servers, addresses and programs of everybody stand in them */
		return output_fail(EXIT_CODE_DENIED, "only root may read the logs in %s; use: sudo nsvpn logs%s%s", place_run(),
				   o.n_operands ? " " : "", o.n_operands ? o.operands[0] : "");
	r = o.n_operands ? tunnel_names_check(o.operands[0]) : tunnel_names_default(NULL, &name);
	if (r != EXIT_CODE_OK)
		return r;
	if (o.n_operands)
		name = strdup(o.operands[0]);
	path = name ? str_format("%s/log/%s.log", place_run(), name) : NULL;
	if (!path)
		return output_oom();
	f = fopen(path, "re");
	if (!f && errno == ENOENT && !tunnel_names_is_configured(name))
		return tunnel_names_expect(name); /* says so */
	if (!f && errno == ENOENT)
		return output_fail(EXIT_CODE_NOT_UP, "there is no log of tunnel %s (%s): it has not been up since the machine "
						     "started",
				   name, path);
	if (!f)
		return output_fail(EXIT_CODE_FAILED, "%s cannot be opened: %m", path);
	copy(cli, f);
	r = output_flush();
	if (r == EXIT_CODE_OK && is_follow)
		return follow(cli, path, f);
	(void)fclose(f); /* only read from */
	return r;
}
