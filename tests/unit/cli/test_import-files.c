/* Import: all or nothing, whose rights, which form. */
#include <criterion/criterion.h>
#include <criterion/redirect.h>

#include "base/places.h"
#include "base/str.h"
#include "cli/import-files.h"
#include "cli/output.h"
#include "unit/cli/folder.h"

/* A profile that needs no key material to be understood. */
#define HEAD "client\ndev tun\nremote vpn.example.net 1194 udp\nremote-cert-tls server\nauth-user-pass\n"

static const char pem[] = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n";

static char *in_folder(const char *name)
{
	return str_format("%s/%s", folder_path, name);
}

static int import(const char *profile_text, const char *name)
{
	_cleanup_(freep) char *file = in_folder("profile.ovpn");
	struct import i = { 0 };
	int r;

	folder_write("profile.ovpn", profile_text);
	r = import_read(file, &i);
	if (r == EXIT_CODE_OK)
		r = import_store(&i, place_etc(), name);
	if (r == EXIT_CODE_OK)
		cr_expect(import_is_stored(&i, name));
	import_done(&i);
	return r;
}

static bool exists(const char *name)
{
	_cleanup_(freep) char *path = in_folder(name);

	return access(path, F_OK) == 0;
}

static unsigned mode_of(const char *name)
{
	_cleanup_(freep) char *path = in_folder(name);
	struct stat st;

	return lstat(path, &st) < 0 ? 0 : st.st_mode & 07777;
}

/* Nothing but finished tunnels may be left. */
static void nothing_half_done(void)
{
	_cleanup_(freep) char *command = str_format("ls -A %s/tunnels 2>/dev/null | grep -q '^\\.'", folder_path);

	cr_expect(system(command) != 0);
}

Test(import_files, plain_files_keep_their_names)
{
	folder_make();
	folder_write("ca.crt", pem);
	cr_assert_eq(import(HEAD "ca ca.crt\n", "home"), EXIT_CODE_OK);
	cr_expect(exists("tunnels/home/ca.crt"));
	cr_expect_eq(mode_of("tunnels/home"), 0700u);
	cr_expect_eq(mode_of("tunnels/home/tunnel.ovpn"), 0600u);
	cr_expect_eq(mode_of("tunnels/home/ca.crt"), 0600u);
	nothing_half_done();
}

Test(import_files, files_elsewhere_come_inside_the_profile)
{
	_cleanup_(freep) char *sub = NULL, *stored = NULL;
	char *text;
	FILE *f;

	folder_make();
	sub = in_folder("keys");
	cr_assert(mkdir(sub, 0700) == 0);
	folder_write("keys/ca.crt", pem);
	cr_assert_eq(import(HEAD "ca keys/ca.crt\n", "home"), EXIT_CODE_OK);
	cr_expect_not(exists("tunnels/home/keys"));
	stored = in_folder("tunnels/home/tunnel.ovpn");
	text = calloc(1, 4096);
	f = fopen(stored, "r");
	cr_assert(f && fread(text, 1, 4095, f) > 0);
	cr_expect(strstr(text, "<ca>") && !strstr(text, "keys/ca.crt"));
	fclose(f);
	free(text);
}

Test(import_files, a_password_file_that_is_not_there_is_no_mistake)
{
	static const char *const names[] = { "pass.txt", "/nonexistent/pass.txt", "sub/pass.txt" };

	folder_make();
	folder_write("ca.crt", pem);
	for (size_t k = 0; k < ARRAY_SIZE(names); k++) {
		char text[256], name[8];

		(void)snprintf(text, sizeof(text), HEAD "ca ca.crt\nauth-user-pass %s\n", names[k]);
		(void)snprintf(name, sizeof(name), "t%zu", k);
		cr_expect_eq(import(text, name), EXIT_CODE_OK, "%s", names[k]);
	}
	cr_expect(exists("tunnels/t0/ca.crt") && !exists("tunnels/t0/pass.txt"));
	cr_expect(exists("tunnels/t2/tunnel.ovpn"));
	nothing_half_done();
}

Test(import_files, a_taken_name_is_refused_and_untouched, .init = cr_redirect_stderr)
{
	folder_make();
	folder_write("ca.crt", pem);
	cr_assert_eq(import(HEAD "ca ca.crt\n", "home"), EXIT_CODE_OK);
	cr_expect_eq(import(HEAD "ca ca.crt\nverb 3\n", "home"), EXIT_CODE_FAILED);
	cr_expect(exists("tunnels/home/ca.crt"));
	nothing_half_done();
}

Test(import_files, a_refused_profile_stores_nothing, .init = cr_redirect_stderr)
{
	static const char *const texts[] = { HEAD "up /bin/touch\n", HEAD "ca missing.crt\n", "", "\x01\x02\x03",
					     "[Interface]\nPrivateKey = x\n" };

	folder_make();
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		cr_expect_eq(import(texts[i], "bad"), EXIT_CODE_FAILED, "%zu", i);
		cr_expect_not(exists("tunnels/bad"));
	}
	nothing_half_done();
}

Test(import_files, leavings_of_a_killed_import_are_swept)
{
	folder_make();
	folder_add_tunnel(".import-1");
	folder_write("tunnels/.import-1/key", "x");
	folder_write("ca.crt", pem);
	cr_assert_eq(import(HEAD "ca ca.crt\n", "home"), EXIT_CODE_OK);
	nothing_half_done();
}

Test(import_files, remove_is_the_reverse)
{
	folder_make();
	folder_write("ca.crt", pem);
	cr_assert_eq(import(HEAD "ca ca.crt\n", "home"), EXIT_CODE_OK);
	cr_assert_eq(import_remove("home"), EXIT_CODE_OK);
	cr_expect_not(exists("tunnels/home"));
	nothing_half_done();
}

Test(import_files, what_is_no_file_is_refused, .init = cr_redirect_stderr)
{
	static const char *const files[] = { "/dev/zero", "/", "/nonexistent", "/proc/kcore" };

	for (size_t k = 0; k < ARRAY_SIZE(files); k++) {
		struct import i = { 0 };

		cr_expect_neq(import_read(files[k], &i), EXIT_CODE_OK, "%s", files[k]);
		cr_expect_null(i.text);
	}
}

Test(import_files, a_file_that_is_no_profile_is_not_quoted, .init = cr_redirect_stderr)
{
	char buf[1024] = "";

	folder_make();
	cr_expect_eq(import("# accounts\n\nroot:$6$secret:1:0:::\n", "bad"), EXIT_CODE_FAILED);
	fflush(stderr);
	(void)!fread(buf, 1, sizeof(buf) - 1, cr_get_redirected_stderr());
	cr_expect(strstr(buf, "profile.ovpn:3: ") && !strstr(buf, "secret"), "%s", buf);
}

/* sudo: what the user may not read, his profile may not fetch from elsewhere. */
Test(import_files, files_outside_are_read_with_the_callers_rights, .init = cr_redirect_stderr)
{
	_cleanup_(freep) char *outside = NULL, *file = NULL, *inner = NULL, *link = NULL;
	struct import i = { 0 };

	folder_make();
	cr_assert(chmod(folder_path, 0755) == 0);
	inner = in_folder("inner");
	cr_assert(mkdir(inner, 0755) == 0);
	folder_write("secret.crt", pem); /* 0600, root's */
	folder_write("inner/x.ovpn", HEAD "ca ../secret.crt\n");
	file = in_folder("inner/x.ovpn");
	setenv("SUDO_UID", "65534", 1);
	setenv("SUDO_GID", "65534", 1);
	cr_expect_eq(import_read(file, &i), EXIT_CODE_FAILED);
	import_done(&i);
	cr_expect_eq(geteuid(), 0u);
	outside = in_folder("secret.crt");
	cr_assert(chmod(outside, 0644) == 0);
	cr_expect_eq(import_read(file, &i), EXIT_CODE_OK);
	import_done(&i);
	/* In the profile's own folder root's rights do. */
	cr_assert(chmod(outside, 0600) == 0);
	folder_write("inner/ca.crt", pem);
	folder_write("inner/x.ovpn", HEAD "ca ca.crt\n");
	cr_expect_eq(import_read(file, &i), EXIT_CODE_OK);
	import_done(&i);
	/* And a link in it leads outside again. */
	link = in_folder("inner/link.crt");
	cr_assert(symlink("../secret.crt", link) == 0);
	folder_write("inner/x.ovpn", HEAD "ca link.crt\n");
	cr_expect_eq(import_read(file, &i), EXIT_CODE_FAILED);
	import_done(&i);
}
