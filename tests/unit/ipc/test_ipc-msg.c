/* ipc-msg.h: every type there and back, every range, every truncation. */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "base/log.h"
#include "base/str.h"
#include "ipc/ipc-msg.h"

static uint8_t buf[IPC_MSG_MAX];

static const enum ipc_type all_types[] = {
	IPC_CMD_START, IPC_ANS_SOCKET,	  IPC_ANS_SETTINGS, IPC_ANS_AUTH,   IPC_CMD_STOP,
	IPC_CMD_STATS, IPC_CMD_RECONNECT, IPC_REQ_HELLO,    IPC_REQ_SOCKET, IPC_REQ_SETTINGS,
	IPC_REQ_AUTH,  IPC_REQ_STATE,	  IPC_REQ_STATS,    IPC_REQ_LOG,    IPC_REQ_FAILED,
	IPC_CMD_ANSWER, IPC_REQ_QUESTION, IPC_REQ_RELAY,
};

static void fill_settings(struct settings *s)
{
	cr_assert_eq(inprefix_parse("10.8.0.2/24", &s->addrs[0]), 0);
	cr_assert_eq(inprefix_parse("fd00::2/64", &s->addrs[1]), 0);
	s->n_addrs = 2;
	cr_assert_eq(inaddr_parse("10.8.0.1", &s->peer4), 0);
	s->ethernet = true;
	cr_assert_eq(inaddr_parse("10.8.0.9", &s->gateway4), 0);
	cr_assert_eq(inaddr_parse("fd00::9", &s->gateway6), 0);
	s->mtu = 1420;
	s->default4 = true;
	s->block_ipv6 = true;
	for (s->n_routes = 0; s->n_routes < SETTINGS_ROUTES_MAX; s->n_routes++)
		cr_assert_eq(inprefix_parse("2001:db8::/32", &s->routes[s->n_routes]), 0);
	cr_assert_eq(inaddr_parse("10.8.0.1", &s->dns[0]), 0);
	s->n_dns = 1;
	(void)str_copy(s->search[0], SETTINGS_DOMAIN_LEN, "corp.example");
	s->n_search = 1;
}

/* A message of that type in which every field says something. */
static struct ipc_msg sample(enum ipc_type type)
{
	struct ipc_msg m;

	memset(&m, 0, sizeof(m));
	m.type = type;
	switch (type) {
	case IPC_CMD_START:
		m.start = (struct ipc_start){ .tunnel = "home", .tun_offload = 7, .log_level = 4, .tun_mtu_max = 9000 };
		break;
	case IPC_ANS_SOCKET:
		m.ans_socket = (struct ipc_ans_socket){
			.seq = 7, .ok = 1, .n_addresses = 3, .path_mtu = 1500, .text = "fine"
		};
		cr_assert_eq(endpoint_parse("[2001:db8::1]:1194", &m.ans_socket.server), 0);
		break;
	case IPC_ANS_SETTINGS:
		m.ans_settings = (struct ipc_ans_settings){ .seq = UINT32_MAX, .ok = 0, .text = "no, caf\xc3\xa9" };
		break;
	case IPC_ANS_AUTH:
		m.ans_auth = (struct ipc_ans_auth){ .seq = 1, .ok = 1 };
		break;
	case IPC_REQ_SOCKET:
		m.req_socket = (struct ipc_req_socket){ .seq = 2, .remote = 63, .address = 5 };
		break;
	case IPC_REQ_SETTINGS:
		m.req_settings.seq = 9;
		fill_settings(&m.req_settings.settings);
		break;
	case IPC_REQ_AUTH:
		m.req_auth = (struct ipc_req_auth){ .seq = 3, .again = 1, .text = "again" };
		break;
	case IPC_REQ_STATE:
		m.req_state = (struct ipc_req_state){
			.state = ENGINE_STATE_WAITING, .fail = 0xff, .remote = 1, .cipher = "AES-256-GCM", .text = "x"
		};
		break;
	case IPC_REQ_STATS:
		m.req_stats = (struct ipc_req_stats){ 1, 2, 3, 4, 5, 6, 7, 8, UINT64_MAX };
		break;
	case IPC_REQ_LOG:
		m.req_log = (struct ipc_req_log){ .level = LOG_LEVEL_DEBUG, .text = "line\twith tab" };
		break;
	case IPC_REQ_FAILED:
		m.req_failed = (struct ipc_req_failed){ .fail = FAIL_TIMEOUT, .text = "silent" };
		break;
	case IPC_REQ_QUESTION:
		m.req_question = (struct ipc_req_question){ .kind = QUESTION_SECRET, .text = "PIN?" };
		break;
	case IPC_REQ_RELAY:
		m.req_relay = (struct ipc_req_relay){ .seq = 4, .port = 40000 };
		break;
	case IPC_CMD_ANSWER:
	case IPC_CMD_STOP:
	case IPC_CMD_STATS:
	case IPC_CMD_RECONNECT:
	case IPC_REQ_HELLO:
		break;
	}
	return m;
}

Test(ipc_msg, every_type_goes_there_and_back)
{
	for (size_t i = 0; i < ARRAY_SIZE(all_types); i++) {
		struct ipc_msg m = sample(all_types[i]), back;
		uint8_t again[IPC_MSG_MAX];
		ssize_t len = ipc_msg_encode(&m, buf, sizeof(buf));

		cr_assert_gt(len, 1, "type %d: %zd", m.type, len);
		cr_assert_eq(ipc_msg_decode(&back, buf, (size_t)len), 0, "type %d", m.type);
		cr_assert_eq(back.type, m.type);
		cr_assert_eq(ipc_msg_encode(&back, again, sizeof(again)), len);
		cr_assert_eq(memcmp(buf, again, (size_t)len), 0, "type %d", m.type);
		if (m.type != IPC_REQ_SETTINGS && m.type != IPC_ANS_SOCKET)
			cr_assert_eq(memcmp(&back, &m, sizeof(m)), 0, "type %d", m.type);
	}
}

Test(ipc_msg, settings_arrive_as_they_were)
{
	struct ipc_msg m = sample(IPC_REQ_SETTINGS), back;
	ssize_t len = ipc_msg_encode(&m, buf, sizeof(buf));

	cr_assert_eq(ipc_msg_decode(&back, buf, (size_t)len), 0);
	cr_assert(settings_equal(&m.req_settings.settings, &back.req_settings.settings));
	m = sample(IPC_ANS_SOCKET);
	len = ipc_msg_encode(&m, buf, sizeof(buf));
	cr_assert_eq(ipc_msg_decode(&back, buf, (size_t)len), 0);
	cr_assert(endpoint_eq(&m.ans_socket.server, &back.ans_socket.server));
	cr_assert_str_eq(back.ans_socket.text, "fine");
}

Test(ipc_msg, every_truncation_and_every_trailing_byte_is_refused)
{
	for (size_t i = 0; i < ARRAY_SIZE(all_types); i++) {
		struct ipc_msg m = sample(all_types[i]), back;
		ssize_t len = ipc_msg_encode(&m, buf, sizeof(buf) - 1);

		memset(&back, 0x55, sizeof(back));
		for (size_t cut = 0; cut < (size_t)len; cut++)
			cr_assert_eq(ipc_msg_decode(&back, buf, cut), -EBADMSG, "type %d cut %zu", m.type, cut);
		buf[len] = 0;
		cr_assert_eq(ipc_msg_decode(&back, buf, (size_t)len + 1), -EBADMSG, "type %d", m.type);
		cr_assert_eq((int)back.type, 0x55555555, "output touched");
	}
}

Test(ipc_msg, small_buffers_are_refused)
{
	for (size_t i = 0; i < ARRAY_SIZE(all_types); i++) {
		struct ipc_msg m = sample(all_types[i]);
		ssize_t len = ipc_msg_encode(&m, buf, sizeof(buf));

		cr_assert_eq(ipc_msg_encode(&m, buf, (size_t)len - 1), -EMSGSIZE, "type %d", m.type);
	}
}

Test(ipc_msg, unknown_versions_and_types_are_refused)
{
	struct ipc_msg m = sample(IPC_REQ_HELLO), back;

	cr_assert_eq(ipc_msg_encode(&m, buf, sizeof(buf)), 2);
	buf[0] = IPC_VERSION + 1;
	cr_assert_eq(ipc_msg_decode(&back, buf, 2), -EBADMSG);
	buf[0] = IPC_VERSION;
	for (int type = 0; type < 256; type++) {
		bool known = false;

		buf[1] = (uint8_t)type;
		for (size_t i = 0; i < ARRAY_SIZE(all_types); i++)
			known |= (int)all_types[i] == type && sample(all_types[i]).type == all_types[i];
		if (!known)
			cr_assert_eq(ipc_msg_decode(&back, buf, 2), -EBADMSG, "type %d", type);
	}
	m.type = (enum ipc_type)(256 + IPC_REQ_HELLO);
	cr_assert_eq(ipc_msg_encode(&m, buf, sizeof(buf)), -EINVAL);
}

/* Values out of range: refused at home; and abroad, where the same bytes are made by hand. */
Test(ipc_msg, values_out_of_range_are_not_encoded)
{
#define BAD(type, change)                                                                                              \
	do {                                                                                                           \
		struct ipc_msg m = sample(type);                                                                       \
		change;                                                                                                \
		cr_assert_eq(ipc_msg_encode(&m, buf, sizeof(buf)), -EINVAL, "%s", #change);                            \
	} while (0)
	BAD(IPC_CMD_START, m.start.tunnel[0] = '/');
	BAD(IPC_CMD_START, m.start.tunnel[0] = '\0');
	BAD(IPC_CMD_START, memset(m.start.tunnel, 'a', sizeof(m.start.tunnel)));
	BAD(IPC_CMD_START, m.start.tun_offload = 8);
	BAD(IPC_CMD_START, m.start.log_level = _LOG_LEVEL_MAX);
	BAD(IPC_CMD_START, m.start.tun_mtu_max = 575);
	BAD(IPC_CMD_START, m.start.tun_mtu_max = 65536);
	BAD(IPC_ANS_SOCKET, m.ans_socket.ok = 2);
	BAD(IPC_ANS_SOCKET, m.ans_socket.fail = _FAIL_CLASS_MAX);
	BAD(IPC_ANS_SOCKET, m.ans_socket.server.addr.family = AF_UNSPEC);
	BAD(IPC_ANS_SOCKET, m.ans_socket.server.addr.family = 99);
	BAD(IPC_ANS_SOCKET, m.ans_socket.server.port = 0);
	BAD(IPC_ANS_SOCKET, (m.ans_socket.server.addr.family = AF_INET, m.ans_socket.server.scope_id = 3));
	BAD(IPC_ANS_SOCKET, m.ans_socket.path_mtu = 65536);
	BAD(IPC_ANS_SOCKET, memset(m.ans_socket.text, 'a', IPC_TEXT_MAX));
	BAD(IPC_ANS_SETTINGS, m.ans_settings.ok = 3);
	BAD(IPC_ANS_SETTINGS, m.ans_settings.text[0] = '\n');
	BAD(IPC_ANS_SETTINGS, m.ans_settings.text[0] = (char)0xff);
	BAD(IPC_ANS_AUTH, m.ans_auth.ok = 255);
	BAD(IPC_REQ_SOCKET, m.req_socket.remote = PROFILE_REMOTES_MAX);
	BAD(IPC_REQ_SETTINGS, m.req_settings.settings.n_addrs = SETTINGS_ADDRS_MAX + 1);
	BAD(IPC_REQ_SETTINGS, m.req_settings.settings.n_addrs = 0x10001);
	BAD(IPC_REQ_SETTINGS, m.req_settings.settings.n_routes = SETTINGS_ROUTES_MAX + 1);
	BAD(IPC_REQ_SETTINGS, m.req_settings.settings.n_dns = SETTINGS_DNS_MAX + 1);
	BAD(IPC_REQ_SETTINGS, m.req_settings.settings.n_search = SETTINGS_SEARCH_MAX + 1);
	BAD(IPC_REQ_SETTINGS, m.req_settings.settings.addrs[0].len = 33);
	BAD(IPC_REQ_SETTINGS, m.req_settings.settings.routes[3].len = 129);
	BAD(IPC_REQ_SETTINGS, m.req_settings.settings.addrs[0].addr.family = AF_UNSPEC);
	BAD(IPC_REQ_SETTINGS, m.req_settings.settings.peer4.family = AF_INET6);
	BAD(IPC_REQ_SETTINGS, m.req_settings.settings.gateway4.family = 77);
	BAD(IPC_REQ_SETTINGS, m.req_settings.settings.mtu = 0);
	BAD(IPC_REQ_SETTINGS, m.req_settings.settings.mtu = 65536);
	BAD(IPC_REQ_SETTINGS, m.req_settings.settings.search[0][0] = ';');
	BAD(IPC_REQ_SETTINGS, memset(m.req_settings.settings.search[0], 'a', SETTINGS_DOMAIN_LEN));
	BAD(IPC_REQ_AUTH, m.req_auth.again = 2);
	BAD(IPC_REQ_STATE, m.req_state.state = _ENGINE_STATE_MAX);
	BAD(IPC_REQ_STATE, m.req_state.fail = _FAIL_CLASS_MAX);
	BAD(IPC_REQ_STATE, m.req_state.remote = PROFILE_REMOTES_MAX);
	BAD(IPC_REQ_STATE, m.req_state.cipher[0] = '\x1b');
	BAD(IPC_REQ_LOG, m.req_log.level = _LOG_LEVEL_MAX);
	BAD(IPC_REQ_FAILED, m.req_failed.fail = 0xff);
}

static void expect_bad(const void *bytes, size_t len)
{
	struct ipc_msg back;

	cr_assert_eq(ipc_msg_decode(&back, bytes, len), -EBADMSG);
}

Test(ipc_msg, values_out_of_range_are_not_decoded)
{
	struct ipc_msg m = sample(IPC_REQ_SETTINGS);
	ssize_t len = ipc_msg_encode(&m, buf, sizeof(buf));

	/* version type seq, then the count of addresses, family, four bytes, prefix length */
	cr_assert_gt(len, 20);
	buf[6] = 0xff;
	expect_bad(buf, (size_t)len);
	buf[6] = 0;
	buf[8] = 5;
	expect_bad(buf, (size_t)len);
	buf[8] = 4;
	buf[13] = 33;
	expect_bad(buf, (size_t)len);
	expect_bad("\x01\x47\x04\x00\x01"
		   "a\0",
		   5); /* shorter than its text */
	expect_bad("\x01\x46\x04\x00\x02"
		   "a\0",
		   7); /* a NUL in the text */
	expect_bad("\x01\x46\x09\x00\x01"
		   "a",
		   6); /* a level that is none */
	expect_bad("\x01\x46\x04\xff\xff"
		   "a",
		   6);						    /* a length that lies */
	expect_bad("\x01\x04\x00\x00\x00\x01\x02", 7);		    /* a bool of 2 */
	expect_bad("\x01\x41\x00\x00\x00\x01\x00\x40\x00\x00", 10); /* remote 64 */
}

Test(ipc_msg, descriptors_by_type)
{
	struct ipc_msg m;

	for (size_t i = 0; i < ARRAY_SIZE(all_types); i++) {
		m = sample(all_types[i]);
		cr_assert_eq(ipc_msg_fds(&m),
			     m.type == IPC_CMD_START ? 2 : m.type == IPC_ANS_SOCKET || m.type == IPC_ANS_AUTH || m.type == IPC_CMD_ANSWER,
			     "type %d", m.type);
	}
	m = sample(IPC_ANS_SOCKET);
	m.ans_socket.ok = 0;
	cr_assert_eq(ipc_msg_fds(&m), 0);
	m = sample(IPC_ANS_AUTH);
	m.ans_auth.ok = 0;
	cr_assert_eq(ipc_msg_fds(&m), 0);
}

Test(ipc_msg, a_question_has_a_text_and_none_has_none)
{
	struct ipc_msg m = sample(IPC_REQ_QUESTION);

	m.req_question.text[0] = '\0';
	cr_expect_eq(ipc_msg_encode(&m, buf, sizeof(buf)), -EINVAL);
	m.req_question.kind = QUESTION_NONE;
	cr_expect_gt(ipc_msg_encode(&m, buf, sizeof(buf)), 0);
	m.req_question.text[0] = 'x';
	cr_expect_eq(ipc_msg_encode(&m, buf, sizeof(buf)), -EINVAL);
	m.req_question.kind = _QUESTION_KIND_MAX;
	cr_expect_eq(ipc_msg_encode(&m, buf, sizeof(buf)), -EINVAL);
}
