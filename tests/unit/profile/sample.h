/* Samples for the profile tests: throw-away key texts, a loader from memory, and one call that parses with notes. */
#pragma once

#include <criterion/criterion.h>

#include "base/str.h"
#include "profile/profile.h"

#define KEY_ROW "00112233445566778899aabbccddeeff\n"
#define KEY_ROWS_4 KEY_ROW KEY_ROW KEY_ROW KEY_ROW
#define SAMPLE_KEY                                                                                                     \
	"#\n# 2048 bit OpenVPN static key\n#\n-----BEGIN OpenVPN Static key V1-----\n" KEY_ROWS_4 KEY_ROWS_4           \
		KEY_ROWS_4 KEY_ROWS_4 "-----END OpenVPN Static key V1-----\n"
#define SAMPLE_CERT "-----BEGIN CERTIFICATE-----\nMIIBthrowaway\n-----END CERTIFICATE-----\n"
#define SAMPLE_PRIVATE "-----BEGIN PRIVATE KEY-----\nMIIBthrowaway\n-----END PRIVATE KEY-----\n"
#define SAMPLE_CRL "-----BEGIN X509 CRL-----\nMIIBthrowaway\n-----END X509 CRL-----\n"
#define CA_BLOCK "<ca>\n" SAMPLE_CERT "</ca>\n"
/* A small file that profile_verify() takes. */
#define SMALL "client\ndev tun\nremote vpn.example.net 1194 udp\nremote-cert-tls server\nauth-user-pass\n" CA_BLOCK

struct sample_file {
	const char *name, *text;
	size_t len; /* 0: strlen */
};

/* userdata: an array that ends with a NULL name. */
int sample_load(void *userdata, const char *path, struct secret **ret);

struct parsed {
	int r;
	struct profile *p;
	struct notes notes;
	char *error;
};

struct parsed sample_parse(const char *text, size_t len, const struct sample_file *files);
struct parsed sample_parse_text(const char *text);
void parsed_done(struct parsed *d);
/* The last note of that line, or NULL. */
const struct note *parsed_note(const struct parsed *d, unsigned line);
/* Are two profiles the same but for line numbers and file names? On a difference its name is in *ret_what. */
bool profiles_equal(const struct profile *a, const struct profile *b, const char **ret_what);
