#!/bin/bash
# `make install` and `make uninstall`: with DESTDIR and any PREFIX nothing is written elsewhere and nothing stays; on a running
# machine (of systemd) a tunnel with a program and a service in it goes down first, and only what the administrator made is left.
. "$(dirname "$(readlink -f "$0")")/lab.sh"
. "$(dirname "$(readlink -f "$0")")/box.sh"
box_need "${NSVPN_BOX_SUITE:-bookworm}"
lab_enter "$@"

# ---- DESTDIR and PREFIX ----
mk() { make -s -C "$LAB_TOP" BUILD="$BUILD" "$@"; }
for where in /usr/local /usr /opt/nsvpn; do
  dest=$WORK/dest
  mkdir $dest
  if [ $where = /usr/local ]; then set --; else set -- PREFIX=$where; fi
  ok "$where: install" mk DESTDIR=$dest "$@" install
  is "$where: the program" "$where/bin/nsvpn" "$(cd $dest && find . -name nsvpn -type f -perm -100 | sed 's/^.//')"
  is "$where: no setuid, setgid or group-writable file" "" "$(find $dest -type f -perm /7022)"
  is "$where: units name programs that are there" "" "$(sed -n 's/^Exec[A-Za-z]*=[-+!@:]*\(\/[^ ]*\).*/\1/p' $dest$where/lib/systemd/system/*.service | sort -u |
    while read -r p; do [ -x "$dest$p" ] || echo "$p"; done)"
  is "$where: no placeholder is left" "" "$(grep -rlE '@[A-Z]+DIR@' $dest --include='*nsvpn*')"
  ok "$where: uninstall" mk DESTDIR=$dest "$@" uninstall
  is "$where: nothing is left" "" "$(find $dest ! -type d)"
  rm -rf $dest
done

# ---- a machine ----
lab_pki && lab_up && lab_server b || { diag "lab"; exit 1; }
with_source() {
  mkdir -p $BOX/src $BOX/built
  mount --bind "$LAB_TOP" $BOX/src && mount -o remount,bind,ro $BOX/src && mount --bind "$BUILD" $BOX/built && mount -o remount,bind,ro $BOX/built
}
BOX_INSTALL=none BOX_PREPARE=with_source box_up || { diag "box"; exit 1; }
all_files() {
  box find / -xdev \( -path /proc -o -path /sys -o -path /dev -o -path /run -o -path /tmp -o -path /root -o -path /src -o -path /built \
    -o -path /var/cache -o -path /var/log -o -path /var/lib/systemd -o -path /var/tmp -o -name '*-' \) -prune -o -print
}
kernel_objects() { box sh -c 'ip netns; ip -br link | cut -d" " -f1 | sed "s/@.*//"; ip rule; ip -6 rule; nft list ruleset; grep -E "netns|nsvpn" /proc/self/mounts'; }
box mkdir -p /usr/local/libexec # Debian 12 has none, and where it is it stays
# What the Makefile calls, because the machine has no make.
install_sh() { box env "$@" /src/units/install.sh '' /usr/local/bin /usr/local/libexec/nsvpn /usr/local/share/man /built; }
box rmdir /run/netns
all_files >$WORK/before
kernel_objects >$WORK/kernel-before
ok "install" install_sh
is "nothing was started" "" "$(box pgrep -l nsvpn)"
like "the engine's user and the group" '^nsvpn-engine:.*nsvpn:' "$(box sh -c 'getent passwd nsvpn-engine; getent group nsvpn' | tr '\n' ' ')"
box sh -c 'systemctl daemon-reload; systemctl reload dbus'
box usermod -aG nsvpn carol
ok "import" box_import b home
ok "a user brings it up" box_as carol nsvpn up home --timeout 30
box sh -c "printf '[Service]\nExecStart=/bin/sleep 1000\n' >/etc/systemd/system/media.service; systemctl daemon-reload"
ok "a service for the tunnel" box nsvpn unit add media.service -t home
ok "it starts" box systemctl start media.service
box_as carol env -C /home/carol nsvpn exec -t home -- sleep 1000 >$WORK/inside.out 2>&1 &
program_is_inside() { [ "$(box nsvpn status home --json | jq '.tunnels[0].processes')" -ge 2 ]; }
ok "a program and a service are inside" wait_for 10 program_is_inside
ok "installed over itself, with a tunnel up" install_sh
is "it is still up" connected "$(box nsvpn status home --json | jq -r '.tunnels[0].state')"

ok "uninstall" install_sh UNINSTALL=1
is "no process" "" "$(box pgrep -l 'nsvpn|sleep')"
is "the service does not start without its tunnel" 1 "$(box systemctl start media.service >/dev/null 2>&1; box systemctl is-active -q media.service; echo $(($? != 0)))"
kernel_objects >$WORK/kernel-after
is "no namespace, link, rule, table or mount" "" "$(diff $WORK/kernel-before $WORK/kernel-after)"
all_files >$WORK/after
is "of files, what the administrator made" "/etc/nsvpn /etc/systemd/system/media.service /etc/systemd/system/media.service.d /var/lib/nsvpn" \
  "$(diff $WORK/before $WORK/after | sed -n 's/^> //p' | grep -vE '^/(etc|var/lib)/nsvpn/|media.service.d/' | sort | tr '\n' ' ' | sed 's/ $//')"
is "and nothing of others is gone" "" "$(diff $WORK/before $WORK/after | grep '^<')"
umount $BOX/src $BOX/built
box_down
tap_done
