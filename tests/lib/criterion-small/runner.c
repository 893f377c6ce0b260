/*
 * Runs what criterion/criterion.h registered, as Criterion does: each test in a process of its own, suite's and test's init before,
 * test's and suite's fini after, killed with its process group when its time is over.
 *
 *   test_FOLDER [-jN] [--quiet] [--tap=FILE] [--filter=SUITE/NAME] [--timeout=SECONDS] [--slow=FACTOR]
 *                [--except=FILE]
 *
 * Theory: constructors link the tests into one list, and the runner forks for each, at most N at a time. The child says how it
 * went by its exit status (0 passed, 1 failed, 2 skipped; anything else is a crash), and leaves the words in a temporary file
 * that the parent prints. --slow multiplies every test's time, for emulators; what an emulator cannot do at all is in the file of
 * --except, lines of a pattern for SUITE::NAME and the reason, and is reported as skipped with that reason. The first line that fits
 * counts; the reason "run" is none.
 */
#include "criterion/criterion.h"
#include "criterion/redirect.h"

#include <fnmatch.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>

enum outcome { PASSED = 0, FAILED = 1, SKIPPED = 2 };

struct child {
	const struct small_test *test;
	pid_t pid;
	double end;
	int words; /* what it said */
	bool late;
};

static struct small_test *tests; /* in reverse order of registration, until run_all() */
static FILE *words;              /* of the child */

static struct {
	char pattern[160], reason[200];
} excepted[128];
static size_t n_excepted;
static bool failed;

void small_register(struct small_test *t)
{
	t->next = tests;
	tests = t;
}

int small_strcmp(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) : a != b;
}

/* ---- in the child ---- */

void small_failed(bool fatal, const char *file, int line, const char *what, const char *format, ...)
{
	va_list ap;

	failed = true;
	(void)fprintf(words, "%s:%d: %s", file, line, what);
	if (format[1]) { /* behind the space that it always begins with */
		(void)fputc(':', words);
		va_start(ap, format);
		(void)vfprintf(words, format, ap);
		va_end(ap);
	}
	(void)fputc('\n', words);
	(void)fflush(words);
	if (fatal)
		_exit(FAILED);
}

void small_skip(const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	(void)vfprintf(words, format, ap);
	va_end(ap);
	(void)fflush(words);
	_exit(SKIPPED);
}

void small_log(const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	(void)vfprintf(stderr, format, ap);
	va_end(ap);
	(void)fputc('\n', stderr);
}

struct stream {
	int fd; /* the memory file */
	FILE *reader;
};
static struct stream out_stream, err_stream;

static void redirect(struct stream *s, FILE *f, int fd)
{
	char path[64];

	(void)fflush(f);
	s->fd = memfd_create("redirected", MFD_CLOEXEC);
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", s->fd);
	s->reader = fopen(path, "re"); /* with an offset of its own */
	if (s->fd < 0 || !s->reader || dup2(s->fd, fd) < 0)
		small_failed(true, __FILE__, __LINE__, "redirection", "%m");
}

void cr_redirect_stdout(void) { redirect(&out_stream, stdout, STDOUT_FILENO); }
void cr_redirect_stderr(void) { redirect(&err_stream, stderr, STDERR_FILENO); }

static FILE *look(struct stream *s, FILE *f)
{
	(void)fflush(f);
	clearerr(s->reader);
	return s->reader;
}

FILE *cr_get_redirected_stdout(void) { return look(&out_stream, stdout); }
FILE *cr_get_redirected_stderr(void) { return look(&err_stream, stderr); }

bool small_output_is(FILE *f, const char *want)
{
	char got[16384];
	size_t n = fread(got, 1, sizeof(got) - 1, f);

	got[n] = '\0';
	if (strcmp(got, want) == 0)
		return true;
	(void)fprintf(words, "expected: %s\ngot:      %s\n", want, got);
	return false;
}

static const struct small_test *settings_of(const char *suite)
{
	static const struct small_test none;

	for (const struct small_test *t = tests; t; t = t->next)
		if (!t->name && strcmp(t->suite, suite) == 0)
			return t;
	return &none;
}

static void call(void (*f)(void))
{
	if (f)
		f();
}

__attribute__((noreturn)) static void run_one(const struct small_test *t, int fd)
{
	const struct small_settings *suite = &settings_of(t->suite)->settings;

	words = fdopen(fd, "w");
	if (!words || setpgid(0, 0) < 0)
		_exit(FAILED);
	call(suite->init);
	call(t->settings.init);
	t->run();
	call(t->settings.fini);
	call(suite->fini);
	(void)fflush(NULL);
	exit(failed ? FAILED : PASSED); /* with the checks of a sanitizer */
}

/* ---- in the parent ---- */

static double now(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static double seconds_for(const struct small_test *t, double usual)
{
	double suite = settings_of(t->suite)->settings.timeout;

	return t->settings.timeout > 0 ? t->settings.timeout : suite > 0 ? suite : usual;
}

static int start(struct child *c, const struct small_test *t, double seconds)
{
	c->words = memfd_create("words", MFD_CLOEXEC);
	if (c->words < 0)
		return -errno;
	(void)fflush(NULL);
	c->pid = fork();
	if (c->pid < 0)
		return -errno;
	if (c->pid == 0)
		run_one(t, c->words);
	c->test = t;
	c->end = now() + seconds;
	c->late = false;
	return 0;
}

static void print_words(FILE *f, int fd, const char *prefix, bool one_line)
{
	FILE *in;
	char line[2048];

	(void)lseek(fd, 0, SEEK_SET);
	in = fdopen(fd, "r");
	while (in && fgets(line, sizeof(line), in)) {
		line[strcspn(line, "\n")] = '\0';
		(void)fprintf(f, one_line ? "%s%s" : "%s%s\n", prefix, line);
	}
	if (in)
		(void)fclose(in);
}

static enum outcome report(FILE *tap, const struct child *c, int status)
{
	const char *suite = c->test->suite, *name = c->test->name;

	if (WIFEXITED(status) && WEXITSTATUS(status) == PASSED) {
		(void)fprintf(tap, "ok - %s::%s\n", suite, name);
		(void)close(c->words);
		return PASSED;
	}
	if (WIFEXITED(status) && WEXITSTATUS(status) == SKIPPED) {
		(void)fprintf(tap, "ok - %s::%s ", suite, name);
		print_words(tap, c->words, "# SKIP ", true);
		(void)fputc('\n', tap);
		return SKIPPED;
	}
	(void)fprintf(tap, "not ok - %s::%s\n", suite, name);
	print_words(tap, c->words, "  ", false);
	if (c->late)
		(void)fprintf(tap, "  it took too long\n");
	else if (WIFSIGNALED(status))
		(void)fprintf(tap, "  ended by signal %d\n", WTERMSIG(status));
	else if (WEXITSTATUS(status) > SKIPPED)
		(void)fprintf(tap, "  exited with status %d\n", WEXITSTATUS(status));
	return FAILED;
}

/* Waits for one of the children, ends those whose time is over; returns its place. */
static size_t wait_one(struct child *children, size_t n, int *ret_status)
{
	for (;;) {
		pid_t pid = waitpid(-1, ret_status, WNOHANG);

		for (size_t i = 0; i < n && pid > 0; i++)
			if (children[i].pid == pid)
				return i;
		for (size_t i = 0; i < n; i++)
			if (children[i].pid > 0 && !children[i].late && now() > children[i].end) {
				children[i].late = true;
				(void)kill(-children[i].pid, SIGKILL);
				(void)kill(children[i].pid, SIGKILL);
			}
		if (pid <= 0)
			(void)poll(NULL, 0, 2);
	}
}

static void in_order(void)
{
	struct small_test *first = NULL, *next;

	for (struct small_test *t = tests; t; t = next) {
		next = t->next;
		t->next = first;
		first = t;
	}
	tests = first;
}

static int read_excepted(const char *path)
{
	FILE *f = fopen(path, "re");
	char line[512];

	if (!f)
		return -errno;
	while (n_excepted < sizeof(excepted) / sizeof(*excepted) && fgets(line, sizeof(line), f))
		if (sscanf(line, "%159s %199[^\n]", excepted[n_excepted].pattern, excepted[n_excepted].reason) == 2)
			n_excepted++;
	(void)fclose(f);
	return 0;
}

/* Why it is not run, or NULL. */
static const char *reason_against(const struct small_test *t)
{
	char full[512];

	(void)snprintf(full, sizeof(full), "%s::%s", t->suite, t->name);
	for (size_t i = 0; i < n_excepted; i++)
		if (fnmatch(excepted[i].pattern, full, 0) == 0)
			return strcmp(excepted[i].reason, "run") == 0 ? NULL : excepted[i].reason;
	return NULL;
}

static bool is_wanted(const struct small_test *t, const char *filter)
{
	char full[512];

	if (!t->name)
		return false;
	(void)snprintf(full, sizeof(full), "%s/%s", t->suite, t->name);
	return !filter || strcmp(full, filter) == 0 || strcmp(t->suite, filter) == 0;
}

static unsigned run_all(FILE *tap, size_t jobs, const char *filter, double usual, double slow)
{
	struct child children[64] = { 0 };
	unsigned count[SKIPPED + 1] = { 0 };
	const struct small_test *t = tests;
	size_t running = 0;

	while (t || running) {
		int status;
		size_t i;

		if (t && !is_wanted(t, filter)) {
			t = t->next;
			continue;
		}
		if (t && reason_against(t)) {
			(void)fprintf(tap, "ok - %s::%s # SKIP %s\n", t->suite, t->name, reason_against(t));
			count[SKIPPED]++;
			t = t->next;
			continue;
		}
		if (t && running < jobs) {
			for (i = 0; children[i].pid > 0;)
				i++;
			if (start(&children[i], t, seconds_for(t, usual) * slow) < 0) {
				perror("a test cannot be started");
				return 1;
			}
			running++;
			t = t->next;
			continue;
		}
		i = wait_one(children, jobs, &status);
		count[report(tap, &children[i], status)]++;
		children[i].pid = 0;
		running--;
	}
	(void)fprintf(stderr, "%u passed, %u failed, %u skipped\n", count[PASSED], count[FAILED], count[SKIPPED]);
	return count[FAILED];
}

int main(int argc, char **argv)
{
	const char *filter = NULL;
	FILE *tap = stdout;
	double usual = 120, slow = 1;
	size_t jobs = 1;
	unsigned n = 0;

	for (int i = 1; i < argc; i++) {
		if (strncmp(argv[i], "-j", 2) == 0)
			jobs = (size_t)strtoul(argv[i] + 2, NULL, 10);
		else if (strncmp(argv[i], "--tap=", 6) == 0)
			tap = fopen(argv[i] + 6, "we");
		else if (strncmp(argv[i], "--filter=", 9) == 0)
			filter = argv[i] + 9;
		else if (strncmp(argv[i], "--timeout=", 10) == 0)
			usual = strtod(argv[i] + 10, NULL);
		else if (strncmp(argv[i], "--slow=", 7) == 0)
			slow = strtod(argv[i] + 7, NULL);
		else if (strncmp(argv[i], "--except=", 9) == 0)
			tap = read_excepted(argv[i] + 9) < 0 ? NULL : tap;
	}
	if (!tap) {
		perror("a file that an option names cannot be opened");
		return 2;
	}
	jobs = jobs < 1 ? 1 : jobs > 64 ? 64 : jobs;
	in_order();
	for (const struct small_test *t = tests; t; t = t->next)
		n += is_wanted(t, filter);
	(void)fprintf(tap, "TAP version 13\n1..%u\n", n);
	n = run_all(tap, jobs, filter, usual, slow);
	(void)fflush(tap);
	return n ? 1 : 0;
}
