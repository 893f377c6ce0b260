/* Words for the classes of failure. */
#include "profile/fail.h"

#include "base/macro.h"

static const char *const names[] = {
	[FAIL_INTERNAL] = "internal error",
	[FAIL_CONFIG] = "the profile cannot work as it is",
	[FAIL_RESOLVE] = "the server's name does not resolve",
	[FAIL_UNREACHABLE] = "the server is not reachable from this network",
	[FAIL_REFUSED] = "nothing listens on the server's port",
	[FAIL_SILENT] = "the server does not answer",
	[FAIL_TLS] = "the TLS handshake failed",
	[FAIL_CERT] = "the server's certificate was not accepted",
	[FAIL_CERT_REJECTED] = "the server did not accept our certificate",
	[FAIL_AUTH] = "the server refused user name or password",
	[FAIL_NEGOTIATION] = "no common settings with the server",
	[FAIL_SERVER] = "the server ended the session",
	[FAIL_TIMEOUT] = "the server went silent",
};
static_assert(ARRAY_SIZE(names) == _FAIL_CLASS_MAX, "words for every class");

const char *fail_class_to_string(enum fail_class c)
{
	return (unsigned)c < _FAIL_CLASS_MAX ? names[c] : "unknown failure";
}
