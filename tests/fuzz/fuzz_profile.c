/*
 * F1: the .ovpn parser with notes, inline text and file list, on arbitrary bytes. Beyond "no crash": a refusal has one
 * clean sentence, and what parses also parses, to the same servers, after inlining without its folder.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "profile/profile.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define REQUIRE(cond) ((cond) ? (void)0 : abort())

static const char pem[] = "-----BEGIN CERTIFICATE-----\nAA\n-----END CERTIFICATE-----\n"
			  "-----BEGIN PRIVATE KEY-----\nAA\n-----END PRIVATE KEY-----\n";

#define ROW "00112233445566778899aabbccddeeff\n"
#define ROWS ROW ROW ROW ROW
#define ZEROS_20 "AAAAAAAAAAAAAAAAAAAA"
#define ZEROS ZEROS_20 ZEROS_20 ZEROS_20 ZEROS_20 ZEROS_20 "\n"
static const char static_key[] = "-----BEGIN OpenVPN Static key V1-----\n" ROWS ROWS ROWS ROWS "-----END OpenVPN Static key V1-----\n";
/* 256 bytes and a wrapped key of 291, whose length ends it. */
static const char client_key[] = "-----BEGIN OpenVPN tls-crypt-v2 client key-----\n" ZEROS ZEROS ZEROS ZEROS ZEROS ZEROS ZEROS
	ZEROS_20 "AAAAAAABIw==\n-----END OpenVPN tls-crypt-v2 client key-----\n";
static const char crl[] = "-----BEGIN X509 CRL-----\nAA\n-----END X509 CRL-----\n";

/* A name is there by its first letter, which says what is in the file. */
static int load(void *userdata, const char *path, struct secret **ret)
{
	(void)userdata;
	if (path[0] == 'c' || path[0] == 'k')
		return secret_new_copy(ret, pem, sizeof(pem) - 1);
	if (path[0] == 'b')
		return secret_new_copy(ret, "0\x82\x01\x00\xff", 5);
	if (path[0] == 'e')
		return secret_new_copy(ret, "</ca>\nup /x\n", 12);
	if (path[0] == 't')
		return secret_new_copy(ret, static_key, sizeof(static_key) - 1);
	if (path[0] == 'v')
		return secret_new_copy(ret, client_key, sizeof(client_key) - 1);
	if (path[0] == 'r')
		return secret_new_copy(ret, crl, sizeof(crl) - 1);
	return path[0] == 'l' ? secret_new_copy(ret, "user\npassword\n", 14) : -ENOENT;
}

static void check_notes(const struct notes *n)
{
	for (size_t i = 0; i < n->n; i++) {
		REQUIRE(n->v[i].text && *n->v[i].text);
		REQUIRE(str_is_clean_utf8(n->v[i].option, strlen(n->v[i].option)));
		REQUIRE(str_is_clean_utf8(n->v[i].text, strlen(n->v[i].text)));
	}
}

static void check_inline(const char *text, size_t size, const struct profile *p)
{
	struct secret *whole = NULL;
	struct profile *again = NULL;
	char *error = NULL;

	if (profile_inline_ovpn(text, size, "f", load, NULL, &whole, &error) < 0) {
		free(error);
		return;
	}
	REQUIRE(profile_parse_ovpn(secret_string(whole), secret_len(whole), "f", NULL, NULL, NULL, &again, &error) ==
		0);
	REQUIRE(again->n_remotes == p->n_remotes);
	REQUIRE(str_eq(again->ovpn.ciphers, p->ovpn.ciphers));
	REQUIRE(again->ovpn.wrap == p->ovpn.wrap && again->ovpn.key_direction == p->ovpn.key_direction);
	REQUIRE((again->ovpn.ca == NULL) == (p->ovpn.ca == NULL));
	REQUIRE((again->ovpn.password == NULL) == (p->ovpn.password == NULL));
	profile_free(again);
	secret_free(whole);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size ? size : 1), *error = NULL, **files = NULL;
	struct profile *p = NULL;
	struct notes notes = { 0 };
	int r;

	memcpy(text, data, size);
	r = profile_parse_ovpn(text, size, "f", load, NULL, &notes, &p, &error);
	REQUIRE(r == 0 || r == -EINVAL);
	check_notes(&notes);
	if (r == 0) {
		char *why = NULL;

		REQUIRE(p->n_remotes <= PROFILE_REMOTES_MAX && p->ovpn.n_routes <= SETTINGS_ROUTES_MAX);
		if (profile_verify(p, &why) < 0)
			REQUIRE(str_is_clean_utf8(why, strlen(why)));
		free(why);
		check_inline(text, size, p);
	} else {
		REQUIRE(error && str_is_clean_utf8(error, strlen(error)));
	}
	if (profile_files_ovpn(text, size, &files) == 0)
		strv_free(files);
	notes_done(&notes);
	profile_free(p);
	free(error);
	free(text);
	return 0;
}
