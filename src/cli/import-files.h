/* Takes a provider's file, and the files it names, into the configuration folder: read, judged, then stored as a whole. */
#pragma once

#include "profile/profile.h"

struct import {
	char *source;          /* FILE as given */
	struct secret *text;   /* what will be stored as tunnel.ovpn */
	bool is_inlined;       /* the files it names are inside the text now */
	char **files;          /* flat names that are stored beside it; strv */
	struct secret **contents; /* NULL: not there, see `missing` */
	bool asks;             /* user name or password will be asked for */
	bool asks_phrase;      /* ... or the pass phrase of its key */
	char *missing;         /* the password file that it names and that is not there, or NULL */
	struct notes notes;
};

void import_done(struct import *i);

/*
 * Reads and judges FILE; nothing is stored. An exit code. Files that it names inside its own folder are read with our
 * rights; others (absolute, "..", by a link) with those of the user who called sudo, so that a provider's file cannot fetch
 * what its reader may not read.
 */
int import_read(const char *file, struct import *ret);

/* Stores it as tunnel `name` below root (place_etc()), all or nothing. An exit code; 1 when the name is taken. */
int import_store(const struct import *i, const char *root, const char *name);
/* True when tunnel `name` holds the same profile text. */
bool import_is_stored(const struct import *i, const char *name);

/* Removes a tunnel's folder: first out of sight by one rename, then its files. An exit code. */
int import_remove(const char *name);
