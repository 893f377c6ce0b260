/* What the files of this folder share about one tunnel. Above net/ it is opaque (tunnelnet.h). */
#pragma once

#include <net/if.h>

#include "net/journal.h"
#include "net/tunnelnet.h"
#include "nl/nl-addr.h"
#include "nl/nl-link.h"
#include "nl/nl-neigh.h"
#include "nl/nl-route.h"
#include "nl/nl-rule.h"

#define NET_TUN "tun0"
#define NET_UPLINK "uplink0"
#define NET_INNER_TABLE "nsvpn"

/* The "nothing leads there" routes: found last, whatever else there is. */
#define NET_METRIC_FLOOR 4278198272u
#define NET_RULE_PRIORITY 100
/* Inside, of the exceptions: asked before anything else. */
#define NET_RULE_ANSWERS 98
#define NET_RULE_ALLOW 99
#define NET_TABLE_ANSWERS 28278u
#define NET_TABLE_ALLOW 28277u

struct uplink_ops;

/* A network that this machine is in: what "local network" means in Publish=. */
struct lan_net {
	char ifname[IFNAMSIZ];
	struct inprefix net; /* masked */
};

struct tunnelnet {
	char name[16];
	char veth[IFNAMSIZ]; /* nv-NAME */
	char table[32];	     /* nsvpn-NAME: of the outer lock */
	char alias[32];	     /* "nsvpn NAME": how a veth is known to be ours */
	char *run_dir;	     /* <run>/NAME */
	char *journal_path;
	char *netns_path;
	/*
	 * A user's own helper: it has rights in the namespaces that it made and none in the default one, so nothing there is
	 * changed or watched. uplink=socket only.
	 */
	bool rootless;
	enum uplink wanted;		 /* as the settings say now */
	struct exceptions exceptions;	 /* the same; those that are built are the journal's */
	struct lan_net *lan;		 /* lan.c: as last looked at */
	size_t n_lan;
	const struct uplink_ops *uplink; /* as it is built: the journal's, else the wanted one */

	bool have_journal;
	bool damaged;
	struct journal j;

	int ns_fd;	 /* the tunnel's namespace, -EBADF */
	struct rt *host; /* the default namespace: the one that the calling thread is in */
	struct rt *inside;

	bool prepared;		  /* prepare succeeded, teardown has not begun */
	struct net_watch *watch;  /* net-watch.c; NULL: nobody asked */
	bool connected;		  /* settings are applied, or being applied */
	struct settings settings; /* valid when connected */

	struct inprefix *avoid; /* subnets that the veth must not take */
	size_t n_avoid;

	char *error;		  /* the first sentence since the last operation began */
	bool no_force_forwarding; /* tests: behave as a kernel without ipv6 force_forwarding */
};

/* Keeps the sentence unless there is one already; returns r. %m is not used: the reason is strerror(-r). */
int net_error(struct tunnelnet *n, int r, const char *fmt, ...) _printf_(3, 4);

/* Every operation begins without a sentence and ends by handing it out when it failed; there always is one then. */
void net_begin(struct tunnelnet *n);
int net_finish(struct tunnelnet *n, int r, char **ret_error);
int net_not_prepared(struct tunnelnet *n);

/* Sockets on demand. */
int net_host(struct tunnelnet *n, struct rt **ret);
int net_inside(struct tunnelnet *n, struct rt **ret); /* -EBADF when there is no namespace */
/* Closes what belongs to the namespace. */
void net_leave(struct tunnelnet *n);
/* Writes the journal, with a sentence on failure. */
int net_journal(struct tunnelnet *n);

/* The two ends' addresses of the veth. */
struct inaddr net_host_addr(const struct tunnelnet *n, int family);
struct inaddr net_inside_addr(const struct tunnelnet *n, int family);
/* MAC addresses that are ours (locally administered, "nv" and the mark): host end and inner end. */
void net_mac(const struct tunnelnet *n, bool inside, uint8_t ret[6]);

/* subnet.c: a subnet that collides with nothing. -EADDRINUSE with a sentence. */
int subnet_choose(struct tunnelnet *n);
/* The host routes or uses something in our subnet now. 1, 0, -errno. */
int subnet_collides(struct tunnelnet *n, const struct inprefix *p);

/* lan.c: reads the machine's networks into n->lan. */
int lan_refresh(struct tunnelnet *n);

/* net-exceptions.c: what stands in the way of the exceptions that are to be built now. 0, or -errno with a sentence. */
int exceptions_refuse(struct tunnelnet *n);
/* The journal's exceptions become the wanted ones; what the old ones built is undone. For a namespace that is there. */
int exceptions_renew(struct tunnelnet *n);
/* -EADDRINUSE with a sentence: the server, or what it says, lies in a network of Allow=. */
int exceptions_refuse_server(struct tunnelnet *n, const struct inaddr *server);
int exceptions_refuse_settings(struct tunnelnet *n, const struct settings *s);

/* net-watch.c: the namespace is left; all is over; our own change to this lock was just made. */
void net_watch_leave(struct tunnelnet *n);
void net_watch_free(struct tunnelnet *n);
/* The machine's addresses matter from now on, or no longer. */
void net_watch_addresses(struct tunnelnet *n);
void net_watch_own_write(struct tunnelnet *n, enum lock_id id);

/* tunnelnet.c: mark and subnets, in memory only. */
int net_choose(struct tunnelnet *n);
/* net-server.c: both locks without the server, and what led to it undone. */
int net_close_opening(struct tunnelnet *n);
/* net-server.c: another subnet for the veth; what had the old one is built again, the opening is closed. */
int net_renumber(struct tunnelnet *n);
/* net-connect.c: default route, resolvers, routes, lock, in this order. */
int net_undo_connect(struct tunnelnet *n);
int net_remove_tun(struct tunnelnet *n);
