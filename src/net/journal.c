/* Reading and writing of journals: one table of line parsers, one printer. */
#include "net/journal.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "base/parse.h"
#include "base/places.h"
#include "base/str.h"

#define JOURNAL_HEAD "nsvpn-journal 1"
#define JOURNAL_FILE_MAX (128 * 1024)

static const char *const lock_names[] = { [LOCK_INNER] = "inner", [LOCK_OUTER] = "outer" };
static_assert(ARRAY_SIZE(lock_names) == _LOCK_MAX, "every lock has a name");

uint64_t journal_hash(const char *s, size_t len)
{
	uint64_t h = 0xcbf29ce484222325u;

	for (size_t i = 0; i < len; i++)
		h = (h ^ (uint8_t)s[i]) * 0x100000001b3u;
	return h;
}

void journal_done(struct journal *j)
{
	free(j->saves);
	*j = (struct journal){ 0 };
}

const struct sysctl_save *journal_find_save(const struct journal *j, const char *path)
{
	for (size_t i = 0; i < j->n_saves; i++)
		if (str_eq(j->saves[i].path, path))
			return &j->saves[i];
	return NULL;
}

int journal_save(struct journal *j, const struct sysctl_save *s)
{
	struct sysctl_save *v;

	if (journal_find_save(j, s->path))
		return 0;
	if (j->n_saves >= JOURNAL_SAVES_MAX)
		return -E2BIG;
	v = reallocarray(j->saves, j->n_saves + 1, sizeof(*v));
	if (!v)
		return -ENOMEM;
	j->saves = v;
	j->saves[j->n_saves++] = *s;
	return 0;
}

/* ---- writing ---- */

char *journal_format(const struct journal *j)
{
	struct strbuf b = { 0 };
	char buf[ENDPOINT_STR_MAX];

	strbuf_addf(&b, "%s\nuplink %s\nmark 0x%08x\n", JOURNAL_HEAD, uplink_to_string(j->uplink), j->mark);
	if (inaddr_is_set(&j->net4.addr))
		strbuf_addf(&b, "net4 %s\n", inprefix_format(&j->net4, buf, sizeof(buf)));
	if (inaddr_is_set(&j->net6.addr))
		strbuf_addf(&b, "net6 %s\n", inprefix_format(&j->net6, buf, sizeof(buf)));
	for (unsigned i = 0; i < j->exceptions.n_publish; i++)
		strbuf_addf(&b, "publish %s\n", publish_format(&j->exceptions.publish[i], buf, sizeof(buf)));
	for (unsigned i = 0; i < j->exceptions.n_allow; i++)
		strbuf_addf(&b, "allow %s\n", inprefix_format(&j->exceptions.allow[i], buf, sizeof(buf)));
	strbuf_addf(&b, "netns %" PRIu64 "\n", j->netns_ino);
	if (j->have_server)
		strbuf_addf(&b, "server %s %s %u %s\n", transport_to_string(j->transport),
			    endpoint_format(&j->server, buf, sizeof(buf)), j->server.scope_id,
			    *j->outgoing ? j->outgoing : "-");
	if (j->have_server && j->relay_port)
		strbuf_addf(&b, "relay %u\n", j->relay_port);
	if (j->kept)
		strbuf_add(&b, "kept\n");
	for (size_t i = 0; i < _LOCK_MAX; i++)
		if (j->locks[i].text)
			strbuf_addf(&b, "lock %s %" PRIu64 " %" PRIu64 "\n", lock_names[i], j->locks[i].text,
				    j->locks[i].listing);
	for (size_t i = 0; i < j->n_saves; i++)
		strbuf_addf(&b, "sysctl %s %u %u %u\n", j->saves[i].path, j->saves[i].old_value, j->saves[i].new_value,
			    j->saves[i].global);
	strbuf_addf(&b, "end %" PRIu64 "\n", journal_hash(b.s ?: "", b.len));
	return strbuf_take(&b);
}

int journal_write(const char *path, const struct journal *j)
{
	_cleanup_(freep) char *text = journal_format(j);

	if (!text)
		return -ENOMEM;
	return file_write_atomic(AT_FDCWD, path, text, strlen(text), 0600);
}

/* ---- reading: each parser gets the words behind the first one ---- */

static int parse_hex32(const char *s, uint32_t *ret)
{
	char *end;
	unsigned long v;

	if (!s || s[0] != '0' || s[1] != 'x' || !s[2] || strlen(s) > 10)
		return -EINVAL;
	v = strtoul(s + 2, &end, 16);
	if (*end)
		return -EINVAL;
	*ret = (uint32_t)v;
	return 0;
}

static int word_u64(char **words, uint64_t *ret)
{
	const char *w = str_next_word(words);

	return w ? parse_u64(w, 0, UINT64_MAX, ret) : -EINVAL;
}

static int word_u32(char **words, uint32_t *ret)
{
	const char *w = str_next_word(words);

	return w ? parse_u32(w, 0, UINT32_MAX, ret) : -EINVAL;
}

static int line_uplink(struct journal *j, char *words)
{
	const char *w = str_next_word(&words);

	return w ? uplink_from_string(w, &j->uplink) : -EINVAL;
}

static int line_mark(struct journal *j, char *words)
{
	return parse_hex32(str_next_word(&words), &j->mark);
}

static int line_net4(struct journal *j, char *words)
{
	const char *w = str_next_word(&words);
	int r = w ? inprefix_parse(w, &j->net4) : -EINVAL;

	return r == 0 && (j->net4.addr.family != AF_INET || j->net4.len != 30) ? -EINVAL : r;
}

static int line_net6(struct journal *j, char *words)
{
	const char *w = str_next_word(&words);
	int r = w ? inprefix_parse(w, &j->net6) : -EINVAL;

	return r == 0 && (j->net6.addr.family != AF_INET6 || j->net6.len != 127) ? -EINVAL : r;
}

static int line_publish(struct journal *j, char *words)
{
	const char *w = str_next_word(&words);
	struct publish p;
	int r = w ? publish_parse(w, &p) : -EINVAL;

	return r < 0 ? r : exceptions_add_publish(&j->exceptions, &p);
}

static int line_allow(struct journal *j, char *words)
{
	const char *w = str_next_word(&words), *why;
	struct inprefix p;
	int r = w ? allow_parse(w, &p, &why) : -EINVAL;

	return r < 0 ? r : exceptions_add_allow(&j->exceptions, &p);
}

static int line_netns(struct journal *j, char *words)
{
	return word_u64(&words, &j->netns_ino);
}

static int line_server(struct journal *j, char *words)
{
	const char *transport = str_next_word(&words), *endpoint = str_next_word(&words), *dev;
	uint32_t scope;
	int r;

	if (!transport || !endpoint)
		return -EINVAL;
	r = endpoint_parse(endpoint, &j->server);
	if (r < 0)
		return r;
	r = word_u32(&words, &scope);
	if (r < 0)
		return r;
	if (scope && !inaddr_is_link_local(&j->server.addr))
		return -EINVAL;
	dev = str_next_word(&words);
	if (!dev || strchr(dev, '/') || !str_copy(j->outgoing, sizeof(j->outgoing), str_eq(dev, "-") ? "" : dev))
		return -EINVAL;
	j->server.scope_id = scope;
	if (!str_eq(transport, "udp") && !str_eq(transport, "tcp"))
		return -EINVAL;
	j->transport = str_eq(transport, "tcp") ? TRANSPORT_TCP : TRANSPORT_UDP;
	j->have_server = true;
	return 0;
}

static int line_relay(struct journal *j, char *words)
{
	uint32_t port;
	int r = word_u32(&words, &port);

	if (r < 0 || port < 1 || port > 65535)
		return -EINVAL;
	j->relay_port = (uint16_t)port;
	return 0;
}

static int line_kept(struct journal *j, char *words)
{
	(void)words; /* none */
	j->kept = true;
	return 0;
}

static int line_lock(struct journal *j, char *words)
{
	const char *which = str_next_word(&words);
	uint64_t text, listing;
	int r;

	if (!which)
		return -EINVAL;
	r = word_u64(&words, &text);
	if (r == 0)
		r = word_u64(&words, &listing);
	if (r < 0)
		return r;
	for (size_t i = 0; i < _LOCK_MAX; i++)
		if (str_eq(which, lock_names[i])) {
			j->locks[i] = (struct lock_mark){ .text = text, .listing = listing };
			return 0;
		}
	return -EINVAL;
}

/*
 * A path is written to with privilege on teardown, so it is one of those that we save, whatever the file says; words
 * have no blanks, and ".." cannot be an interface name.
 */
static bool save_path_is_ours(const char *path)
{
	static const char *const tails[] = { "/forwarding", "/force_forwarding", "/accept_ra" };
	const char *p = path, *end;

	if (!str_has_prefix(p, "ipv4/conf/") && !str_has_prefix(p, "ipv6/conf/"))
		return false;
	p += strlen("ipv4/conf/");
	end = strchr(p, '/');
	if (!end || end == p || (size_t)(end - p) >= IFNAMSIZ || p[0] == '.')
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(tails); i++)
		if (str_eq(end, tails[i]))
			return true;
	return false;
}

static int line_sysctl(struct journal *j, char *words)
{
	const char *path = str_next_word(&words);
	struct sysctl_save s = { 0 };
	int r;

	if (!path || !save_path_is_ours(path) || !str_copy(s.path, sizeof(s.path), path))
		return -EINVAL;
	r = word_u32(&words, &s.old_value);
	if (r == 0)
		r = word_u32(&words, &s.new_value);
	if (r == 0)
		r = word_u32(&words, &s.global);
	if (r == 0 && (s.old_value > 2 || s.new_value > 2 || s.global > 1))
		r = -EINVAL;
	return r < 0 ? r : journal_save(j, &s);
}

static const struct {
	const char *word;
	int (*parse)(struct journal *j, char *words);
} lines[] = {
	{ "uplink", line_uplink }, { "mark", line_mark },   { "net4", line_net4 },
	{ "net6", line_net6 },	   { "netns", line_netns }, { "server", line_server },
	{ "relay", line_relay },
	{ "kept", line_kept },	   { "lock", line_lock },   { "sysctl", line_sysctl },
	{ "allow", line_allow },   { "publish", line_publish },
};

static int parse_line(struct journal *j, char *line)
{
	const char *word = str_next_word(&line);

	if (!word)
		return -EINVAL;
	for (size_t i = 0; i < ARRAY_SIZE(lines); i++)
		if (str_eq(word, lines[i].word))
			return lines[i].parse(j, line);
	return -EINVAL;
}

/* The checksum line stands at the end and covers everything in front of it. */
static bool checksum_is_right(const char *text, size_t len)
{
	static const char head[] = "end ";
	_cleanup_(freep) char *expect = NULL;
	const char *end = NULL;

	if (len == 0 || text[len - 1] != '\n' || strlen(text) != len)
		return false;
	for (const char *p = text; (p = strstr(p, "\nend ")); p++)
		end = p + 1;
	if (!end)
		return false;
	expect = str_format("%s%" PRIu64 "\n", head, journal_hash(text, (size_t)(end - text)));
	return expect && str_eq(end, expect);
}

int journal_parse(const char *text, size_t len, struct journal *ret)
{
	_cleanup_(freep) char *copy = strndup(text, len);
	struct journal j = { 0 };
	bool damaged = !checksum_is_right(text, len);
	char *rest = copy, *line;
	size_t n = 0;

	if (!copy)
		return -ENOMEM;
	while ((line = strsep(&rest, "\n"))) {
		if (!*line || str_has_prefix(line, "end "))
			continue;
		if (n++ == 0) {
			damaged |= !str_eq(line, JOURNAL_HEAD);
			continue;
		}
		if (parse_line(&j, line) < 0)
			damaged = true;
	}
	if (!j.mark)
		damaged = true;
	if (journal_has_veth(&j) && (!inaddr_is_set(&j.net4.addr) || !inaddr_is_set(&j.net6.addr)))
		damaged = true;
	if (damaged) {
		struct journal saves_only = { .saves = TAKE_PTR(j.saves), .n_saves = j.n_saves };

		*ret = saves_only;
		return -EUCLEAN;
	}
	*ret = j;
	return 0;
}

int journal_read(const char *path, struct journal *ret)
{
	_cleanup_(freep) char *text = NULL;
	size_t len;
	int r;

	r = file_read(AT_FDCWD, path, JOURNAL_FILE_MAX, &text, &len);
	if (r == -ENOENT)
		return r;
	if (r == -EFBIG || r == -EINVAL || r == -EISDIR) {
		*ret = (struct journal){ 0 };
		return -EUCLEAN;
	}
	return r < 0 ? r : journal_parse(text, len, ret);
}

static int read_other(const char *name, const char *other, int (*fn)(void *, const struct journal *), void *userdata)
{
	_cleanup_(freep) char *path = NULL;
	struct journal j = { 0 };
	int r;

	if (!tunnel_name_is_valid(other) || str_eq(name, other))
		return 0;
	path = str_format("%s/%s/journal", place_run(), other);
	if (!path)
		return -ENOMEM;
	r = journal_read(path, &j);
	/* A damaged one still tells which sysctls it needs. */
	r = r == 0 || r == -EUCLEAN ? fn(userdata, &j) : 0;
	journal_done(&j);
	return r;
}

int journal_foreach_other(const char *name, int (*fn)(void *userdata, const struct journal *j), void *userdata)
{
	DIR *d = opendir(place_run());
	int r = 0;

	if (!d)
		return errno == ENOENT ? 0 : -errno;
	for (struct dirent *e; r == 0 && (e = readdir(d));)
		r = read_other(name, e->d_name, fn, userdata);
	(void)closedir(d); /* only read */
	return r;
}
