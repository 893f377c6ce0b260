/* F3: settings.conf on arbitrary bytes: values in range, or one clean sentence and an untouched result. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "profile/profile.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define REQUIRE(cond) ((cond) ? (void)0 : abort())

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size ? size : 1), *error = NULL;
	struct tunnel_settings s = { .n_dns = 77 };
	int r;

	memcpy(text, data, size);
	r = tunnel_settings_parse(text, size, "f", &s, &error);
	REQUIRE(r == 0 || r == -EINVAL);
	if (r == 0) {
		REQUIRE(s.uplink < _UPLINK_MAX && s.n_dns <= SETTINGS_DNS_MAX && !s.via);
		tunnel_settings_done(&s);
	} else {
		REQUIRE(s.n_dns == 77 && error && str_is_clean_utf8(error, strlen(error)));
	}
	free(error);
	free(text);
	return 0;
}
