/*
 * The journal of one tunnel, <run>/NAME/journal: what was chosen, and what must be put back.
 *
 * Theory. It is written (whole, atomically, synced) before the kernel is touched, so that after a crash at any line the
 * next start can finish or undo. One fact per line; the last line is a checksum over the rest. A file that does not
 * check is "locked, parameters unknown": nothing is chosen anew, the old values of sysctls that can still be read are
 * put back on teardown, and everything else is found by names and tags.
 */
#pragma once

#include <net/if.h>

#include "base/inaddr.h"
#include "profile/profile.h"

#define JOURNAL_SAVES_MAX 256
#define SYSCTL_PATH_MAX 80

struct sysctl_save {
	char path[SYSCTL_PATH_MAX]; /* below /proc/sys/net */
	uint32_t old_value;
	uint32_t new_value;
	uint32_t global; /* the machine-wide switch at that time: when it differs later, somebody else now forwards */
};

enum lock_id { LOCK_INNER, LOCK_OUTER, _LOCK_MAX };

struct lock_mark {
	uint64_t text;	  /* hash of the text that was applied; 0: none */
	uint64_t listing; /* hash of what the kernel listed right after */
};

struct journal {
	enum uplink uplink;
	uint32_t mark;	      /* also the id of the engine's routing table */
	struct inprefix net4; /* where there is a veth: /30 */
	struct inprefix net6; /* where there is a veth: /127 */
	struct exceptions exceptions;
	uint64_t netns_ino;   /* 0: about to be made */
	bool have_server;
	struct endpoint server;
	enum transport transport;
	uint16_t relay_port;     /* the server is a proxy that also takes datagrams, on this port; 0: none */
	char outgoing[IFNAMSIZ]; /* the interface that leads to the server */
	bool kept;		 /* down was asked for while programs lived inside */
	struct lock_mark locks[_LOCK_MAX];
	struct sysctl_save *saves; /* in the order of writing */
	size_t n_saves;
};

/* The engine's way out, or the way of the exceptions. */
static inline bool journal_has_veth(const struct journal *j)
{
	return j->uplink == UPLINK_VETH || exceptions_any(&j->exceptions);
}

void journal_done(struct journal *j);
/* 0; -ENOENT; -EUCLEAN when damaged (then *ret still holds the saves that could be read); -errno. */
int journal_read(const char *path, struct journal *ret);
int journal_write(const char *path, const struct journal *j);
/* malloc'ed text, for tests; NULL without memory. */
char *journal_format(const struct journal *j);
int journal_parse(const char *text, size_t len, struct journal *ret);

/* A new entry unless path is there already. 0, -ENOMEM, -E2BIG. */
int journal_save(struct journal *j, const struct sysctl_save *s);
const struct sysctl_save *journal_find_save(const struct journal *j, const char *path);

/* Calls fn for the journal of every other tunnel of this run folder; a positive or negative value ends it. */
int journal_foreach_other(const char *name, int (*fn)(void *userdata, const struct journal *j), void *userdata);

/* FNV-1a, 64 bits: to see that a text is the same, not a defence. */
uint64_t journal_hash(const char *s, size_t len);
