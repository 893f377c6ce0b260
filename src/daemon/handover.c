/* Tunnels over a restart; contract and theory in handover.h. */
#include "daemon/handover.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>

#include "base/bytes.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/parse.h"
#include "base/str.h"
#include "daemon/tunnel.h"
#include "net/journal.h"

#define RECORD_MAGIC 0x6e737632U /* "nsv2"; another layout gets another number */

static const char *const suffixes[HANDOVER_FD_COUNT] = {
	[HANDOVER_FD_RECORD] = "record", [HANDOVER_FD_TUN] = "tun",       [HANDOVER_FD_SOCKET] = "socket",
	[HANDOVER_FD_PIDFD] = "pidfd",   [HANDOVER_FD_STDERR] = "stderr", [HANDOVER_FD_PROFILE] = "profile",
	[HANDOVER_FD_AUTH] = "auth",
};

/* ---- the record --------------------------------------------------------------------------------------------------------- */

static void write_text(struct writer *w, const char *s)
{
	size_t len = strlen(s);

	write_be16(w, (uint16_t)len);
	write_bytes(w, s, len);
}

static void read_text(struct reader *r, char *buf, size_t cap)
{
	size_t len = read_be16(r);
	const uint8_t *p = read_bytes(r, len);

	buf[0] = '\0';
	if (!p || len >= cap || !str_is_clean_utf8((const char *)p, len)) {
		r->failed = true;
		return;
	}
	memcpy(buf, p, len);
	buf[len] = '\0';
}

/* Settings travel in the form that the engine's messages have: their decoder checks every range. */
static void write_settings(struct writer *w, const struct settings *s)
{
	_cleanup_(freep) struct ipc_msg *m = calloc(1, sizeof(*m));
	_cleanup_(freep) uint8_t *buf = malloc(IPC_MSG_MAX);
	ssize_t n = -ENOMEM;

	if (m && buf) {
		m->type = IPC_REQ_SETTINGS;
		m->req_settings.settings = *s;
		n = ipc_msg_encode(m, buf, IPC_MSG_MAX);
	}
	if (n < 0) {
		w->failed = true;
		return;
	}
	write_be32(w, (uint32_t)n);
	write_bytes(w, buf, (size_t)n);
}

static void read_settings(struct reader *r, struct settings *ret)
{
	_cleanup_(freep) struct ipc_msg *m = calloc(1, sizeof(*m));
	size_t len = read_be32(r);
	const uint8_t *p = read_bytes(r, len);

	if (!m || !p || ipc_msg_decode(m, p, len) < 0 || m->type != IPC_REQ_SETTINGS)
		r->failed = true;
	else
		*ret = m->req_settings.settings;
}

ssize_t handover_encode(const struct handover_record *rec, uint8_t *buf, size_t cap)
{
	struct writer w = writer_init(buf, cap);
	char server[ENDPOINT_STR_MAX];

	write_be32(&w, RECORD_MAGIC);
	write_text(&w, rec->name);
	write_text(&w, rec->remote_host);
	write_text(&w, rec->cipher);
	write_text(&w, endpoint_format(&rec->server, server, sizeof(server)));
	write_u8(&w, (uint8_t)rec->uplink);
	write_u8(&w, (uint8_t)rec->transport);
	write_be32(&w, rec->tun_offload);
	write_be32(&w, rec->seen);
	write_be64(&w, rec->since);
	write_settings(&w, &rec->settings);
	if (!w.failed)
		write_be64(&w, journal_hash((const char *)buf, w.len));
	return w.failed ? -EMSGSIZE : (ssize_t)w.len;
}

int handover_decode(struct handover_record *ret, const uint8_t *buf, size_t len)
{
	_cleanup_(freep) struct handover_record *rec = calloc(1, sizeof(*rec));
	struct reader r = reader_init(buf, len), tail;
	char server[ENDPOINT_STR_MAX];

	if (!rec)
		return -ENOMEM;
	if (len < 8)
		return -EBADMSG;
	tail = reader_init(buf + len - 8, 8);
	if (read_be64(&tail) != journal_hash((const char *)buf, len - 8) || read_be32(&r) != RECORD_MAGIC)
		return -EBADMSG;
	read_text(&r, rec->name, sizeof(rec->name));
	read_text(&r, rec->remote_host, sizeof(rec->remote_host));
	read_text(&r, rec->cipher, sizeof(rec->cipher));
	read_text(&r, server, sizeof(server));
	rec->uplink = (enum uplink)read_u8(&r);
	rec->transport = (enum transport)read_u8(&r);
	rec->tun_offload = read_be32(&r);
	rec->seen = read_be32(&r);
	rec->since = read_be64(&r);
	read_settings(&r, &rec->settings);
	if (r.failed || r.left != 8 || !tunnel_name_is_valid(rec->name) || endpoint_parse(server, &rec->server) < 0 ||
	    (rec->uplink != UPLINK_VETH && rec->uplink != UPLINK_SOCKET) ||
	    (rec->transport != TRANSPORT_UDP && rec->transport != TRANSPORT_TCP))
		return -EBADMSG;
	*ret = *rec;
	return 0;
}

/* ---- storing ------------------------------------------------------------------------------------------------------------ */

static void forget(const char *name, enum handover_fd what)
{
	_cleanup_(freep) char *text = str_format("FDSTOREREMOVE=1\nFDNAME=%s.%s", name, suffixes[what]);

	if (text)
		(void)sd_notify(0, text); /* without a service manager there is nothing to forget */
}

void handover_drop(const char *name)
{
	for (int i = 0; i < HANDOVER_FD_COUNT; i++)
		forget(name, (enum handover_fd)i);
}

/* FDPOLL=0: the manager does not throw it away by itself when the other end is gone; the next helper looks. */
static int keep(const char *name, enum handover_fd what, int fd)
{
	_cleanup_(freep) char *text = str_format("FDSTORE=1\nFDPOLL=0\nFDNAME=%s.%s", name, suffixes[what]);
	int r;

	if (!text)
		return -ENOMEM;
	forget(name, what);
	r = sd_pid_notify_with_fds(0, 0, text, &fd, 1);
	return r == 0 ? -ENOTCONN : r;
}

static int make_record(const struct tunnel *t)
{
	_cleanup_(freep) struct handover_record *rec = calloc(1, sizeof(*rec));
	_cleanup_(freep) uint8_t *buf = malloc(HANDOVER_RECORD_MAX);
	ssize_t n;

	if (!rec || !buf)
		return -ENOMEM;
	(void)str_copy(rec->name, sizeof(rec->name), t->name);
	(void)str_copy(rec->remote_host, sizeof(rec->remote_host), t->remote_host ? t->remote_host : ""); /* for display */
	(void)str_copy(rec->cipher, sizeof(rec->cipher), t->cipher);
	rec->uplink = t->uplink;
	rec->transport = t->transport;
	rec->tun_offload = t->tun_offload;
	rec->seen = t->monitor.seen;
	rec->since = t->since;
	rec->server = t->server;
	rec->settings = t->settings;
	n = handover_encode(rec, buf, HANDOVER_RECORD_MAX);
	return n < 0 ? (int)n : memfd_sealed("nsvpn-record", buf, (size_t)n);
}

bool handover_store(const struct tunnel *t)
{
	_cleanup_(closep) int record = make_record(t);
	const int fds[HANDOVER_FD_COUNT] = {
		[HANDOVER_FD_RECORD] = record,
		[HANDOVER_FD_TUN] = t->tun_fd,
		[HANDOVER_FD_SOCKET] = engine_proc_fd(t->engine, ENGINE_FD_SOCKET),
		[HANDOVER_FD_PIDFD] = engine_proc_fd(t->engine, ENGINE_FD_PIDFD),
		[HANDOVER_FD_STDERR] = engine_proc_fd(t->engine, ENGINE_FD_STDERR),
		[HANDOVER_FD_PROFILE] = t->profile_fd,
		[HANDOVER_FD_AUTH] = t->auth_fd,
	};
	int r = 0;

	for (int i = 0; i < HANDOVER_FD_COUNT && r >= 0; i++) {
		if (fds[i] >= 0)
			r = keep(t->name, (enum handover_fd)i, fds[i]);
		else if (i != HANDOVER_FD_AUTH)
			r = -EBADF;
	}
	if (r >= 0)
		return true;
	if (r != -ENOTCONN)
		(void)log_warning_errno(r, "tunnel %s would not outlive a restart of the helper, it would connect anew: %m", t->name);
	handover_drop(t->name);
	return false;
}

/* ---- taking ------------------------------------------------------------------------------------------------------------- */

struct handover {
	int *fds;
	char **names;
	size_t n;
};

struct handover *handover_receive(unsigned *ret_n_fds)
{
	_cleanup_(handover_freep) struct handover *h = calloc(1, sizeof(*h));
	int n;

	*ret_n_fds = 0;
	if (!h)
		return NULL;
	n = sd_listen_fds_with_names(1, &h->names);
	if (n <= 0)
		return NULL;
	h->fds = calloc((size_t)n, sizeof(int));
	if (!h->fds)
		return NULL;
	for (int i = 0; i < n; i++)
		h->fds[h->n++] = SD_LISTEN_FDS_START + i;
	*ret_n_fds = (unsigned)n;
	return TAKE_PTR(h);
}

struct handover *handover_free(struct handover *h)
{
	if (!h)
		return NULL;
	for (size_t i = 0; i < h->n; i++) {
		_cleanup_(freep) char *text = NULL;

		if (h->fds[i] < 0)
			continue;
		text = str_format("FDSTOREREMOVE=1\nFDNAME=%s", h->names[i]);
		if (text)
			(void)sd_notify(0, text); /* as in forget() */
		(void)fd_close(h->fds[i]);
	}
	strv_free(h->names);
	free(h->fds);
	free(h);
	return NULL;
}

/* The one with this name; -EBADF. Stays in h. */
static int *find(struct handover *h, const char *name, enum handover_fd what)
{
	_cleanup_(freep) char *wanted = str_format("%s.%s", name, suffixes[what]);

	for (size_t i = 0; wanted && i < h->n; i++)
		if (h->fds[i] >= 0 && str_eq(h->names[i], wanted))
			return &h->fds[i];
	return NULL;
}

static int read_record(int fd, struct handover_record *ret)
{
	_cleanup_(freep) char *text = NULL;
	size_t len;
	int r;

	if (lseek(fd, 0, SEEK_SET) < 0)
		return -errno;
	r = file_read_fd(fd, HANDOVER_RECORD_MAX, &text, &len);
	return r < 0 ? r : handover_decode(ret, (const uint8_t *)text, len);
}

bool handover_take(struct handover *h, const char *name, struct handover_record *ret, int ret_fds[HANDOVER_FD_COUNT])
{
	int *at[HANDOVER_FD_COUNT];

	if (!h)
		return false;
	for (int i = 0; i < HANDOVER_FD_COUNT; i++) {
		at[i] = find(h, name, (enum handover_fd)i);
		if (!at[i] && i != HANDOVER_FD_AUTH)
			return false;
	}
	if (read_record(*at[HANDOVER_FD_RECORD], ret) < 0 || !str_eq(ret->name, name)) {
		log_warning("what an earlier helper left of tunnel %s cannot be read, so the tunnel is connected anew", name);
		return false;
	}
	for (int i = 0; i < HANDOVER_FD_COUNT; i++)
		ret_fds[i] = at[i] ? TAKE_FD(*at[i]) : -EBADF;
	return true;
}
