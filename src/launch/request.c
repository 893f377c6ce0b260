/* Arguments and environment in a memfd; contract in request.h. */
#include "launch/request.h"

#include <sys/stat.h>

#include "base/fd.h"
#include "base/launch-api.h"
#include "base/str.h"

void request_done(struct request *r)
{
	free(r->text);
	free(r->argv);
	free(r->envp);
	*r = (struct request){ 0 };
}

static void add_record(struct strbuf *b, char letter, const char *value)
{
	strbuf_add_bytes(b, &letter, 1);
	strbuf_add_bytes(b, value, strlen(value) + 1);
}

int request_build(char *const *argv, char *const *envp)
{
	struct strbuf b = { 0 };
	int r;

	if (!argv || !argv[0])
		return -EINVAL;
	strbuf_add_bytes(&b, LAUNCH_REQUEST_MAGIC, sizeof(LAUNCH_REQUEST_MAGIC));
	for (; *argv; argv++)
		add_record(&b, 'A', *argv);
	for (; envp && *envp; envp++)
		add_record(&b, 'E', *envp);
	r = strbuf_error(&b);
	if (r == 0)
		r = b.len > LAUNCH_REQUEST_MAX ? -E2BIG : memfd_sealed("nsvpn-request", b.s, b.len);
	strbuf_done(&b);
	return r;
}

/* Fills the vectors, which have room; or with NULL only counts. -EBADMSG. */
static int walk(char *p, char *end, char **argv, char **envp, size_t *ret_argc, size_t *ret_envc)
{
	size_t argc = 0, envc = 0;

	while (p < end) {
		char *value = p + 1, *stop = memchr(p, '\0', (size_t)(end - p));

		if (!stop || stop < value)
			return -EBADMSG;
		switch (*p) {
		case 'A':
			if (argv)
				argv[argc] = value;
			argc++;
			break;
		case 'E': /* as it is: the caller's environment may hold what is no NAME=value */
			if (envp)
				envp[envc] = value;
			envc++;
			break;
		default:
			return -EBADMSG;
		}
		p = stop + 1;
	}
	*ret_argc = argc;
	*ret_envc = envc;
	return argc ? 0 : -EBADMSG;
}

/* Takes r->text. */
static int parse(struct request *r, size_t len)
{
	char *first = r->text + sizeof(LAUNCH_REQUEST_MAGIC), *end = r->text + len;
	size_t argc, envc;
	int e;

	if (len < sizeof(LAUNCH_REQUEST_MAGIC) || memcmp(r->text, LAUNCH_REQUEST_MAGIC, sizeof(LAUNCH_REQUEST_MAGIC)) != 0)
		return -EBADMSG;
	e = walk(first, end, NULL, NULL, &argc, &envc);
	if (e < 0)
		return e;
	r->argv = calloc(argc + 1, sizeof(char *));
	r->envp = calloc(envc + 1, sizeof(char *));
	if (!r->argv || !r->envp)
		return -ENOMEM;
	e = walk(first, end, r->argv, r->envp, &argc, &envc);
	return e < 0 ? e : *r->argv[0] ? 0 : -EBADMSG;
}

static int finish(struct request *r, size_t len, struct request *ret)
{
	int e = parse(r, len);

	if (e < 0) {
		request_done(r);
		return e;
	}
	*ret = *r;
	return 0;
}

int request_parse_text(const char *text, size_t len, struct request *ret)
{
	struct request r = { .text = malloc(len + 1) };

	if (!r.text)
		return -ENOMEM;
	memcpy(r.text, text, len);
	r.text[len] = '\0';
	return finish(&r, len, ret);
}

int request_parse(int fd, struct request *ret)
{
	struct request r = { 0 };
	size_t len;
	int e;

	if (lseek(fd, 0, SEEK_SET) < 0)
		return -errno;
	e = file_read_fd(fd, LAUNCH_REQUEST_MAX, &r.text, &len);
	if (e < 0)
		return e;
	return finish(&r, len, ret);
}
