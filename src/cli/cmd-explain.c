/* nsvpn explain FILE: what each line of a profile will do; nothing is stored, nothing is changed. */
#include <fcntl.h>

#include "base/fd.h"
#include "cli/options.h"
#include "cli/report.h"

/* This version has one data path; the sentence is here so that nobody has to guess. The helper says the same. */
#define DATA_PATH "userspace"
#define DATA_PATH_REASON "the kernel's ovpn data path is not built into this version"

static int print_text(const char *file, const struct notes *n, const char *error)
{
	printf("%s%s%s\n", output_style(STYLE_BOLD), file, output_style(STYLE_PLAIN));
	report_print(n, true);
	printf("  %zu honoured, %zu ignored, %zu refused; data path: " DATA_PATH " (" DATA_PATH_REASON ")\n",
	       report_count(n, FATE_HONOURED), report_count(n, FATE_IGNORED), report_count(n, FATE_REFUSED));
	if (error)
		printf("  %simport would refuse it:%s %s\n", output_style(STYLE_BAD), output_style(STYLE_PLAIN), error);
	return output_flush();
}

static int print_json(const char *file, const struct notes *n, const char *error)
{
	struct strbuf b = { 0 };
	struct json j = { .out = &b };

	json_begin_envelope(&j);
	json_pair(&j, "file", file);
	json_pair(&j, "data_path", DATA_PATH);
	json_pair(&j, "data_path_reason", DATA_PATH_REASON);
	report_json(n, &j);
	json_pair_text(&j, "error", error);
	return json_end_envelope(&j);
}

static int read_profile(const char *file, char **ret, size_t *ret_len, int *ret_dirfd)
{
	const char *slash = strrchr(file, '/');
	_cleanup_(freep) char *dir = slash ? strndup(file, (size_t)(slash - file) + 1) : strdup(".");
	int r = dir ? file_read(AT_FDCWD, file, PROFILE_FILE_MAX, ret, ret_len) : -ENOMEM;

	if (r == -EFBIG)
		return output_fail(EXIT_CODE_FAILED, "%s is larger than %u bytes, which no profile is; is it the right file?",
				   file, PROFILE_FILE_MAX);
	if (r < 0)
		return output_fail(r == -EACCES ? EXIT_CODE_DENIED : EXIT_CODE_FAILED, "%s cannot be read: %s", file,
				   r == -EINVAL ? "it is not a regular file" : strerror(-r));
	*ret_dirfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (*ret_dirfd >= 0)
		return EXIT_CODE_OK;
	free(*ret);
	*ret = NULL;
	return output_fail(EXIT_CODE_FAILED, "%s: the folder cannot be opened: %m", file);
}

int cmd_explain(struct cli *cli, const struct command *self, int argc, char **argv)
{
	struct options o = { .min_operands = 1, .max_operands = 1, .operand_name = "FILE" };
	_cleanup_(profile_freep) struct profile *p = NULL;
	_cleanup_(freep) char *text = NULL, *error = NULL;
	_cleanup_(closep) int dirfd = -EBADF;
	struct notes notes = { 0 };
	const char *file;
	size_t len;
	int r, parsed;

	r = options_parse(&o, cli, self, argc, argv);
	if (r != OPTIONS_RUN)
		return r;
	file = o.operands[0];
	r = read_profile(file, &text, &len, &dirfd);
	if (r != EXIT_CODE_OK)
		return r;
	parsed = profile_parse_ovpn(text, len, file, profile_load_at, &dirfd, &notes, &p, &error);
	if (parsed >= 0)
		parsed = profile_verify(p, &error);
	secret_wipe(text, len);
	if (parsed == -ENOMEM)
		r = output_oom();
	else
		r = cli->json ? print_json(file, &notes, error) : print_text(file, &notes, error);
	if (r == EXIT_CODE_OK && (parsed < 0 || report_count(&notes, FATE_REFUSED)))
		r = EXIT_CODE_FAILED;
	notes_done(&notes);
	return r;
}
