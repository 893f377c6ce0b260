/* The lab of live.h, made with ip, openssl and openvpn. Everything happens in namespaces of this process. */
#include "unit/engine/live.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <arpa/inet.h>
#include <netinet/ip.h>
#include <netinet/icmp6.h>
#include <netinet/ip_icmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/str.h"
#include "unit/engine/helper.h"
#include "unit/engine/packets.h"

const char *live_missing(void)
{
	if (geteuid() != 0)
		return "needs root";
	if (access("/dev/net/tun", R_OK | W_OK) < 0)
		return "needs /dev/net/tun";
	if (sh("for p in openvpn ip openssl; do command -v $p >/dev/null || exit 1; done") != 0)
		return "needs openvpn, ip and openssl";
	return NULL;
}

static bool make_keys(const struct live *l)
{
	return sh("cd %s && exec 2>keys.log && "
		  "key() { openssl ecparam -name prime256v1 -genkey -noout -out $1.key; } && "
		  "cert() { key $1 && openssl req -new -key $1.key -subj /CN=$1 -out $1.csr && "
		  "printf 'keyUsage=digitalSignature\\nextendedKeyUsage=%%s\\n' $2 >$1.ext && "
		  "openssl x509 -req -in $1.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -extfile $1.ext -out $1.crt; } && "
		  "for c in ca other; do key $c && openssl req -x509 -new -key $c.key -subj /CN=$c -days 2 -out $c.crt; done && "
		  "cert server serverAuth && cert client clientAuth && openvpn --genkey secret ta.key",
		  l->dir) == 0;
}

bool live_setup(struct live *l)
{
	*l = (struct live){ .dir = "/tmp/nsvpn-live-XXXXXX", .server_pid = -1 };
	if (!mkdtemp(l->dir) || unshare(CLONE_NEWNET | CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_PRIVATE | MS_REC, NULL) < 0 ||
	    mount("tmpfs", "/run", "tmpfs", 0, NULL) < 0)
		return false;
	/* A default of bbr would pace every measurement (performance.md, 8). */
	return make_keys(l) &&
	       sh("ip netns add srv && ip link add vc type veth peer name vs netns srv && ip link set lo up && "
		  "ip addr add 10.199.0.1/24 dev vc && ip link set vc up && ip -n srv addr add 10.199.0.2/24 dev vs && "
		  "ip -n srv link set vs up && ip -n srv link set lo up && ip addr add fd99::1/64 dev vc nodad && "
		  "ip -n srv addr add fd99::2/64 dev vs nodad && "
		  "sysctl -qw net.ipv4.tcp_congestion_control=reno && "
		  "ip netns exec srv sysctl -qw net.ipv4.tcp_congestion_control=reno") == 0;
}

/* Becomes openvpn in the server's namespace; dies with this process however that ends. */
static void exec_server(const struct live *l, const char *options)
{
	char fixed[] = "openvpn --dev tunS --dev-type tun --port 1194 --mode server --tls-server "
		       "--topology subnet --server 10.8.0.0 255.255.255.0 --server-ipv6 fd00:8::/64 --dh none --ca ca.crt "
		       "--cert server.crt --key server.key --disable-dco --keepalive 1 10 --verb 3";
	char udp[] = "--proto udp --local 10.199.0.2"; /* where the test says nothing else */
	_cleanup_(freep) char *extra = strdup(options);
	int ns = open("/run/netns/srv", O_RDONLY | O_CLOEXEC), log;
	char *argv[100], *rest, *word;
	size_t n = 0;

	rest = fixed;
	while (n < 80 && (word = str_next_word(&rest)))
		argv[n++] = word;
	rest = strstr(options, "--proto") ? NULL : udp;
	while (rest && (word = str_next_word(&rest)))
		argv[n++] = word;
	rest = extra;
	while (rest && n < 98 && (word = str_next_word(&rest)))
		argv[n++] = word;
	argv[n] = NULL;
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || chdir(l->dir) < 0 || setns(ns, CLONE_NEWNET) < 0)
		return;
	log = open("server.log", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (log < 0 || dup2(log, 1) < 0 || dup2(log, 2) < 0)
		return;
	execvp(argv[0], argv);
}

bool live_server(struct live *l, const char *options)
{
	l->server_pid = fork();
	if (l->server_pid == 0) {
		exec_server(l, options);
		_exit(127);
	}
	for (unsigned i = 0; i < 300 && l->server_pid > 0; i++) {
		if (sh("grep -q 'Initialization Sequence Completed' %s/server.log 2>/dev/null", l->dir) == 0)
			return true;
		usleep(20000);
	}
	(void)sh("tail -5 %s/server.log >&2", l->dir);
	return false;
}

static int greet(unsigned short port, const char *text, int ready)
{
	struct sockaddr_in sa = { .sin_family = AF_INET, .sin_port = htons(port) };
	int ns = open("/run/netns/srv", O_RDONLY | O_CLOEXEC), fd, client;
	char buf[256];

	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || setns(ns, CLONE_NEWNET) < 0)
		return 1;
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || bind(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0 || listen(fd, 5) < 0 || write(ready, "", 1) != 1)
		return 1;
	while ((client = accept(fd, NULL, NULL)) >= 0) {
		if (write(client, text, strlen(text)) > 0)
			(void)!read(client, buf, sizeof(buf));
		close(client);
	}
	return 1;
}

int live_greeter(unsigned short port, const char *text)
{
	int ready[2];
	char byte;
	pid_t pid;

	if (pipe2(ready, O_CLOEXEC) < 0)
		return -1;
	pid = fork();
	if (pid == 0)
		_exit(greet(port, text, ready[1]));
	close(ready[1]);
	if (pid > 0 && read(ready[0], &byte, 1) != 1)
		pid = -1;
	close(ready[0]);
	return pid;
}

void live_server_kill(struct live *l, int signo)
{
	if (l->server_pid <= 0)
		return;
	(void)kill(l->server_pid, signo);
	(void)waitpid(l->server_pid, NULL, 0);
	(void)sh("rm -f %s/server.log", l->dir);
	l->server_pid = -1;
}

static char *slurp(const struct live *l, const char *name)
{
	_cleanup_(freep) char *path = str_format("%s/%s", l->dir, name);
	char *text = NULL;
	size_t len;

	return path && file_read(AT_FDCWD, path, 65536, &text, &len) >= 0 ? text : NULL;
}

char *live_profile(const struct live *l, const char *remotes, const char *options, const char *ca)
{
	_cleanup_(freep) char *ca_text = slurp(l, ca ? ca : "ca.crt"), *cert = slurp(l, "client.crt"), *key = slurp(l, "client.key");

	if (!ca_text || !cert || !key)
		return NULL;
	return str_format("client\ndev tun\nproto udp\nnobind\nremote-cert-tls server\n%s\n%s\n"
			  "<ca>\n%s</ca>\n<cert>\n%s</cert>\n<key>\n%s</key>\n",
			  remotes, options, ca_text, cert, key);
}

void live_done(struct live *l)
{
	live_server_kill(l, SIGKILL);
	(void)sh("rm -rf %s", l->dir);
}

/* ---- traffic ---------------------------------------------------------------------------------------------------- */

static socklen_t address(const char *text, uint16_t port, struct sockaddr_storage *ret)
{
	struct endpoint e = { .port = port };

	if (inaddr_parse(text, &e.addr) < 0)
		_exit(90);
	return endpoint_to_sockaddr(&e, ret);
}

static int ping_child(const char *to, unsigned count, size_t size)
{
	struct sockaddr_storage sa;
	socklen_t len = address(to, 0, &sa);
	bool v6 = sa.ss_family == AF_INET6;
	int fd = socket(sa.ss_family, SOCK_RAW | SOCK_CLOEXEC, v6 ? (int)IPPROTO_ICMPV6 : (int)IPPROTO_ICMP);
	struct timeval wait = { .tv_sec = 3 };
	int df = IP_PMTUDISC_DO;
	uint8_t out[9000] = { 0 }, in[9100];

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait)) < 0 || connect(fd, (struct sockaddr *)&sa, len) < 0)
		return 91;
	if (!v6 && setsockopt(fd, IPPROTO_IP, IP_MTU_DISCOVER, &df, sizeof(df)) < 0)
		return 92;
	for (unsigned i = 0; i < count; i++) {
		const uint8_t *reply;
		uint16_t sum;
		ssize_t n;

		out[0] = v6 ? ICMP6_ECHO_REQUEST : ICMP_ECHO;
		out[6] = (uint8_t)(i >> 8);
		out[7] = (uint8_t)i;
		memset(out + 8, (int)(i + 1), size);
		out[2] = out[3] = 0;
		sum = (uint16_t)~packet_naive_sum(out, 8 + size, 0);
		out[2] = (uint8_t)(sum >> 8); /* the kernel makes ICMPv6's */
		out[3] = (uint8_t)sum;
		if (send(fd, out, 8 + size, 0) < 0)
			return 93;
		do {
			n = recv(fd, in, sizeof(in), 0);
			if (n < 0)
				return 94;
			reply = v6 ? in : in + 20;
			n -= v6 ? 0 : 20;
		} while (n != (ssize_t)(8 + size) || reply[0] != (v6 ? ICMP6_ECHO_REPLY : ICMP_ECHOREPLY) ||
			 memcmp(reply + 6, out + 6, 2 + size) != 0);
		usleep(20000);
	}
	return 0;
}

int live_ping(const char *to, unsigned count, size_t size)
{
	pid_t pid = fork();

	if (pid == 0)
		_exit(ping_child(to, count, size));
	return pid;
}

static uint8_t pattern(size_t i)
{
	return (uint8_t)(i * 31 + (i >> 8) * 7 + (i >> 16));
}

static int send_pattern(int fd, size_t len)
{
	static uint8_t buf[65536];

	for (size_t at = 0; at < len;) {
		size_t n = MIN(sizeof(buf), len - at), done = 0;

		for (size_t i = 0; i < n; i++)
			buf[i] = pattern(at + i);
		while (done < n) {
			ssize_t w = send(fd, buf + done, n - done, MSG_NOSIGNAL);

			if (w <= 0)
				return 80;
			done += (size_t)w;
		}
		at += n;
	}
	shutdown(fd, SHUT_WR);
	return recv(fd, buf, 1, 0) == 1 && buf[0] == 'k' ? 0 : 81; /* the other end has it all */
}

static int receive_pattern(int fd, size_t len)
{
	static uint8_t buf[65536];
	size_t at = 0;
	ssize_t n;

	while ((n = recv(fd, buf, sizeof(buf), 0)) > 0) {
		for (size_t i = 0; i < (size_t)n; i++)
			if (buf[i] != pattern(at + i))
				return 82;
		at += (size_t)n;
	}
	if (n < 0 || at != len)
		return 83;
	return send(fd, "k", 1, MSG_NOSIGNAL) == 1 ? 0 : 84;
}

/* One end of the stream, in the server's namespace or here. */
static int stream_server(int listener, bool down, size_t len)
{
	int fd = accept(listener, NULL, NULL);

	return fd < 0 ? 85 : down ? send_pattern(fd, len) : receive_pattern(fd, len);
}

static int stream_child(const char *server, bool down, size_t len)
{
	struct sockaddr_storage sa;
	socklen_t sa_len = address(server, 5000 + (uint16_t)down, &sa);
	int ns = open("/run/netns/srv", O_RDONLY | O_CLOEXEC), here = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC), on = 1;
	int listener, fd, status = 0, r;
	struct timeval wait = { .tv_sec = 20 };
	pid_t pid;

	if (setns(ns, CLONE_NEWNET) < 0)
		return 86;
	listener = socket(sa.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
	    setsockopt(listener, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait)) < 0 ||
	    bind(listener, (struct sockaddr *)&sa, sa_len) < 0 || listen(listener, 1) < 0 || setns(here, CLONE_NEWNET) < 0)
		return 87;
	pid = fork();
	if (pid == 0)
		_exit(stream_server(listener, down, len));
	fd = socket(sa.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait)) < 0 || connect(fd, (struct sockaddr *)&sa, sa_len) < 0)
		return 88;
	r = down ? receive_pattern(fd, len) : send_pattern(fd, len);
	close(fd);
	(void)waitpid(pid, &status, 0);
	return r ? r : WIFEXITED(status) ? WEXITSTATUS(status) : 89;
}

int live_stream(const char *server, bool down, size_t len)
{
	pid_t pid = fork();

	if (pid == 0)
		_exit(stream_child(server, down, len));
	return pid;
}
