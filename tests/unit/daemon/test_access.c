/* access.c: lists against uids and groups, names that nobody has, settings that cannot be trusted. */
#include <criterion/criterion.h>
#include <sys/stat.h>

#include "base/log.h"
#include "daemon/access.h"
#include "world.h"

static gid_t groups[] = { 4242, 65534 };
static const struct sender alice = { .uid = 4200, .groups = groups, .n_groups = 2 };
static const struct sender groupless = { .uid = 4200 };
static const struct sender root = { .uid = 0 };

static const struct {
	const char *users[3], *groups[3];
	int alice, groupless;
} rows[] = {
	{ { NULL }, { NULL }, 0, 0 },
	{ { "4200" }, { NULL }, 0, 0 },
	{ { "4201" }, { NULL }, -EACCES, -EACCES },
	{ { "root", "daemon" }, { NULL }, -EACCES, -EACCES },
	{ { NULL }, { "4242" }, 0, -EACCES },
	{ { NULL }, { "nogroup" }, 0, -EACCES },
	{ { NULL }, { "4200" }, -EACCES, -EACCES },
	{ { "4201" }, { "4242" }, 0, -EACCES },
	{ { "no-such-user-here" }, { "no-such-group-here" }, -EACCES, -EACCES },
	{ { "no-such-user-here", "4200" }, { NULL }, 0, 0 },
};

Test(access, lists_name_users_and_groups)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct tunnel_settings s = {
			.users = rows[i].users[0] ? (char **)rows[i].users : NULL,
			.groups = rows[i].groups[0] ? (char **)rows[i].groups : NULL,
		};
		_cleanup_(freep) char *e1 = NULL, *e2 = NULL, *e3 = NULL;

		cr_expect_eq(access_check(&s, "home", &alice, &e1), rows[i].alice, "row %zu", i);
		cr_expect_eq(access_check(&s, "home", &groupless, &e2), rows[i].groupless, "row %zu", i);
		cr_expect_eq(access_check(&s, "home", &root, &e3), 0, "root, row %zu", i);
		cr_expect_eq(e1 != NULL, rows[i].alice < 0);
		cr_expect_null(e3);
	}
}

static void count(void *userdata, enum log_level level _unused_, const char *object _unused_, const char *line)
{
	unsigned *n = userdata;

	*n += strstr(line, "there is no") != NULL;
}

/* Asking and saying so go together, and the log cannot be filled by asking again and again. */
Test(access, a_directory_is_not_asked_again_at_once)
{
	struct tunnel_settings of_user = { .users = (char *[]){ "no-such-user-here", NULL } };
	struct tunnel_settings of_group = { .groups = (char *[]){ "no-such-user-here", NULL } };
	unsigned n = 0;

	log_set_sink(count, &n);
	for (int i = 0; i < 3; i++) {
		_cleanup_(freep) char *error = NULL;

		cr_expect_eq(access_check(&of_user, "home", &alice, &error), -EACCES);
	}
	cr_expect_eq(n, 1, "%u", n);
	for (int i = 0; i < 3; i++) {
		_cleanup_(freep) char *error = NULL;

		cr_expect_eq(access_check(&of_group, "home", &alice, &error), -EACCES);
	}
	cr_expect_eq(n, 2, "a group is not a user: %u", n);
	log_set_sink(NULL, NULL);
}

/* More names than are remembered: all are still answered, none for another. */
Test(access, many_names)
{
	for (int round = 0; round < 2; round++)
		for (int i = 0; i < 40; i++) {
			char name[100];
			struct tunnel_settings s = { .users = (char *[]){ name, NULL } };
			_cleanup_(freep) char *error = NULL;

			(void)snprintf(name, sizeof(name), "no-such-user-%0*d", i % 2 ? 70 : 3, i);
			cr_expect_eq(access_check(&s, "home", &alice, &error), -EACCES);
		}
}

Test(access, the_refusal_says_whose_it_is_and_who_can_help)
{
	const char *users[] = { "4201", "bob", NULL }, *names[] = { "vpn", NULL };
	struct tunnel_settings s = { .users = (char **)users, .groups = (char **)names };
	_cleanup_(freep) char *error = NULL;

	cr_assert_eq(access_check(&s, "home", &alice, &error), -EACCES);
	cr_expect_not_null(strstr(error, "tunnel home is for the users 4201, bob and members of vpn only"), "%s", error);
	cr_expect_not_null(strstr(error, "/tunnels/home/settings.conf"), "%s", error);
}

static void check(int want, const char *sentence)
{
	_cleanup_(freep) char *error = NULL, *none = NULL;
	int r = access_check_tunnel("home", &alice, &error);

	cr_expect_eq(r, want, "%d %s", r, error);
	if (sentence)
		cr_expect(error && strstr(error, sentence), "%s", error);
	cr_expect_eq(access_check_tunnel("home", &root, &none), 0);
}

static int play_nothing(int sock _unused_, unsigned n _unused_)
{
	return 0;
}

Test(access, the_file_counts_as_it_is_now, .timeout = 30)
{
	_cleanup_(freep) char *path = NULL, *folder = NULL;
	char gone[128];

	world_begin(play_nothing);
	path = str_format("%s/etc/tunnels/home/settings.conf", world.dir);
	folder = str_format("%s/etc/tunnels/home", world.dir);
	cr_assert(path && folder);
	check(0, NULL);
	world_write("etc/tunnels/home/settings.conf", "[Access]\nUsers=4200\n");
	check(0, NULL);
	world_write("etc/tunnels/home/settings.conf", "[Access]\nUsers=4201\n");
	check(-EACCES, "is for the users 4201 only");
	/* Neither a mistake nor a file that others can write opens the tunnel. */
	world_write("etc/tunnels/home/settings.conf", "[Access]\nUsrs=4200\n");
	check(-EACCES, "cannot be read");
	world_write("etc/tunnels/home/settings.conf", "[Access]\nUsers=4200\n");
	cr_assert_eq(chmod(path, 0666), 0);
	check(-EACCES, "cannot be read");
	cr_assert_eq(unlink(path), 0);
	check(0, NULL);
	(void)snprintf(gone, sizeof(gone), "%s/etc/tunnels/gone", world.dir);
	cr_assert_eq(rename(folder, gone), 0);
	check(-EACCES, "not configured any more");
	world_end();
}
