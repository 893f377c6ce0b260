/* Where desktop entries are: the folders of the XDG Base Directory and Desktop Menu specifications. */
#pragma once

#include "cli/desktop-entry.h"

struct desktop_file {
	char *path;
	char *id; /* without ".desktop"; "kde4-konsole" for kde4/konsole.desktop */
	struct desktop_entry entry;
};

void desktop_file_done(struct desktop_file *f);

/* $XDG_DATA_HOME/applications, malloc'ed; NULL with *ret_error set where neither it nor HOME says where. */
char *desktop_files_own_folder(char **ret_error);

/*
 * The entry meant by `app`: the id of one, or else the name of the program in Exec= or TryExec=. Entries that a folder of
 * higher rank hides or replaces are not seen, nor are those of tunnels. 0; -ENOENT, -ENOTUNIQ (several) or -EINVAL (it
 * cannot be read) with *ret_error; -ENOMEM.
 */
int desktop_files_find(const char *app, struct desktop_file *ret, char **ret_error);

/* Those of tunnels in the user's own folder, unreadable ones left out. 0 or -ENOMEM. */
int desktop_files_of_tunnels(struct desktop_file **ret, size_t *ret_n);
void desktop_files_free(struct desktop_file *files, size_t n);

/* True when `app` is the id, with or without ".desktop", or the program's name. */
bool desktop_file_is_meant(const struct desktop_file *f, const char *id, const char *app);
