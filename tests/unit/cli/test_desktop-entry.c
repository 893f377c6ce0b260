/* Desktop entries: reading, quoting both ways, and the entry of a tunnel. */
#include <criterion/criterion.h>

#include "base/str.h"
#include "cli/desktop-entry.h"

static struct desktop_entry parsed(const char *text)
{
	_cleanup_(freep) char *error = NULL;
	struct desktop_entry e = { 0 };

	cr_assert_eq(desktop_entry_parse(text, strlen(text), &e, &error), 0, "%s", error ? error : "?");
	return e;
}

static char *joined(char *const *args)
{
	struct strbuf b = { 0 };

	for (; *args; args++)
		strbuf_addf(&b, "[%s]", *args);
	return strbuf_take(&b);
}

#define FIREFOX                                                                                                          \
	"#!/usr/bin/env xdg-open\n\n[Desktop Entry]\nVersion = 1.0\nName=Firefox\nName[de]=Feuerfuchs\nX-GNOME-FullName=F\n"  \
	"Exec=/usr/lib/firefox-esr/firefox-esr %u\nTerminal=false\nType=Application\nIcon=firefox-esr\nDBusActivatable=true\n" \
	"MimeType=text/html;x-scheme-handler/https;\nStartupWMClass=firefox-esr\nNoDisplay=true\nStartupNotify=true\n"         \
	"Implements=org.example.X;\nActions=new-window;\nCategories=Network;WebBrowser;\n\n"                                    \
	"[Desktop Action new-window]\nName=New Window\nName[de]=Neues Fenster\nExec=/usr/lib/firefox-esr/firefox-esr -new-window\n" \
	"[X-Other Group]\nExec=evil\n"

Test(desktop_entry, the_entry_of_a_tunnel)
{
	struct desktop_entry e = parsed(FIREFOX);
	const struct desktop_rewrite w = { "/usr/bin/nsvpn", "home", "firefox-esr", false };
	_cleanup_(freep) char *text = NULL, *error = NULL;

	cr_assert_eq(desktop_entry_rewrite(&e, &w, &text, &error), 0);
	cr_expect_str_eq(text, "# Made by `nsvpn desktop add`; `nsvpn desktop remove` takes it away.\n"
			       "[Desktop Entry]\nVersion=1.0\nName=Firefox (home)\nName[de]=Feuerfuchs (home)\n"
			       "Exec=/usr/bin/nsvpn exec --notify -t home -- /usr/lib/firefox-esr/firefox-esr %u\nTerminal=false\n"
			       "Type=Application\nIcon=firefox-esr\nStartupWMClass=firefox-esr\nStartupNotify=true\n"
			       "Actions=new-window;\nCategories=Network;WebBrowser;\nTryExec=/usr/lib/firefox-esr/firefox-esr\n"
			       "DBusActivatable=false\nX-Nsvpn-Tunnel=home\nX-Nsvpn-Original=firefox-esr\n\n"
			       "[Desktop Action new-window]\nName=New Window\nName[de]=Neues Fenster\n"
			       "Exec=/usr/bin/nsvpn exec --notify -t home -- /usr/lib/firefox-esr/firefox-esr -new-window\n");
	desktop_entry_done(&e);
}

Test(desktop_entry, its_command_line_is_read_back)
{
	const struct desktop_rewrite w = { "/opt/my nsvpn/100%/nsvpn", "home", "x", true };
	struct desktop_entry e = parsed("[Desktop Entry]\nType=Application\nName=X\nExec=env A=b \"/opt/a \\\\\"b\" -- %F\n"), again;
	_cleanup_(strv_freep) char **args = NULL, **whole = NULL;
	_cleanup_(freep) char *text = NULL, *error = NULL, *j = NULL;

	cr_assert_eq(desktop_entry_rewrite(&e, &w, &text, &error), 0);
	again = parsed(text);
	cr_assert_eq(desktop_entry_original(&again, &args), 0);
	j = joined(args);
	cr_expect_str_eq(j, "[env][A=b][/opt/a \"b][--][%F]");
	cr_assert_eq(desktop_exec_split(desktop_entry_get(&again, "Exec"), &whole), 0);
	cr_expect_str_eq(whole[0], "/opt/my nsvpn/100%%/nsvpn");
	cr_expect_str_eq(whole[5], "--new-instance");
	cr_expect_str_eq(desktop_entry_get(&again, "TryExec"), "env");
	desktop_entry_done(&e);
	desktop_entry_done(&again);
}

static void refused(const char *text, const char *part)
{
	const struct desktop_rewrite w = { "/usr/bin/nsvpn", "home", "x", false };
	struct desktop_entry e = parsed(text);
	_cleanup_(freep) char *out = NULL, *error = NULL;

	cr_expect_eq(desktop_entry_rewrite(&e, &w, &out, &error), -EINVAL, "%s", text);
	cr_expect(error && strstr(error, part), "%s", error ? error : "no sentence");
	cr_expect_null(out);
	desktop_entry_done(&e);
}

Test(desktop_entry, what_cannot_be_started_is_refused)
{
	refused("[Desktop Entry]\nType=Link\nName=X\nURL=https://x/\n", "no application");
	refused("[Desktop Entry]\nName=X\nExec=x\n", "no application");
	refused("[Desktop Entry]\nType=Application\nName=X\nDBusActivatable=true\n", "D-Bus");
	refused("[Desktop Entry]\nType=Application\nName=X\nExec=x\nHidden=true\n", "Hidden");
	refused("[Desktop Entry]\nType=Application\nExec=x\n", "Name");
	refused("[Desktop Entry]\nType=Application\nName=X\nExec=sh -c 'x'\n", "quoted");
	refused("[Desktop Entry]\nType=Application\nName=X\nExec=x\n[Desktop Action a]\nName=A\nExec=\"x\n", "[Desktop Action a]");
	refused("[X]\nType=Application\nName=X\nExec=x\n", "no application");
}

static void malformed(const char *text, size_t len, const char *part)
{
	struct desktop_entry e = { 0 };
	_cleanup_(freep) char *error = NULL;

	cr_expect_eq(desktop_entry_parse(text, len, &e, &error), -EINVAL, "%s", text);
	cr_expect(error && strstr(error, part), "%s", error ? error : "no sentence");
	cr_expect_null(e.keys);
}

Test(desktop_entry, malformed_files_name_their_line)
{
	static const struct {
		const char *text, *part;
	} table[] = {
		{ "Name=X\n", "line 1: a line before" },
		{ "[Desktop Entry\n", "line 1: a group" },
		{ "[Desktop Entry]x\n", "line 1: a group" },
		{ "[]\n", "line 1: a group" },
		{ "\n#\n[A]\nword\n", "line 4: neither" },
		{ "[A]\n=x\n", "line 2: this is no name" },
		{ "[A]\nNa me=x\n", "line 2: this is no name" },
		{ "[A]\nName[de=x\n", "line 2: this is no name" },
		{ "[A]\nName[]=x\n", "line 2: this is no name" },
		{ "[A]\nName[de]x=x\n", "line 2: this is no name" },
		{ "[A]\nName=x\nName=y\n", "line 3: this key" },
		{ "[A]\nName=x\ry\n", "line 2: bytes" },
		{ "[A]\nName=\xff\n", "line 2: bytes" },
		{ "[A]\nName=\x1b[2J\n", "line 2: bytes" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(table); i++)
		malformed(table[i].text, strlen(table[i].text), table[i].part);
	malformed("[A]\nName=x\0Exec=y\n", 18, "NUL");
}

Test(desktop_entry, command_lines_are_split)
{
	static const struct {
		const char *value, *expected; /* NULL: refused */
	} table[] = {
		{ "x", "[x]" },
		{ "  x   %u  ", "[x][%u]" },
		{ "x --a=\"b\"", NULL },
		{ "\"/a b/c\" \"d\"", "[/a b/c][d]" },
		{ "x \"\"", "[x][]" },
		{ "x \"a\\\\\\\\b\"", "[x][a\\b]" },
		{ "x \"\\\\$HOME \\\\`id\\\\`\"", "[x][$HOME `id`]" },
		{ "x \"$HOME\"", NULL },
		{ "x \"`id`\"", NULL },
		{ "x \"\\\\n\"", NULL },
		{ "x \"a\"b", NULL },
		{ "x \"a", NULL },
		{ "x \"a\\\\", NULL },
		{ "x 'a b'", NULL },
		{ "x a\\\\b", NULL },
		{ "x a\\sb", "[x][a][b]" },
		{ "x \"a\\nb\"", "[x][a\nb]" },
		{ "", NULL },
		{ "   ", NULL },
		{ "\"\" x", NULL },
		{ "x %% 100%%", "[x][%%][100%%]" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		_cleanup_(strv_freep) char **args = NULL;
		int r = desktop_exec_split(table[i].value, &args);

		cr_expect_eq(r, table[i].expected ? 0 : -EINVAL, "%s: %d", table[i].value, r);
		if (r == 0 && table[i].expected) {
			_cleanup_(freep) char *j = joined(args);

			cr_expect_str_eq(j, table[i].expected, "%s: %s", table[i].value, j);
		}
	}
}

Test(desktop_entry, quoting_and_splitting_are_opposites)
{
	static const char *const words[] = {
		"plain", "/usr/bin/x", "two words", "", "quote\"d", "a\\b", "\\\\", "$HOME", "`id`", "a\nb", "a\tb", "tab\\t", "~x",
		"a&b|c;d", "(x)", "*?#", "\"", "\\", "ä ö", "a=b", "\\s", "'", ">", "-t",
	};

	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		_cleanup_(freep) char *quoted = desktop_exec_quote(words[i]);
		_cleanup_(freep) char *line = str_format("x %s y", quoted);
		_cleanup_(strv_freep) char **args = NULL;

		cr_assert_eq(desktop_exec_split(line, &args), 0, "%s", line);
		cr_assert_eq(strv_len(args), 3, "%s", line);
		cr_expect_str_eq(args[1], words[i], "%s", line);
		cr_expect_null(strchr(quoted, '\n'));
	}
}

Test(desktop_entry, percent_signs_of_an_argument_are_no_field_codes)
{
	_cleanup_(freep) char *quoted = desktop_exec_quote("%u 100%");

	cr_expect_str_eq(quoted, "\"%%u 100%%\"");
}
