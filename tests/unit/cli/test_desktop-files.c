/* Finding desktop entries in folders of different rank. */
#include "cli/desktop-files.h"
#include "unit/cli/desk.h"

#define ENTRY(name, exec) "[Desktop Entry]\nType=Application\nName=" name "\nExec=" exec "\n"

static void furnish(void)
{
	_cleanup_(freep) char *home = NULL, *dirs = NULL;

	desk_make();
	home = str_format("%s/home", desk);
	dirs = str_format("%s/local:relative:%s/share", desk, desk);
	cr_assert(setenv("XDG_DATA_HOME", home, 1) == 0 && setenv("XDG_DATA_DIRS", dirs, 1) == 0);
	desk_text("share/applications/firefox-esr.desktop", ENTRY("Firefox", "/usr/lib/firefox-esr/firefox-esr %u"));
	desk_text("share/applications/kde/konsole.desktop", ENTRY("Konsole", "konsole"));
	desk_text("share/applications/writer.desktop", ENTRY("Writer", "libreoffice --writer"));
	desk_text("share/applications/calc.desktop", ENTRY("Calc", "libreoffice --calc"));
	desk_text("share/applications/start.desktop", ENTRY("Start", "env A=b starter") "NoDisplay=true\n");
	desk_text("share/applications/broken.desktop", "nonsense\n");
	desk_text("share/applications/bad id.desktop", ENTRY("Bad", "badid"));
}

static void finds(const char *app, const char *id, const char *name)
{
	_cleanup_(freep) char *error = NULL;
	struct desktop_file f = { 0 };

	cr_assert_eq(desktop_files_find(app, &f, &error), 0, "%s: %s", app, error ? error : "?");
	cr_expect_str_eq(f.id, id);
	cr_expect_str_eq(desktop_entry_get(&f.entry, "Name"), name);
	desktop_file_done(&f);
}

static void fails(const char *app, int code, const char *part)
{
	_cleanup_(freep) char *error = NULL;
	struct desktop_file f = { 0 };

	cr_expect_eq(desktop_files_find(app, &f, &error), code, "%s", app);
	cr_expect(error && strstr(error, part), "%s", error ? error : "no sentence");
	cr_expect_null(f.path);
}

Test(desktop_files, by_id_and_by_program)
{
	furnish();
	finds("firefox-esr", "firefox-esr", "Firefox");
	finds("firefox-esr.desktop", "firefox-esr", "Firefox");
	finds("/usr/lib/firefox-esr/firefox-esr", "firefox-esr", "Firefox");
	finds("kde-konsole", "kde-konsole", "Konsole");
	finds("konsole", "kde-konsole", "Konsole");
	finds("starter", "start", "Start");
	finds("calc", "calc", "Calc");
}

Test(desktop_files, what_is_not_there_or_not_clear)
{
	furnish();
	fails("nothing", -ENOENT, "no menu entry");
	fails("libreoffice", -ENOTUNIQ, "calc, writer");
	fails("broken", -EINVAL, "line 1");
	fails("badid", -ENOENT, "no menu entry");
	fails("bad id", -ENOENT, "no menu entry");
}

Test(desktop_files, folders_of_higher_rank_replace_and_hide)
{
	furnish();
	desk_text("local/applications/firefox-esr.desktop", ENTRY("Mine", "firefox-esr --mine"));
	finds("firefox-esr", "firefox-esr", "Mine");
	desk_text("home/applications/firefox-esr.desktop", ENTRY("Gone", "firefox-esr") "Hidden=true\n");
	fails("firefox-esr", -ENOENT, "no menu entry");
}

Test(desktop_files, entries_of_tunnels_are_listed_and_never_originals)
{
	struct desktop_file *files = NULL;
	size_t n = 0;

	furnish();
	desk_text("home/applications/nsvpn-home-x.desktop",
		  ENTRY("X (home)", "/usr/bin/nsvpn exec --notify -t home -- xprog %u") "X-Nsvpn-Tunnel=home\nX-Nsvpn-Original=x\n");
	desk_text("home/applications/nsvpn-home-y.desktop", ENTRY("Somebody's own", "y"));
	desk_text("home/applications/nsvpn-home-z.desktop", "nonsense");
	cr_assert_eq(desktop_files_of_tunnels(&files, &n), 0);
	cr_assert_eq(n, 1);
	cr_expect_str_eq(files[0].id, "x");
	cr_expect(desktop_file_is_meant(&files[0], files[0].id, "xprog"));
	cr_expect(desktop_file_is_meant(&files[0], files[0].id, "x.desktop"));
	cr_expect_not(desktop_file_is_meant(&files[0], files[0].id, "nsvpn"));
	desktop_files_free(files, n);
	fails("xprog", -ENOENT, "no menu entry");
}
