/*
 * A tunnel's properties: read, and shown as text or as JSON.
 *
 * The text labels what is inside and what is outside, because that is what people mix up: the inside address is what
 * programs in the tunnel have, the outside endpoint is where the encrypted packets go.
 */
#include "cli/tunnel-view.h"

#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/parse.h"
#include "base/places.h"
#include "cli/rootless.h"
#include "profile/profile.h"

/* ---- reading ---- */

static const struct {
	const char *name;
	char type; /* of sd-bus; 'v': an array of strings */
	size_t offset;
} fields[] = {
#define FIELD(property, type, member) { property, type, offsetof(struct tunnel_view, member) }
	FIELD("Name", 's', name),
	FIELD("State", 's', state),
	FIELD("Protocol", 's', protocol),
	FIELD("Uplink", 's', uplink),
	FIELD("DataPath", 's', data_path),
	FIELD("DataPathReason", 's', data_path_reason),
	FIELD("RemoteHost", 's', remote_host),
	FIELD("RemoteAddress", 's', remote_address),
	FIELD("RemotePort", 'q', remote_port),
	FIELD("RemoteTransport", 's', remote_transport),
	FIELD("Cipher", 's', cipher),
	FIELD("Addresses", 'v', addresses),
	FIELD("Dns", 'v', dns),
	FIELD("SearchDomains", 'v', search_domains),
	FIELD("Mtu", 'u', mtu),
	FIELD("Netns", 's', netns),
	FIELD("FullTunnel", 'b', full_tunnel),
	FIELD("Exceptions", 'v', exceptions),
	FIELD("ServiceAddresses", 'v', service_addresses),
	FIELD("Since", 't', since),
	FIELD("LastHandshake", 't', last_handshake),
	FIELD("EnginePid", 'u', engine_pid),
	FIELD("LastError", 's', last_error),
	FIELD("LastErrorName", 's', last_error_name),
	FIELD("Question", 's', question),
	FIELD("QuestionKind", 's', question_kind),
	FIELD("RxBytes", 't', rx_bytes),
	FIELD("TxBytes", 't', tx_bytes),
	FIELD("DroppedByLock", 't', dropped),
	FIELD("ProcessCount", 'u', process_count),
#undef FIELD
};

void tunnel_view_done(struct tunnel_view *v)
{
	for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
		char *p = (char *)v + fields[i].offset;

		if (fields[i].type == 's')
			free(*(char **)p);
		else if (fields[i].type == 'v')
			strv_free(*(char ***)p);
	}
	programs_done(&v->programs);
	*v = (struct tunnel_view){ 0 };
}

/* One variant into its field; a value of another type than announced is -EBADMSG. */
static int read_value(sd_bus_message *m, char type, char *target)
{
	const char signature[] = { type, '\0' };
	const char *s;
	int r;

	if (type == 'v') {
		strv_free(*(char ***)target);
		*(char ***)target = NULL;
		r = sd_bus_message_enter_container(m, 'v', "as");
		if (r >= 0)
			r = sd_bus_message_read_strv(m, (char ***)target);
		return r < 0 ? r : sd_bus_message_exit_container(m);
	}
	r = sd_bus_message_enter_container(m, 'v', signature);
	if (r < 0)
		return r;
	if (type == 's') {
		r = sd_bus_message_read_basic(m, type, &s);
		if (r >= 0) {
			free(*(char **)target);
			*(char **)target = strdup(s);
			r = *(char **)target ? 0 : -ENOMEM;
		}
	} else
		r = sd_bus_message_read_basic(m, type, target);
	return r < 0 ? r : sd_bus_message_exit_container(m);
}

static int read_property(sd_bus_message *m, struct tunnel_view *v)
{
	const char *name;
	int r = sd_bus_message_read_basic(m, 's', &name);

	if (r < 0)
		return r;
	for (size_t i = 0; i < ARRAY_SIZE(fields); i++)
		if (str_eq(fields[i].name, name))
			return read_value(m, fields[i].type, (char *)v + fields[i].offset);
	return sd_bus_message_skip(m, "v"); /* of a newer helper */
}

static int read_properties(sd_bus_message *m, struct tunnel_view *v)
{
	int r = sd_bus_message_enter_container(m, 'a', "{sv}");

	while (r >= 0 && (r = sd_bus_message_enter_container(m, 'e', "sv")) > 0) {
		r = read_property(m, v);
		if (r >= 0)
			r = sd_bus_message_exit_container(m);
	}
	return r < 0 ? r : 0;
}

int tunnel_view_read(struct client *c, const char *name, struct tunnel_view *ret, sd_bus_error *e)
{
	_cleanup_(freep) char *path = client_tunnel_path(name);
	struct tunnel_view v = { 0 };
	sd_bus_message *reply = NULL;
	int r;

	if (!path)
		return -ENOMEM;
	r = sd_bus_call_method(c->bus, BUS_NAME, path, "org.freedesktop.DBus.Properties", "GetAll", e, &reply, "s",
			       BUS_IFACE_TUNNEL);
	if (r >= 0)
		r = read_properties(reply, &v);
	else if (sd_bus_error_has_name(e, SD_BUS_ERROR_UNKNOWN_OBJECT) ||
		 sd_bus_error_has_name(e, SD_BUS_ERROR_UNKNOWN_METHOD) ||
		 sd_bus_error_has_name(e, SD_BUS_ERROR_UNKNOWN_INTERFACE) ||
		 sd_bus_error_has_name(e, BUS_ERROR_NOT_CONFIGURED)) {
		sd_bus_error_free(e);
		r = -ENOENT;
	}
	sd_bus_message_unref(reply);
	if (r < 0) {
		tunnel_view_done(&v);
		return r;
	}
	v.last_error = rootless_phrase(v.last_error);
	tunnel_view_done(ret);
	*ret = v;
	return 0;
}

void tunnel_view_read_programs(struct client *c, struct tunnel_view *v)
{
	sd_bus_error e = SD_BUS_ERROR_NULL;

	if (tunnel_view_is_down(v) && !v->process_count)
		return;
	programs_done(&v->programs);
	if (programs_read(c, v->name, &v->programs, &e) >= 0)
		v->process_count = (uint32_t)v->programs.n; /* the property may be a second old */
	sd_bus_error_free(&e);
}

static bool is_empty(const char *s)
{
	return !s || !*s;
}

/* Replaces *s when it says nothing; without memory it goes on saying nothing. */
static void fill_in(char **s, const char *value)
{
	if (!is_empty(*s))
		return;
	free(*s);
	*s = strdup(value);
}

static void describe_exceptions(struct tunnel_view *v, const struct exceptions *e)
{
	char text[EXCEPTION_STR_MAX];

	if (v->exceptions && *v->exceptions)
		return;
	for (unsigned i = 0; i < e->n_publish + e->n_allow; i++)
		if (strv_add(&v->exceptions, exceptions_format(e, i, text, sizeof(text))) < 0)
			return; /* without memory it says less */
}

void tunnel_view_describe(struct tunnel_view *v)
{
	_cleanup_(profile_freep) struct profile *p = NULL;
	_cleanup_(freep) char *error = NULL;

	if (!place_is_ours() || !is_empty(v->remote_host))
		return;
	if (profile_load_tunnel(v->name, &p, NULL, &error) < 0) {
		if (error)
			fill_in(&v->last_error, error);
		return;
	}
	fill_in(&v->protocol, protocol_to_string(p->protocol));
	describe_exceptions(v, &p->settings.exceptions);
	/* What stands may have been built with another one. */
	if (tunnel_view_is_down(v))
		fill_in(&v->uplink, uplink_to_string(p->settings.uplink));
	if (!p->n_remotes)
		return;
	fill_in(&v->remote_host, p->remotes[0].host);
	fill_in(&v->remote_transport, transport_to_string(p->remotes[0].transport));
	v->remote_port = p->remotes[0].port;
}

int tunnel_view_offline(const char *name, struct tunnel_view *ret)
{
	_cleanup_(freep) char *run = place_tunnel_run(name), *journal = NULL;
	struct tunnel_view v = { 0 };
	struct stat st;
	bool stands;

	journal = run ? str_format("%s/journal", run) : NULL;
	if (!journal)
		return -ENOMEM;
	stands = lstat(journal, &st) == 0;
	v.name = strdup(name);
	v.state = strdup(stands ? "blocked" : "down");
	if (stands) {
		v.netns = place_is_rootless() ? strdup("") : place_netns(name); /* nobody but its helper sees that one */
		v.last_error = str_format("the helper nsvpnd is not running; the tunnel stays locked until `nsvpn up %s` or "
					  "`nsvpn down %s`",
					  name, name);
		v.last_error = rootless_phrase(v.last_error);
	}
	if (!v.name || !v.state || (stands && (!v.netns || !v.last_error))) {
		tunnel_view_done(&v);
		return -ENOMEM;
	}
	tunnel_view_describe(&v);
	tunnel_view_done(ret);
	*ret = v;
	return 0;
}

bool tunnel_view_is_down(const struct tunnel_view *v)
{
	return str_eq(tunnel_view_state(v), "down") || str_eq(tunnel_view_state(v), "failed");
}

static bool is_connected(const struct tunnel_view *v)
{
	return str_eq(tunnel_view_state(v), "connected");
}

/* ---- JSON ---- */

static void json_time(struct json *j, const char *key, uint64_t t)
{
	char buf[32];

	json_pair_text(j, key, t ? clock_format_utc(t, buf, sizeof(buf)) : NULL);
}

static void json_remote(const struct tunnel_view *v, struct json *j)
{
	json_key(j, "remote");
	if ((!v->remote_host || !*v->remote_host) && (!v->remote_address || !*v->remote_address)) {
		json_null(j);
		return;
	}
	json_begin_object(j);
	json_pair_text(j, "host", v->remote_host);
	json_pair_text(j, "address", v->remote_address);
	json_pair_uint(j, "port", v->remote_port);
	json_pair_text(j, "transport", v->remote_transport);
	json_end_object(j);
}

static void json_number_or_null(struct json *j, const char *key, uint64_t v)
{
	json_key(j, key);
	if (v)
		json_uint(j, v);
	else
		json_null(j);
}

void tunnel_view_json(const struct tunnel_view *v, struct json *j)
{
	json_begin_object(j);
	json_pair(j, "name", v->name);
	json_pair(j, "state", tunnel_view_state(v));
	json_pair_text(j, "protocol", v->protocol);
	json_pair_text(j, "uplink", v->uplink);
	json_pair_text(j, "data_path", v->data_path);
	json_pair_text(j, "data_path_reason", v->data_path_reason);
	json_remote(v, j);
	json_pair_text(j, "cipher", v->cipher);
	json_key(j, "addresses");
	json_strv(j, v->addresses);
	json_key(j, "dns");
	json_strv(j, v->dns);
	json_number_or_null(j, "mtu", v->mtu);
	json_pair_text(j, "netns", v->netns);
	json_time(j, "since", v->since);
	json_time(j, "last_handshake", v->last_handshake);
	json_pair_uint(j, "rx_bytes", v->rx_bytes);
	json_pair_uint(j, "tx_bytes", v->tx_bytes);
	json_pair_uint(j, "dropped_by_lock", v->dropped);
	json_number_or_null(j, "engine_pid", v->engine_pid);
	json_pair_uint(j, "processes", v->process_count);
	json_key(j, "exceptions");
	json_strv(j, v->exceptions);
	json_key(j, "verdict");
	json_null(j); /* nothing was probed */
	json_pair_text(j, "last_error", v->last_error);
	json_key(j, "search_domains");
	json_strv(j, v->search_domains);
	json_key(j, "service_addresses");
	json_strv(j, v->service_addresses);
	json_key(j, "full_tunnel");
	json_bool(j, v->full_tunnel);
	json_key(j, "programs");
	programs_json(&v->programs, j);
	json_pair_text(j, "question", v->question);
	json_end_object(j);
}

/* ---- text ---- */

static void print_line(const char *label, const char *fmt, ...) _printf_(2, 3);

static void print_line(const char *label, const char *fmt, ...)
{
	va_list ap;

	printf("  %-17s ", label);
	va_start(ap, fmt);
	(void)vprintf(fmt, ap); /* output_flush() sees a failure */
	va_end(ap);
	putchar('\n');
}

static void print_list(const char *label, char *const *v, const char *when_empty)
{
	if (!v || !*v) {
		if (when_empty)
			print_line(label, "%s", when_empty);
		return;
	}
	printf("  %-17s ", label);
	for (size_t i = 0; v[i]; i++)
		printf("%s%s", i ? ", " : "", v[i]);
	putchar('\n');
}

static void print_time(const char *label, uint64_t t)
{
	char utc[32], span[64];
	uint64_t now = clock_realtime();

	if (t)
		print_line(label, "%s (%s ago)", clock_format_utc(t, utc, sizeof(utc)),
			   clock_format_span(now > t ? now - t : 0, span, sizeof(span)));
}

static enum style state_style(const char *state)
{
	static const struct {
		const char *state;
		enum style style;
	} table[] = { { "connected", STYLE_GOOD }, { "connecting", STYLE_WARN }, { "reconnecting", STYLE_WARN },
		      { "stopping", STYLE_WARN },  { "blocked", STYLE_BAD },     { "failed", STYLE_BAD } };

	for (size_t i = 0; i < ARRAY_SIZE(table); i++)
		if (str_eq(table[i].state, state))
			return table[i].style;
	return STYLE_BOLD;
}

static void print_head(const struct tunnel_view *v)
{
	const char *state = tunnel_view_state(v);

	printf("%s%s%s: %s%s%s", output_style(STYLE_BOLD), v->name, output_style(STYLE_PLAIN),
	       output_style(state_style(state)), state, output_style(STYLE_PLAIN));
	if (v->protocol && *v->protocol)
		printf(" (%s%s%s)", v->protocol, v->uplink && *v->uplink ? ", uplink " : "", v->uplink ? v->uplink : "");
	putchar('\n');
}

static void print_remote(const struct tunnel_view *v)
{
	const char *host = v->remote_host && *v->remote_host ? v->remote_host : NULL;
	const char *address = v->remote_address && *v->remote_address ? v->remote_address : NULL;

	if (!host && !address)
		return;
	if (host && address && !str_eq(host, address))
		print_line("outside endpoint", "%s (%s), port %u %s", host, address, v->remote_port,
			   v->remote_transport ? v->remote_transport : "");
	else
		print_line("outside endpoint", "%s, port %u %s", address ? address : host, v->remote_port,
			   v->remote_transport ? v->remote_transport : "");
}

static void print_lock(const struct tunnel_view *v)
{
	bool have_exceptions = v->exceptions && *v->exceptions;
	const char *nothing = have_exceptions ? "nothing but the exceptions" : "nothing";

	if (tunnel_view_is_down(v) && !v->process_count)
		return;
	if (is_connected(v))
		print_line("lock", "programs reach the tunnel%s and nothing else; %llu packets refused",
			   have_exceptions ? ", the exceptions" : "", (unsigned long long)v->dropped);
	else if (v->dropped)
		print_line("lock", "programs inside reach %s; %llu packets refused", nothing, (unsigned long long)v->dropped);
	else
		print_line("lock", "programs inside reach %s", nothing); /* none was refused, or nobody is there to count */
	if (is_connected(v) && !v->full_tunnel)
		print_line("", "not a full tunnel: the server carries only some networks, the rest is unreachable inside");
}

#define PROGRAMS_SHOWN 20U

static void print_programs(const struct tunnel_view *v)
{
	const struct programs *p = &v->programs;

	if (v->process_count && !p->n)
		print_line("programs inside", "%u", v->process_count);
	for (size_t i = 0; i < p->n && i < PROGRAMS_SHOWN; i++)
		print_line(i ? "" : "programs inside", "%u %s", p->items[i].pid, p->items[i].command);
	if (p->n > PROGRAMS_SHOWN)
		print_line("", "and %zu more", p->n - PROGRAMS_SHOWN);
}

static void print_hint(const struct tunnel_view *v)
{
	const char *state = tunnel_view_state(v);

	if (!isatty(STDOUT_FILENO))
		return;
	if (is_connected(v))
		print_line("next", "nsvpn exec -t %s PROGRAM", v->name);
	else if (tunnel_view_is_down(v))
		print_line("next", "nsvpn up %s", v->name);
	else if (!str_eq(state, "stopping"))
		print_line("next", "nsvpn logs %s; nsvpn down %s", v->name, v->name);
}

void tunnel_view_print(const struct tunnel_view *v, bool verbose)
{
	char rx[32], tx[32];

	print_head(v);
	print_list("inside address", v->addresses, NULL);
	print_remote(v);
	if (v->cipher && *v->cipher)
		print_line("cipher", "%s", v->cipher);
	if (v->data_path && *v->data_path)
		print_line("data path", "%s%s%s%s", v->data_path,
			   v->data_path_reason && *v->data_path_reason ? " (" : "",
			   v->data_path_reason ? v->data_path_reason : "",
			   v->data_path_reason && *v->data_path_reason ? ")" : "");
	print_list("names asked at", v->dns, is_connected(v) ? "nobody: the server gave no resolver, set DNS=" : NULL);
	print_list("search domains", v->search_domains, NULL);
	if (v->mtu)
		print_line("mtu", "%u", v->mtu);
	if (v->netns && *v->netns)
		print_line("namespace", "%s", v->netns);
	if (is_connected(v))
		print_time("connected since", v->since);
	print_time("last handshake", v->last_handshake);
	if (v->rx_bytes || v->tx_bytes)
		print_line("traffic", "%s in, %s out", format_bytes(v->rx_bytes, rx, sizeof(rx)),
			   format_bytes(v->tx_bytes, tx, sizeof(tx)));
	print_list("exceptions", v->exceptions, NULL);
	print_list("services are at", v->service_addresses, NULL);
	print_lock(v);
	print_programs(v);
	if (verbose && v->engine_pid)
		print_line("engine", "pid %u", v->engine_pid);
	if (v->question && *v->question)
		print_line(str_eq(v->question_kind, "url") ? "to be opened" : "question", "%s%s", v->question,
			   str_eq(v->question_kind, "url") ? "" : " (`nsvpn up` asks it)");
	if (v->last_error && *v->last_error)
		print_line("last error", "%s", v->last_error);
	print_hint(v);
}
