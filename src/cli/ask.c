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
#include "cli/ask-agent.h"
#include "cli/output.h"

#define ANSWER_MAX 512
#define CREDENTIALS_FILE_MAX 4096
#define EXIT_INTERRUPTED 130

static const int watched[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP, SIGTTIN, SIGTTOU };
static volatile sig_atomic_t arrived;
static bool through_agents;

static void on_signal(int signo)
{
	arrived = signo;
}

static int open_terminal(void)
{
	return open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
}

void ask_allow_agents(void)
{
	through_agents = true;
}

static bool is_at_terminal(void)
{
	_cleanup_(closep) int fd = isatty(STDIN_FILENO) ? open_terminal() : -EBADF;

	return fd >= 0;
}

bool ask_is_possible(void)
{
	return is_at_terminal() || (through_agents && ask_agent_is_there());
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

static int fail_answer(const char *name, const char *what, int error)
{
	return output_fail(EXIT_CODE_FAILED, "no %s for tunnel %s: %s", what, name,
			   error == -ENODATA ? "the input ended" :
			   error == -ETIME   ? "nobody answered" :
					       strerror(-error));
}

/* malloc-free answer in a secret; an exit code. what: for messages. Takes question. */
static int ask_somebody(const char *name, const char *what, char *question_take, bool echo, struct secret **ret)
{
	bool agents = through_agents && !is_at_terminal();
	_cleanup_(closep) int tty = agents ? -EBADF : open_terminal();
	_cleanup_(freep) char *question = question_take;
	char buf[ANSWER_MAX];
	ssize_t n;
	int r;

	if (!question)
		return output_oom();
	if (agents) {
		r = ask_agent(name, question, echo, ret);
		return r < 0 ? fail_answer(name, what, r) : EXIT_CODE_OK;
	}
	if (tty < 0)
		return output_fail(EXIT_CODE_FAILED, "there is no terminal to ask for the %s", what);
	while ((n = ask_once(tty, question, echo, buf)) == -EINTR) {
		int signo = arrived;

		secret_wipe(buf, sizeof(buf));
		(void)raise(signo); /* ends or stops us, unless it is ignored */
		if (signo == SIGINT || signo == SIGTERM || signo == SIGHUP || signo == SIGQUIT)
			return EXIT_INTERRUPTED;
	}
	r = n < 0 ? (int)n : secret_new_copy(ret, buf, (size_t)n);
	secret_wipe(buf, sizeof(buf));
	return r < 0 ? fail_answer(name, what, r) : EXIT_CODE_OK;
}

static int ask_line(const char *name, const char *what, bool echo, struct secret **ret)
{
	return ask_somebody(name, what, str_format("%s for tunnel %s: ", what, name), echo, ret);
}

int ask_question(const char *name, const char *text, bool echo, struct secret **ret)
{
	return ask_somebody(name, "answer", str_format("The server of tunnel %s asks: %s\nAnswer: ", name, text), echo, ret);
}

struct piece {
	const void *p;
	size_t len;
};

/* Each piece and a LF. */
static int join(const struct piece *pieces, size_t n, struct secret **ret)
{
	struct secret *s;
	size_t len = 0;
	uint8_t *p;
	int r;

	for (size_t i = 0; i < n; i++)
		len += pieces[i].len + 1;
	r = secret_new(&s, len);
	if (r < 0)
		return r;
	p = secret_data(s);
	for (size_t i = 0; i < n; i++) {
		if (pieces[i].len)
			memcpy(p, pieces[i].p, pieces[i].len);
		p += pieces[i].len;
		*p++ = '\n';
	}
	*ret = s;
	return 0;
}

static struct piece piece_of(const struct secret *s)
{
	return (struct piece){ s ? secret_bytes(s) : NULL, secret_len(s) };
}

static int ask_login(const char *name, const char *known, struct secret **ret_user, struct secret **ret_password)
{
	int r;

	if (known)
		r = secret_new_copy(ret_user, known, strlen(known)) < 0 ? output_oom() : EXIT_CODE_OK;
	else
		r = ask_line(name, "user name", true, ret_user);
	return r == EXIT_CODE_OK ? ask_line(name, "password", false, ret_password) : r;
}

int ask_terminal(const char *name, const struct ask_wants *wants, struct secret **ret)
{
	_cleanup_(secret_freep) struct secret *user = NULL, *password = NULL, *phrase = NULL;
	int r = EXIT_CODE_OK;

	if (wants->login)
		r = ask_login(name, wants->user, &user, &password);
	if (r == EXIT_CODE_OK && wants->phrase)
		r = ask_line(name, "pass phrase of the private key", false, &phrase);
	if (r != EXIT_CODE_OK)
		return r;
	if (join((struct piece[]){ piece_of(user), piece_of(password), piece_of(phrase) }, wants->phrase ? 3 : 2, ret) < 0)
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
	struct piece lines[4] = { { NULL, 0 } }, phrase;
	size_t n = 0, at = 0;

	if (memchr(text, '\0', len))
		return output_fail(EXIT_CODE_FAILED, "%s: user name and password must be text, there is a NUL byte in it", path);
	while (n < ARRAY_SIZE(lines) && at < len) {
		const char *end = memchr(text + at, '\n', len - at);

		lines[n++] = (struct piece){ text + at, line_len(text + at, len - at) };
		at = end ? (size_t)(end + 1 - text) : len;
	}
	if (n == 0 || !lines[0].len || (n > 1 && !lines[1].len))
		return output_fail(EXIT_CODE_FAILED,
				   "%s: two lines are wanted, the user name and the password (then the pass phrase of the private key, if it has one, and the answer to the server's question, if it asks; a pass phrase may stand alone)",
				   path);
	if (n == 1) {
		phrase = lines[0];
		lines[2] = phrase;
		lines[0] = lines[1] = (struct piece){ NULL, 0 };
		n = 3;
	}
	while (n > 2 && !lines[n - 1].len)
		n--;
	if (join(lines, n, ret) < 0)
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
