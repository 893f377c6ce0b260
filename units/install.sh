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
for page in "$top"/src/man/*.[1-9]; do
	put 644 "$page" "$mandir/man${page##*.}/$(basename "$page")"
done
put 644 "$top/src/completion/nsvpn.bash" "$share/bash-completion/completions/nsvpn"
put 644 "$top/src/completion/_nsvpn.zsh" "$share/zsh/site-functions/_nsvpn"
put 644 "$top/units/nsvpn.sysusers" "$lib/sysusers.d/nsvpn.conf"
put 644 "$top/units/nsvpn.tmpfiles" "$lib/tmpfiles.d/nsvpn.conf"
for text in README.md CHANGELOG.md LICENSE; do
	put 644 "$top/$text" "$share/doc/nsvpn/$text"
done

# `nsvpn demo`: the script and the lab's tools, as far as they were built (`make lab-tools`).
if [ -x "$build/lab/echod" ]; then
	put 755 "$top/tests/lab/demo.sh" "$share/nsvpn/demo/demo.sh"
	put 644 "$top/tests/lab/lab.sh" "$share/nsvpn/demo/lab.sh"
	for tool in "$build"/lab/*; do
		if [ -f "$tool" ] && [ -x "$tool" ]; then put 755 "$tool" "$libexecdir/lab/$(basename "$tool")"; fi
	done
fi

# The engine's user. A package does this in its own way, so only for an installation into the running system.
if [ -z "$dest" ] && [ "$(id -u)" = 0 ] && ! getent passwd nsvpn >/dev/null; then
	if command -v systemd-sysusers >/dev/null; then
		systemd-sysusers "$lib/sysusers.d/nsvpn.conf"
	else
		useradd --system --home-dir /nonexistent --shell /usr/sbin/nologin --user-group nsvpn
	fi
fi
