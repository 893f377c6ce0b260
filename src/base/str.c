/* Strings: builder, escape, words, vectors, nearest name, UTF-8 check. */
#include "base/str.h"

#include <ctype.h>
#include <stdarg.h>
#include <strings.h>

/* ---- builder ---- */

void strbuf_done(struct strbuf *b)
{
	free(b->s);
	*b = (struct strbuf){ 0 };
}

/* Room for n more bytes and the NUL. */
static bool strbuf_reserve(struct strbuf *b, size_t n)
{
	size_t need, cap;
	char *s;

	if (b->failed)
		return false;
	if (__builtin_add_overflow(b->len, n, &need) || __builtin_add_overflow(need, (size_t)1, &need) ||
	    need > SIZE_MAX / 2) {
		b->failed = true;
		return false;
	}
	if (need <= b->cap)
		return true;

	cap = MAX(MAX(need, b->cap * 2), (size_t)64);
	s = realloc(b->s, cap);
	if (!s) {
		b->failed = true;
		return false;
	}
	b->s = s;
	b->cap = cap;
	return true;
}

void strbuf_add_bytes(struct strbuf *b, const void *p, size_t len)
{
	if (!strbuf_reserve(b, len))
		return;
	if (len)
		memcpy(b->s + b->len, p, len);
	b->len += len;
	b->s[b->len] = '\0';
}

void strbuf_add(struct strbuf *b, const char *s)
{
	strbuf_add_bytes(b, s, strlen(s));
}

_printf_(2, 0) static void strbuf_vaddf(struct strbuf *b, const char *fmt, va_list ap)
{
	va_list again;
	int n;

	va_copy(again, ap);
	n = vsnprintf(NULL, 0, fmt, again);
	va_end(again);
	if (n < 0) {
		b->failed = true;
		return;
	}
	if (!strbuf_reserve(b, (size_t)n))
		return;
	(void)vsnprintf(b->s + b->len, (size_t)n + 1, fmt, ap);
	b->len += (size_t)n;
}

void strbuf_addf(struct strbuf *b, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	strbuf_vaddf(b, fmt, ap);
	va_end(ap);
}

/* The escaped form of one byte; returns its length, at most 4. */
static size_t escape_byte(unsigned char c, char out[5])
{
	static const char hex[] = "0123456789abcdef";

	out[0] = '\\';
	out[2] = '\0';
	switch (c) {
	case '\n':
		out[1] = 'n';
		return 2;
	case '\t':
		out[1] = 't';
		return 2;
	case '\\':
		out[1] = '\\';
		return 2;
	default:
		break;
	}
	if (c >= 0x20 && c < 0x7f) {
		out[0] = (char)c;
		out[1] = '\0';
		return 1;
	}
	out[1] = 'x';
	out[2] = hex[c >> 4];
	out[3] = hex[c & 15];
	out[4] = '\0';
	return 4;
}

void strbuf_add_escaped(struct strbuf *b, const char *s, size_t len)
{
	char out[5];

	for (size_t i = 0; i < len; i++) {
		size_t n = escape_byte((unsigned char)s[i], out);

		strbuf_add_bytes(b, out, n);
	}
}

int strbuf_error(const struct strbuf *b)
{
	return b->failed ? -ENOMEM : 0;
}

char *strbuf_take(struct strbuf *b)
{
	char *s;

	strbuf_add_bytes(b, "", 0);
	s = b->failed ? NULL : TAKE_PTR(b->s);
	strbuf_done(b);
	return s;
}

char *str_escape(const char *s, size_t len, size_t max)
{
	struct strbuf b = { 0 };
	size_t cut = 0; /* the longest whole-escape prefix that leaves room for the dots */
	char out[5];

	for (size_t i = 0; i < len; i++) {
		size_t n = escape_byte((unsigned char)s[i], out);

		if (b.len + 3 <= max)
			cut = b.len;
		if (b.len + n > max) {
			if (b.s)
				b.s[cut] = '\0';
			b.len = cut;
			strbuf_add_bytes(&b, "...", MIN(max, (size_t)3));
			break;
		}
		strbuf_add_bytes(&b, out, n);
	}
	return strbuf_take(&b);
}

/* ---- small helpers ---- */

bool str_ieq(const char *a, const char *b)
{
	return strcasecmp(a, b) == 0;
}

bool str_has_prefix(const char *s, const char *prefix)
{
	return strncmp(s, prefix, strlen(prefix)) == 0;
}

bool str_has_suffix(const char *s, const char *suffix)
{
	size_t n = strlen(s), m = strlen(suffix);

	return n >= m && memcmp(s + n - m, suffix, m) == 0;
}

char *str_format(const char *fmt, ...)
{
	va_list ap;
	char *s;
	int n;

	va_start(ap, fmt);
	n = vasprintf(&s, fmt, ap);
	va_end(ap);
	return n < 0 ? NULL : s;
}

bool str_copy(char *dst, size_t cap, const char *src)
{
	size_t len = strlen(src), n;

	if (cap == 0)
		return false;
	n = MIN(len, cap - 1);
	memcpy(dst, src, n);
	dst[n] = '\0';
	return n == len;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\v' || c == '\f';
}

char *str_next_word(char **s)
{
	char *p = *s, *word;

	while (is_blank(*p))
		p++;
	word = p;
	while (*p && !is_blank(*p))
		p++;
	if (*p)
		*p++ = '\0';
	*s = p;
	return *word ? word : NULL;
}

char *str_trim(char *s)
{
	size_t n;

	while (is_blank(*s))
		s++;
	n = strlen(s);
	while (n && is_blank(s[n - 1]))
		s[--n] = '\0';
	return s;
}

const char *str_base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/* ---- vectors ---- */

size_t strv_len(char *const *v)
{
	size_t n = 0;

	while (v && v[n])
		n++;
	return n;
}

void strv_free(char **v)
{
	for (size_t i = 0; v && v[i]; i++)
		free(v[i]);
	free(v);
}

int strv_add(char ***v, const char *s)
{
	_cleanup_(freep) char *copy = strdup(s);
	size_t n = strv_len(*v);
	char **bigger;

	if (!copy)
		return -ENOMEM;
	bigger = reallocarray(*v, n + 2, sizeof(*bigger));
	if (!bigger)
		return -ENOMEM;
	bigger[n] = TAKE_PTR(copy);
	bigger[n + 1] = NULL;
	*v = bigger;
	return 0;
}

bool strv_contains(char *const *v, const char *s)
{
	for (size_t i = 0; v && v[i]; i++)
		if (str_eq(v[i], s))
			return true;
	return false;
}

/* ---- "did you mean" ---- */

#define DISTANCE_MAX_LEN 64

static size_t distance_fold(const char *a, const char *b, bool fold)
{
	size_t n = strlen(a), m = strlen(b);
	size_t row[DISTANCE_MAX_LEN + 1];

	if (n > DISTANCE_MAX_LEN || m > DISTANCE_MAX_LEN)
		return MAX(n, m); /* no typo of anything we name */

	for (size_t j = 0; j <= m; j++)
		row[j] = j;
	for (size_t i = 1; i <= n; i++) {
		size_t diagonal = row[0];

		row[0] = i;
		for (size_t j = 1; j <= m; j++) {
			unsigned char x = (unsigned char)a[i - 1], y = (unsigned char)b[j - 1];
			bool same = fold ? tolower(x) == tolower(y) : x == y;
			size_t substitute = diagonal + (same ? 0 : 1);

			diagonal = row[j];
			row[j] = MIN(MIN(row[j] + 1, row[j - 1] + 1), substitute);
		}
	}
	return row[m];
}

size_t str_distance(const char *a, const char *b)
{
	return distance_fold(a, b, false);
}

const char *str_nearest(const char *s, const char *const *names, size_t n_names)
{
	size_t len = strlen(s), best = (len + 2) / 3 + 1;
	const char *found = NULL;

	/* Up to a third of the letters may differ, and never all of the name: "x" is no typo of "up". */
	for (size_t i = 0; i < n_names; i++) {
		size_t d = distance_fold(s, names[i], true);

		if (d < best && d < strlen(names[i]) && d < len) {
			best = d;
			found = names[i];
		}
	}
	return found;
}

/* ---- UTF-8 ---- */

/* Decodes one sequence (RFC 3629: no overlong forms, no surrogates); its length, 0 when invalid. */
static size_t utf8_decode(const unsigned char *p, size_t left, uint32_t *ret)
{
	static const uint32_t smallest[] = { 0, 0, 0x80, 0x800, 0x10000 };
	size_t n = p[0] < 0x80 ? 1 : p[0] >= 0xc2 && p[0] < 0xe0 ? 2 : (p[0] & 0xf0) == 0xe0 ? 3 :
		   p[0] >= 0xf0 && p[0] < 0xf5 ? 4 : 0;
	uint32_t c;

	if (n == 0 || n > left)
		return 0;
	c = n == 1 ? p[0] : p[0] & (0x7fU >> n);
	for (size_t i = 1; i < n; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (p[i] & 0x3f);
	}
	if (c < smallest[n] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
		return 0;
	*ret = c;
	return n;
}

bool str_is_clean_utf8(const char *s, size_t len)
{
	const unsigned char *p = (const unsigned char *)s;

	while (len) {
		uint32_t c;
		size_t n = utf8_decode(p, len, &c);

		if (n == 0 || (c < 0x20 && c != '\t') || (c >= 0x7f && c < 0xa0))
			return false;
		p += n;
		len -= n;
	}
	return true;
}
