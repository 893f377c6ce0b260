/*
 * Failures as notifications of the desktop, for programs that are started from a menu and have no terminal.
 *
 * The notification goes over the user's own session bus (org.freedesktop.Notifications). Where there is none, nobody
 * looks, or the bus is slow, the line on standard error is all there is: nothing waits longer than two seconds.
 */
#pragma once

#include "base/macro.h"

/*
 * From here on errors and warnings are shown as notifications, too, unless standard error is a terminal. `what`: what was
 * asked for, the notification's title; borrowed until the process ends.
 */
void notify_begin(const char *what);

/* The text as the body of a notification, which is markup: malloc'ed, NULL without memory. */
char *notify_escape(const char *text);
