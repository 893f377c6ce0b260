/* The classes of failure that a user can tell apart: each has its own words, remedy and exit code. */
#pragma once

/* Why the engine gives up or a try failed: each has its own words and exit code. */
enum fail_class {
	FAIL_INTERNAL,
	FAIL_CONFIG,      /* the profile cannot work as it is */
	FAIL_RESOLVE,     /* a name does not resolve */
	FAIL_UNREACHABLE, /* the network said no */
	FAIL_REFUSED,     /* ICMP port unreachable, or TCP reset: nobody listens */
	FAIL_SILENT,      /* no answer */
	FAIL_TLS,         /* the TLS handshake failed */
	FAIL_CERT,        /* the server's certificate was rejected by us */
	FAIL_CERT_REJECTED, /* the server rejected our certificate */
	FAIL_AUTH,        /* user name or password refused */
	FAIL_NEGOTIATION, /* no common cipher, impossible push */
	FAIL_SERVER,      /* HALT or RESTART with reason */
	FAIL_TIMEOUT,     /* ping-restart: the server went silent */
	_FAIL_CLASS_MAX,
};
const char *fail_class_to_string(enum fail_class c);
