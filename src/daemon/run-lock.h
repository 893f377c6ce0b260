/*
 * One helper per runtime folder, whichever mode it runs in: a lock on <run>/nsvpnd.lock. The helper that ends removes the
 * file while it holds it, so a lock counts only on the file that has the name.
 */
#pragma once

/*
 * The lock's descriptor (to be kept open); -EAGAIN: another helper serves this folder (it answers on socket_path, or keeps
 * the lock for longer than one that is on its way out needs); -errno.
 */
int run_lock_take(const char *lock_path, const char *socket_path);
