/*
 * What people see of a tunnel: its properties with their change signals, figures, and the plan of `nsvpn plan`.
 */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/bus-api.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/places.h"
#include "base/str.h"
#include "daemon/tunnel-inputs.h"

#define STATS_MAX_AGE USEC_PER_SEC

static const char *const settings_properties[] = { "Addresses", "Dns", "SearchDomains", "Mtu", "FullTunnel" };

void tunnel_changed(struct tunnel *t, ...)
{
	char *names[16];
	size_t n = 0;
	va_list ap;

	va_start(ap, t);
	while (n < ARRAY_SIZE(names) - 1 && (names[n] = va_arg(ap, char *)))
		n++;
	va_end(ap);
	names[n] = NULL;
	if (t->manager->changed)
		t->manager->changed(t->manager->userdata, t, names);
}

void tunnel_set_error(struct tunnel *t, const char *error_name, char *error)
{
	if (!error && !t->last_error)
		return;
	free(t->last_error);
	t->last_error = error;
	t->last_error_name = error ? error_name : NULL;
	tunnel_changed(t, "LastError", "LastErrorName", NULL);
}

void tunnel_set_question(struct tunnel *t, enum question_kind kind, const char *text)
{
	if (kind == QUESTION_NONE && !t->question)
		return;
	free(t->question);
	t->question = kind == QUESTION_NONE ? NULL : strdup(text);
	t->question_kind = t->question ? kind : QUESTION_NONE;
	tunnel_changed(t, "Question", "QuestionKind", NULL);
}

int tunnel_answer(struct tunnel *t, int fd)
{
	struct ipc_msg m = { .type = IPC_CMD_ANSWER };
	int r;

	if (!t->engine || t->question_kind == QUESTION_NONE || t->question_kind == QUESTION_URL)
		return -ENODATA;
	r = engine_proc_send(t->engine, &m, &fd, 1);
	if (r >= 0)
		tunnel_set_question(t, QUESTION_NONE, NULL);
	return r;
}

void tunnel_clear_settings(struct tunnel *t)
{
	memset(&t->settings, 0, sizeof(t->settings));
	tunnel_changed(t, settings_properties[0], settings_properties[1], settings_properties[2], settings_properties[3],
		       settings_properties[4], NULL);
}

void tunnel_set_server(struct tunnel *t, const struct remote *remote, const struct endpoint *server)
{
	free(t->remote_host);
	t->remote_host = strdup(remote->host); /* without memory status shows the address alone */
	t->server = *server;
	t->transport = remote->transport;
	tunnel_changed(t, "RemoteHost", "RemoteAddress", "RemotePort", "RemoteTransport", NULL);
}

void tunnel_set_settings(struct tunnel *t, const struct settings *s)
{
	t->settings = *s;
	if (t->manager->keeps_tunnels && t->state == TUNNEL_STATE_CONNECTED)
		t->stored = handover_store(t);
	tunnel_changed(t, settings_properties[0], settings_properties[1], settings_properties[2], settings_properties[3],
		       settings_properties[4], NULL);
}

const char *tunnel_error_name(enum fail_class fail)
{
	switch (fail) {
	case FAIL_AUTH:
	case FAIL_CERT_REJECTED:
		return BUS_ERROR_AUTH_FAILED;
	case FAIL_SILENT:
	case FAIL_TIMEOUT:
		return BUS_ERROR_TIMED_OUT;
	case FAIL_INTERNAL:
	case FAIL_CONFIG:
	case FAIL_RESOLVE:
	case FAIL_UNREACHABLE:
	case FAIL_REFUSED:
	case FAIL_TLS:
	case FAIL_CERT:
	case FAIL_NEGOTIATION:
	case FAIL_SERVER:
	case _FAIL_CLASS_MAX:
		break;
	}
	return BUS_ERROR_FAILED;
}

void tunnel_set_failure(struct tunnel *t, enum fail_class fail, const char *text)
{
	if (text[0] && !t->blocked_said)
		tunnel_set_error(t, tunnel_error_name(fail), strdup(text));
}

/* ---- questions ------------------------------------------------------------------------------------------------------ */

int tunnel_processes(struct tunnel *t, struct netproc **ret, size_t *ret_n)
{
	if (!t->net || !t->in_kernel) {
		*ret = NULL;
		*ret_n = 0;
		return 0;
	}
	return tunnelnet_processes(t->net, engine_proc_pid(t->engine), ret, ret_n);
}

void tunnel_refresh_stats(struct tunnel *t)
{
	struct ipc_msg ask = { .type = IPC_CMD_STATS };
	_cleanup_(freep) struct netproc *inside = NULL;
	usec_t now = clock_boottime();
	size_t n;

	if (t->engine && t->monitor.phase == MONITOR_PHASE_APPLIED && now - t->stats_asked >= STATS_MAX_AGE) {
		t->stats_asked = now;
		(void)engine_proc_send(t->engine, &ask, NULL, 0); /* the old figures stay */
	}
	if (now - t->counted_at < STATS_MAX_AGE)
		return;
	t->counted_at = now;
	if (!t->net || !t->in_kernel || tunnelnet_dropped(t->net, &t->dropped) < 0)
		t->dropped = 0;
	t->n_processes = tunnel_processes(t, &inside, &n) < 0 ? 0 : (uint32_t)n;
}

int tunnel_plan(struct tunnel *t, char **ret, char **ret_error)
{
	_cleanup_(profile_freep) struct profile *p = NULL;
	_cleanup_(tunnelnet_freep) struct tunnelnet *net = NULL;
	_cleanup_(freep) char *text = NULL;
	_cleanup_(fclosep) FILE *f = NULL;
	size_t len;
	int r;

	r = profile_load_tunnel(t->name, &p, NULL, ret_error);
	if (r < 0)
		return r;
	r = tunnelnet_new(&net, t->name, tunnel_wanted_uplink(p), ret_error);
	if (r < 0)
		return r;
	if (!place_is_rootless())
		tunnelnet_set_exceptions(net, &p->settings.exceptions);
	f = open_memstream(&text, &len);
	if (!f)
		return -ENOMEM;
	r = tunnelnet_print_plan(net, p, NULL, f);
	if (r < 0)
		return r;
	if (fclose(TAKE_PTR(f)) != 0)
		return -ENOMEM;
	*ret = TAKE_PTR(text);
	return 0;
}
