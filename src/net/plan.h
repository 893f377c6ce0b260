/*
 * Plans: ordered lists of idempotent steps, made without touching anything.
 *
 * Theory. Each step says what must be true and where, and its kind (struct step_ops) knows how to look, how to make it
 * so, and how to take it back. apply.c walks a plan forwards (skipping what is true already, so that a second walk
 * writes nothing) or backwards. The order is the security argument: in plan_prepare() both locks stand before there is
 * a link, and the link goes up only after the locks were read back from the kernel; in plan_connect() the default
 * route comes last, and backwards it is the first to go.
 *
 * Step names are stable: failpoints and golden texts use them.
 */
#pragma once

#include <stdio.h>

#include "net/netctx.h"

#define PLAN_STEPS_MAX 48
/* Names of steps that are there for exceptions only begin so. */
#define PLAN_EXCEPTION "exc-"

struct step;

struct step_ops {
	/* 1: true already; 0: not; -errno with a sentence: a foreign object is in the way. */
	int (*check)(struct tunnelnet *n, const struct step *s);
	int (*apply)(struct tunnelnet *n, const struct step *s);
	/* NULL: goes away with the namespace or the link. Nothing to undo is no error. */
	int (*undo)(struct tunnelnet *n, const struct step *s);
	void (*print)(const struct tunnelnet *n, const struct step *s, FILE *f);
};

struct sysctl_row {
	const char *path; /* %s: the veth's host end */
	uint32_t value;
};

struct step {
	const struct step_ops *ops;
	const char *name;
	bool inside; /* in the tunnel's namespace, else in the default one */
	const char *why;
	const char *undone; /* how it goes away, for people */
	union {
		struct {
			const struct sysctl_row *rows;
			size_t n;
		} sysctls;
		struct {
			const char *ifname; /* borrowed from the tunnelnet or static */
			bool after_locks;   /* both locks are read back from the kernel first */
		} up;
		struct {
			const char *ifname; /* NULL: a route without device */
			struct rt_route route;
		} route;
		struct rt_rule rule;
		struct {
			const char *ifname;
			struct inprefix local;
			struct inaddr peer;
			uint32_t flags;
		} addr;
		struct {
			const char *ifname;
			struct inaddr addr;
			uint8_t mac[6];
		} neigh;
		enum lock_id lock;
		uint32_t mtu;
	};
};

struct plan {
	struct step v[PLAN_STEPS_MAX];
	size_t n;
};

/* absent -> locked */
void plan_prepare(struct plan *p, const struct tunnelnet *n);
/* The opening for the server of the journal. mtu: of the way to it. */
void plan_open(struct plan *p, const struct tunnelnet *n, uint32_t mtu);
/* locked -> connected with n->settings */
void plan_connect(struct plan *p, const struct tunnelnet *n);

struct step *plan_add(struct plan *p, const struct step_ops *ops, const char *name, bool inside, const char *why,
		      const char *undone);
void plan_print(const struct plan *plans, size_t n_plans, const struct tunnelnet *n, FILE *f);

/* apply.c. Forwards; what was applied by this call is taken back when a later step fails and `roll_back` is set. */
int plan_apply(const struct plan *p, struct tunnelnet *n, bool roll_back);
/* The same without taking back; names of steps that had to be applied are added to *done (strv). */
int plan_repair(const struct plan *p, struct tunnelnet *n, char ***done);
/* Backwards, all of it; the first error is reported, the rest is undone all the same. */
int plan_undo(const struct plan *p, struct tunnelnet *n);
/*
 * NSVPN_FAILPOINT="up.<step>:kill" (or down., or with + behind the step's name: after it; or :error for -EIO). Heard
 * only by root with NSVPN_RUN set, that is in tests. 0 or -EIO. kernel.force-forwarding:error is a kernel without it.
 */
int failpoint(const char *direction, const char *step, bool after);

/* The namespace's or the default namespace's socket for this step. */
int step_rt(struct tunnelnet *n, const struct step *s, struct rt **ret);
/* Index of a link there; 0 when there is none. */
int step_ifindex(struct rt *rt, const char *ifname);

/* The kinds. */
extern const struct step_ops step_netns;   /* step-netns.c */
extern const struct step_ops step_sysctls; /* step-sysctl.c */
extern const struct step_ops step_forward;
extern const struct step_ops step_forward_kept; /* not undone by its own plan: another step has the same switches */
extern const struct step_ops step_forward_lan;	/* of the machine's own networks; undoes all of them */
extern const struct step_ops step_up; /* step-link.c */
extern const struct step_ops step_veth;
extern const struct step_ops step_mtu;
extern const struct step_ops step_tun_sizes;
extern const struct step_ops step_addr; /* step-addr.c */
extern const struct step_ops step_neigh;
extern const struct step_ops step_tun_addrs;
extern const struct step_ops step_route; /* step-route.c */
extern const struct step_ops step_rule;
extern const struct step_ops step_tun_routes;
extern const struct step_ops step_allow; /* step-exceptions.c */
extern const struct step_ops step_answers;
extern const struct step_ops step_tun_default;
extern const struct step_ops step_lock; /* step-nft.c */
extern const struct step_ops step_opening;
extern const struct step_ops step_dns; /* step-dns.c */
extern const struct step_ops step_tun_dns;

/* plan-exceptions.c: exceptions are built for this family. */
bool plan_has_exceptions(const struct tunnelnet *n, int family);

/* step-nft.c: 1 when the kernel has this lock as it should be now. */
int lock_check(struct tunnelnet *n, enum lock_id id);
int lock_apply(struct tunnelnet *n, enum lock_id id);
/* A table of the outer lock exists (whoever made it): 1, 0, -errno. */
int lock_outer_exists(struct tunnelnet *n);

/* step-link.c: our link of the default namespace exists, or nobody can say that it does not. */
bool veth_is_there(struct tunnelnet *n);

/* step-sysctl.c: notes in the journal which switches of the host the way to the server needs. */
int forward_note(struct tunnelnet *n);
/* Puts the host's switches back that are still ours and that no other tunnel needs. */
int forward_restore(struct tunnelnet *n);

/* step-dns.c: the texts, malloc'ed. settings NULL: not connected. */
char *dns_format_resolv(const char *name, const struct settings *s);
char *dns_format_nsswitch(const char *host_text);
