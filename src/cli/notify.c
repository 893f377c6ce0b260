/* Notifications of the desktop; contracts in notify.h. */
#include "cli/notify.h"

#include <systemd/sd-bus.h>
#include <unistd.h>

#include "base/log.h"
#include "base/str.h"

#define CALL_TIMEOUT (2 * USEC_PER_SEC)
#define NOTIFY_NAME "org.freedesktop.Notifications"
#define URGENCY_CRITICAL 2 /* stays until it was seen */

static const char *title;

char *notify_escape(const char *text)
{
	struct strbuf b = { 0 };

	for (; *text; text++)
		if (*text == '&')
			strbuf_add(&b, "&amp;");
		else if (*text == '<')
			strbuf_add(&b, "&lt;");
		else if (*text == '>')
			strbuf_add(&b, "&gt;");
		else
			strbuf_add_bytes(&b, text, 1);
	return strbuf_take(&b);
}

static int append_notification(sd_bus_message *m, enum log_level level, const char *body)
{
	int r = sd_bus_message_append(m, "susssas", "nsvpn", 0U,
				      level == LOG_LEVEL_ERROR ? "dialog-error" : "dialog-warning", title, body, 0);

	if (r >= 0)
		r = sd_bus_message_append(m, "a{sv}", 1, "urgency", "y", URGENCY_CRITICAL);
	return r >= 0 ? sd_bus_message_append(m, "i", -1) : r;
}

/* Whatever fails here was said on standard error already. */
static void show(enum log_level level, const char *line)
{
	_cleanup_(freep) char *body = notify_escape(line);
	sd_bus_message *m = NULL;
	sd_bus *bus = NULL;
	int r = body ? sd_bus_open_user(&bus) : -ENOMEM;

	if (r >= 0)
		r = sd_bus_message_new_method_call(bus, &m, NOTIFY_NAME, "/org/freedesktop/Notifications", NOTIFY_NAME, "Notify");
	if (r >= 0)
		r = append_notification(m, level, body);
	if (r >= 0)
		(void)sd_bus_call(bus, m, CALL_TIMEOUT, NULL, NULL);
	sd_bus_message_unref(m);
	sd_bus_flush_close_unref(bus);
}

static void sink(void *userdata _unused_, enum log_level level, const char *object, const char *line)
{
	log_to_stderr(level, object, line);
	if (level <= LOG_LEVEL_WARNING)
		show(level, line);
}

void notify_begin(const char *what)
{
	if (isatty(STDERR_FILENO))
		return;
	title = what;
	log_set_sink(sink, NULL);
}
