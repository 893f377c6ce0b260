/* Descriptors and whole files: close-on-exec from birth, full reads and writes, descriptor passing. */
#pragma once

#include <sys/types.h>

#include "base/macro.h"

#define FD_PASS_MAX 8

/* Closes fd when >= 0; always returns -EBADF, so `x = fd_close(x)` leaves an empty descriptor. errno is kept. */
int fd_close(int fd);

/* Reads until len bytes or end of file. Returns the bytes read (may be < len at EOF) or -errno. */
ssize_t fd_read_full(int fd, void *buf, size_t len);

/* Writes all of buf; 0 or -errno. EINTR and short writes are handled; fd is blocking. */
int fd_write_full(int fd, const void *buf, size_t len);

/* dup with O_CLOEXEC; new descriptor or -errno. */
int fd_dup(int fd);

int fd_set_nonblock(int fd, bool on);

/*
 * One message with up to FD_PASS_MAX descriptors over AF_UNIX. The descriptors stay the caller's.
 * 0 or -errno (-EAGAIN on a full non-blocking socket).
 */
int fd_send_msg(int sock, const void *buf, size_t len, const int *fds, size_t n_fds);

/*
 * Receives one message. fds has room for FD_PASS_MAX; *ret_n_fds are filled, close-on-exec, owned by the caller.
 * Returns the length, 0 at end of file, or -errno. A message longer than len or with more descriptors than fit
 * is refused whole with -EMSGSIZE and every descriptor of it is closed.
 */
ssize_t fd_recv_msg(int sock, void *buf, size_t len, int *fds, size_t *ret_n_fds);

/*
 * Reads a whole regular file (dirfd as in openat; O_NOFOLLOW is not set) of at most max bytes. The text is
 * NUL-terminated behind its len bytes; owned by the caller. -EFBIG when larger, -ENOTREG.. as -EINVAL when not a
 * regular file (a FIFO or device never blocks), else -errno.
 */
int file_read(int dirfd, const char *path, size_t max, char **ret, size_t *ret_len);
/* The same from an open descriptor (files and pipes). */
int file_read_fd(int fd, size_t max, char **ret, size_t *ret_len);

/*
 * Replaces path atomically and durably: temporary file in the same folder, mode, fsync, rename, fsync of the folder.
 * On error nothing is left behind and the old file is untouched; only a failing fsync of the folder (a dying disk) is
 * reported with the new file already in place.
 */
int file_write_atomic(int dirfd, const char *path, const void *data, size_t len, mode_t mode);

/* As above but the inode stays (for files that are bind-mounted elsewhere): one write, then truncate. Not durable. */
int file_write_inplace(const char *path, const void *data, size_t len, mode_t mode);

/* A sealed, close-on-exec memfd holding data; descriptor or -errno. -EFBIG: more than RLIMIT_FSIZE allows. */
int memfd_sealed(const char *name, const void *data, size_t len);

/* mkdir -p with mode for the folders it makes. */
int dir_make(const char *path, mode_t mode);

/* A folder with all that is in it; links are not followed. Goes on after a failure. 0 or -errno (ENOENT: not there). */
int dir_remove(int parent, const char *name);
