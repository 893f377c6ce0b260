/*
 * Somebody else's nftables ruleset, read from the text that `nft list ruleset` prints.
 *
 * Theory. Only what decides about packets is kept: tables, chains, and each rule as its words. Text and not
 * netlink: libnftables turns the rules of iptables-nft into the same words, and a person who is told "this rule" finds
 * it again. What is not understood is kept as words, too; packet-walk.h says "perhaps" there.
 */
#pragma once

#include "base/cleanup.h"
#include "base/macro.h"

enum nf_hook {
	NF_HOOK_PREROUTING,
	NF_HOOK_FORWARD,
	NF_HOOK_POSTROUTING,
	NF_HOOK_INPUT,
	NF_HOOK_OUTPUT,
	NF_HOOK_OTHER,
	_NF_HOOK_MAX
};

struct nf_rule {
	char *text;   /* for people: one line */
	char **words; /* strv; braces, colons and strings ("eth0", with their quotes) are words */
};

struct nf_chain {
	char *name;
	bool is_base;
	bool filters; /* type filter: only those have the last word on a packet that is not translated */
	enum nf_hook hook;
	int priority;
	bool drops; /* its policy */
	struct nf_rule *rules;
	size_t n_rules;
};

struct nf_table {
	char *family, *name;
	bool dormant;
	struct nf_chain *chains;
	size_t n_chains;
};

struct ruleset {
	struct nf_table *tables;
	size_t n_tables;
};

/* 0; -EBADMSG: not such a text (braces do not match, larger than any machine's); -ENOMEM. */
int ruleset_parse(const char *text, struct ruleset **ret);
struct ruleset *ruleset_free(struct ruleset *rs);
DEFINE_CLEANUP(struct ruleset *, ruleset_free)

/* NULL: there is none. */
const struct nf_table *ruleset_table(const struct ruleset *rs, const char *family, const char *name);
const struct nf_chain *nf_table_chain(const struct nf_table *t, const char *name);
