/* IPv4/IPv6 addresses, prefixes and endpoints. Text forms are literals only: no zone names, no host names. */
#include "base/inaddr.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/parse.h"
#include "base/str.h"

size_t inaddr_len(int family)
{
	return family == AF_INET ? 4 : family == AF_INET6 ? 16 : 0;
}

/* ---- parse ---- */

int inaddr_parse(const char *s, struct inaddr *ret)
{
	struct inaddr a = { .family = strchr(s, ':') ? AF_INET6 : AF_INET };

	if (inet_pton(a.family, s, a.bytes) != 1)
		return -EINVAL;
	*ret = a;
	return 0;
}

int inprefix_parse(const char *s, struct inprefix *ret)
{
	const char *slash = strchr(s, '/');
	char text[INADDR_STR_MAX];
	struct inprefix p = { 0 };
	size_t n = slash ? (size_t)(slash - s) : strlen(s);
	uint32_t len;
	int r;

	if (n >= sizeof(text))
		return -EINVAL;
	memcpy(text, s, n);
	text[n] = '\0';
	r = inaddr_parse(text, &p.addr);
	if (r < 0)
		return r;
	len = (uint32_t)inaddr_len(p.addr.family) * 8;
	if (slash) {
		r = parse_u32(slash + 1, 0, len, &len);
		if (r < 0)
			return r;
	}
	p.len = (uint8_t)len;
	*ret = p;
	return 0;
}

int endpoint_parse(const char *s, struct endpoint *ret)
{
	struct endpoint e = { 0 };
	char text[ENDPOINT_STR_MAX], *port, *host = text, *zone;
	int r;

	if (!str_copy(text, sizeof(text), s))
		return -EINVAL;
	port = strrchr(text, ':');
	if (!port)
		return -EINVAL;
	*port++ = '\0';

	bool bracketed = host[0] == '[';

	if (bracketed) {
		size_t n = strlen(host);

		if (host[n - 1] != ']')
			return -EINVAL;
		host[n - 1] = '\0';
		host++;
	}
	zone = bracketed ? strchr(host, '%') : NULL;
	if (zone)
		*zone++ = '\0';
	r = inaddr_parse(host, &e.addr);
	if (r < 0)
		return r;
	if (bracketed != (e.addr.family == AF_INET6))
		return -EINVAL;
	if (zone) {
		if (!inaddr_is_link_local(&e.addr))
			return -EINVAL;
		r = parse_u32(zone, 1, UINT32_MAX, &e.scope_id);
		if (r < 0)
			return r;
	}
	r = parse_port(port, &e.port);
	if (r < 0)
		return r;
	*ret = e;
	return 0;
}

int netmask_to_len(const struct inaddr *mask, uint8_t *ret)
{
	size_t bits = inaddr_len(mask->family) * 8, len = 0;

	if (bits == 0)
		return -EINVAL;
	while (len < bits && mask->bytes[len / 8] & (0x80 >> len % 8))
		len++;
	for (size_t i = len; i < bits; i++)
		if (mask->bytes[i / 8] & (0x80 >> i % 8))
			return -EINVAL;
	*ret = (uint8_t)len;
	return 0;
}

/* ---- format ---- */

char *inaddr_format(const struct inaddr *a, char *buf, size_t cap)
{
	if (cap == 0)
		return buf;
	if (!inaddr_is_set(a) || !inet_ntop(a->family, a->bytes, buf, (socklen_t)cap))
		buf[0] = '\0';
	return buf;
}

char *inprefix_format(const struct inprefix *p, char *buf, size_t cap)
{
	char text[INADDR_STR_MAX];

	if (cap == 0)
		return buf;
	buf[0] = '\0';
	if (inaddr_is_set(&p->addr))
		(void)snprintf(buf, cap, "%s/%u", inaddr_format(&p->addr, text, sizeof(text)), p->len);
	return buf;
}

char *endpoint_format(const struct endpoint *e, char *buf, size_t cap)
{
	char text[INADDR_STR_MAX];

	if (cap == 0)
		return buf;
	buf[0] = '\0';
	if (!inaddr_is_set(&e->addr))
		return buf;
	inaddr_format(&e->addr, text, sizeof(text));
	if (e->addr.family == AF_INET)
		(void)snprintf(buf, cap, "%s:%u", text, e->port);
	else if (e->scope_id)
		(void)snprintf(buf, cap, "[%s%%%u]:%u", text, e->scope_id, e->port);
	else
		(void)snprintf(buf, cap, "[%s]:%u", text, e->port);
	return buf;
}

/* ---- compare ---- */

bool inaddr_eq(const struct inaddr *a, const struct inaddr *b)
{
	return a->family == b->family && memcmp(a->bytes, b->bytes, inaddr_len(a->family)) == 0;
}

bool inprefix_eq(const struct inprefix *a, const struct inprefix *b)
{
	return a->len == b->len && inaddr_eq(&a->addr, &b->addr);
}

bool endpoint_eq(const struct endpoint *a, const struct endpoint *b)
{
	return a->port == b->port && a->scope_id == b->scope_id && inaddr_eq(&a->addr, &b->addr);
}

void inprefix_mask(struct inprefix *p)
{
	size_t bytes = inaddr_len(p->addr.family);

	for (size_t i = 0; i < bytes; i++) {
		size_t keep = p->len > i * 8 ? MIN((size_t)p->len - i * 8, (size_t)8) : 0;

		p->addr.bytes[i] &= (uint8_t)(0xff00U >> keep);
	}
}

bool inprefix_contains(const struct inprefix *p, const struct inaddr *a)
{
	struct inprefix x = { .addr = *a, .len = p->len }, y = *p;

	if (!inaddr_is_set(a) || a->family != p->addr.family || p->len > inaddr_len(a->family) * 8)
		return false;
	inprefix_mask(&x);
	inprefix_mask(&y);
	return inaddr_eq(&x.addr, &y.addr);
}

bool inprefix_overlaps(const struct inprefix *a, const struct inprefix *b)
{
	return a->len <= b->len ? inprefix_contains(a, &b->addr) : inprefix_contains(b, &a->addr);
}

bool inaddr_is_special(const struct inaddr *a)
{
	switch (a->family) {
	case AF_INET:
		return a->bytes[0] == 0 || a->bytes[0] == 127 || (a->bytes[0] & 0xf0) == 224 ||
		       a->in.s_addr == INADDR_BROADCAST;
	case AF_INET6:
		return IN6_IS_ADDR_UNSPECIFIED(&a->in6) || IN6_IS_ADDR_LOOPBACK(&a->in6) ||
		       IN6_IS_ADDR_MULTICAST(&a->in6) || IN6_IS_ADDR_V4MAPPED(&a->in6);
	default:
		return true; /* no address at all is nothing to assign either */
	}
}

bool inaddr_is_link_local(const struct inaddr *a)
{
	switch (a->family) {
	case AF_INET:
		return a->bytes[0] == 169 && a->bytes[1] == 254;
	case AF_INET6:
		return IN6_IS_ADDR_LINKLOCAL(&a->in6);
	default:
		return false;
	}
}

/* ---- socket addresses ---- */

socklen_t endpoint_to_sockaddr(const struct endpoint *e, struct sockaddr_storage *ret)
{
	struct sockaddr_in *sin = (struct sockaddr_in *)ret;
	struct sockaddr_in6 *sin6 = (struct sockaddr_in6 *)ret;

	memset(ret, 0, sizeof(*ret));
	switch (e->addr.family) {
	case AF_INET:
		sin->sin_family = AF_INET;
		sin->sin_port = htons(e->port);
		sin->sin_addr = e->addr.in;
		return sizeof(*sin);
	case AF_INET6:
		sin6->sin6_family = AF_INET6;
		sin6->sin6_port = htons(e->port);
		sin6->sin6_addr = e->addr.in6;
		sin6->sin6_scope_id = e->scope_id;
		return sizeof(*sin6);
	default:
		return 0;
	}
}

int endpoint_from_sockaddr(const struct sockaddr *sa, socklen_t len, struct endpoint *ret)
{
	struct endpoint e = { 0 };

	if (len < sizeof(sa->sa_family))
		return -EINVAL;
	if (sa->sa_family == AF_INET && len >= sizeof(struct sockaddr_in)) {
		struct sockaddr_in sin;

		memcpy(&sin, sa, sizeof(sin));
		e.addr.family = AF_INET;
		e.addr.in = sin.sin_addr;
		e.port = ntohs(sin.sin_port);
	} else if (sa->sa_family == AF_INET6 && len >= sizeof(struct sockaddr_in6)) {
		struct sockaddr_in6 sin6;

		memcpy(&sin6, sa, sizeof(sin6));
		e.addr.family = AF_INET6;
		e.addr.in6 = sin6.sin6_addr;
		e.port = ntohs(sin6.sin6_port);
		e.scope_id = sin6.sin6_scope_id;
	} else {
		return -EAFNOSUPPORT;
	}
	*ret = e;
	return 0;
}
