/*
 * A single-instance program, as browsers and desktop applications are: the first one opens windows for all that follow.
 *
 *   stubapp [--profile DIR] [--new-instance] [--standalone] WORD
 *
 * Under the names firefox and stub it finds the first one by a socket in its profile folder (default: ~/.stub-profile) and
 * leaves Firefox's lock there; under any other name by a name on the session bus. A "window" is a line "PID NETNS WORD" in
 * ~/windows, NETNS the inode of the network namespace of whoever opened it. Handing over exits with 0 at once.
 *
 * Under the name notifyd it is the desktop's notification service instead: each one is a line "ICON SUMMARY|BODY" in
 * ~/notifications.
 */
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <systemd/sd-bus.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/str.h"

#define BUS_STUB "org.example.Stub"

static _noreturn_ void die(const char *what)
{
	perror(what);
	exit(1);
}

static void open_window(const char *word)
{
	const char *home = getenv("HOME");
	_cleanup_(freep) char *path = str_format("%s/windows", home ? home : "/");
	struct stat st;
	FILE *f = path ? fopen(path, "ae") : NULL;

	if (!f || stat("/proc/self/ns/net", &st) < 0)
		die("window");
	(void)fprintf(f, "%d %lu %s\n", getpid(), (unsigned long)st.st_ino, word);
	if (fclose(f) != 0)
		die("window");
}

/* ---- by a socket in the profile ---- */

static void by_socket(const char *profile, bool always_new, const char *word)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	_cleanup_(freep) char *lock = str_format("%s/lock", profile), *target = str_format("127.0.1.1:+%d", getpid());
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	char asked[256];

	(void)mkdir(profile, 0700); /* there, mostly */
	if (fd < 0 || !lock || !target || snprintf(a.sun_path, sizeof(a.sun_path), "%s/sock", profile) >= (int)sizeof(a.sun_path))
		die("socket");
	if (connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0) {
		if (always_new) {
			(void)fputs("already running\n", stderr);
			exit(1);
		}
		if (send(fd, word, strlen(word), MSG_NOSIGNAL) < 0)
			die("hand over");
		exit(0);
	}
	(void)unlink(a.sun_path);
	(void)unlink(lock);
	if (bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0 || listen(fd, 8) < 0 || symlink(target, lock) < 0)
		die(a.sun_path);
	open_window(word);
	for (;;) {
		_cleanup_(closep) int c = accept(fd, NULL, NULL);
		ssize_t n = c < 0 ? -1 : recv(c, asked, sizeof(asked) - 1, 0);

		if (n > 0) {
			asked[n] = '\0';
			open_window(asked);
		}
	}
}

/* ---- by a name on the session bus ---- */

static int on_open(sd_bus_message *m, void *userdata _unused_, sd_bus_error *e _unused_)
{
	const char *word;
	int r = sd_bus_message_read(m, "s", &word);

	if (r < 0)
		return r;
	open_window(word);
	return sd_bus_reply_method_return(m, "");
}

static const sd_bus_vtable vtable[] = { SD_BUS_VTABLE_START(0),
					SD_BUS_METHOD("Open", "s", "", on_open, SD_BUS_VTABLE_UNPRIVILEGED),
					SD_BUS_VTABLE_END };

static void by_bus(bool alone, const char *word)
{
	sd_bus *bus;
	int r = sd_bus_open_user(&bus);

	if (r >= 0 && !alone) {
		r = sd_bus_add_object_vtable(bus, NULL, "/stub", BUS_STUB, vtable, NULL);
		if (r >= 0)
			r = sd_bus_request_name(bus, BUS_STUB, 0);
	}
	if (r == -EEXIST)
		exit(sd_bus_call_method(bus, BUS_STUB, "/stub", BUS_STUB, "Open", NULL, NULL, "s", word) < 0);
	if (r < 0) {
		errno = -r;
		die("session bus");
	}
	open_window(word);
	while ((r = sd_bus_process(bus, NULL)) >= 0)
		if (r == 0 && sd_bus_wait(bus, UINT64_MAX) < 0)
			break;
	exit(1);
}

/* ---- notifications ---- */

static int on_notify(sd_bus_message *m, void *userdata _unused_, sd_bus_error *e _unused_)
{
	const char *application, *icon, *summary, *body, *home = getenv("HOME");
	_cleanup_(freep) char *path = str_format("%s/notifications", home ? home : "/");
	uint32_t replaces;
	FILE *f;
	int r = sd_bus_message_read(m, "susss", &application, &replaces, &icon, &summary, &body);

	if (r < 0)
		return r;
	f = path ? fopen(path, "ae") : NULL;
	if (!f)
		die("notifications");
	(void)fprintf(f, "%s %s|%s\n", icon, summary, body);
	if (fclose(f) != 0)
		die("notifications");
	return sd_bus_reply_method_return(m, "u", 1);
}

static const sd_bus_vtable notify_vtable[] = {
	SD_BUS_VTABLE_START(0), SD_BUS_METHOD("Notify", "susssasa{sv}i", "u", on_notify, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_VTABLE_END
};

static _noreturn_ void be_notifyd(void)
{
	sd_bus *bus;
	int r = sd_bus_open_user(&bus);

	if (r >= 0)
		r = sd_bus_add_object_vtable(bus, NULL, "/org/freedesktop/Notifications", "org.freedesktop.Notifications",
					     notify_vtable, NULL);
	if (r >= 0)
		r = sd_bus_request_name(bus, "org.freedesktop.Notifications", 0);
	while (r >= 0) {
		r = sd_bus_process(bus, NULL);
		if (r == 0)
			r = sd_bus_wait(bus, UINT64_MAX);
	}
	errno = -r;
	die("session bus");
}

int main(int argc, char **argv)
{
	const char *home = getenv("HOME"), *name = str_base_name(argv[0]), *word = "";
	_cleanup_(freep) char *standard = str_format("%s/.stub-profile", home ? home : "/");
	const char *profile = standard;
	bool always_new = false, alone = false;

	if (str_eq(name, "notifyd"))
		be_notifyd();
	for (int i = 1; i < argc; i++) {
		if (str_eq(argv[i], "--profile") && i + 1 < argc)
			profile = argv[++i];
		else if (str_eq(argv[i], "--new-instance"))
			always_new = true;
		else if (str_eq(argv[i], "--standalone"))
			alone = true;
		else
			word = argv[i];
	}
	if (str_has_prefix(name, "firefox") || str_eq(name, "stub"))
		by_socket(profile, always_new, word);
	else
		by_bus(alone, word);
	return 0;
}
