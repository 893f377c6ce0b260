/* F13: what a compromised engine can say. Whatever decodes is in range and encodes to the same bytes again. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

#include "base/str.h"
#include "ipc/ipc-msg.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define REQUIRE(cond) ((cond) ? (void)0 : abort())

static void check_settings(const struct settings *s)
{
	char *why = NULL;

	REQUIRE(s->n_addrs <= SETTINGS_ADDRS_MAX && s->n_routes <= SETTINGS_ROUTES_MAX &&
		s->n_dns <= SETTINGS_DNS_MAX && s->n_search <= SETTINGS_SEARCH_MAX);
	REQUIRE(settings_equal(s, s));
	if (settings_verify(s, &why) < 0)
		REQUIRE(why && str_is_clean_utf8(why, strlen(why)));
	free(why);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t again[IPC_MSG_MAX];
	struct ipc_msg m;
	int r = ipc_msg_decode(&m, data, size);

	REQUIRE(r == 0 || r == -EBADMSG);
	if (r < 0)
		return 0;
	REQUIRE(ipc_msg_encode(&m, again, sizeof(again)) == (ssize_t)size);
	REQUIRE(memcmp(again, data, size) == 0);
	REQUIRE(ipc_msg_fds(&m) <= 2);
	if (m.type == IPC_REQ_SETTINGS)
		check_settings(&m.req_settings.settings);
	return 0;
}
