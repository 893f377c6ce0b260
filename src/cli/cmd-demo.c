/*
 * nsvpn demo: hands over to the demonstration script, which builds a private lab and uses this very program in it. The
 * script stands in the source tree beside the build folder, or is installed under share/nsvpn/demo.
 */
#include <errno.h>
#include <limits.h>
#include <unistd.h>

#include "base/places.h"
#include "cli/options.h"
#include "cli/output.h"

/* malloc'ed path of the script, NULL when there is none. */
static char *find_script(const char *folder)
{
	static const char *const places[] = { "../tests/lab/demo.sh", "../share/nsvpn/demo/demo.sh" };

	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		char *path = str_format("%s/%s", folder, places[i]);

		if (path && access(path, R_OK) == 0)
			return path;
		free(path);
	}
	return NULL;
}

int cmd_demo(struct cli *cli, const struct command *self, int argc, char **argv)
{
	struct options o = { .max_operands = 0 };
	_cleanup_(freep) char *script = NULL, *tools = NULL;
	char program[PATH_MAX], folder[PATH_MAX];
	ssize_t n;
	int r;

	r = options_parse(&o, cli, self, argc, argv);
	if (r != OPTIONS_RUN)
		return r;
	r = cli_need_root(self);
	if (r != EXIT_CODE_OK)
		return r;
	n = readlink("/proc/self/exe", program, sizeof(program) - 1);
	if (n <= 0)
		return output_fail(EXIT_CODE_FAILED, "the place of this program cannot be read from /proc: %m");
	program[n] = '\0';
	(void)str_copy(folder, sizeof(folder), program); /* as large */
	*strrchr(folder, '/') = '\0';
	script = find_script(folder);
	if (!script)
		return output_fail(EXIT_CODE_FAILED, "the demonstration's script is not installed; run `make demo` in the source "
						     "tree");
	tools = place_program("lab");
	if (!tools || setenv("NSVPN_PROGRAM", program, 1) < 0 || setenv("NSVPN_BUILD", folder, 1) < 0 ||
	    setenv("NSVPN_LABBIN", tools, 1) < 0)
		return output_oom();

	char *const args[] = { (char *)"bash", script, NULL };

	(void)execv("/bin/bash", args); /* returns on failure only */
	return output_fail(EXIT_CODE_FAILED, "/bin/bash cannot run %s: %m", script);
}
