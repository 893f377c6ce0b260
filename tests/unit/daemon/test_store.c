/* The intent file: absent is down, intact is believed, anything else locks. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "daemon/store.h"
#include "world.h"

static struct intent sample(void)
{
	struct intent i = { .want_up = true, .uplink = UPLINK_SOCKET };

	(void)str_copy(i.boot_id, sizeof(i.boot_id), "01234567-89ab-cdef-0123-456789abcdef");
	return i;
}

static void teardown(void)
{
	if (world.manager)
		world_end();
}

static void setup(void)
{
	world_begin(NULL);
}

Test(store, format_and_parse_agree)
{
	struct intent i = sample(), j;
	char buf[STORE_FILE_MAX];
	ssize_t n = store_format(&i, buf, sizeof(buf));

	cr_assert_gt(n, 0);
	cr_assert_eq(store_parse(buf, (size_t)n, &j), 0);
	cr_assert(j.want_up && j.uplink == UPLINK_SOCKET && str_eq(j.boot_id, i.boot_id));
}

Test(store, every_flipped_bit_is_noticed)
{
	struct intent i = sample(), j;
	char buf[STORE_FILE_MAX];
	ssize_t n = store_format(&i, buf, sizeof(buf));

	for (ssize_t k = 0; k < n; k++)
		for (int bit = 0; bit < 8; bit++) {
			buf[k] ^= (char)(1 << bit);
			cr_assert_eq(store_parse(buf, (size_t)n, &j), -EBADMSG, "byte %zd bit %d", k, bit);
			buf[k] ^= (char)(1 << bit);
		}
}

Test(store, every_other_byte_is_noticed)
{
	struct intent i = sample(), j;
	char buf[STORE_FILE_MAX];
	ssize_t n = store_format(&i, buf, sizeof(buf));

	for (ssize_t k = 0; k < n; k++) {
		char was = buf[k];

		for (int c = 0; c < 256; c++) {
			buf[k] = (char)c;
			cr_assert_eq(store_parse(buf, (size_t)n, &j), (char)c == was ? 0 : -EBADMSG, "byte %zd value %d", k, c);
		}
		buf[k] = was;
	}
}

Test(store, every_truncation_and_any_tail_is_noticed)
{
	struct intent i = sample(), j;
	char buf[STORE_FILE_MAX + 1];
	ssize_t n = store_format(&i, buf, sizeof(buf));

	for (ssize_t k = 0; k < n; k++)
		cr_assert_eq(store_parse(buf, (size_t)k, &j), -EBADMSG, "cut at %zd", k);
	buf[n] = '\n';
	cr_assert_eq(store_parse(buf, (size_t)n + 1, &j), -EBADMSG);
}

Test(store, saves_loads_lists_removes, .init = setup, .fini = teardown)
{
	_cleanup_(strv_freep) char **names = NULL;
	_cleanup_(freep) char *error = NULL;
	struct intent i = sample(), j;

	cr_assert_eq(store_load("home", &j, &error), -ENOENT);
	cr_assert_eq(store_save("home", &i, &error), 0, "%s", error);
	cr_assert_eq(store_load("home", &j, &error), 0);
	cr_assert(str_eq(i.boot_id, j.boot_id));
	cr_assert_eq(store_list(&names), 0);
	cr_assert(strv_len(names) == 1 && str_eq(names[0], "home"));
	cr_assert_eq(store_remove("home", &error), 0);
	cr_assert_eq(store_load("home", &j, &error), -ENOENT);
	cr_assert_eq(store_remove("home", &error), 0);
}

Test(store, damage_is_not_absence, .init = setup, .fini = teardown)
{
	_cleanup_(freep) char *error = NULL;
	struct intent i = sample(), j;
	char path[128];

	cr_assert_eq(store_save("home", &i, &error), 0);
	(void)snprintf(path, sizeof(path), "%s/state/home.intent", world.dir);
	cr_assert_eq(truncate(path, 0), 0);
	cr_assert_eq(store_load("home", &j, &error), -EBADMSG);
	cr_assert_not_null(strstr(error, path));
	unlink(path);
	cr_assert_eq(mkfifo(path, 0600), 0); /* must not hang either */
	free(TAKE_PTR(error));
	cr_assert_lt(store_load("home", &j, &error), 0);
	cr_assert_not_null(error);
	unlink(path);
	cr_assert_eq(symlink("/etc/hostname", path), 0);
	free(TAKE_PTR(error));
	cr_assert_lt(store_load("home", &j, &error), 0);
	cr_assert_not_null(error);
}

Test(store, a_file_that_others_can_write_is_not_believed, .init = setup, .fini = teardown)
{
	_cleanup_(freep) char *error = NULL;
	struct intent i = sample(), j;
	char path[128];

	cr_assert_eq(store_save("home", &i, &error), 0);
	(void)snprintf(path, sizeof(path), "%s/state/home.intent", world.dir);
	cr_assert_eq(chmod(path, 0622), 0);
	cr_assert_eq(store_load("home", &j, &error), -EBADMSG);
	cr_assert_eq(chmod(path, 0600), 0);
	cr_assert_eq(chown(path, 1234, 1234), 0);
	free(TAKE_PTR(error));
	cr_assert_eq(store_load("home", &j, &error), -EBADMSG);
}

Test(store, reads_this_boots_id)
{
	char id[STORE_BOOT_ID_LEN + 1];

	cr_assert_eq(store_boot_id(id), 0);
	cr_assert_eq(strlen(id), STORE_BOOT_ID_LEN);
}
