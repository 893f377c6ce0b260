/* profile-load.c: a tunnel's folder, owners and modes. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/fd.h"
#include "sample.h"

static char root[] = "/tmp/nsvpn-test-XXXXXX";
static char *folder;

static void put(const char *name, const char *text, mode_t mode)
{
	_cleanup_(freep) char *path = str_format("%s/%s", folder, name);

	cr_assert_eq(file_write_inplace(path, text, strlen(text), mode), 0);
	cr_assert_eq(chmod(path, mode), 0);
}

static void setup(void)
{
	if (geteuid() != 0)
		cr_skip_test("NSVPN_ETC is heard for root only");
	cr_assert_not_null(mkdtemp(root));
	cr_assert_eq(setenv("NSVPN_ETC", root, 1), 0);
	folder = str_format("%s/tunnels/home", root);
	cr_assert_eq(dir_make(folder, 0700), 0);
	put("tunnel.ovpn", "client\nremote a\nca ca.crt\nremote-cert-tls server\nauth-user-pass\n", 0600);
	put("ca.crt", SAMPLE_CERT, 0644);
}

static void teardown(void)
{
	_cleanup_(freep) char *command = folder ? str_format("rm -rf '%s'", root) : NULL;

	if (command)
		cr_assert_eq(system(command), 0);
	free(folder);
}

TestSuite(profile_load, .init = setup, .fini = teardown);

static void expect(int want_r, const char *want)
{
	struct profile *p = NULL;
	struct secret *text = NULL;
	_cleanup_(freep) char *error = NULL;
	int r = profile_load_tunnel("home", &p, &text, &error);

	cr_assert_eq(r, want_r, "%d: %s", r, error);
	cr_assert_null(p);
	cr_assert_null(text);
	if (want)
		cr_assert(error && strstr(error, want), "%s", error);
	else
		cr_assert_null(error);
}

Test(profile_load, gives_the_profile_and_its_inline_text)
{
	struct profile *p = NULL;
	struct secret *text = NULL;
	char *error = NULL;

	put("settings.conf", "[Tunnel]\nUplink=socket\n", 0600);
	cr_assert_eq(profile_load_tunnel("home", &p, &text, &error), 0, "%s", error);
	cr_assert_str_eq(p->name, "home");
	cr_assert(str_has_suffix(p->source, "/tunnels/home/tunnel.ovpn"));
	cr_assert_eq(p->settings.uplink, UPLINK_SOCKET);
	cr_assert(strstr(secret_string(text), "<ca>\n-----BEGIN"));
	profile_free(p);
	secret_free(text);
	cr_assert_eq(profile_load_tunnel("home", &p, NULL, &error), 0, "%s", error);
	profile_free(p);
}

Test(profile_load, refuses_what_others_can_write_or_own)
{
	_cleanup_(freep) char *profile = str_format("%s/tunnel.ovpn", folder), *ca = str_format("%s/ca.crt", folder);

	cr_assert_eq(chmod(profile, 0620), 0);
	expect(-EPERM, "tunnel.ovpn: can be written by others than its owner; chmod 600 ");
	cr_assert_eq(chmod(profile, 0602), 0);
	expect(-EPERM, "chmod 600");
	cr_assert_eq(chmod(profile, 0600), 0);
	cr_assert_eq(chown(profile, 12345, 0), 0);
	expect(-EPERM, "belongs to user 12345");
	cr_assert_eq(chown(profile, 0, 0), 0);
	cr_assert_eq(chmod(ca, 0666), 0);
	expect(-EINVAL, "ca.crt: can be written by others");
	cr_assert_eq(chmod(ca, 0600), 0);
	cr_assert_eq(chmod(folder, 0777), 0);
	expect(-EPERM, "chmod 700");
	cr_assert_eq(chmod(folder, 0700), 0);
	put("settings.conf", "[Tunnel]\n", 0666);
	expect(-EPERM, "settings.conf: can be written by others");
}

Test(profile_load, says_what_is_missing_or_strange)
{
	_cleanup_(freep) char *profile = str_format("%s/tunnel.ovpn", folder), *ca = str_format("%s/ca.crt", folder);

	put("settings.conf", "[Tunnel]\nUplnk=x\n", 0600);
	expect(-EINVAL, "/settings.conf:2:1: unknown key 'Uplnk'");
	put("settings.conf", "", 0600);
	put("tunnel.ovpn", "client\nup /x\n", 0600);
	expect(-EINVAL, "tunnel.ovpn:2: `up /x`");
	put("tunnel.ovpn", "client\n", 0600);
	expect(-EINVAL, "names no server");
	put("tunnel.ovpn", "client\nremote a\nca ca.crt\nauth-user-pass\n", 0600);
	cr_assert_eq(unlink(ca), 0);
	expect(-EINVAL, "cannot read 'ca.crt' (No such file");
	cr_assert_eq(mkfifo(ca, 0600), 0);
	expect(-EINVAL, "cannot read 'ca.crt'");
	cr_assert_eq(unlink(profile), 0);
	expect(-EPERM, "holds no tunnel.ovpn");
	put("tunnel.conf", "[Interface]\n", 0600);
	expect(-EPERM, "WireGuard is not supported yet");
	cr_assert_eq(setenv("NSVPN_ETC", "/nonexistent-nsvpn", 1), 0);
	expect(-ENOENT, NULL);
}

Test(profile_load, loader_reads_regular_files_of_its_folder)
{
	int dirfd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_(secret_freep) struct secret *s = NULL;

	cr_assert_eq(profile_load_at(&dirfd, "ca.crt", &s), 0);
	cr_assert_str_eq(secret_string(s), SAMPLE_CERT);
	cr_assert_eq(profile_load_at(&dirfd, "none", &s), -ENOENT);
	cr_assert_eq(profile_load_at(&dirfd, ".", &s), -EINVAL);
	dirfd = fd_close(dirfd);
}
