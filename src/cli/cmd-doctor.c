/*
 * nsvpn doctor: what on this machine helps or hinders. The user's own looks (doctor-*.c), then the helper's: asked over the
 * bus where one runs, else, as root, run once for the purpose. Looking starts no helper of root's and repairs nothing.
 */
#include <fcntl.h>
#include <signal.h>
#include <string.h>

#include "base/fd.h"
#include "base/places.h"
#include "base/process.h"
#include "base/str.h"
#include "cli/cli.h"
#include "cli/client.h"
#include "cli/doctor.h"
#include "cli/options.h"
#include "cli/output.h"

#define ANSWER_MAX (1U << 20)
#define CALL_USEC (60 * USEC_PER_SEC)

static void unseen(struct doctor *d, const char *what)
{
	if (strv_add(&d->unseen, what) < 0)
		d->found.failed = true;
}

/* ---- the helper's part ---- */

static void add_told(struct doctor *d, const char *level_word, const char *topic, const char *object, const char *text,
		     const char *remedy)
{
	enum finding_level level;

	if (finding_level_from_string(level_word, &level) == 0)
		findings_add(&d->found, level, topic, object, remedy, "%s", text);
}

/* 0 or -errno. */
static int ask_over_bus(struct doctor *d, struct client *c)
{
	const char *level, *topic, *object, *text, *remedy;
	sd_bus_message *m = NULL, *reply = NULL;
	int r;

	r = sd_bus_message_new_method_call(c->bus, &m, c->is_system ? BUS_NAME : NULL, BUS_PATH, BUS_IFACE_MANAGER, "Examine");
	if (r >= 0)
		r = sd_bus_call(c->bus, m, CALL_USEC, NULL, &reply);
	if (r >= 0)
		r = sd_bus_message_enter_container(reply, 'a', "(sssss)");
	while (r >= 0 && (r = sd_bus_message_read(reply, "(sssss)", &level, &topic, &object, &text, &remedy)) > 0)
		add_told(d, level, topic, object, text, remedy);
	sd_bus_message_unref(reply);
	sd_bus_message_unref(m);
	return r < 0 ? r : 0;
}

static void read_lines(struct doctor *d, char *text)
{
	for (char *line; (line = strsep(&text, "\n"));) {
		char *field[5];
		size_t n = 0;

		while (n < ARRAY_SIZE(field) && (field[n] = strsep(&line, "\t")))
			n++;
		if (n == ARRAY_SIZE(field))
			add_told(d, field[0], field[1], field[2], field[3], field[4]);
	}
}

/* 0 or -errno. */
static int run_helper(struct doctor *d)
{
	_cleanup_(freep) char *program = place_program("nsvpnd"), *text = NULL;
	char *argv[] = { (char *)"nsvpnd", (char *)"--examine", NULL };
	_cleanup_(closep) int in = -EBADF, out = -EBADF;
	size_t len;
	int fds[2], r;
	pid_t pid;

	if (!program)
		return -ENOMEM;
	if (pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	in = fds[0];
	out = fds[1];
	r = process_spawn(&(struct spawn){ .path = program, .argv = argv, .envp = environ, .map = &(struct fd_map){ out, 1 },
					   .n_map = 1, .netns_fd = -EBADF }, &pid, NULL);
	if (r < 0)
		return r;
	out = fd_close(out);
	r = file_read_fd(in, ANSWER_MAX, &text, &len);
	if (process_wait(pid) != 0 && r == 0)
		r = -EPROTO;
	if (text)
		read_lines(d, text);
	return r;
}

static void helper_part(struct doctor *d)
{
	_cleanup_(client_freep) struct client *c = NULL;
	int r;

	if (client_open(CLIENT_IF_RUNNING, &c) != EXIT_CODE_OK) {
		findings_add(&d->found, FINDING_PROBLEM, "service", "nsvpnd", "systemctl status nsvpnd; nsvpn logs",
			     "the helper cannot be spoken to");
		unseen(d, "firewalls, leftovers and what the kernel can do: the helper cannot be asked");
		return;
	}
	if (c) {
		r = ask_over_bus(d, c);
		if (r == 0)
			findings_add(&d->found, FINDING_OK, "service", "nsvpnd", NULL, "the helper answers");
	} else if (geteuid() == 0) {
		r = run_helper(d);
	} else {
		unseen(d, "firewalls, leftovers and what the kernel can do: only root sees them, and no service runs; use sudo");
		return;
	}
	if (r < 0) {
		_cleanup_(freep) char *why = str_format("firewalls, leftovers and what the kernel can do: the helper did not say (%s)",
							strerror(-r));

		unseen(d, why ? why : "firewalls, leftovers and what the kernel can do");
	} else if (geteuid() != 0) {
		unseen(d, "leftovers, and remedies that name tunnels: only root is told; use sudo");
	}
}

/* ---- output ---- */

static enum style style_of(enum finding_level level)
{
	switch (level) {
	case FINDING_OK:
		return STYLE_GOOD;
	case FINDING_NOTE:
		return STYLE_DIM;
	case FINDING_WARNING:
		return STYLE_WARN;
	case FINDING_PROBLEM:
		return STYLE_BAD;
	case _FINDING_LEVEL_MAX:
		break;
	}
	return STYLE_PLAIN;
}

static void print_level(const struct doctor *d, enum finding_level level)
{
	for (size_t i = 0; i < d->found.n; i++) {
		const struct finding *f = &d->found.v[i];

		if (f->level != level)
			continue;
		printf("%s%-7s%s  %s: %s\n", output_style(style_of(level)), finding_level_to_string(level), output_style(STYLE_PLAIN),
		       f->topic, f->text);
		if (*f->remedy)
			printf("         -> %s\n", f->remedy);
	}
}

static size_t count(const struct doctor *d, enum finding_level level)
{
	size_t n = 0;

	for (size_t i = 0; i < d->found.n; i++)
		n += d->found.v[i].level == level;
	return n;
}

static void print_text(const struct cli *cli, const struct doctor *d)
{
	print_level(d, FINDING_PROBLEM);
	print_level(d, FINDING_WARNING);
	if (!cli->quiet)
		print_level(d, FINDING_NOTE);
	if (cli->verbose)
		print_level(d, FINDING_OK);
	for (size_t i = 0; !cli->quiet && i < strv_len(d->unseen); i++)
		printf("%-7s  %s\n", "unseen", d->unseen[i]);
	if (!cli->quiet)
		printf("%zu problems, %zu warnings, %zu notes; %zu things are as they should be%s\n", count(d, FINDING_PROBLEM),
		       count(d, FINDING_WARNING), count(d, FINDING_NOTE), count(d, FINDING_OK),
		       cli->verbose ? "" : " (-v lists them)");
}

static int print_json(const struct doctor *d)
{
	struct strbuf b = { 0 };
	struct json j = { .out = &b };

	json_begin_envelope(&j);
	json_pair(&j, "worst", finding_level_to_string(findings_worst(&d->found)));
	json_key(&j, "findings");
	json_begin_array(&j);
	for (size_t i = 0; i < d->found.n; i++) {
		const struct finding *f = &d->found.v[i];

		json_begin_object(&j);
		json_pair(&j, "level", finding_level_to_string(f->level));
		json_pair(&j, "topic", f->topic);
		json_pair(&j, "object", f->object);
		json_pair(&j, "text", f->text);
		json_pair_text(&j, "remedy", f->remedy);
		json_end_object(&j);
	}
	json_end_array(&j);
	json_key(&j, "unseen");
	json_strv(&j, d->unseen);
	return json_end_envelope(&j);
}

int cmd_doctor(struct cli *cli, const struct command *self, int argc, char **argv)
{
	struct options o = { .max_operands = 0 };
	struct doctor d = { .root = "" };
	bool bad;
	int r = options_parse(&o, cli, self, argc, argv);

	if (r != OPTIONS_RUN)
		return r;
	(void)signal(SIGCHLD, SIG_DFL); /* ignored by who started us, it would hide how our tries ended */
	doctor_kernel(&d);
	doctor_names(&d);
	doctor_managers(&d);
	doctor_network(&d);
	doctor_service(&d);
	helper_part(&d);
	if (d.found.failed) {
		doctor_done(&d);
		return output_oom();
	}
	if (cli->json)
		r = print_json(&d);
	else
		print_text(cli, &d);
	bad = findings_worst(&d.found) == FINDING_PROBLEM;
	doctor_done(&d);
	r = cli->json ? r : output_flush();
	return r != EXIT_CODE_OK ? r : bad ? EXIT_CODE_FAILED : EXIT_CODE_OK;
}
