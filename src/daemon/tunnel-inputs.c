/*
 * What a tunnel is made from: the profile, its settings.conf and the caller's credentials. The profile goes into a sealed
 * memfd for the engine, and what of it is secret leaves this process's memory at once.
 */
#include "daemon/tunnel-inputs.h"

#include "base/bus-api.h"
#include "base/fd.h"
#include "base/places.h"
#include "base/str.h"
#include "daemon/auth-pair.h"

#define STORED_PROFILE_MAX (4U << 20)

void tunnel_forget_inputs(struct tunnel *t)
{
	profile_free(TAKE_PTR(t->profile));
	t->profile_tried = false;
	t->profile_fd = fd_close(t->profile_fd);
	t->auth_fd = fd_close(t->auth_fd);
}

static void forget_secrets(struct profile *p)
{
	struct ovpn_options *o = &p->ovpn;
	struct secret **all[] = { &o->ca, &o->cert, &o->key, &o->extra_certs, &o->pkcs12, &o->key_password, &o->static_key,
				  &o->wkc, &o->username, &o->password };

	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		*all[i] = secret_free(*all[i]);
	for (size_t i = 0; i < p->n_proxies; i++) {
		p->proxies[i].username = secret_free(p->proxies[i].username);
		p->proxies[i].password = secret_free(p->proxies[i].password);
	}
}

enum uplink tunnel_wanted_uplink(const struct profile *p)
{
	return place_is_rootless() ? UPLINK_SOCKET : p->settings.uplink;
}

/* What the profile wants from a person and the caller has not given, in words and as an error that says what to ask for. */
static bool lacks_credentials(const struct tunnel *t, const struct profile *p, const struct up_options *options,
			      const char **ret_error_name, char **ret_error)
{
	const struct ovpn_options *o = &p->ovpn;
	int given = options->auth_fd < 0 ? 0 : options->auth_parts;
	bool login = o->auth_user_pass && (!o->username || !o->password), phrase = o->key_password_asked;

	if ((!login || given & AUTH_PAIR_LOGIN) && (!phrase || given & AUTH_PAIR_PHRASE))
		return false;
	*ret_error_name = !phrase ? BUS_ERROR_NEED_CREDENTIALS : login ? BUS_ERROR_NEED_BOTH : BUS_ERROR_NEED_PASSPHRASE;
	*ret_error = str_format("tunnel %s needs %s%s%s; run `nsvpn up %s`", t->name, login ? "a user name and a password" : "",
				login && phrase ? " and " : "", phrase ? "the pass phrase of its private key" : "", t->name);
	return true;
}

int tunnel_load_inputs(struct tunnel *t, const struct up_options *options, const char **ret_error_name, char **ret_error)
{
	_cleanup_(profile_freep) struct profile *p = NULL;
	_cleanup_(secret_freep) struct secret *text = NULL;
	_cleanup_(closep) int profile_fd = -EBADF, auth_fd = -EBADF;
	enum uplink uplink;
	int r;

	*ret_error_name = BUS_ERROR_FAILED;
	r = profile_load_tunnel(t->name, &p, &text, ret_error);
	if (r >= 0)
		r = profile_verify(p, ret_error);
	if (r < 0) {
		if (r == -ENOENT) {
			*ret_error_name = BUS_ERROR_NOT_CONFIGURED;
			if (!*ret_error)
				*ret_error = str_format("there is no tunnel %s; `nsvpn list` names those there are, `nsvpn import` %s",
							t->name, "makes one");
		}
		return r;
	}
	if (p->protocol != PROTOCOL_OPENVPN) {
		*ret_error = str_format("tunnel %s: %s is not supported by this version", t->name, protocol_to_string(p->protocol));
		return -EOPNOTSUPP;
	}
	uplink = options->uplink_set ? options->uplink : tunnel_wanted_uplink(p);
	if (place_is_rootless() && uplink != UPLINK_SOCKET) {
		*ret_error_name = BUS_ERROR_USAGE;
		*ret_error = str_format("tunnel %s: the uplink veth needs root; without root it is always socket", t->name);
		return -EINVAL;
	}
	if (place_is_rootless() && exceptions_any(&p->settings.exceptions)) {
		*ret_error_name = BUS_ERROR_USAGE;
		*ret_error = str_format("tunnel %s: Publish= and Allow= in [Exceptions] need root; remove them from settings.conf, "
					"or do without --rootless",
					t->name);
		return -EINVAL;
	}
	if (t->net && t->in_kernel && uplink != t->uplink) {
		*ret_error_name = BUS_ERROR_USAGE;
		*ret_error = str_format("tunnel %s is still locked with uplink %s; run `nsvpn down %s` before changing it", t->name,
					uplink_to_string(t->uplink), t->name);
		return -EBUSY;
	}
	if (lacks_credentials(t, p, options, ret_error_name, ret_error))
		return -ENOKEY;
	profile_fd = memfd_sealed("nsvpn-profile", secret_bytes(text), secret_len(text));
	if (profile_fd < 0)
		return profile_fd;
	if (options->auth_fd >= 0) {
		auth_fd = fd_dup(options->auth_fd);
		if (auth_fd < 0)
			return auth_fd;
	}
	forget_secrets(p);
	tunnel_forget_inputs(t);
	t->profile = TAKE_PTR(p);
	t->profile_tried = true;
	t->profile_fd = TAKE_FD(profile_fd);
	t->auth_fd = TAKE_FD(auth_fd);
	t->uplink = uplink;
	tunnel_changed(t, "Protocol", "Uplink", NULL);
	return 0;
}

int tunnel_load_stored(struct tunnel *t, int fd, char **ret_error)
{
	_cleanup_(profile_freep) struct profile *p = NULL;
	_cleanup_(freep) char *text = NULL;
	size_t len;
	int r;

	if (lseek(fd, 0, SEEK_SET) < 0)
		return -errno;
	r = file_read_fd(fd, STORED_PROFILE_MAX, &text, &len);
	if (r < 0)
		return r;
	/* Self-contained: there is nothing to load. */
	r = profile_parse_ovpn(text, len, t->name, NULL, NULL, NULL, &p, ret_error);
	explicit_bzero(text, len);
	if (r >= 0)
		r = tunnel_settings_load(t->name, &p->settings, ret_error);
	if (r < 0)
		return r;
	forget_secrets(p);
	tunnel_forget_inputs(t);
	t->profile = TAKE_PTR(p);
	t->profile_tried = true;
	return 0;
}

void tunnel_describe(struct tunnel *t)
{
	_cleanup_(freep) char *error = NULL;

	if (t->profile_tried)
		return;
	t->profile_tried = true;
	if (profile_load_tunnel(t->name, &t->profile, NULL, &error) < 0) {
		t->profile = NULL;
		return;
	}
	forget_secrets(t->profile);
	if (!t->net)
		t->uplink = tunnel_wanted_uplink(t->profile);
}

void tunnel_forget_profile(struct tunnel *t)
{
	if (tunnel_is_idle(t))
		tunnel_forget_inputs(t);
}
