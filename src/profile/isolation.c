/*
 * The table of --isolate; what the kinds mean is in isolation.h, how they are placed in launch/covers.c.
 *
 * Theory. A program that is confined to the tunnel can still ask a process outside to act for it, over a socket that is a
 * file: the session bus starts programs, docker runs containers, cups prints over the network. There is no list of such
 * sockets that is complete, and services make theirs again whenever they start. So the folders in which sockets live are
 * covered whole, and what a program needs to show a window and make a sound is kept by name. What is not known here is
 * closed, also when it is made tomorrow.
 *
 * A cover lies on a folder that nobody removes while the machine runs (/run, not /run/user/UID, which comes and goes with
 * the log-in): nothing the machine does takes it away, and what is mounted later arrives below it. The keeper
 * (launch/keeper.c) has nothing to do for it.
 *
 * What is kept, is kept because it shows, sounds or names something and starts nothing by itself. Users and groups (also
 * sssd's pipes, outside of the covers) are kept because a program that does not know its own user is broken in odd ways.
 */
#include "profile/isolation.h"

#include <string.h>

#include "base/str.h"

static const struct isolation table[] = {
	{ ISOLATION_COVER, "/run", "the sockets of services, and the folders of users" },
	{ ISOLATION_COVER, "/var/run", "the same where it is no link to /run" },
	{ ISOLATION_COVER, "/tmp", "sockets of users' programs; files there are not seen" },
	{ ISOLATION_COVER, "/var/lib/lxd", "the container manager LXD" },
	{ ISOLATION_COVER, "/var/snap/lxd/common/lxd", "LXD as a snap" },
	{ ISOLATION_COVER, "/var/lib/incus", "the container manager Incus" },

	{ ISOLATION_MAKE, "/run/lock", "lock files" },
	{ ISOLATION_MAKE, "/run/user/UID", "the user's runtime folder" },

	{ ISOLATION_KEEP_SOCKET, "/run/user/UID/wayland-*", "the display" },
	{ ISOLATION_KEEP_FOLDER, "/tmp/.X11-unix", "the X server" },
	{ ISOLATION_KEEP_FILE, "/tmp/xauth_*", "the key to the X server" },
	{ ISOLATION_KEEP_FILE, "/run/user/UID/xauth_*", "the key to the X server" },
	{ ISOLATION_KEEP_FILE, "/run/user/UID/gdm/Xauthority", "the key to the X server" },
	{ ISOLATION_KEEP_FILE, "/run/user/UID/.mutter-Xwaylandauth.*", "the key to the X server" },
	{ ISOLATION_KEEP_SOCKET, "/run/user/UID/pipewire-0", "sound and cameras" },
	{ ISOLATION_KEEP_SOCKET, "/run/user/UID/pulse/native", "sound" },
	{ ISOLATION_KEEP_FOLDER, "/run/udev/data", "what devices are called" },
	{ ISOLATION_KEEP_FOLDER, "/run/systemd/userdb", "names of users and groups" },
	{ ISOLATION_KEEP_DISKS, "/run/media", "disks that were plugged in" },
	{ ISOLATION_KEEP_FOLDER, "/run/current-system", "the programs of NixOS" },
	{ ISOLATION_KEEP_FOLDER, "/run/opengl-driver", "the graphics drivers of NixOS" },

	{ ISOLATION_CLOSED, "/run/dbus/system_bus_socket", "system bus: systemd, NetworkManager, systemd-resolved, polkit" },
	{ ISOLATION_CLOSED, "/run/user/UID/bus", "session bus: desktop, portals, activation, notifications, secrets" },
	{ ISOLATION_CLOSED, "/tmp/dbus-*", "session bus of dbus-run-session or dbus-launch" },
	{ ISOLATION_CLOSED, "/run/user/UID/at-spi/bus_0", "accessibility bus" },
	{ ISOLATION_CLOSED, "/run/systemd/private", "systemctl to systemd without a bus" },
	{ ISOLATION_CLOSED, "/run/systemd/notify", "messages of services to systemd" },
	{ ISOLATION_CLOSED, "/run/systemd/io.systemd.*", "services of systemd over varlink" },
	{ ISOLATION_CLOSED, "/run/systemd/journal/dev-log", "the log" },
	{ ISOLATION_CLOSED, "/run/systemd/journal/stdout", "the log" },
	{ ISOLATION_CLOSED, "/run/systemd/resolve/io.systemd.Resolve", "names; also without --isolate" },
	{ ISOLATION_CLOSED, "/run/nscd/socket", "names; also without --isolate" },
	{ ISOLATION_CLOSED, "/run/avahi-daemon/socket", "names; also without --isolate" },
	{ ISOLATION_CLOSED, "/run/user/UID/systemd/private", "systemctl --user without a bus" },
	{ ISOLATION_CLOSED, "/run/user/UID/systemd/notify", "messages of services to the user's systemd" },
	{ ISOLATION_CLOSED, "/run/cups/cups.sock", "printing" },
	{ ISOLATION_CLOSED, "/run/docker.sock", "containers: docker" },
	{ ISOLATION_CLOSED, "/run/user/UID/docker.sock", "containers: docker of the user" },
	{ ISOLATION_CLOSED, "/run/containerd/containerd.sock", "containers: containerd" },
	{ ISOLATION_CLOSED, "/run/podman/podman.sock", "containers: podman" },
	{ ISOLATION_CLOSED, "/run/user/UID/podman/podman.sock", "containers: podman of the user" },
	{ ISOLATION_CLOSED, "/var/lib/lxd/unix.socket", "containers: LXD" },
	{ ISOLATION_CLOSED, "/var/snap/lxd/common/lxd/unix.socket", "containers: LXD as a snap" },
	{ ISOLATION_CLOSED, "/var/lib/incus/unix.socket", "containers: Incus" },
	{ ISOLATION_CLOSED, "/run/libvirt/libvirt-sock", "virtual machines" },
	{ ISOLATION_CLOSED, "/run/user/UID/libvirt/libvirt-sock", "virtual machines of the user" },
	{ ISOLATION_CLOSED, "/run/snapd.socket", "snaps" },
	{ ISOLATION_CLOSED, "/run/snapd-snap.socket", "snaps" },
	{ ISOLATION_CLOSED, "/run/tailscale/tailscaled.sock", "another VPN" },
	{ ISOLATION_CLOSED, "/run/mullvad-vpn", "another VPN" },
	{ ISOLATION_CLOSED, "/run/tor/control", "tor" },
	{ ISOLATION_CLOSED, "/run/user/UID/gvfsd/socket-*", "network folders of the desktop" },
	{ ISOLATION_CLOSED, "/run/user/UID/gnupg/S.dirmngr", "GnuPG's key servers; gpg starts a dirmngr of its own inside" },
	{ ISOLATION_CLOSED, "/run/user/UID/gnupg/S.gpg-agent", "GnuPG's agent; gpg starts one of its own inside" },
	{ ISOLATION_CLOSED, "/run/user/UID/keyring/control", "passwords: GNOME's keyring" },
	{ ISOLATION_CLOSED, "/run/user/UID/keyring/ssh", "ssh agent of GNOME's keyring" },
	{ ISOLATION_CLOSED, "/run/user/UID/openssh_agent", "ssh agent of the session" },
	{ ISOLATION_CLOSED, "/tmp/ssh-*/agent.1", "ssh agent" },
	{ ISOLATION_CLOSED, "/tmp/.ICE-unix/1", "session manager, which starts programs again" },
	{ ISOLATION_CLOSED, "/run/user/UID/sway-ipc.*", "window manager sway, which starts programs" },
	{ ISOLATION_CLOSED, "/run/user/UID/i3/ipc-socket.*", "window manager i3" },
	{ ISOLATION_CLOSED, "/run/user/UID/hypr/*/.socket.sock", "window manager Hyprland" },
	{ ISOLATION_CLOSED, "/run/user/UID/pipewire-0-manager", "the managing side of PipeWire" },
	{ ISOLATION_CLOSED, "/tmp/tmux-UID/default", "tmux" },
	{ ISOLATION_CLOSED, "/run/screen/S-*/1.tty", "screen" },
	{ ISOLATION_CLOSED, "/run/user/UID/emacs/server", "emacs" },
	{ ISOLATION_CLOSED, "/run/user/UID/vscode-ipc-*", "Visual Studio Code" },

	{ ISOLATION_UNSET, "DBUS_SESSION_BUS_ADDRESS", "session bus" },
	{ ISOLATION_UNSET, "DBUS_SYSTEM_BUS_ADDRESS", "system bus" },
	{ ISOLATION_UNSET, "DBUS_STARTER_ADDRESS", "the bus that started the caller" },
	{ ISOLATION_UNSET, "DBUS_STARTER_BUS_TYPE", "the bus that started the caller" },
	{ ISOLATION_UNSET, "AT_SPI_BUS_ADDRESS", "accessibility bus" },
	{ ISOLATION_UNSET, "SESSION_MANAGER", "session manager" },
	{ ISOLATION_UNSET, "NOTIFY_SOCKET", "messages of services to systemd" },
	{ ISOLATION_UNSET, "SSH_AUTH_SOCK", "ssh agent" },
	{ ISOLATION_UNSET, "GPG_AGENT_INFO", "GnuPG's agent" },
	{ ISOLATION_UNSET, "GNOME_KEYRING_CONTROL", "passwords" },
	{ ISOLATION_UNSET, "DOCKER_HOST", "containers" },
	{ ISOLATION_UNSET, "CONTAINER_HOST", "containers" },
	{ ISOLATION_UNSET, "TMUX", "tmux" },
	{ ISOLATION_UNSET, "STY", "screen" },
	{ ISOLATION_UNSET, "SWAYSOCK", "window manager" },
	{ ISOLATION_UNSET, "I3SOCK", "window manager" },
	{ ISOLATION_UNSET, "HYPRLAND_INSTANCE_SIGNATURE", "window manager" },
	{ ISOLATION_UNSET, "EMACS_SOCKET_NAME", "emacs" },
	{ ISOLATION_UNSET, "VSCODE_IPC_HOOK_CLI", "Visual Studio Code" },
	{ ISOLATION_UNSET, "KITTY_LISTEN_ON", "terminal kitty, which starts programs" },
};

const struct isolation *isolation_table(size_t *ret_n)
{
	*ret_n = ARRAY_SIZE(table);
	return table;
}

char *isolation_path(const struct isolation *row, uid_t uid)
{
	const char *mark = strstr(row->name, "UID");

	/* Once at most, between slashes or behind "-". */
	return mark ? str_format("%.*s%u%s", (int)(mark - row->name), row->name, (unsigned)uid, mark + 3) : strdup(row->name);
}

bool isolation_is_covered(const char *path)
{
	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		size_t len = strlen(table[i].name);

		if (table[i].kind == ISOLATION_COVER && str_has_prefix(path, table[i].name) &&
		    (path[len] == '\0' || path[len] == '/'))
			return true;
	}
	return false;
}

bool isolation_is_cover(const char *path)
{
	for (size_t i = 0; i < ARRAY_SIZE(table); i++)
		if (table[i].kind == ISOLATION_COVER && str_eq(path, table[i].name))
			return true;
	return false;
}
