/*
 * What processes of nsvpn leave for one another and for their successors: the journal of a namespace, the intent of an
 * administrator, the answer of the child that looks names up, and the drop-in of a unit. First byte: which. What is accepted is
 * in range, and written again it reads as the same.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "cli/unit-dropin.h"
#include "daemon/resolve.h"
#include "daemon/store.h"
#include "net/journal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define REQUIRE(cond) ((cond) ? (void)0 : abort())

static void check_journal(const char *text, size_t size)
{
	struct journal a, b;
	int r = journal_parse(text, size, &a);
	char *once, *twice;

	REQUIRE(r == 0 || r == -EUCLEAN || r == -ENOMEM);
	if (r == 0) {
		once = journal_format(&a);
		REQUIRE(once && journal_parse(once, strlen(once), &b) == 0);
		twice = journal_format(&b);
		REQUIRE(twice && str_eq(once, twice) && a.n_saves == b.n_saves);
		free(once);
		free(twice);
		journal_done(&b);
	}
	if (r != -ENOMEM)
		journal_done(&a);
}

/* As it is, and with a right sum behind it. */
static void fuzz_journal(const char *text, size_t size)
{
	char *with = str_format("%send %llu\n", text, (unsigned long long)journal_hash(text, strlen(text)));

	check_journal(text, size);
	REQUIRE(with);
	check_journal(with, strlen(with));
	free(with);
}

/* The last line is a check value: with a right one the rest is reached. */
static void fuzz_intent(const char *text, size_t size)
{
	char with[STORE_FILE_MAX * 2], again[STORE_FILE_MAX];
	struct intent a, b;
	ssize_t n;

	if (store_parse(text, size, &a) < 0) {
		if (size > STORE_FILE_MAX || memchr(text, '\0', size))
			return;
		n = snprintf(with, sizeof(with), "%.*scheck=%016llx\n", (int)size, text, (unsigned long long)journal_hash(text, size));
		if (store_parse(with, (size_t)n, &a) < 0)
			return;
	}
	n = store_format(&a, again, sizeof(again));
	REQUIRE(n > 0 && store_parse(again, (size_t)n, &b) == 0);
	REQUIRE(a.want_up == b.want_up && a.uplink == b.uplink && str_eq(a.boot_id, b.boot_id));
}

static void fuzz_names(const uint8_t *data, size_t size)
{
	struct inaddr addrs[RESOLVE_ADDRS_MAX];
	const char *why = NULL;
	size_t n = 0;
	int r = resolve_decode(data, size, addrs, &n, &why);

	REQUIRE(r < 0 ? why != NULL : n > 0 && n <= RESOLVE_ADDRS_MAX);
	for (size_t i = 0; r == 0 && i < n; i++)
		REQUIRE(addrs[i].family == AF_INET || addrs[i].family == AF_INET6);
}

static void fuzz_dropin(const char *text)
{
	struct dropin d;
	enum unit_kind kind;
	char *name = NULL, *error = NULL, *again;

	if (dropin_parse(text, &d) == 0) {
		again = dropin_format("x.service", d.tunnel, d.form, "/usr/bin/nsvpn");
		REQUIRE(again && memchr(d.tunnel, '\0', sizeof(d.tunnel)));
		free(again);
	}
	if (unit_name_read(text, &kind, &name, &error) == 0)
		REQUIRE(kind == UNIT_KIND_SERVICE || kind == UNIT_KIND_TEMPLATE ? name && !error : !name);
	free(name);
	free(error);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text;

	if (!size)
		return 0;
	text = malloc(size); /* the last byte is a NUL, behind it nothing may be read */
	REQUIRE(text);
	memcpy(text, data + 1, size - 1);
	text[size - 1] = '\0';
	switch (data[0] % 4) {
	case 0:
		fuzz_journal(text, size - 1);
		break;
	case 1:
		fuzz_intent(text, size - 1);
		break;
	case 2:
		fuzz_names(data + 1, size - 1);
		break;
	default:
		fuzz_dropin(text);
	}
	free(text);
	return 0;
}
