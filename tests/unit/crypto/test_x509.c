#include <criterion/criterion.h>
#include <errno.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/x509.h"

#include "lib/pki.h"

static struct pki ca, server;

static void make(void)
{
	ca = pki_make(&(struct pki_spec){ .cn = "Test CA", .use = PKI_USE_CA }, NULL);
	server = pki_make(&(struct pki_spec){ .cn = "vpn.example.net", .org = "Example, Inc", .country = "US",
					      .use = PKI_USE_SERVER },
			  &ca);
}

static void drop(void)
{
	pki_done(&ca);
	pki_done(&server);
}

TestSuite(x509, .init = make, .fini = drop);

Test(x509, prints_names_as_openvpn_does)
{
	char *s = NULL;

	cr_assert_eq(x509_name_format(X509_get_subject_name(server.cert), &s), 0);
	cr_assert_str_eq(s, "C=US, O=Example, Inc, CN=vpn.example.net");
	free(s);
	cr_assert_eq(x509_common_name(server.cert, &s), 0);
	cr_assert_str_eq(s, "vpn.example.net");
	free(s);
}

Test(x509, prints_utf8_and_escapes_controls)
{
	struct pki p = pki_make(&(struct pki_spec){ .cn = "caf\xc3\xa9\n", .use = PKI_USE_SERVER }, &ca);
	char *s = NULL;

	cr_assert_eq(x509_name_format(X509_get_subject_name(p.cert), &s), 0);
	cr_assert_str_eq(s, "CN=caf\xc3\xa9\\0A");
	free(s);
	pki_done(&p);
}

Test(x509, refuses_a_nul_inside_a_name)
{
	struct pki p = pki_make(&(struct pki_spec){ .cn = "vpn.example.net\0.evil.org", .cn_len = 25, .use = PKI_USE_SERVER }, &ca);
	char *s = NULL, *why = NULL;

	cr_assert_eq(x509_name_format(X509_get_subject_name(p.cert), &s), -EBADMSG);
	cr_assert_eq(x509_common_name(p.cert, &s), -EBADMSG);
	cr_assert_eq(x509_check_name(p.cert, X509_CHECK_NAME, "vpn.example.net", &why), -EKEYREJECTED);
	cr_assert(strstr(why, "NUL"));
	free(why);
	cr_assert_eq(x509_check_name(p.cert, X509_CHECK_NAME_PREFIX, "vpn", &why), -EKEYREJECTED);
	free(why);
	cr_assert_eq(x509_check_name(p.cert, X509_CHECK_SUBJECT, "CN=vpn.example.net", &why), -EKEYREJECTED);
	free(why);
	pki_done(&p);
}

struct name_case {
	enum x509_check check;
	const char *expected;
	int r;
};

Test(x509, compares_names_exactly)
{
	static const struct name_case cases[] = {
		{ X509_CHECK_NONE, NULL, 0 },
		{ X509_CHECK_NAME, "vpn.example.net", 0 },
		{ X509_CHECK_NAME, "VPN.example.net", -EKEYREJECTED },
		{ X509_CHECK_NAME, "*.example.net", -EKEYREJECTED },
		{ X509_CHECK_NAME, "vpn.example.ne", -EKEYREJECTED },
		{ X509_CHECK_NAME, "vpn.example.net.", -EKEYREJECTED },
		{ X509_CHECK_NAME, "", -EKEYREJECTED },
		{ X509_CHECK_NAME, NULL, -EKEYREJECTED },
		{ X509_CHECK_NAME_PREFIX, "vpn.", 0 },
		{ X509_CHECK_NAME_PREFIX, "vpn.example.net", 0 },
		{ X509_CHECK_NAME_PREFIX, "pn", -EKEYREJECTED },
		{ X509_CHECK_NAME_PREFIX, "", -EKEYREJECTED },
		{ X509_CHECK_SUBJECT, "C=US, O=Example, Inc, CN=vpn.example.net", 0 },
		{ X509_CHECK_SUBJECT, "vpn.example.net", -EKEYREJECTED },
		{ X509_CHECK_SUBJECT, "C=US,O=Example, Inc,CN=vpn.example.net", -EKEYREJECTED },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char *why = NULL;

		cr_expect_eq(x509_check_name(server.cert, cases[i].check, cases[i].expected, &why), cases[i].r, "case %zu", i);
		cr_expect_eq(why != NULL, cases[i].r < 0);
		free(why);
	}
}

Test(x509, says_what_it_got_and_what_was_expected)
{
	char *why = NULL;

	cr_assert_eq(x509_check_name(server.cert, X509_CHECK_NAME, "other\x1b", &why), -EKEYREJECTED);
	cr_assert_str_eq(why, "its name is \"vpn.example.net\", expected \"other\\x1b\"");
	free(why);
}

Test(x509, wants_server_usage)
{
	struct pki client = pki_make(&(struct pki_spec){ .cn = "c", .use = PKI_USE_CLIENT }, &ca);
	struct pki plain = pki_make(&(struct pki_spec){ .cn = "p", .use = PKI_USE_PLAIN }, &ca);
	char *why = NULL;

	cr_assert_eq(x509_check_server(server.cert, &why), 0);
	cr_assert_null(why);
	cr_assert_eq(x509_check_server(client.cert, &why), -EKEYREJECTED);
	cr_assert(strstr(why, "serverAuth"));
	free(why);
	cr_assert_eq(x509_check_server(plain.cert, &why), -EKEYREJECTED);
	free(why);
	pki_done(&client);
	pki_done(&plain);
}

Test(x509, wants_certain_bits_of_use)
{
	struct pki plain = pki_make(&(struct pki_spec){ .cn = "p", .use = PKI_USE_PLAIN }, &ca);
	uint16_t bits = (uint16_t)X509_get_key_usage(server.cert), some[] = { 0x8000, bits }, none[] = { 0x8000, (uint16_t)(bits | 0x8000) };
	char *why = NULL;

	cr_assert_eq(x509_check_ku(server.cert, NULL, 0, &why), 0);
	cr_assert_eq(x509_check_ku(server.cert, some, 2, &why), 0);
	cr_assert_eq(x509_check_ku(server.cert, none, 2, &why), -EKEYREJECTED);
	free(why);
	cr_assert_eq(x509_check_ku(plain.cert, NULL, 0, &why), -EKEYREJECTED);
	cr_assert(strstr(why, "no key usage"));
	free(why);
	pki_done(&plain);
}

Test(x509, wants_a_certain_extended_use)
{
	static const char *const good[] = { "TLS Web Server Authentication", "serverAuth", "SERVERAUTH", "1.3.6.1.5.5.7.3.1" };
	static const char *const bad[] = { "clientAuth", "1.3.6.1.5.5.7.3.2", "1.3.6.1.5.5.7.3", "1.3.6.1.5.5.7.3.11", "", "UNDEF" };
	struct pki plain = pki_make(&(struct pki_spec){ .cn = "p", .use = PKI_USE_PLAIN }, &ca);
	char *why = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(good); i++)
		cr_assert_eq(x509_check_eku(server.cert, good[i], &why), 0, "%s", good[i]);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		cr_assert_eq(x509_check_eku(server.cert, bad[i], &why), -EKEYREJECTED, "%s", bad[i]);
		free(why);
	}
	cr_assert_eq(x509_check_eku(plain.cert, "serverAuth", &why), -EKEYREJECTED);
	free(why);
	pki_done(&plain);
}

Test(x509, reads_stacked_certificates_between_rubbish)
{
	struct secret *a = pki_cert_pem(&ca), *b = pki_cert_pem(&server), *both = NULL;
	STACK_OF(X509) *stack = NULL;
	char *text = NULL;

	cr_assert_geq(asprintf(&text, "subject: x\n%s\n# comment\n%s trailing", secret_string(a), secret_string(b)), 0);
	cr_assert_eq(secret_new_copy(&both, text, strlen(text)), 0);
	cr_assert_eq(x509_load_pem(both, 0, &stack), 0);
	cr_assert_eq(sk_X509_num(stack), 2);
	x509_stackp(&stack);
	cr_assert_eq(x509_load_pem(both, 1, &stack), 0);
	cr_assert_eq(sk_X509_num(stack), 1);
	x509_stackp(&stack);
	cr_assert_eq(x509_load_pem(both, 2, &stack), -ENOENT);
	free(text);
	secret_free(a);
	secret_free(b);
	secret_free(both);
}

Test(x509, tells_damaged_from_absent)
{
	static const char damaged[] = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
	struct secret *none = NULL, *bad = NULL, *empty = NULL;
	STACK_OF(X509) *stack = NULL;

	cr_assert_eq(secret_new_copy(&none, "hello", 5), 0);
	cr_assert_eq(secret_new_copy(&bad, damaged, strlen(damaged)), 0);
	cr_assert_eq(secret_new(&empty, 0), 0);
	cr_assert_eq(x509_load_pem(none, 0, &stack), -ENOENT);
	cr_assert_eq(x509_load_pem(bad, 0, &stack), -EBADMSG);
	cr_assert_eq(x509_load_pem(empty, 0, &stack), -ENOENT);
	cr_assert_eq(x509_load_pem(NULL, 0, &stack), -ENOENT);
	cr_assert_null(stack);
	secret_free(none);
	secret_free(bad);
	secret_free(empty);
}

Test(x509, formats_dates)
{
	char buf[40];

	cr_assert_str_eq(x509_time_format(X509_get0_notAfter(ca.cert), buf, sizeof(buf)), "2027-02-14 08:00 UTC");
	cr_assert_str_eq(x509_time_format(NULL, buf, sizeof(buf)), "an unreadable date");
}
