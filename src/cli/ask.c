/*
 * Asking for credentials.
 *
 * Theory. Echo is switched off on the terminal itself, so every way out of the read must switch it on again: the end of
 * the line, an error, and every signal whose default would end or stop us. Those signals interrupt the read, the terminal
 * is restored, and then they are raised again with their old disposition; after a stop and a `fg` the question is asked
 * anew. Text lives in locked memory and is wiped.
 */
#include "cli/ask.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <termios.h>

#include "base/fd.h"
#include "base/str.h"
#include "cli/output.h"

#define ANSWER_MAX 512
#define CREDENTIALS_FILE_MAX 4096
#define EXIT_INTERRUPTED 130

static const int watched[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP, SIGTTIN, SIGTTOU };
static volatile sig_atomic_t arrived;

static void on_signal(int signo)
{
	arrived = signo;
}

static int open_terminal(void)
{
	return open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
}

bool ask_is_possible(void)
{
	_cleanup_(closep) int fd = isatty(STDIN_FILENO) ? open_terminal() : -EBADF;

	return fd >= 0;
}

/* One line into buf without its newline; its length, -EINTR after a watched signal, -ENODATA at the end of the input. */
static ssize_t read_line(int tty, char buf[static ANSWER_MAX])
{
	size_t len = 0;

	while (!arrived) {
		char c;
		ssize_t n = read(tty, &c, 1);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -ENODATA;
		if (c == '\n' || c == '\r')
			return (ssize_t)len;
		if (len + 1 >= ANSWER_MAX)
			return -EMSGSIZE;
		buf[len++] = c;
	}
	return -EINTR;
}

/* Question and answer once, with the terminal and the signals as they were afterwards. */
static ssize_t ask_once(int tty, const char *question, bool echo, char buf[static ANSWER_MAX])
{
	struct sigaction sa = { .sa_handler = on_signal }, old[ARRAY_SIZE(watched)];
	struct termios before, silent;
	ssize_t n;

	if (tcgetattr(tty, &before) < 0)
		return -errno;
	arrived = 0;
	for (size_t i = 0; i < ARRAY_SIZE(watched); i++)
		(void)sigaction(watched[i], &sa, &old[i]); /* these can all be caught */
	silent = before;
	if (!echo)
		silent.c_lflag &= ~(tcflag_t)ECHO;
	n = tcsetattr(tty, TCSAFLUSH, &silent) < 0 ? -errno : fd_write_full(tty, question, strlen(question));
	if (n >= 0)
		n = read_line(tty, buf);
	(void)tcsetattr(tty, TCSANOW, &before); /* the terminal is gone if this fails */
	if (!echo || n < 0)
		(void)fd_write_full(tty, "\n", 1); /* the person's own was not shown */
	for (size_t i = 0; i < ARRAY_SIZE(watched); i++)
		(void)sigaction(watched[i], &old[i], NULL);
	return n;
}

/* malloc-free answer in a secret; an exit code. */
static int ask_line(const char *name, const char *what, bool echo, struct secret **ret)
{
	_cleanup_(closep) int tty = open_terminal();
	_cleanup_(freep) char *question = str_format("%s for tunnel %s: ", what, name);
	char buf[ANSWER_MAX];
	ssize_t n;
	int r;

	if (tty < 0)
		return output_fail(EXIT_CODE_FAILED, "there is no terminal to ask for the %s", what);
	if (!question)
		return output_oom();
	while ((n = ask_once(tty, question, echo, buf)) == -EINTR) {
		int signo = arrived;

		secret_wipe(buf, sizeof(buf));
		(void)raise(signo); /* ends or stops us, unless it is ignored */
		if (signo == SIGINT || signo == SIGTERM || signo == SIGHUP || signo == SIGQUIT)
			return EXIT_INTERRUPTED;
	}
	r = n < 0 ? (int)n : secret_new_copy(ret, buf, (size_t)n);
	secret_wipe(buf, sizeof(buf));
	if (r < 0)
		return output_fail(EXIT_CODE_FAILED, "no %s for tunnel %s: %s", what, name,
				   r == -ENODATA ? "the input ended" : strerror(-r));
	return EXIT_CODE_OK;
}

/* user LF password LF. */
static int join(const void *user, size_t user_len, const void *password, size_t password_len, struct secret **ret)
{
	struct secret *s;
	uint8_t *p;
	int r = secret_new(&s, user_len + password_len + 2);

	if (r < 0)
		return r;
	p = secret_data(s);
	memcpy(p, user, user_len);
	p[user_len] = '\n';
	memcpy(p + user_len + 1, password, password_len);
	p[user_len + 1 + password_len] = '\n';
	*ret = s;
	return 0;
}

int ask_terminal(const char *name, const char *user, struct secret **ret)
{
	_cleanup_(secret_freep) struct secret *u = NULL, *p = NULL;
	int r;

	if (user)
		r = secret_new_copy(&u, user, strlen(user)) < 0 ? output_oom() : EXIT_CODE_OK;
	else
		r = ask_line(name, "user name", true, &u);
	if (r != EXIT_CODE_OK)
		return r;
	r = ask_line(name, "password", false, &p);
	if (r != EXIT_CODE_OK)
		return r;
	if (join(secret_bytes(u), secret_len(u), secret_bytes(p), secret_len(p), ret) < 0)
		return output_oom();
	return EXIT_CODE_OK;
}

/* Length of the line at p, without LF and CR. */
static size_t line_len(const char *p, size_t left)
{
	const char *end = memchr(p, '\n', left);
	size_t n = end ? (size_t)(end - p) : left;

	return n && p[n - 1] == '\r' ? n - 1 : n;
}

static int split_file(const char *text, size_t len, const char *path, struct secret **ret)
{
	const char *second = memchr(text, '\n', len);
	size_t user_len = line_len(text, len), password_len;

	if (!second || !user_len || ++second == text + len)
		return output_fail(EXIT_CODE_FAILED, "%s: two lines are wanted, the user name and the password", path);
	password_len = line_len(second, len - (size_t)(second - text));
	if (memchr(text, '\0', len))
		return output_fail(EXIT_CODE_FAILED, "%s: user name and password must be text, there is a NUL byte in it", path);
	if (join(text, user_len, second, password_len, ret) < 0)
		return output_oom();
	return EXIT_CODE_OK;
}

int ask_file(const char *path, struct secret **ret)
{
	bool is_stdin = str_eq(path, "-");
	const char *shown = is_stdin ? "standard input" : path;
	char *text = NULL;
	size_t len;
	int r;

	r = is_stdin ? file_read_fd(STDIN_FILENO, CREDENTIALS_FILE_MAX, &text, &len) :
		       file_read(AT_FDCWD, path, CREDENTIALS_FILE_MAX, &text, &len);
	if (r < 0)
		return output_fail(EXIT_CODE_FAILED, "the credentials in %s cannot be read: %s", shown, strerror(-r));
	r = split_file(text, len, shown, ret);
	secret_wipe(text, len);
	free(text);
	return r;
}
