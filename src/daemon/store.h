/*
 * The intent file <state>/NAME.intent: what the administrator wants of a tunnel, stored durably before anything is done
 * about it. It is what a new helper goes by after a crash.
 *
 * Theory. Absent: down. Readable: its content. Anything else - cut short, one flipped bit, a foreign owner - is
 * "wanted up, cannot be trusted": the tunnel is locked until a person says `up` or `down`. So that no damage can pass for
 * another valid file (a flipped boot id would mean "from an earlier boot, forget it"), the last line is a check value over
 * all before it. The format is text, for people:
 *
 *	nsvpn-intent 1
 *	want=up
 *	boot=2f0c...-...
 *	uplink=veth
 *	check=0123456789abcdef
 */
#pragma once

#include "profile/profile.h"

#define STORE_BOOT_ID_LEN 36
#define STORE_FILE_MAX 512

struct intent {
	bool want_up;
	enum uplink uplink;
	char boot_id[STORE_BOOT_ID_LEN + 1];
};

/* The text of an intent into buf; its length, or -ENOSPC. */
ssize_t store_format(const struct intent *i, char *buf, size_t cap);
/* 0, or -EBADMSG for everything that store_format() would not have written. */
int store_parse(const char *text, size_t len, struct intent *ret);

/* malloc'ed path of the intent file, for messages; NULL without memory. */
char *store_path(const char *name);

/* Durable when it returns 0. On error nothing has changed and *ret_error has a sentence. */
int store_save(const char *name, const struct intent *i, char **ret_error);
/* 0; -ENOENT: no intent; every other error: there is one that cannot be trusted, *ret_error says why. */
int store_load(const char *name, struct intent *ret, char **ret_error);
/* Durable; an absent file is fine. */
int store_remove(const char *name, char **ret_error);
/* Names of all tunnels with an intent file, damaged ones too. An absent folder has none. */
int store_list(char ***ret);

/* This boot's id. */
int store_boot_id(char ret[static STORE_BOOT_ID_LEN + 1]);
