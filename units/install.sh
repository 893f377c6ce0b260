#!/bin/sh
# `make install`: copies what was built to its places. Sets no setuid, setgid or capability bit and starts nothing.
#
#   units/install.sh DESTDIR BINDIR LIBEXECDIR MANDIR BUILD
set -eu
umask 022
dest=$1 bindir=$2 libexecdir=$3 mandir=$4 build=$5
top=$(cd "$(dirname "$0")/.." && pwd)
case $build in /*) ;; *) build=$top/$build ;; esac
prefix=$(dirname "$bindir")
share=$prefix/share
lib=$prefix/lib

put() { # MODE FILE TARGET
	install -D -m "$1" "$2" "$dest$3"
	echo "  INST  $dest$3"
}

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
cd "$top"
for text in README.md CHANGELOG.md LICENSE examples/* examples/units/*; do
	[ ! -f "$text" ] || put 644 "$top/$text" "$share/doc/nsvpn/$text"
done

# `nsvpn demo`: the script, and those of the lab's tools that it needs (`make demo-tools`).
put 755 "$top/tests/lab/demo.sh" "$share/nsvpn/demo/demo.sh"
put 644 "$top/tests/lab/lab.sh" "$share/nsvpn/demo/lab.sh"
for tool in echod judge; do
	put 755 "$build/lab/$tool" "$libexecdir/lab/$tool"
done

# The engine's user, and the group of those who may use tunnels. A package does this in its own way, so only for an
# installation into the running system.
if [ -z "$dest" ] && [ "$(id -u)" = 0 ]; then
	if command -v systemd-sysusers >/dev/null; then
		systemd-sysusers "$lib/sysusers.d/nsvpn.conf"
	else
		getent passwd nsvpn-engine >/dev/null ||
			useradd --system --home-dir /nonexistent --shell /usr/sbin/nologin --user-group nsvpn-engine
		getent group nsvpn >/dev/null || groupadd --system nsvpn
	fi
	if [ -d /run/systemd/system ]; then
		echo "  The service: systemctl daemon-reload; systemctl reload dbus; the first call starts it."
	fi
fi
