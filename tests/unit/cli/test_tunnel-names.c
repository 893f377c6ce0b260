/* Names from files, and which tunnel is meant. */
#include <criterion/criterion.h>
#include <criterion/redirect.h>
#include <sys/stat.h>

#include "base/bus-api.h"
#include "base/parse.h"
#include "cli/tunnel-names.h"
#include "unit/cli/folder.h"

Test(tunnel_names, come_from_the_files_name)
{
	static const struct {
		const char *file, *name;
	} table[] = {
		{ "home.ovpn", "home" },
		{ "/tmp/My Provider (UK) #3.ovpn", "my-provide" },
		{ "./x/Work_VPN.conf", "work-vpn" },
		{ "a.b.c.ovpn", "a-b-c" },
		{ "---.ovpn", "tunnel" },
		{ "\xc3\xbc.ovpn", "tunnel" },
		{ "noextension", "noextensio" },
		{ ".ovpn", "ovpn" },
		{ "abcdefghi-j.ovpn", "abcdefghi" },
		{ "", "tunnel" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		_cleanup_(freep) char *name = tunnel_names_from_file(table[i].file);

		cr_expect_str_eq(name, table[i].name, "%s", table[i].file);
		cr_expect(tunnel_name_is_valid(name), "%s", name);
	}
}

Test(tunnel_names, bad_ones_get_the_rule_and_a_suggestion, .init = cr_redirect_stderr)
{
	cr_expect_eq(tunnel_names_check("Bad_Name!"), EXIT_CODE_USAGE);
	fflush(stderr);
	cr_expect_stderr_eq_str("nsvpn: 'Bad_Name!' cannot name a tunnel: up to 10 of a-z, 0-9 and '-', the first one not '-'; "
				"'bad-name' would do\n");
}

Test(tunnel_names, default_is_the_only_one)
{
	_cleanup_(freep) char *name = NULL;

	folder_make();
	folder_add_tunnel("home");
	folder_add_tunnel(".import-12"); /* not a name */
	cr_assert_eq(tunnel_names_default(NULL, &name), EXIT_CODE_OK);
	cr_expect_str_eq(name, "home");
}

Test(tunnel_names, default_of_none, .init = cr_redirect_stderr)
{
	_cleanup_(freep) char *name = NULL;

	folder_make();
	cr_expect_eq(tunnel_names_default(NULL, &name), EXIT_CODE_NOT_UP);
}

Test(tunnel_names, several_without_a_default_are_listed, .init = cr_redirect_stderr)
{
	_cleanup_(freep) char *name = NULL;
	char buf[512] = "";

	folder_make();
	folder_add_tunnel("work");
	folder_add_tunnel("home");
	cr_expect_eq(tunnel_names_default(NULL, &name), EXIT_CODE_USAGE);
	fflush(stderr);
	(void)!fread(buf, 1, sizeof(buf) - 1, cr_get_redirected_stderr());
	cr_expect(strstr(buf, "(home, work)"), "%s", buf);
}

Test(tunnel_names, setting_decides)
{
	_cleanup_(freep) char *name = NULL;

	folder_make();
	folder_add_tunnel("work");
	folder_add_tunnel("home");
	folder_write("nsvpn.conf", "# comment\n[nsvpn]\nDefault = work\n");
	cr_assert_eq(tunnel_names_default(NULL, &name), EXIT_CODE_OK);
	cr_expect_str_eq(name, "work");
}

Test(tunnel_names, a_default_that_is_gone_is_named, .init = cr_redirect_stderr)
{
	_cleanup_(freep) char *name = NULL;
	char buf[512] = "";

	folder_make();
	folder_add_tunnel("home");
	folder_write("nsvpn.conf", "[nsvpn]\nDefault=work\n");
	cr_expect_eq(tunnel_names_default(NULL, &name), EXIT_CODE_NOT_UP);
	fflush(stderr);
	(void)!fread(buf, 1, sizeof(buf) - 1, cr_get_redirected_stderr());
	cr_expect(strstr(buf, "nsvpn.conf has Default=work"), "%s", buf);
}

static void conf_fails(const char *text, const char *part)
{
	_cleanup_(freep) char *name = NULL;
	char buf[512] = "";

	folder_make();
	folder_write("nsvpn.conf", text);
	cr_expect_eq(tunnel_names_default(NULL, &name), EXIT_CODE_FAILED);
	fflush(stderr);
	(void)!fread(buf, 1, sizeof(buf) - 1, cr_get_redirected_stderr());
	cr_expect(strstr(buf, part), "'%s' is not in '%s'", part, buf);
}

Test(tunnel_names, unknown_key_of_the_setting, .init = cr_redirect_stderr)
{
	conf_fails("[nsvpn]\nDefualt=home\n", "nsvpn.conf:2:1: unknown key Defualt, did you mean Default=?");
}

Test(tunnel_names, unknown_section, .init = cr_redirect_stderr)
{
	conf_fails("[vpn]\nDefault=home\n", "[vpn]");
}

Test(tunnel_names, bad_value, .init = cr_redirect_stderr)
{
	conf_fails("[nsvpn]\nDefault=../x\n", "nsvpn.conf:2");
}
