#!/bin/bash
# `make deb`, and its package in a clean root of Debian where no service manager runs: apt finds what it needs, lintian has
# nothing to say, `nsvpn demo` works in a container of it, purging leaves nothing.
. "$(dirname "$(readlink -f "$0")")/lab.sh"
. "$(dirname "$(readlink -f "$0")")/box.sh"
. "$(dirname "$(readlink -f "$0")")/deb.sh"
suite=${NSVPN_BOX_SUITE:-bookworm}
command -v systemd-nspawn >/dev/null || skip_all "systemd-nspawn is not installed"
[ -c /dev/net/tun ] || skip_all "there is no /dev/net/tun here"
deb_need "$suite"
WORK=$(mktemp -d "$NSVPN_BOX_CACHE/clean-work.XXXXXX") || exit 2
root=test-$suite-$$
trap 'deb_done $root; rm -rf "$WORK"' EXIT
trap 'exit 130' INT TERM HUP

# Every file, and who is in the lists of users and groups. Packages around it may write their caches and logs.
all_files() {
  deb_in "$root" find / -xdev \( -path /proc -o -path /dev -o -path /run -o -path /src -o -path /tmp -o -path /var/cache -o -path /var/log \
    -o -path /var/lib/dpkg -o -path /var/lib/apt -o -path /var/lib/systemd -o -name '*-' \) -prune -o -print
  deb_in "$root" cut -d: -f1 /etc/passwd /etc/group /etc/shadow /etc/gshadow | sort
}

if [ "$suite" = "$DEB_HERE" ]; then
  ok "built again in another folder" "$LAB_TOP"/units/debian/build "$WORK/again"
  ok "the same package, bit for bit" cmp "$DEB" "$WORK"/again/deb/*.deb
fi
for word in 'Depends: .*libc6.*libnftables1.*libsystemd0' 'Recommends: .*polkitd' 'Architecture: amd64|arm64|armhf|i386' 'Maintainer: .+@'; do
  like "control: $word" "$word" "$(dpkg-deb -f "$DEB")"
done
is "no setuid, setgid or group-writable file, all root's" "" "$(dpkg-deb -c "$DEB" | grep -vE '^(d|-)rw[x-]r-[x-]r-[x-] root/root ')"
is "nothing in /usr/local or /etc" "" "$(dpkg-deb -c "$DEB" | grep -E '\./(usr/local|etc|run|var)')"

apparmor=,apparmor
[ "$suite" = bookworm ] && apparmor= # whose parser is older than the rule
deb_root "$root" "$suite" lintian$apparmor
if [ -n "$apparmor" ]; then
  is "the AppArmor profile of examples/ has no mistake" "nsvpn nsvpnd " \
    "$(deb_in "$root" apparmor_parser --skip-kernel-load --skip-cache --names /src/examples/apparmor-nsvpnd 2>$WORK/apparmor | tr '\n' ' ')"
fi
cp "$DEB" "$DEB_ROOT/tmp/nsvpn.deb"
deb_in "$root" chmod 644 /tmp/nsvpn.deb
deb_in "$root" setpriv --reuid nobody --regid nogroup --clear-groups lintian --display-info --tag-display-limit 0 /tmp/nsvpn.deb >$WORK/lintian 2>&1
is "lintian: no error, no warning" 0: "$?:$(grep -E '^[EWN]: nsvpn' $WORK/lintian)"
diag "$(deb_in "$root" lintian --version): $(grep -c '^I:' $WORK/lintian) notes"
grep '^I:' $WORK/lintian | sed 's/^/# /'

deb_root "$root" "$suite"
cp "$DEB" "$DEB_ROOT/tmp/nsvpn.deb"
deb_in "$root" apt-get install -s -y /tmp/nsvpn.deb >$WORK/simulated 2>&1
needs=$(awk '$1 == "Inst" && $2 != "nsvpn" { print $2 }' $WORK/simulated)
ok "apt finds all that it needs and recommends" grep -q '^Inst nsvpn ' $WORK/simulated
for p in openvpn polkitd dbus jq; do like "apt brings $p along" "^$p\$" "$needs"; done
# shellcheck disable=SC2086
deb_in "$root" apt-get install -q -y --no-install-recommends $needs >$WORK/needs.log 2>&1
all_files >$WORK/before
ok "installs" deb_in "$root" apt-get install -q -y /tmp/nsvpn.deb
is "version" "nsvpn $(sed -n 's/^VERSION *:= *//p' "$LAB_TOP/Makefile")" "$(deb_in "$root" nsvpn --version | head -n 1)"
is "the engine's user" nsvpn-engine "$(deb_in "$root" id -Gn nsvpn-engine)"
like "the group for people" '^nsvpn:' "$(deb_in "$root" getent group nsvpn)"
is "all as it was packed" "" "$(deb_in "$root" dpkg --verify nsvpn)"
like "explain works for anybody" 'remote' "$(deb_in "$root" setpriv --reuid nobody --regid nogroup --clear-groups nsvpn explain /src/examples/provider.ovpn)"

timeout -k 5 120 unshare --mount --pid --fork --mount-proc --kill-child --propagation private \
  sh -c 'mount -t tmpfs run /run && exec "$@"' container systemd-nspawn --quiet --register=no --keep-unit --directory="$DEB_ROOT" --machine=clean --private-network --bind=/dev/net/tun \
  --capability=all --system-call-filter='@keyring bpf' --resolv-conf=off --timezone=off --as-pid2 --console=pipe \
  nsvpn demo >$WORK/demo 2>&1 </dev/null
is "nsvpn demo in a container of it" 0 $?
like "the demo saw no leak" 'nothing leaked' "$(cat $WORK/demo)"
like "and left nothing" 'nothing is left' "$(cat $WORK/demo)"
[ $tap_failed = 0 ] || sed 's/^/# /' $WORK/demo | tail -n 30

deb_in "$root" sh -c 'mkdir -p /etc/nsvpn/tunnels/x /var/lib/nsvpn && echo secret >/etc/nsvpn/tunnels/x/auth && touch /var/lib/nsvpn/x.intent'
ok "remove" deb_in "$root" apt-get remove -q -y nsvpn
is "remove keeps what the administrator wrote" secret "$(cat "$DEB_ROOT/etc/nsvpn/tunnels/x/auth")"
is "and no program" "" "$(ls "$DEB_ROOT/usr/libexec/nsvpn" "$DEB_ROOT/usr/bin/nsvpn" 2>/dev/null)"
ok "purge" deb_in "$root" apt-get purge -q -y nsvpn
all_files >$WORK/after
is "purge leaves nothing" "" "$(diff $WORK/before $WORK/after)"
tap_done
