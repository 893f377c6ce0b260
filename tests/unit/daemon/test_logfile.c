/* Log files: where lines go, how long files get, what stays. */
#include <criterion/criterion.h>
#include <sys/stat.h>

#include "base/log.h"
#include "daemon/logfile.h"
#include "world.h"

TestSuite(logfile, .fini = world_end, .timeout = 30);

Test(logfile, lines_go_to_the_tunnels_file)
{
	_cleanup_(freep) char *tunnel = NULL, *own = NULL;

	world_begin(NULL);
	log_set_max_level(LOG_LEVEL_INFO);
	logfile_install(false);
	(void)log_full(LOG_LEVEL_INFO, 0, "home", "hello");
	log_info("of the helper");
	tunnel = world_read("run/log/home.log");
	own = world_read("run/nsvpnd.log");
	cr_assert_not_null(tunnel);
	cr_assert_not_null(strstr(tunnel, " info hello\n"));
	cr_assert_null(strstr(tunnel, "helper"));
	cr_assert_not_null(strstr(own, " info of the helper\n"));
	logfile_remove_all();
	cr_assert_null(world_read("run/log/home.log"));
	cr_assert_null(world_read("run/nsvpnd.log"));
}

Test(logfile, files_are_bounded)
{
	char path[128], old[136], line[1001];
	struct stat st, st_old;

	world_begin(NULL);
	log_set_max_level(LOG_LEVEL_INFO);
	logfile_install(false);
	memset(line, 'x', sizeof(line) - 1);
	line[sizeof(line) - 1] = 0;
	for (int i = 0; i < 2500; i++)
		(void)log_full(LOG_LEVEL_INFO, 0, "home", "%s", line);
	(void)snprintf(path, sizeof(path), "%s/run/log/home.log", world.dir);
	(void)snprintf(old, sizeof(old), "%s.1", path);
	cr_assert_eq(stat(path, &st), 0);
	cr_assert_eq(stat(old, &st_old), 0);
	cr_assert_leq(st.st_size, LOGFILE_MAX + 2048);
	cr_assert_leq(st_old.st_size, LOGFILE_MAX + 2048);
	cr_assert_eq(st.st_mode & 0777, 0600);
	logfile_remove_all();
}
