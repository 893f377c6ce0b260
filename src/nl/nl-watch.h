/*
 * Hearing of changes that others make: sockets that the kernel's notifications come to. They carry no truth (messages
 * get lost when a socket is full, and that is reported as a change too): whoever hears something looks for himself.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* In the caller's network namespace; non-blocking, close-on-exec. */
int nft_watch_open(int *ret_fd);
/* Policy rules, and the switches of interfaces (forwarding); with `addresses` also the machine's addresses. */
int rt_watch_open(bool addresses, int *ret_fd);
/* Links, addresses, routes and policy rules: all that may change a packet's way out of this machine. */
int way_watch_open(int *ret_fd);

/* Reads everything that waits. 1: a table of this name was touched, or something was lost; 0: neither; -errno. */
int nft_watch_drain(int fd, const char *table);
/* 1: something came or was lost; 0; -errno. */
int rt_watch_drain(int fd);
