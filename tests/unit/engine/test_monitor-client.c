/* Requests and answers over a socketpair; the test is the helper and follows a script. */
#include <criterion/criterion.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"
#include "engine/monitor-client.h"

struct seen {
	unsigned starts, sockets, settings, auths, stops, stats, reconnects, gone;
	int gone_error, fd;
	struct ipc_ans_socket socket;
	struct ipc_start start;
	bool auth_ok;
};

static struct seen seen;
static sd_event *event;
static struct monitor_client client;
static int helper = -EBADF;
static bool keep_open; /* as the engine does, whose loop ends first */
static struct ipc_msg msg;

static void on_start(void *u, const struct ipc_start *start, int profile_fd, int tun_fd)
{
	(void)u;
	seen.starts++;
	seen.start = *start;
	cr_assert(profile_fd >= 0 && tun_fd >= 0);
	fd_close(profile_fd);
	fd_close(tun_fd);
}

static void on_socket(void *u, const struct ipc_ans_socket *answer, int fd)
{
	(void)u;
	seen.sockets++;
	seen.socket = *answer;
	seen.fd = fd;
}

static void on_settings(void *u, const struct ipc_ans_settings *answer)
{
	(void)u;
	(void)answer;
	seen.settings++;
}

static void on_auth(void *u, bool ok, int fd)
{
	(void)u;
	seen.auths++;
	seen.auth_ok = ok;
	fd_close(fd);
}

static void on_stop(void *u)
{
	(void)u;
	seen.stops++;
}

static void on_stats(void *u)
{
	(void)u;
	seen.stats++;
}

static void on_reconnect(void *u)
{
	(void)u;
	seen.reconnects++;
}

static void on_gone(void *u, int error)
{
	(void)u;
	seen.gone++;
	seen.gone_error = error;
	if (!keep_open)
		monitor_client_done(&client);
}

static const struct monitor_ops ops = {
	.on_start = on_start,
	.on_socket = on_socket,
	.on_settings = on_settings,
	.on_auth = on_auth,
	.on_stop = on_stop,
	.on_stats = on_stats,
	.on_reconnect = on_reconnect,
	.on_gone = on_gone,
};

static void setup(void)
{
	int pair[2];

	cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	helper = pair[0];
	cr_assert_geq(fd_set_nonblock(helper, true), 0);
	cr_assert_geq(sd_event_new(&event), 0);
	cr_assert_eq(monitor_client_init(&client, event, pair[1], &ops, NULL), 0);
}

static void turn(void)
{
	for (unsigned i = 0; i < 5; i++)
		cr_assert_geq(sd_event_run(event, 0), 0);
}

static void next(enum ipc_type type)
{
	int fds[8];
	size_t n = 0;

	cr_assert_eq(ipc_recv(helper, &msg, fds, &n), 1);
	cr_assert_eq(msg.type, type);
	cr_assert_eq(n, 0);
}

static void answer_socket(uint32_t seq, bool ok)
{
	struct ipc_msg m = { .type = IPC_ANS_SOCKET, .ans_socket = { .seq = seq, .ok = ok, .fail = FAIL_RESOLVE, .n_addresses = 1 } };
	int fd = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (ok) {
		m.ans_socket.server.addr.family = AF_INET;
		m.ans_socket.server.addr.bytes[0] = 192;
		m.ans_socket.server.port = 1194;
		m.ans_socket.fail = 0;
	} else {
		(void)strcpy(m.ans_socket.text, "the name does not resolve");
	}
	cr_assert_eq(ipc_send(helper, &m, &fd, ok ? 1 : 0), 0);
	fd_close(fd);
}

static unsigned open_fds(void)
{
	unsigned n = 0;

	for (int fd = 0; fd < 100; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

Test(monitor_client, delivers_the_answer_that_is_waited_for, .init = setup)
{
	cr_assert_eq(monitor_request_socket(&client, 3, 1), 0);
	next(IPC_REQ_SOCKET);
	cr_assert(msg.req_socket.remote == 3 && msg.req_socket.address == 1);
	answer_socket(msg.req_socket.seq, true);
	turn();
	cr_assert_eq(seen.sockets, 1);
	cr_assert_eq(seen.socket.server.port, 1194);
	cr_assert_geq(seen.fd, 0);

	/* once is enough */
	answer_socket(msg.req_socket.seq, true);
	turn();
	cr_assert_eq(seen.sockets, 1);
}

Test(monitor_client, an_answer_without_success_carries_no_descriptor, .init = setup)
{
	cr_assert_eq(monitor_request_socket(&client, 0, 0), 0);
	next(IPC_REQ_SOCKET);
	answer_socket(msg.req_socket.seq, false);
	turn();
	cr_assert_eq(seen.sockets, 1);
	cr_assert_not(seen.socket.ok);
	cr_assert_lt(seen.fd, 0);
}

Test(monitor_client, drops_late_and_foreign_answers_and_their_descriptors, .init = setup)
{
	unsigned before;
	uint32_t first;

	cr_assert_eq(monitor_request_socket(&client, 0, 0), 0);
	next(IPC_REQ_SOCKET);
	first = msg.req_socket.seq;
	cr_assert_eq(monitor_request_socket(&client, 1, 0), 0);
	next(IPC_REQ_SOCKET);
	cr_assert_neq(msg.req_socket.seq, first);

	before = open_fds();
	answer_socket(first, true);
	answer_socket(msg.req_socket.seq + 1000, true);
	turn();
	cr_assert_eq(seen.sockets, 0);
	cr_assert_eq(open_fds(), before);

	monitor_cancel(&client);
	answer_socket(msg.req_socket.seq, true);
	turn();
	cr_assert_eq(seen.sockets, 0);
	cr_assert_eq(open_fds(), before);
}

Test(monitor_client, passes_commands_on, .init = setup)
{
	static const enum ipc_type commands[] = { IPC_CMD_STOP, IPC_CMD_STATS, IPC_CMD_RECONNECT, IPC_CMD_STATS };
	int fds[2] = { open("/dev/null", O_RDWR | O_CLOEXEC), open("/dev/null", O_RDWR | O_CLOEXEC) };
	struct ipc_msg start = { .type = IPC_CMD_START, .start = { .tunnel = "home", .tun_offload = IPC_TUN_VNET_HDR,
								   .log_level = LOG_LEVEL_INFO, .tun_mtu_max = 1500 } };

	cr_assert_eq(ipc_send(helper, &start, fds, 2), 0);
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		cr_assert_eq(ipc_send(helper, &(struct ipc_msg){ .type = commands[i] }, NULL, 0), 0);
	turn();
	cr_assert_eq(seen.starts, 1);
	cr_assert_str_eq(seen.start.tunnel, "home");
	cr_assert(seen.stops == 1 && seen.stats == 2 && seen.reconnects == 1);
	cr_assert_eq(seen.gone, 0);
}

Test(monitor_client, sees_the_helper_go, .init = setup)
{
	helper = fd_close(helper);
	turn();
	cr_assert_eq(seen.gone, 1);
	cr_assert_eq(seen.gone_error, 0);
	cr_assert_lt(monitor_hello(&client), 0);
}

Test(monitor_client, does_not_take_requests_for_commands, .init = setup)
{
	cr_assert_eq(ipc_send(helper, &(struct ipc_msg){ .type = IPC_REQ_HELLO }, NULL, 0), 0);
	turn();
	cr_assert_eq(seen.gone, 1);
	cr_assert_eq(seen.gone_error, -EBADMSG);
}

Test(monitor_client, nothing_follows_after_a_breach, .init = setup)
{
	keep_open = true;
	cr_assert_eq(ipc_send(helper, &(struct ipc_msg){ .type = IPC_REQ_HELLO }, NULL, 0), 0);
	cr_assert_eq(ipc_send(helper, &(struct ipc_msg){ .type = IPC_CMD_STATS }, NULL, 0), 0);
	cr_assert_geq(sd_event_run(event, 0), 0);
	cr_assert_eq(seen.gone, 1);
	cr_assert_eq(seen.stats, 0);
}

Test(monitor_client, does_not_take_garbage, .init = setup)
{
	cr_assert_eq(send(helper, "\xff\xff\xff\xff garbage", 12, 0), 12);
	turn();
	cr_assert_eq(seen.gone, 1);
	cr_assert_eq(seen.gone_error, -EBADMSG);
}

Test(monitor_client, makes_text_fit_and_clean, .init = setup)
{
	char text[3000];

	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	text[5] = '\n';
	text[6] = '\x1b';
	text[7] = '\xff';
	cr_assert_eq(monitor_state(&client, ENGINE_STATE_WAITING, FAIL_SILENT, 2, "AES-256-GCM", text), 0);
	next(IPC_REQ_STATE); /* decodes, so it is clean UTF-8 */
	cr_assert_eq(msg.req_state.fail, FAIL_SILENT);
	cr_assert_str_eq(msg.req_state.cipher, "AES-256-GCM");
	cr_assert_gt(strlen(msg.req_state.text), 900);
	cr_assert_null(strchr(msg.req_state.text, '\n'));

	cr_assert_eq(monitor_failed(&client, FAIL_AUTH, "wrong password: caf\xc3\xa9"), 0);
	next(IPC_REQ_FAILED);
	cr_assert_str_eq(msg.req_failed.text, "wrong password: caf\xc3\xa9");
}

Test(monitor_client, limits_log_lines_and_says_so, .init = setup)
{
	usec_t now = 100 * USEC_PER_SEC;
	unsigned lines = 0;
	int fds[8];
	size_t n;

	for (unsigned i = 0; i < 100; i++)
		monitor_log(&client, LOG_LEVEL_INFO, "again", now + i);
	while (ipc_recv(helper, &msg, fds, &n) == 1)
		lines++;
	cr_assert_eq(lines, MONITOR_LOG_RATE);
	monitor_log(&client, LOG_LEVEL_INFO, "later", now + 2 * USEC_PER_SEC);
	next(IPC_REQ_LOG);
	cr_assert_not_null(strstr(msg.req_log.text, "80 log lines"));
	next(IPC_REQ_LOG);
	cr_assert_str_eq(msg.req_log.text, "later");
}

Test(monitor_client, a_helper_that_does_not_read_never_blocks_the_log, .init = setup, .timeout = 20)
{
	usec_t now = USEC_PER_SEC;

	for (unsigned i = 0; i < 20000; i++) {
		monitor_log(&client, LOG_LEVEL_INFO, "a line that nobody reads", now);
		now += USEC_PER_SEC / 10;
	}
	cr_assert_gt(client.log_lost, 0);
	/* A request is waited for, but not for ever. */
	cr_assert_lt(monitor_hello(&client), 0);
}
