/* A borrowed run of bytes: how functions of crypto/ take a message that lies in several places. */
#pragma once

#include "base/macro.h"

struct span {
	const void *p; /* may be NULL when len is 0 */
	size_t len;
};
