/*
 * The grammar of OpenVPN configuration text, without any meaning: lines to words, inline blocks, <connection> sections.
 * Used for files here and, by ovpn_split(), for the options that a server pushes.
 *
 * Theory. Line based; LF or CRLF, a missing last newline and a UTF-8 byte order mark are fine. Words are separated by
 * blanks; "…" with backslash escapes, '…' literal; backslash escapes (\\ \" \' and a backslash before a blank) work
 * outside quotes too. `#` and `;` begin a comment only where a word could begin. A leading `--` is cut off the first
 * word. `<tag>` alone on a line begins a block that ends at a line `</tag>`; only <connection> is transparent: what
 * stands inside it comes out as ordinary items between CONNECTION and CONNECTION_END.
 *
 * A mistake in one line is reported as such and the next call goes on behind it, so that one pass finds every mistake.
 */
#pragma once

#include "base/macro.h"

#define OVPN_WORDS_MAX 17 /* the option and 16 values */

enum ovpn_item_kind {
	OVPN_ITEM_OPTION,	  /* words */
	OVPN_ITEM_BLOCK,	  /* words[0] is the tag, block its text */
	OVPN_ITEM_CONNECTION,	  /* <connection> */
	OVPN_ITEM_CONNECTION_END, /* </connection> */
	OVPN_ITEM_STRAY_END,	  /* a closing tag that closes nothing; words[0] is it */
};

struct ovpn_item {
	enum ovpn_item_kind kind;
	unsigned line;
	size_t start, end;		 /* bytes of the text, whole lines */
	char *words[OVPN_WORDS_MAX + 1]; /* NULL-terminated, no control characters, UTF-8; valid until the next call */
	unsigned n_words;
	const char *block; /* borrowed from the text */
	size_t block_len;
};

struct ovpn_lexer {
	const char *text;
	size_t len, pos;
	unsigned line;
	char *buf; /* words of the current item */
	size_t cap;
	char *error;	     /* after -EINVAL: cause and remedy, without file and line */
	unsigned connection; /* line of the open <connection>, 0: none */
};

/* text is borrowed and needs no NUL. */
void ovpn_lexer_init(struct ovpn_lexer *lx, const char *text, size_t len);
void ovpn_lexer_done(struct ovpn_lexer *lx);
/*
 * The next item: 1; at the end 0. -EINVAL: a mistake at ret->line (start and end are set), lx->error says which; the
 * next call goes on behind it. -ENOMEM.
 */
int ovpn_lexer_next(struct ovpn_lexer *lx, struct ovpn_item *ret);

/*
 * Splits one line (no newline inside) into words. buf has room for len + 1 bytes; words point into it. *ret_n is at
 * most OVPN_WORDS_MAX. 0, or -EINVAL with a static text in *ret_why.
 */
int ovpn_split(const char *line, size_t len, char *buf, char *words[static OVPN_WORDS_MAX + 1], unsigned *ret_n,
	       const char **ret_why);
