/* Exceptions as values: one reader and one writer for file, journal and bus. */
#include "profile/exceptions.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/parse.h"
#include "base/str.h"

/* A larger part of the address space than these is no exception any more. */
#define ALLOW_MIN_LEN4 8
#define ALLOW_MIN_LEN6 16
#define ALLOW_MIN_LEN6_LOCAL 7 /* fc00::/7: all local networks there can be */

/* ---- Publish= ---- */

static int parse_scope(const char *s, enum publish_scope *ret)
{
	if (str_eq(s, "lan"))
		*ret = PUBLISH_LAN;
	else if (str_eq(s, "machine"))
		*ret = PUBLISH_MACHINE;
	else
		return -EINVAL;
	return 0;
}

static int parse_ports(char *ports, struct publish *p)
{
	char *inner = strchr(ports, ':');
	int r;

	if (inner)
		*inner++ = '\0';
	r = parse_port(ports, &p->port);
	if (r == 0)
		r = parse_port(inner ? inner : ports, &p->inner);
	return r < 0 ? -EINVAL : 0;
}

int publish_parse(const char *s, struct publish *ret)
{
	struct publish p = { .scope = PUBLISH_LAN };
	char text[EXCEPTION_STR_MAX], *at;
	int r;

	if (!str_copy(text, sizeof(text), s))
		return -EINVAL;
	at = strchr(text, '@');
	if (at) {
		*at = '\0';
		r = parse_scope(at + 1, &p.scope);
		if (r < 0)
			return r;
	}
	p.tcp = str_has_prefix(text, "tcp:");
	if (!p.tcp && !str_has_prefix(text, "udp:"))
		return -EINVAL;
	r = parse_ports(text + strlen("tcp:"), &p);
	if (r < 0)
		return r;
	*ret = p;
	return 0;
}

char *publish_format(const struct publish *p, char *buf, size_t cap)
{
	char inner[8] = "";

	if (p->inner != p->port)
		(void)snprintf(inner, sizeof(inner), ":%u", p->inner); /* fits */
	(void)snprintf(buf, cap, "%s:%u%s%s", p->tcp ? "tcp" : "udp", p->port, inner,
		       p->scope == PUBLISH_MACHINE ? "@machine" : ""); /* cut is what the caller gave room for */
	return buf;
}

/* ---- Allow= ---- */

static const char *why_refused(const struct inprefix *p)
{
	static const char *const never[] = { "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/3", "0.0.0.0/8",
					     "fe80::/10",   "ff00::/8",	      "::/96",	     "::ffff:0:0/96" };
	bool local6 = p->addr.family == AF_INET6 && (p->addr.bytes[0] & 0xfe) == 0xfc;
	struct inprefix q;

	if (p->len < (p->addr.family == AF_INET ? ALLOW_MIN_LEN4 : local6 ? ALLOW_MIN_LEN6_LOCAL : ALLOW_MIN_LEN6))
		return "is so large that the tunnel would protect little; name the networks that are meant";
	for (size_t i = 0; i < ARRAY_SIZE(never); i++)
		if (inprefix_parse(never[i], &q) == 0 && q.addr.family == p->addr.family && inprefix_overlaps(&q, p))
			return "has addresses that never leave a machine or its link, or that belong to many";
	return NULL;
}

int allow_parse(const char *s, struct inprefix *ret, const char **ret_why)
{
	struct inprefix p;
	const char *why;

	if (inprefix_parse(s, &p) < 0)
		return -EINVAL;
	inprefix_mask(&p);
	why = why_refused(&p);
	if (why) {
		*ret_why = why;
		return -EDOM;
	}
	*ret = p;
	return 0;
}

/* ---- the whole ---- */

int exceptions_add_publish(struct exceptions *e, const struct publish *p)
{
	for (unsigned i = 0; i < e->n_publish; i++)
		if (e->publish[i].tcp == p->tcp && e->publish[i].port == p->port)
			return -EEXIST;
	if (e->n_publish == EXCEPTIONS_PUBLISH_MAX)
		return -E2BIG;
	e->publish[e->n_publish++] = *p;
	return 0;
}

int exceptions_add_allow(struct exceptions *e, const struct inprefix *p)
{
	if (exceptions_find_allow(e, p))
		return -EEXIST; /* the kernel's sets take no overlaps, and one is enough */
	if (e->n_allow == EXCEPTIONS_ALLOW_MAX)
		return -E2BIG;
	e->allow[e->n_allow++] = *p;
	return 0;
}

bool exceptions_any(const struct exceptions *e)
{
	return e->n_allow > 0 || e->n_publish > 0;
}

static bool publish_eq(const struct publish *a, const struct publish *b)
{
	return a->tcp == b->tcp && a->port == b->port && a->inner == b->inner && a->scope == b->scope;
}

bool exceptions_equal(const struct exceptions *a, const struct exceptions *b)
{
	if (a->n_allow != b->n_allow || a->n_publish != b->n_publish)
		return false;
	for (unsigned i = 0; i < a->n_allow; i++)
		if (!inprefix_eq(&a->allow[i], &b->allow[i]))
			return false;
	for (unsigned i = 0; i < a->n_publish; i++)
		if (!publish_eq(&a->publish[i], &b->publish[i]))
			return false;
	return true;
}

bool exceptions_have_family(const struct exceptions *e, int family)
{
	for (unsigned i = 0; i < e->n_allow; i++)
		if (e->allow[i].addr.family == family)
			return true;
	return e->n_publish > 0;
}

bool exceptions_have_lan(const struct exceptions *e)
{
	for (unsigned i = 0; i < e->n_publish; i++)
		if (e->publish[i].scope == PUBLISH_LAN)
			return true;
	return false;
}

const struct inprefix *exceptions_find_allow(const struct exceptions *e, const struct inprefix *p)
{
	for (unsigned i = 0; i < e->n_allow; i++)
		if (e->allow[i].addr.family == p->addr.family && inprefix_overlaps(&e->allow[i], p))
			return &e->allow[i];
	return NULL;
}

char *exceptions_format(const struct exceptions *e, unsigned i, char *buf, size_t cap)
{
	char text[EXCEPTION_STR_MAX];

	if (i < e->n_publish)
		(void)snprintf(buf, cap, "Publish=%s", publish_format(&e->publish[i], text, sizeof(text)));
	else
		(void)snprintf(buf, cap, "Allow=%s", inprefix_format(&e->allow[i - e->n_publish], text, sizeof(text)));
	return buf; /* EXCEPTION_STR_MAX holds either */
}
