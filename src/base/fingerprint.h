/* Fingerprint of a certificate, SHA-1 or SHA-256 over its DER form: what a profile holds and crypto/ compares. */
#pragma once

#include "base/macro.h"

#define FINGERPRINT_SHA1_LEN 20
#define FINGERPRINT_SHA256_LEN 32

struct fingerprint {
	uint8_t len;
	uint8_t hash[FINGERPRINT_SHA256_LEN];
};
