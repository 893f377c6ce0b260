/*
 * Names of the D-Bus interface org.nsvpn1 that nsvpnd offers and nsvpn uses, on the system bus or, standalone, on the
 * private socket <run>/nsvpnd.sock. Full description: src/man/org.nsvpn1.5.
 */
#pragma once

#define BUS_NAME "org.nsvpn1"
#define BUS_PATH "/org/nsvpn1"
#define BUS_PATH_TUNNEL_PREFIX "/org/nsvpn1/tunnel" /* sd_bus_path_encode(prefix, NAME) */
#define BUS_IFACE_MANAGER "org.nsvpn1.Manager"
#define BUS_IFACE_TUNNEL "org.nsvpn1.Tunnel"
#define BUS_IFACE_ROOTLESS "org.nsvpn1.Rootless"

/*
 * org.nsvpn1.Manager
 *   Up(s name, a{sv} options) -> ()      starts; returns when the tunnel is connecting. Options: "credentials" h (a
 *                                        pipe or memfd: user LF password LF), "uplink" s. Already up: no-op.
 *                                        Progress: PropertiesChanged of the tunnel object.
 *   Down(s name, a{sv} options) -> (a(us) processes)   options: "kill" b (one's own; root: all). Returns when down; the pids and command
 *                                        names that stay locked in (empty: everything is gone).
 *   Answer(s name, h answer) -> ()       to the tunnel's Question: one line in a pipe or memfd
 *   Plan(s name) -> (s text)             every change `up` would make; changes nothing
 *   ListTunnels() -> (as names)          configured tunnels and those that still exist in the kernel
 *   Processes(s name) -> (a(us))         pid, command
 *   Reload() -> ()                       look at the configuration folder again
 *   Exec(s name, h request, h cwd, h stdin, h stdout, h stderr, h control, a{sv} options) -> (s unit)
 *                                        has PID 1 start a program in the tunnel's namespace as the caller; the descriptors
 *                                        and what is said on `control`: base/launch-api.h. Who the caller is is read from
 *                                        the bus and from `control` (SO_PEERCRED, SO_PEERGROUPS), never from the message.
 *                                        Options: "isolate" b, "no-new-privs" b, "terminal" b, "background" b. Only on the system bus.
 * org.nsvpn1.Rootless, on the private socket of a rootless helper only
 *   Enter(s name, h program) -> (h user_namespace, h network_namespace)
 *                                        for a process (a pidfd, mostly the caller's own) that is going to join them
 * org.nsvpn1.Tunnel, one object for each name of ListTunnels, properties (all with change signals, names without values, unless said):
 *   Name s, State s, Protocol s, Uplink s, DataPath s, DataPathReason s,
 *   RemoteHost s, RemoteAddress s, RemotePort q, RemoteTransport s ("udp"/"tcp"),
 *   Cipher s, Addresses as, Dns as, SearchDomains as, Mtu u, Netns s, FullTunnel b,
 *   Exceptions as ("Publish=tcp:8080", "Allow=192.168.1.0/24"), ServiceAddresses as (of published services),
 *   Since t, LastHandshake t (realtime usec; 0: never), EnginePid u, LastError s, LastErrorName s (bus error name),
 *   Question s, QuestionKind s ("text", "secret": Answer() is waited for; "url": to be opened in a browser; "": nothing is asked)
 *   no signals (read on demand): RxBytes t, TxBytes t, DroppedByLock t, ProcessCount u
 */

#define BUS_ERROR_FAILED "org.nsvpn1.Error.Failed"                       /* exit 1 */
#define BUS_ERROR_USAGE "org.nsvpn1.Error.Usage"                         /* exit 2 */
#define BUS_ERROR_NOT_CONFIGURED "org.nsvpn1.Error.NotConfigured"        /* exit 3 */
#define BUS_ERROR_NOT_UP "org.nsvpn1.Error.NotUp"                        /* exit 3 */
#define BUS_ERROR_AUTH_FAILED "org.nsvpn1.Error.AuthenticationFailed"    /* exit 4 */
#define BUS_ERROR_DENIED "org.nsvpn1.Error.PermissionDenied"             /* exit 6 */
#define BUS_ERROR_TIMED_OUT "org.nsvpn1.Error.TimedOut"                  /* exit 7 */
/* Ask, then call again: for user name and password, for the pass phrase of the private key, for all three. */
#define BUS_ERROR_NEED_CREDENTIALS "org.nsvpn1.Error.CredentialsNeeded"
#define BUS_ERROR_NEED_PASSPHRASE "org.nsvpn1.Error.PassphraseNeeded"
#define BUS_ERROR_NEED_BOTH "org.nsvpn1.Error.CredentialsAndPassphraseNeeded"

enum exit_code {
	EXIT_CODE_OK = 0,
	EXIT_CODE_FAILED = 1,
	EXIT_CODE_USAGE = 2,
	EXIT_CODE_NOT_UP = 3,
	EXIT_CODE_AUTH = 4,
	EXIT_CODE_NOT_PROTECTED = 5,
	EXIT_CODE_DENIED = 6,
	EXIT_CODE_TIMED_OUT = 7,
	EXIT_CODE_EXEC_FAILED = 125,
	EXIT_CODE_EXEC_DENIED = 126,
	EXIT_CODE_EXEC_NOT_FOUND = 127,
};
