/* Words, then tables, chains and rules; see ruleset.h. */
#include "net/ruleset.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/parse.h"
#include "base/str.h"

#define WORD_MAX 4096
#define RULE_WORDS_MAX 4096
#define PRIORITY_MAX 100000
#define OBJECTS_MAX 100000 /* of a kind in one place */

/* ---- words ---- */

enum token { TOKEN_END, TOKEN_WORD, TOKEN_NEWLINE, TOKEN_OPEN, TOKEN_CLOSE, TOKEN_BAD };

struct reader {
	const char *s;
	char word[WORD_MAX];
};

static bool is_single(char c)
{
	return c == '{' || c == '}' || c == ';';
}

static enum token read_string(struct reader *r)
{
	size_t n = strcspn(r->s + 1, "\"\n") + 1;

	if (r->s[n] != '"' || n + 2 > sizeof(r->word))
		return TOKEN_BAD;
	memcpy(r->word, r->s, n + 1);
	r->word[n + 1] = '\0';
	r->s += n + 1;
	return TOKEN_WORD;
}

static enum token next(struct reader *r)
{
	size_t n = 0;

	r->s += strspn(r->s, " \t\r\v\f"); /* with '\n' all that ends a word */
	/* Other words behind # are matches of iptables that libnftables has no words for: they stay, not understood. */
	if (str_has_prefix(r->s, "# handle ") || str_has_prefix(r->s, "# Warning"))
		r->s += strcspn(r->s, "\n");
	switch (*r->s) {
	case '\0':
		return TOKEN_END;
	case '\n':
	case ';':
		r->s++;
		return TOKEN_NEWLINE;
	case '{':
		r->s++;
		return TOKEN_OPEN;
	case '}':
		r->s++;
		return TOKEN_CLOSE;
	case '"':
		return read_string(r);
	default:
		break;
	}
	while (r->s[n] && !isspace((unsigned char)r->s[n]) && !is_single(r->s[n]) && r->s[n] != '"')
		n++;
	if (n + 1 > sizeof(r->word))
		return TOKEN_BAD;
	memcpy(r->word, r->s, n);
	r->word[n] = '\0';
	r->s += n;
	return TOKEN_WORD;
}

/* One more zeroed element at the end of an array. */
static void *grow(void *array, size_t *n, size_t size)
{
	char *p = *n < OBJECTS_MAX ? realloc(array, (*n + 1) * size) : NULL;

	if (!p)
		return NULL;
	memset(p + *n * size, 0, size);
	(*n)++;
	return p;
}

/* ---- rules ---- */

static char *join(char *const *words)
{
	struct strbuf b = { 0 };

	for (size_t i = 0; words && words[i]; i++) {
		if (i > 0 && !str_eq(words[i], ","))
			strbuf_add(&b, " ");
		strbuf_add(&b, words[i]);
	}
	return strbuf_take(&b);
}

/* A line's words. strv_add() counts from the beginning each time, and sets are long. */
struct line {
	char **v; /* strv */
	size_t n, cap;
};

static int line_add(struct line *l, const char *word)
{
	if (l->n + 1 >= l->cap) {
		size_t cap = l->cap ? l->cap * 2 : 16;
		char **v = realloc(l->v, cap * sizeof(*v));

		if (!v)
			return -ENOMEM;
		l->v = v;
		l->cap = cap;
	}
	l->v[l->n + 1] = NULL;
	l->v[l->n] = strdup(word);
	return l->v[l->n] ? (l->n++, 0) : -ENOMEM;
}

/* "a," of a set is the word a and a comma. */
static int line_add_word(struct line *l, char *word)
{
	size_t len = strlen(word);
	bool comma = len > 1 && word[len - 1] == ',' && word[0] != '"';
	int r;

	if (comma)
		word[len - 1] = '\0';
	r = line_add(l, word);
	return r == 0 && comma ? line_add(l, ",") : r;
}

/*
 * "XT match conntrack not found", and a line's end in the middle of the rule: libnftables' words where the machine has not
 * the extensions of the iptables that made it.
 */
static bool ends_in_missing_extension(const struct line *l)
{
	size_t n = l->n;

	return n >= 5 && str_eq(l->v[n - 1], "found") && str_eq(l->v[n - 2], "not") && str_eq(l->v[n - 5], "XT");
}

/* Up to the end of the line; a line goes on while a brace is open. The first token is in t already. */
static int read_words(struct reader *r, enum token t, struct line *l)
{
	bool seen = false; /* such a line's end */
	int depth = 0, e = 0;

	for (; e == 0; t = next(r)) {
		if ((t == TOKEN_CLOSE && depth == 0) || t == TOKEN_BAD || t == TOKEN_END || l->n > RULE_WORDS_MAX)
			return -EBADMSG;
		if (t == TOKEN_NEWLINE && depth == 0 && !(r->s[-1] == '\n' && !seen && ends_in_missing_extension(l)))
			break;
		seen = t == TOKEN_NEWLINE && depth == 0;
		if (t == TOKEN_WORD)
			e = line_add_word(l, r->word);
		else if (t == TOKEN_OPEN || t == TOKEN_CLOSE)
			e = line_add(l, t == TOKEN_OPEN ? "{" : "}");
		depth += t == TOKEN_OPEN ? 1 : t == TOKEN_CLOSE ? -1 : 0;
	}
	return e;
}

/* *ret: strv, NULL for an empty line. */
static int read_line(struct reader *r, enum token t, char ***ret)
{
	struct line l = { 0 };
	int e = read_words(r, t, &l);

	if (e < 0)
		strv_free(l.v);
	else
		*ret = l.v;
	return e;
}

static enum nf_hook hook_from_string(const char *s)
{
	static const char *const names[] = { "prerouting", "forward", "postrouting", "input", "output" };

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (str_eq(s, names[i]))
			return (enum nf_hook)i;
	return NF_HOOK_OTHER;
}

/* The words that stand for numbers, where somebody asked for names. */
static int parse_priority(char *const *words, int *ret)
{
	static const struct {
		const char *name;
		int value;
	} names[] = { { "raw", -300 }, { "mangle", -150 }, { "dstnat", -100 }, { "filter", 0 }, { "security", 50 }, { "srcnat", 100 } };
	int64_t base = 0, more = 0;
	bool found = false;

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (str_eq(words[0], names[i].name)) {
			base = names[i].value;
			found = true;
		}
	}
	if (!found && parse_i64(words[0], -PRIORITY_MAX, PRIORITY_MAX, &base) < 0)
		return -EBADMSG;
	if (words[1] && words[2] && (str_eq(words[1], "+") || str_eq(words[1], "-"))) {
		if (parse_i64(words[2], 0, PRIORITY_MAX, &more) < 0)
			return -EBADMSG;
		base += str_eq(words[1], "-") ? -more : more;
	}
	*ret = (int)base;
	return 0;
}

/* "type filter hook forward priority filter + 10" */
static int read_header(struct nf_chain *c, char *const *w)
{
	size_t n = strv_len((char **)w);

	if (n < 4 || !str_eq(w[2], "hook"))
		return -EBADMSG;
	c->is_base = true;
	c->filters = str_eq(w[1], "filter");
	c->hook = hook_from_string(w[3]);
	for (size_t i = 4; i + 1 < n; i++)
		if (str_eq(w[i], "priority"))
			return parse_priority(w + i + 1, &c->priority);
	return -EBADMSG;
}

static int add_rule(struct nf_chain *c, char **words_take)
{
	_cleanup_(strv_freep) char **words = words_take;
	_cleanup_(freep) char *text = join(words);
	struct nf_rule *v;

	if (!text)
		return -ENOMEM;
	v = grow(c->rules, &c->n_rules, sizeof(*v));
	if (!v)
		return -ENOMEM;
	c->rules = v;
	v[c->n_rules - 1] = (struct nf_rule){ .text = TAKE_PTR(text), .words = TAKE_PTR(words) };
	return 0;
}

static int chain_line(struct nf_chain *c, char **words_take)
{
	_cleanup_(strv_freep) char **w = words_take;
	size_t n = strv_len(w);

	if (n == 0)
		return 0;
	if (str_eq(w[0], "type") && n > 2)
		return read_header(c, w);
	if (str_eq(w[0], "policy") && n == 2) {
		c->drops = str_eq(w[1], "drop");
		return 0;
	}
	if (str_eq(w[0], "comment") && n == 2)
		return 0; /* the chain's own */
	return add_rule(c, TAKE_PTR(w));
}

/* ---- blocks ---- */

/* Behind the opening brace, to behind the closing one. */
static int skip_block(struct reader *r)
{
	for (int depth = 1; depth > 0;) {
		enum token t = next(r);

		if (t == TOKEN_END || t == TOKEN_BAD)
			return -EBADMSG;
		depth += t == TOKEN_OPEN ? 1 : t == TOKEN_CLOSE ? -1 : 0;
	}
	return 0;
}

static int read_chain(struct reader *r, struct nf_table *t, const char *name)
{
	struct nf_chain *v = grow(t->chains, &t->n_chains, sizeof(*v)), *c;

	if (!v)
		return -ENOMEM;
	t->chains = v;
	c = &v[t->n_chains - 1];
	c->name = strdup(name);
	if (!c->name)
		return -ENOMEM;
	for (;;) {
		char **words = NULL;
		enum token k = next(r);
		int e;

		if (k == TOKEN_CLOSE)
			return 0;
		if (k == TOKEN_NEWLINE)
			continue;
		e = read_line(r, k, &words);
		if (e == 0)
			e = chain_line(c, words);
		if (e < 0)
			return e;
	}
}

/* "chain NAME {", "set NAME {", "flags dormant", ... until the table's own brace closes. */
static int read_table(struct reader *r, struct nf_table *t)
{
	char kind[32] = "", name[256] = "";
	unsigned n = 0;

	for (;;) {
		enum token k = next(r);
		int e = 0;

		if (k == TOKEN_CLOSE)
			return 0;
		if (k == TOKEN_END || k == TOKEN_BAD)
			return -EBADMSG;
		if (k == TOKEN_WORD && n++ == 0)
			(void)str_copy(kind, sizeof(kind), r->word); /* what is too long is no word that we look for */
		else if (k == TOKEN_WORD)
			(void)str_copy(name, sizeof(name), r->word); /* the kernel's names are shorter */
		if (k == TOKEN_OPEN)
			e = n == 2 && str_eq(kind, "chain") ? read_chain(r, t, name) : skip_block(r);
		if (k == TOKEN_NEWLINE && str_eq(kind, "flags") && strstr(name, "dormant"))
			t->dormant = true;
		if (k != TOKEN_WORD) {
			n = 0;
			kind[0] = name[0] = '\0';
		}
		if (e < 0)
			return e;
	}
}

static int add_table(struct ruleset *rs, struct reader *r, char *const *head)
{
	struct nf_table *v = grow(rs->tables, &rs->n_tables, sizeof(*v)), *t;

	if (!v)
		return -ENOMEM;
	rs->tables = v;
	t = &v[rs->n_tables - 1];
	t->family = strdup(head[1]);
	t->name = strdup(head[2]);
	return t->family && t->name ? read_table(r, t) : -ENOMEM;
}

static int read_all(struct ruleset *rs, struct reader *r)
{
	_cleanup_(strv_freep) char **head = NULL;

	for (;;) {
		enum token k = next(r);
		int e = 0;

		if (k == TOKEN_END)
			return strv_len(head) ? -EBADMSG : 0;
		if (k == TOKEN_BAD || k == TOKEN_CLOSE)
			return -EBADMSG;
		if (k == TOKEN_WORD)
			e = strv_len(head) < 3 ? strv_add(&head, r->word) : -EBADMSG;
		if (k == TOKEN_OPEN) {
			e = strv_len(head) == 3 && str_eq(head[0], "table") ? add_table(rs, r, head) : -EBADMSG;
			strv_free(TAKE_PTR(head));
		}
		if (e < 0)
			return e;
	}
}

int ruleset_parse(const char *text, struct ruleset **ret)
{
	_cleanup_(ruleset_freep) struct ruleset *rs = calloc(1, sizeof(*rs));
	struct reader r = { .s = text };
	int e;

	if (!rs)
		return -ENOMEM;
	e = read_all(rs, &r);
	if (e < 0)
		return e;
	*ret = TAKE_PTR(rs);
	return 0;
}

struct ruleset *ruleset_free(struct ruleset *rs)
{
	if (!rs)
		return NULL;
	for (size_t i = 0; i < rs->n_tables; i++) {
		struct nf_table *t = &rs->tables[i];

		for (size_t k = 0; k < t->n_chains; k++) {
			struct nf_chain *c = &t->chains[k];

			for (size_t m = 0; m < c->n_rules; m++) {
				free(c->rules[m].text);
				strv_free(c->rules[m].words);
			}
			free(c->rules);
			free(c->name);
		}
		free(t->chains);
		free(t->family);
		free(t->name);
	}
	free(rs->tables);
	free(rs);
	return NULL;
}

const struct nf_table *ruleset_table(const struct ruleset *rs, const char *family, const char *name)
{
	for (size_t i = 0; i < rs->n_tables; i++)
		if (str_eq(rs->tables[i].family, family) && str_eq(rs->tables[i].name, name))
			return &rs->tables[i];
	return NULL;
}

const struct nf_chain *nf_table_chain(const struct nf_table *t, const char *name)
{
	for (size_t i = 0; i < t->n_chains; i++)
		if (str_eq(t->chains[i].name, name))
			return &t->chains[i];
	return NULL;
}
