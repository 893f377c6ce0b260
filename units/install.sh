#!/bin/sh
# `make install`: copies what was built to its places. Sets no setuid, setgid or capability bit and starts nothing.
# `make uninstall`, with UNINSTALL=1: walks the same list and removes those files, and the folders that are empty then.
#
#   [UNINSTALL=1] units/install.sh DESTDIR BINDIR LIBEXECDIR MANDIR BUILD
set -eu
umask 022
dest=$1 bindir=$2 libexecdir=$3 mandir=$4 build=$5
top=$(cd "$(dirname "$0")/.." && pwd)
case $build in /*) ;; *) build=$top/$build ;; esac
prefix=$(dirname "$bindir")
share=$prefix/share
lib=$prefix/lib

is_live=
[ -n "$dest" ] || [ "$(id -u)" != 0 ] || is_live=1
has_systemd() { [ -d /run/systemd/system ]; }

# Folders that stay when they are empty: the system's own.
is_somebodys() {
	case $1 in
	"$dest" | "$dest$prefix" | "$dest$prefix"/bin | "$dest$prefix"/lib | "$dest$prefix"/libexec) return 0 ;;
	"$dest$prefix"/share | "$dest$prefix"/share/man) return 0 ;;
	esac
	[ -n "$is_live" ] || return 1
	if command -v dpkg >/dev/null; then
		dpkg -S "$1" >/dev/null 2>&1
	else
		case $1 in "$prefix"/*) return 1 ;; *) return 0 ;; esac
	fi
}

take() { # TARGET
	[ -e "$dest$1" ] || return 0
	rm -f "$dest$1"
	echo "  RM    $dest$1"
	folder=$(dirname "$dest$1")
	while ! is_somebodys "$folder" && rmdir "$folder" 2>/dev/null; do folder=$(dirname "$folder"); done
}

put() { # MODE FILE TARGET
	if [ -n "${UNINSTALL:-}" ]; then
		take "$3"
		return
	fi
	install -D -m "$1" "$2" "$dest$3"
	echo "  INST  $dest$3"
}

# Services in tunnels stop, and every tunnel goes down with what runs in it: nothing would be left that could unlock it.
if [ -n "${UNINSTALL:-}" ] && [ -n "$is_live" ] && [ -x "$bindir/nsvpn" ]; then
	! has_systemd || systemctl stop 'nsvpn@*.service' 'nsvpn-netns@*.service' || true
	timeout 60 "$bindir/nsvpn" --quiet down --all --kill ||
		echo "  Not every tunnel could be taken down; what is left stays locked until the next boot." >&2
	! has_systemd || systemctl stop nsvpnd.service || true
fi

put 755 "$build/nsvpn" "$bindir/nsvpn"
put 755 "$build/nsvpnd" "$libexecdir/nsvpnd"
put 755 "$build/nsvpn-engine" "$libexecdir/nsvpn-engine"
put 755 "$build/nsvpn-launch" "$libexecdir/nsvpn-launch"
for page in "$top"/src/man/*.[1-9]; do
	put 644 "$page" "$mandir/man${page##*.}/$(basename "$page")"
done
put 644 "$top/src/completion/nsvpn.bash" "$share/bash-completion/completions/nsvpn"
put 644 "$top/src/completion/_nsvpn.zsh" "$share/zsh/site-functions/_nsvpn"
put 644 "$top/units/nsvpn.sysusers" "$lib/sysusers.d/nsvpn.conf"
put 644 "$top/units/nsvpn.tmpfiles" "$lib/tmpfiles.d/nsvpn.conf"

# The service: found by bus, polkit and service manager only in folders of their choice. A private prefix gets the files all
# the same, but nothing outside of it.
case $prefix in
/usr) busdir=/usr/share/dbus-1 policies=/usr/share/polkit-1/actions rules=/usr/share/polkit-1/rules.d nm=/usr/lib/NetworkManager ;;
/usr/local) busdir=/etc/dbus-1 policies=/usr/share/polkit-1/actions rules=/etc/polkit-1/rules.d nm=/etc/NetworkManager ;;
*) busdir=$share/dbus-1 policies=$share/polkit-1/actions rules=$share/polkit-1/rules.d nm=$lib/NetworkManager ;;
esac
unit=$(mktemp)
trap 'rm -f "$unit"' EXIT
put_filled() { # MODE FILE TARGET: with the places of this installation
	sed -e "s|@LIBEXECDIR@|$libexecdir|g" -e "s|@BINDIR@|$bindir|g" -e "s|@UNITDIR@|$lib/systemd/system|g" "$2" >"$unit"
	put "$1" "$unit" "$3"
}
for name in nsvpnd.service nsvpn@.service nsvpn-netns@.service; do
	put_filled 644 "$top/units/$name" "$lib/systemd/system/$name"
done
put_filled 755 "$top/units/nsvpn-generator" "$lib/systemd/system-generators/nsvpn-generator"
put 644 "$top/units/org.nsvpn1.service" "$share/dbus-1/system-services/org.nsvpn1.service"
put 644 "$top/units/org.nsvpn1.conf" "$busdir/system.d/org.nsvpn1.conf"
put 644 "$top/units/org.nsvpn1.policy" "$policies/org.nsvpn1.policy"
put 644 "$top/units/org.nsvpn1.rules" "$rules/50-org.nsvpn1.rules"
# Network managers leave our links alone.
put 644 "$top/units/nsvpn.networkmanager" "$nm/conf.d/50-nsvpn.conf"
put 644 "$top/units/nsvpn.network" "$lib/systemd/network/05-nsvpn.network"
put 644 "$top/units/nsvpn.link" "$lib/systemd/network/05-nsvpn.link"
put 644 "$top/units/nsvpn.udev" "$lib/udev/rules.d/84-nsvpn.rules"
for text in README.md CHANGELOG.md LICENSE $(cd "$top" && find examples -type f | LC_ALL=C sort); do
	put 644 "$top/$text" "$share/doc/nsvpn/$text"
done

# `nsvpn demo`: the script, and those of the lab's tools that it needs (`make demo-tools`).
put 755 "$top/tests/lab/demo.sh" "$share/nsvpn/demo/demo.sh"
put 644 "$top/tests/lab/lab.sh" "$share/nsvpn/demo/lab.sh"
for tool in echod judge; do
	put 755 "$build/lab/$tool" "$libexecdir/lab/$tool"
done

if [ -n "${UNINSTALL:-}" ]; then
	[ -n "$is_live" ] || exit 0
	! has_systemd || systemctl daemon-reload || true
	echo "  Kept: tunnels in /etc/nsvpn and /var/lib/nsvpn; the user nsvpn-engine and the group nsvpn; services that"
	echo "  \`nsvpn unit add\` put in a tunnel, which do not start without it (files 50-nsvpn.conf below /etc/systemd/system)."
	exit 0
fi

# The engine's user, and the group of those who may use tunnels. A package does this in its own way, so only for an
# installation into the running system.
if [ -n "$is_live" ]; then
	if command -v systemd-sysusers >/dev/null; then
		systemd-sysusers "$lib/sysusers.d/nsvpn.conf"
		# It has asked for the names before, and a cache may remember that there were none.
		for table in passwd group; do nscd --invalidate=$table 2>/dev/null || true; done
	else
		getent passwd nsvpn-engine >/dev/null ||
			useradd --system --home-dir /nonexistent --shell /usr/sbin/nologin --user-group nsvpn-engine
		getent group nsvpn >/dev/null || groupadd --system nsvpn
	fi
	if has_systemd; then
		echo "  The service: systemctl daemon-reload; systemctl reload dbus; the first call starts it."
	fi
fi
