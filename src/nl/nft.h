/*
 * nftables: ruleset text with typed values in front, as one transaction.
 *
 * Theory. The texts are files beside net/step-nft.c, embedded at build time. Values reach them in two ways only: as
 * `define` lines, and as elements of named sets; each type of value has its formatter here, and no string from a
 * profile or a peer is ever pasted. libnftables may call exit() on a fatal error and opens its socket in the namespace
 * it is in, so it runs in a short-lived child that entered the namespace, with a fresh context every time (a context
 * remembers its defines).
 */
#pragma once

#include "base/inaddr.h"
#include "base/str.h"

/* Errors are kept and reported by nft_apply(). */
struct nft_text {
	struct strbuf b;
	const char *table; /* borrowed; replaces @table@ in embedded texts */
	bool bad;	   /* a value that cannot be written was given */
};

void nft_text_done(struct nft_text *t);
void nft_define_mark(struct nft_text *t, const char *variable, uint32_t mark);
void nft_define_ifname(struct nft_text *t, const char *variable, const char *ifname);
void nft_define_addr(struct nft_text *t, const char *variable, const struct inaddr *a);
void nft_define_prefix(struct nft_text *t, const char *variable, const struct inprefix *p);
/* One of our own texts. */
void nft_text_embed(struct nft_text *t, const char *text);
/* Elements of sets in `table inet <t->table>`. */
void nft_element_addr(struct nft_text *t, const char *set, const struct inaddr *a);
/* from : to, of a map */
void nft_element_map(struct nft_text *t, const char *map, const struct inaddr *from, const struct inaddr *to);
void nft_element_ifname(struct nft_text *t, const char *set, const char *ifname);
/* A name that the elements with interfaces take; the kernel has stranger ones. */
bool nft_ifname_is_plain(const char *ifname);
void nft_element_prefix(struct nft_text *t, const char *set, const struct inprefix *p);
/* interface . network */
void nft_element_network(struct nft_text *t, const char *set, const char *ifname, const struct inprefix *p);
/* protocol . port, and of a map: : port */
void nft_element_port(struct nft_text *t, const char *set, bool tcp, uint16_t port);
void nft_element_port_map(struct nft_text *t, const char *map, bool tcp, uint16_t port, uint16_t to);
/* address . protocol . port */
void nft_element_tuple(struct nft_text *t, const char *set, const struct endpoint *e, bool tcp);
/* -EINVAL for a bad value, -ENOMEM, 0. */
int nft_text_error(const struct nft_text *t);

/*
 * Runs the text in the namespace. dry_run: checked, nothing changed. 0; -EINVAL when libnftables refuses it (its words,
 * malloc'ed, in *ret_error); -errno.
 */
int nft_apply(int netns_fd, const struct nft_text *t, bool dry_run, char **ret_error);

/*
 * The rules of a table as canonical text, without counters; malloc'ed. -ENOENT when there is no such table. family:
 * "inet" or "arp".
 */
int nft_list_table(int netns_fd, const char *family, const char *table, char **ret);
/*
 * Everything, as text for ruleset_parse() and for people: without counters, without the elements of named sets, priorities
 * as numbers. malloc'ed; -EFBIG when it is larger than any that we would read.
 */
int nft_list_ruleset(int netns_fd, char **ret);
/* -ENOENT when there is none. */
int nft_delete_table(int netns_fd, const char *family, const char *table);
/* Packets of a named counter in `table inet`. -ENOENT. */
int nft_read_counter(int netns_fd, const char *table, const char *counter, uint64_t *ret_packets);
