/*
 * resolv.conf and nsswitch.conf of the tunnel, in its runtime folder. Programs see them bind-mounted over the host's,
 * so they are rewritten in place: the inode stays. They are there from the first moment on; while the tunnel is not
 * connected, resolv.conf names no server, and glibc then asks 127.0.0.1 of the namespace, where nobody listens.
 */
#include <fcntl.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/str.h"
#include "net/plan.h"

#define NSSWITCH_MAX 65536
#define HOSTS_LINE "hosts: files dns\n"

char *dns_format_resolv(const char *name, const struct settings *s)
{
	struct strbuf b = { 0 };
	char buf[INADDR_STR_MAX];

	strbuf_addf(&b, "# Written by nsvpn for tunnel %s. Programs in the tunnel see this file as /etc/resolv.conf.\n",
		    name);
	if (!s)
		strbuf_add(&b, "# The tunnel is not connected: names do not resolve.\n");
	else if (s->n_dns == 0)
		strbuf_add(&b,
			   "# The server named no resolver: names do not resolve. DNS= in settings.conf sets one.\n");
	for (unsigned i = 0; s && i < s->n_dns; i++)
		strbuf_addf(&b, "nameserver %s\n", inaddr_format(&s->dns[i], buf, sizeof(buf)));
	for (unsigned i = 0; s && i < s->n_search; i++)
		strbuf_addf(&b, "%s%s%s", i ? " " : "search ", s->search[i], i + 1 == s->n_search ? "\n" : "");
	return strbuf_take(&b);
}

/* The host's file with its hosts line replaced: users, groups and the rest are looked up as always. */
char *dns_format_nsswitch(const char *host_text)
{
	struct strbuf b = { 0 };
	bool seen = false;

	while (host_text && *host_text) {
		size_t len = strcspn(host_text, "\n"), skip = strspn(host_text, " \t");
		size_t whole = len + (host_text[len] == '\n');

		if (str_has_prefix(host_text + skip, "hosts:")) {
			if (!seen)
				strbuf_add(&b, HOSTS_LINE);
			seen = true;
		} else {
			strbuf_add_bytes(&b, host_text, whole);
			if (whole == len)
				strbuf_add(&b, "\n");
		}
		host_text += whole;
	}
	if (!seen)
		strbuf_add(&b, HOSTS_LINE);
	return strbuf_take(&b);
}

static char *host_nsswitch(void)
{
	char *text = NULL;
	size_t len;

	/* Missing or strange: the default of libc for the rest is fine. */
	return file_read(AT_FDCWD, "/etc/nsswitch.conf", NSSWITCH_MAX, &text, &len) < 0 ? NULL : text;
}

struct dns_file {
	char *path;
	char *text;
};

static void files_done(struct dns_file f[static 2])
{
	for (int i = 0; i < 2; i++) {
		free(f[i].path);
		free(f[i].text);
	}
}

static int files_make(const struct tunnelnet *n, struct dns_file f[static 2])
{
	_cleanup_(freep) char *host = host_nsswitch();

	f[0].path = str_format("%s/resolv.conf", n->run_dir);
	f[0].text = dns_format_resolv(n->name, n->connected ? &n->settings : NULL);
	f[1].path = str_format("%s/nsswitch.conf", n->run_dir);
	f[1].text = dns_format_nsswitch(host);
	return f[0].path && f[0].text && f[1].path && f[1].text ? 0 : -ENOMEM;
}

static bool file_is(const struct dns_file *f)
{
	_cleanup_(freep) char *text = NULL;
	size_t len;

	return file_read(AT_FDCWD, f->path, NSSWITCH_MAX * 2, &text, &len) == 0 && len == strlen(f->text) &&
	       memcmp(text, f->text, len) == 0;
}

static int dns_check(struct tunnelnet *n, const struct step *s)
{
	struct dns_file f[2] = { 0 };
	int r;

	(void)s; /* no parameters */
	r = files_make(n, f);
	if (r == 0)
		r = file_is(&f[0]) && file_is(&f[1]);
	files_done(f);
	return r;
}

static int dns_apply(struct tunnelnet *n, const struct step *s)
{
	struct dns_file f[2] = { 0 };
	int r;

	(void)s; /* no parameters */
	r = files_make(n, f);
	for (int i = 0; i < 2 && r == 0; i++)
		if (!file_is(&f[i])) {
			r = file_write_inplace(f[i].path, f[i].text, strlen(f[i].text), 0644);
			if (r < 0)
				(void)net_error(n, r, "%s cannot be written: %s", f[i].path, strerror(-r));
		}
	files_done(f);
	return r;
}

static int dns_undo(struct tunnelnet *n, const struct step *s)
{
	static const char *const names[] = { "resolv.conf", "nsswitch.conf" };

	(void)s; /* no parameters */
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		_cleanup_(freep) char *path = str_format("%s/%s", n->run_dir, names[i]);

		if (!path)
			return -ENOMEM;
		if (unlink(path) < 0 && errno != ENOENT)
			return net_error(n, -errno, "%s cannot be removed: %s", path, strerror(errno));
	}
	return 0;
}

static void dns_print(const struct tunnelnet *n, const struct step *s, FILE *f)
{
	char buf[INADDR_STR_MAX];

	if (!str_eq(s->name, "tun-dns")) {
		fprintf(f, "write %s/resolv.conf (no name server yet) and nsswitch.conf (hosts: files dns)",
			n->run_dir);
		return;
	}
	fprintf(f, "write the tunnel's name servers into %s/resolv.conf", n->run_dir);
	for (unsigned i = 0; n->connected && i < n->settings.n_dns; i++)
		fprintf(f, "%s %s", i ? "," : ":", inaddr_format(&n->settings.dns[i], buf, sizeof(buf)));
}

const struct step_ops step_dns = { dns_check, dns_apply, dns_undo, dns_print };

/* Not connected any more: the same files with other text. */
const struct step_ops step_tun_dns = { dns_check, dns_apply, dns_apply, dns_print };
