/* The request of a user's exec: any bytes; what is accepted is built again and must be the same. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "launch/request.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct request a, b;
	int fd;

	if (request_parse_text((const char *)data, size, &a) < 0)
		return 0;
	fd = request_build(a.argv, a.envp);
	if (fd < 0 || request_parse(fd, &b) < 0)
		abort();
	for (size_t i = 0; a.argv[i] || b.argv[i]; i++)
		if (!a.argv[i] || !b.argv[i] || strcmp(a.argv[i], b.argv[i]) != 0)
			abort();
	request_done(&a);
	request_done(&b);
	(void)close(fd);
	return 0;
}
