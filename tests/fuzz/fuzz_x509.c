/*
 * Certificates, as a profile brings them and as a server shows them: PEM text with anything around it, and DER; then every look
 * that nsvpn takes at one. First byte: which of the two, and what is expected of it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "crypto/tls.h"
#include "crypto/x509.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define REQUIRE(cond) ((cond) ? (void)0 : abort())

static void refused(int r, char **why)
{
	REQUIRE(r == 0 || r == -ENOMEM || (r == -EKEYREJECTED && *why && str_is_clean_utf8(*why, strlen(*why))));
	free(*why);
	*why = NULL;
}

static void look(X509 *cert, uint8_t what)
{
	static const char *const names[] = { "server.example.net", "server.", "CN=server.example.net", "C=DE, O=Lab, CN=server.example.net" };
	static const char *const uses[] = { "serverAuth", "TLS Web Server Authentication", "1.3.6.1.5.5.7.3.2", "no such use" };
	static const uint16_t bits[] = { 0x80, 0xa0, 0x88 };
	const struct fingerprint pin = { .len = what & 1 ? 20 : 32 };
	char *text = NULL, *why = NULL, date[64];
	int r;

	r = x509_name_format(X509_get_subject_name(cert), &text);
	REQUIRE(r == 0 ? text != NULL : r == -EBADMSG || r == -ENOMEM);
	free(text);
	text = NULL;
	r = x509_common_name(cert, &text);
	REQUIRE(r == 0 ? text != NULL : r == -EBADMSG || r == -ENOENT || r == -ENOMEM);
	free(text);
	REQUIRE(*x509_time_format(X509_get0_notAfter(cert), date, sizeof(date)));
	for (int check = X509_CHECK_NONE; check <= X509_CHECK_NAME_PREFIX; check++)
		refused(x509_check_name(cert, (enum x509_check)check, names[what % 4], &why), &why);
	refused(x509_check_server(cert, &why), &why);
	refused(x509_check_ku(cert, bits, what % 4, &why), &why);
	refused(x509_check_eku(cert, uses[what / 4 % 4], &why), &why);
	r = x509_check_pin(cert, &pin, 1, &why);
	REQUIRE(r < 0);
	refused(r, &why);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static bool ready;
	STACK_OF(X509) *stack = NULL;
	struct secret *pem;
	const uint8_t *p = data + 1;
	X509 *cert;
	int r;

	REQUIRE(ready || tls_init() == 0);
	ready = true;
	if (!size)
		return 0;
	if (data[0] & 1) {
		cert = d2i_X509(NULL, &p, (long)(size - 1));
		if (cert)
			look(cert, data[0] >> 1);
		X509_free(cert);
		return 0;
	}
	REQUIRE(secret_new_copy(&pem, data + 1, size - 1) == 0);
	r = x509_load_pem(pem, data[0] >> 1 & 1, &stack);
	REQUIRE(r == 0 ? sk_X509_num(stack) > 0 : r == -ENOENT || r == -EBADMSG || r == -ENOMEM);
	for (int i = 0; r == 0 && i < sk_X509_num(stack); i++)
		look(sk_X509_value(stack, i), data[0] >> 2);
	if (r == 0)
		sk_X509_pop_free(stack, X509_free);
	secret_free(pem);
	return 0;
}
