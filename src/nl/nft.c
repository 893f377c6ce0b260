/*
 * libnftables in a child. The child writes one status byte and then text (output on success, the error otherwise) to a
 * pipe and ends; a child that ended without a status byte crashed or was stopped by libnftables itself.
 */
#include "nl/nft.h"

#include <ctype.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <unistd.h>

#include <nftables/libnftables.h>

#include "base/fd.h"
#include "base/process.h"
#include "nl/rtnl.h"

#define NFT_OUTPUT_MAX (8 * 1024 * 1024)
#define NFT_CHILD_SECONDS 30

enum nft_status { NFT_STATUS_OK = 'o', NFT_STATUS_REFUSED = 'r', NFT_STATUS_NETNS = 'n', NFT_STATUS_MEMORY = 'm' };

/* ---- text ---- */

void nft_text_done(struct nft_text *t)
{
	strbuf_done(&t->b);
}

int nft_text_error(const struct nft_text *t)
{
	return t->bad ? -EINVAL : strbuf_error(&t->b);
}

/* What may stand in quotes: the kernel allows more in interface names, we do not need to understand those. */
bool nft_ifname_is_plain(const char *s)
{
	size_t n = strlen(s);

	if (n == 0 || n >= IFNAMSIZ)
		return false;
	for (; *s; s++)
		if (!isalnum((unsigned char)*s) && !strchr("-_.:@", *s))
			return false;
	return true;
}

void nft_define_mark(struct nft_text *t, const char *variable, uint32_t mark)
{
	strbuf_addf(&t->b, "define %s = 0x%08x\n", variable, mark);
}

void nft_define_ifname(struct nft_text *t, const char *variable, const char *ifname)
{
	if (!nft_ifname_is_plain(ifname)) {
		t->bad = true;
		return;
	}
	strbuf_addf(&t->b, "define %s = \"%s\"\n", variable, ifname);
}

void nft_define_addr(struct nft_text *t, const char *variable, const struct inaddr *a)
{
	char buf[INADDR_STR_MAX];

	if (!inaddr_is_set(a)) {
		t->bad = true;
		return;
	}
	strbuf_addf(&t->b, "define %s = %s\n", variable, inaddr_format(a, buf, sizeof(buf)));
}

void nft_define_prefix(struct nft_text *t, const char *variable, const struct inprefix *p)
{
	char buf[INPREFIX_STR_MAX];

	if (!inaddr_is_set(&p->addr)) {
		t->bad = true;
		return;
	}
	strbuf_addf(&t->b, "define %s = %s\n", variable, inprefix_format(p, buf, sizeof(buf)));
}

void nft_text_embed(struct nft_text *t, const char *text)
{
	static const char word[] = "@table@";

	for (;;) {
		const char *hit = strstr(text, word);

		if (!hit)
			break;
		strbuf_add_bytes(&t->b, text, (size_t)(hit - text));
		strbuf_add(&t->b, t->table);
		text = hit + sizeof(word) - 1;
	}
	strbuf_add(&t->b, text);
}

void nft_element_addr(struct nft_text *t, const char *set, const struct inaddr *a)
{
	char buf[INADDR_STR_MAX];

	if (!inaddr_is_set(a)) {
		t->bad = true;
		return;
	}
	strbuf_addf(&t->b, "add element inet %s %s { %s }\n", t->table, set, inaddr_format(a, buf, sizeof(buf)));
}

void nft_element_map(struct nft_text *t, const char *map, const struct inaddr *from, const struct inaddr *to)
{
	char a[INADDR_STR_MAX], b[INADDR_STR_MAX];

	if (!inaddr_is_set(from) || !inaddr_is_set(to)) {
		t->bad = true;
		return;
	}
	strbuf_addf(&t->b, "add element inet %s %s { %s : %s }\n", t->table, map, inaddr_format(from, a, sizeof(a)),
		    inaddr_format(to, b, sizeof(b)));
}

void nft_element_ifname(struct nft_text *t, const char *set, const char *ifname)
{
	if (!nft_ifname_is_plain(ifname)) {
		t->bad = true;
		return;
	}
	strbuf_addf(&t->b, "add element inet %s %s { \"%s\" }\n", t->table, set, ifname);
}

void nft_element_tuple(struct nft_text *t, const char *set, const struct endpoint *e, bool tcp)
{
	char buf[INADDR_STR_MAX];

	if (!inaddr_is_set(&e->addr) || !e->port) {
		t->bad = true;
		return;
	}
	strbuf_addf(&t->b, "add element inet %s %s { %s . %s . %u }\n", t->table, set,
		    inaddr_format(&e->addr, buf, sizeof(buf)), tcp ? "tcp" : "udp", (unsigned)e->port);
}

void nft_element_prefix(struct nft_text *t, const char *set, const struct inprefix *p)
{
	char buf[INPREFIX_STR_MAX];

	if (!inaddr_is_set(&p->addr)) {
		t->bad = true;
		return;
	}
	strbuf_addf(&t->b, "add element inet %s %s { %s }\n", t->table, set, inprefix_format(p, buf, sizeof(buf)));
}

void nft_element_network(struct nft_text *t, const char *set, const char *ifname, const struct inprefix *p)
{
	char buf[INPREFIX_STR_MAX];

	if (!nft_ifname_is_plain(ifname) || !inaddr_is_set(&p->addr)) {
		t->bad = true;
		return;
	}
	strbuf_addf(&t->b, "add element inet %s %s { \"%s\" . %s }\n", t->table, set, ifname,
		    inprefix_format(p, buf, sizeof(buf)));
}

void nft_element_port(struct nft_text *t, const char *set, bool tcp, uint16_t port)
{
	t->bad |= !port;
	strbuf_addf(&t->b, "add element inet %s %s { %s . %u }\n", t->table, set, tcp ? "tcp" : "udp", port);
}

void nft_element_port_map(struct nft_text *t, const char *map, bool tcp, uint16_t port, uint16_t to)
{
	t->bad |= !port || !to;
	strbuf_addf(&t->b, "add element inet %s %s { %s . %u : %u }\n", t->table, map, tcp ? "tcp" : "udp", port, to);
}

/* ---- the child ---- */

struct job {
	int netns_fd;
	const char *text;
	unsigned output_flags;
	bool dry_run;
	int pipe[2];
};

static void answer(int fd, enum nft_status status, const char *text)
{
	char c = (char)status;

	/* The parent reads until the end; when it is gone there is nobody to tell. */
	if (fd_write_full(fd, &c, 1) == 0 && text)
		(void)fd_write_full(fd, text, strlen(text));
}

static int run_child(void *userdata)
{
	struct job *j = userdata;
	struct nft_ctx *ctx;

	alarm(NFT_CHILD_SECONDS);
	if (j->netns_fd >= 0 && setns(j->netns_fd, CLONE_NEWNET) < 0) {
		answer(j->pipe[1], NFT_STATUS_NETNS, NULL);
		return 1;
	}
	ctx = nft_ctx_new(NFT_CTX_DEFAULT);
	if (!ctx || nft_ctx_buffer_output(ctx) != 0 || nft_ctx_buffer_error(ctx) != 0) {
		answer(j->pipe[1], NFT_STATUS_MEMORY, NULL);
		return 1;
	}
	nft_ctx_output_set_flags(ctx, j->output_flags);
	nft_ctx_set_dry_run(ctx, j->dry_run);
	if (nft_run_cmd_from_buffer(ctx, j->text) == 0)
		answer(j->pipe[1], NFT_STATUS_OK, nft_ctx_get_output_buffer(ctx));
	else
		answer(j->pipe[1], NFT_STATUS_REFUSED, nft_ctx_get_error_buffer(ctx));
	return 0; /* the process ends: freeing the context would only take time */
}

static int status_to_errno(const char *reply, size_t len)
{
	if (len == 0)
		return -EPROTO; /* it died inside libnftables */
	switch ((enum nft_status)reply[0]) {
	case NFT_STATUS_OK:
		return 0;
	case NFT_STATUS_REFUSED:
		return strstr(reply + 1, "No such file or directory") ? -ENOENT : -EINVAL;
	case NFT_STATUS_NETNS:
		return -ENONET;
	case NFT_STATUS_MEMORY:
		return -ENOMEM;
	}
	return -EPROTO;
}

/* *ret_text (may be NULL): output or error, malloc'ed, set on success and on refusal. */
static int nft_run(int netns_fd, const char *text, unsigned flags, bool dry_run, char **ret_text)
{
	struct job j = { .netns_fd = netns_fd, .text = text, .output_flags = flags, .dry_run = dry_run };
	_cleanup_(closep) int in = -EBADF;
	_cleanup_(freep) char *reply = NULL;
	size_t len = 0;
	pid_t pid;
	int r;

	if (pipe2(j.pipe, O_CLOEXEC) < 0)
		return -errno;
	in = j.pipe[0];
	r = process_fork(run_child, &j, &pid, NULL);
	(void)fd_close(j.pipe[1]);
	if (r < 0)
		return r;
	r = file_read_fd(in, NFT_OUTPUT_MAX, &reply, &len);
	if (r < 0) {
		(void)process_kill_wait(pid, SIGKILL); /* the read error is the one to report */
		return r;
	}
	(void)process_wait(pid); /* the status byte tells more than the exit status */
	r = status_to_errno(reply, len);
	if (ret_text && len > 0) {
		*ret_text = strdup(reply + 1);
		if (!*ret_text)
			return -ENOMEM;
	}
	return r;
}

int nft_apply(int netns_fd, const struct nft_text *t, bool dry_run, char **ret_error)
{
	_cleanup_(freep) char *reply = NULL;
	int r;

	r = nft_text_error(t);
	if (r < 0)
		return r;
	if (!dry_run)
		rt_writes_count();
	r = nft_run(netns_fd, t->b.s ?: "", 0, dry_run, &reply);
	if (r == -ENOENT)
		r = -EINVAL; /* our text names only what it made itself: the kernel lacks a feature */
	if (r < 0 && ret_error && reply && *reply)
		*ret_error = TAKE_PTR(reply);
	return r;
}

int nft_list_table(int netns_fd, const char *family, const char *table, char **ret)
{
	_cleanup_(freep) char *command = str_format("list table %s %s", family, table);
	_cleanup_(freep) char *reply = NULL;
	int r;

	if (!command)
		return -ENOMEM;
	r = nft_run(netns_fd, command, NFT_CTX_OUTPUT_STATELESS | NFT_CTX_OUTPUT_NUMERIC_ALL, false, &reply);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(reply);
	return 0;
}

int nft_list_ruleset(int netns_fd, char **ret)
{
	_cleanup_(freep) char *reply = NULL;
	int r;

	r = nft_run(netns_fd, "list ruleset", NFT_CTX_OUTPUT_STATELESS | NFT_CTX_OUTPUT_TERSE | NFT_CTX_OUTPUT_NUMERIC_PRIO,
		    false, &reply);
	if (r < 0)
		return r;
	if (!reply)
		return -ENOMEM;
	*ret = TAKE_PTR(reply);
	return 0;
}

int nft_delete_table(int netns_fd, const char *family, const char *table)
{
	_cleanup_(freep) char *command = str_format("delete table %s %s", family, table);

	if (!command)
		return -ENOMEM;
	rt_writes_count();
	return nft_run(netns_fd, command, 0, false, NULL);
}

int nft_read_counter(int netns_fd, const char *table, const char *counter, uint64_t *ret_packets)
{
	static const char key[] = "\"packets\":";
	_cleanup_(freep) char *command = str_format("list counter inet %s %s", table, counter);
	_cleanup_(freep) char *reply = NULL;
	const char *s;
	int r;

	if (!command)
		return -ENOMEM;
	r = nft_run(netns_fd, command, NFT_CTX_OUTPUT_JSON, false, &reply);
	if (r < 0)
		return r;
	s = strstr(reply, key);
	if (!s)
		return -EBADMSG;
	*ret_packets = strtoull(s + sizeof(key) - 1, NULL, 10); /* libnftables' own number */
	return 0;
}
