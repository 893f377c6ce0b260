#!/bin/bash
# `nsvpn exec --isolate`, root's way in: every socket that nsvpn(1) lists as closed is reached without it (a real listener at
# each) and not with it, every one that it lists as kept is reached; real D-Bus daemons; no rights; no way round through a
# user namespace or through other processes of the user; what the machine makes meanwhile.
. "$(dirname "$(readlink -f "$0")")/lab.sh"
lab_enter "$@"
for t in dbus-daemon dbus-run-session busctl jq setpriv; do command -v $t >/dev/null || skip_all "$t is not installed"; done
PAGE=$LAB_TOP/src/man/nsvpn.1
[ -e "$PAGE" ] || skip_all "the manual page is not at hand"
U=65534 RT=/run/user/65534

# Sockets are made in a /tmp, /var/lib and /mnt of this lab's own; the build folder may lie in /tmp.
mkdir -p $WORK/tmp-upper $WORK/tmp-work
chmod 1777 $WORK/tmp-upper
if ! mount -t overlay -o lowerdir=/tmp,upperdir=$WORK/tmp-upper,workdir=$WORK/tmp-work overlay /tmp 2>/dev/null; then
  case $BUILD in /tmp/*) skip_all "the build folder is in /tmp and there is no overlay file system" ;; esac
  mount -t tmpfs -o mode=1777 tmp /tmp || exit 2
fi
mount -t tmpfs -o mode=755 var /var/lib && mount -t tmpfs -o mode=755 mnt /mnt || exit 2
cp "$LABBIN"/unixd /mnt/unixd
lab_pki && lab_up && lab_server b || { diag "lab"; exit 1; }
lab_import b home
ok "up" nsvpn up home

rows() { # HEADING: names of the list, the number for UID, "1" for '*'
  awk -v h=".SS $1" '$0 == h { on = 1; next } /^\.S[SH]/ { on = 0 } on && $1 == ".I" { print $2 }' "$PAGE" |
    sed "s/\\\\-/-/g; s/UID/$U/; s/\*/1/g" | grep -v '^/var/snap'
}
kept_sockets() { rows "Kept, where it is there" | grep -E '/wayland|pipewire|native'; }
CLOSED=$(rows "Closed by this") KEPT="$(kept_sockets) /tmp/.X11-unix/X1"
as_user() { setpriv --reuid $U --regid $U --clear-groups -- "$@"; }
plain() { in_ns host "$NSVPN" exec -t home --user nobody -- "$@"; }
isolated() { in_ns host "$NSVPN" exec -t home --user nobody --isolate -- "$@"; }
cd / || exit 2

# ---- every row of the manual page -----------------------------------------------------------------------------------

# shellcheck disable=SC2086
spawn host /mnt/unixd --listen $CLOSED $KEPT @lab-abstract /run/something-new.sock >$WORK/unixd.out 2>&1
ok "listeners" wait_for 5 grep -q ready $WORK/unixd.out || diag "$(cat $WORK/unixd.out)"
chown -R $U:$U $RT
ok "there are many" test "$(wc -w <<<"$CLOSED")" -ge 45
# shellcheck disable=SC2086
plain /mnt/unixd --connect $CLOSED >$WORK/reached-plain
is "control: without --isolate each is reached, but for those of name services" \
  "/run/avahi-daemon/socket /run/nscd/socket /run/systemd/resolve/io.systemd.Resolve" \
  "$(grep -v ' hello$' $WORK/reached-plain | cut -d' ' -f1 | sort | xargs)"
# shellcheck disable=SC2086
isolated /mnt/unixd --connect $CLOSED >$WORK/reached
for path in $CLOSED; do
  is "closed: $path" "$path ENOENT" "$(grep -F "$path " $WORK/reached)"
done
# shellcheck disable=SC2086
is "what is kept is reached" "" "$(isolated /mnt/unixd --connect $KEPT | grep -v ' hello$')"
is "what nobody listed is closed" "/run/something-new.sock ENOENT" "$(isolated /mnt/unixd --connect /run/something-new.sock)"
is "control: outside the abstract socket is reached" "@lab-abstract hello" "$(host /mnt/unixd --connect @lab-abstract)"
is "in the tunnel it is not, isolated or not" "@lab-abstract ECONNREFUSED @lab-abstract ECONNREFUSED" \
  "$(plain /mnt/unixd --connect @lab-abstract) $(isolated /mnt/unixd --connect @lab-abstract)"
vars=$(rows "Not in the environment")
# shellcheck disable=SC2046
is "variables" "" "$(in_ns host env $(sed 's/$/=x/' <<<"$vars") "$NSVPN" exec -t home --isolate -- env | cut -d= -f1 | grep -xF "$vars")"
# shellcheck disable=SC2046
is "control: they are handed on otherwise" "$(wc -l <<<"$vars")" \
  "$(in_ns host env $(sed 's/$/=x/' <<<"$vars") "$NSVPN" exec -t home -- env | cut -d= -f1 | grep -cxF "$vars")"

# ---- real buses -----------------------------------------------------------------------------------------------------

rm -f $RT/bus /run/dbus/system_bus_socket
cat >$WORK/bus.conf <<'X'
<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN" "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><listen>unix:path=/run/dbus/system_bus_socket</listen><auth>EXTERNAL</auth>
<policy context="default"><allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/><allow own="*"/><allow user="*"/></policy></busconfig>
X
dbus-daemon --config-file=$WORK/bus.conf --nofork --nopidfile >$WORK/bus-system.log 2>&1 &
as_user dbus-daemon --session --address=unix:path=$RT/bus --nofork --nopidfile >$WORK/bus-session.log 2>&1 &
ok "a system bus" wait_for 5 busctl --address=unix:path=/run/dbus/system_bus_socket list
ok "a session bus" wait_for 5 as_user busctl --address=unix:path=$RT/bus list
ask='busctl --system call org.freedesktop.DBus /org/freedesktop/DBus org.freedesktop.DBus GetId >/dev/null 2>&1 && echo system
busctl --user call org.freedesktop.DBus /org/freedesktop/DBus org.freedesktop.DBus GetId >/dev/null 2>&1 && echo session
busctl --address=unix:path=/run/user/65534/bus list >/dev/null 2>&1 && echo by path
true'
is "control: without --isolate both answer" "system session by path" "$(plain sh -c "$ask" | xargs)"
is "with --isolate neither does" "" "$(isolated sh -c "$ask" | xargs)"
# As dbus-run-session of newer systems listens: a socket with a name by chance in /tmp.
sed 's|unix:path=/run/dbus/system_bus_socket|unix:dir=/tmp|; s|<busconfig>|<busconfig><type>session</type>|' $WORK/bus.conf >/mnt/session.conf
run_session() { # OPTION...: the caller is in a dbus-run-session
  in_ns host setpriv --clear-groups -- dbus-run-session --config-file=/mnt/session.conf -- \
    sh -c 'a=${DBUS_SESSION_BUS_ADDRESS%%,*}; "$@" -- busctl --address="$a" list >/dev/null 2>&1 && echo answers; "$@" -- sh -c "echo [\$DBUS_SESSION_BUS_ADDRESS]"' - "$NSVPN" exec -t home "$@"
}
like "control: a dbus-run-session around nsvpn answers" "answers" "$(run_session 2>/dev/null)"
is "not with --isolate" "[]" "$(run_session --isolate 2>/dev/null)"
is "a session bus of the program's own works inside" 0 \
  "$(isolated dbus-run-session --config-file=/mnt/session.conf -- busctl --user list >/dev/null 2>&1; echo $?)"

# ---- rights ---------------------------------------------------------------------------------------------------------

status='sed -nE "s/^(NoNewPrivs|CapBnd|CapEff|CapPrm|CapInh|CapAmb):\t0*/\1=/p" /proc/self/status'
is "a user's: no_new_privs, no capability, none to be had" "CapInh= CapPrm= CapEff= CapBnd= CapAmb= NoNewPrivs=1" \
  "$(isolated sh -c "$status" | xargs)"
is "root's" "CapInh= CapPrm= CapEff= CapBnd= CapAmb= NoNewPrivs=1" \
  "$(in_ns host "$NSVPN" exec -t home --isolate -- sh -c "$status" | xargs)"
is "root is root, and files have their owners" "0 0 nobody" \
  "$(in_ns host "$NSVPN" exec -t home --isolate -- sh -c 'echo $(id -u) $(stat -c %u /etc/passwd) $(stat -c %U /run/user/65534 2>/dev/null || id -un 65534)')"
cp "$(command -v id)" /mnt/id && chmod 4755 /mnt/id
is "control: a setuid program gives rights" 0 "$(plain /mnt/id -u)"
is "not with --isolate" $U "$(isolated /mnt/id -u)"
is "identity is the same" "$(plain id)" "$(isolated id)"
is "exit status" 3 "$(isolated sh -c 'exit 3'; echo $?)"

# ---- ways round -----------------------------------------------------------------------------------------------------

if [ "$(plain unshare -Urm echo yes 2>/dev/null)" = yes ]; then
  is "a user namespace of its own can mount" "yes" "$(isolated unshare -Urm sh -c 'mount -t tmpfs x /mnt && echo yes')"
  is "but lift no cover" "/run/docker.sock ENOENT" \
    "$(isolated unshare -Urm sh -c 'umount -l /run; umount /run; umount -l /tmp; /mnt/unixd --connect /run/docker.sock' 2>/dev/null)"
  is "nor by binding the root elsewhere" "/mnt/run/docker.sock ENOENT refused" \
    "$(isolated unshare -Urm sh -c 'cp /mnt/unixd /tmp/u; mount --bind / /mnt 2>/dev/null && /tmp/u --connect /mnt/run/docker.sock || mount --rbind / /mnt; umount -l /mnt/run 2>/dev/null || r=refused; echo $(/tmp/u --connect /mnt/run/docker.sock) $r' 2>/dev/null)"
else
  skip "user namespaces of programs" "this system lets users make none"
fi
setpriv --reuid $U --regid $U --clear-groups -- sleep 1000 </dev/null &
other=$!
ok "another process of the user, outside" wait_for 5 grep -q sleep /proc/$other/comm
is "control: another process of the user shows the way" "/proc/$other/root/run/docker.sock hello" \
  "$(plain /mnt/unixd --connect /proc/$other/root/run/docker.sock)"
is "not with --isolate" "/proc/$other/root/run/docker.sock EACCES" "$(isolated /mnt/unixd --connect /proc/$other/root/run/docker.sock)"
is "control: and its descriptors and environment" "/dev/null 0" \
  "$(plain readlink /proc/$other/fd/0) $(plain cat /proc/$other/environ >/dev/null 2>&1; echo $?)"
is "not with --isolate" " 1" "$(isolated readlink /proc/$other/fd/0) $(isolated cat /proc/$other/environ >/dev/null 2>&1; echo $?)"
is "nor with a user namespace" "" "$(isolated unshare -Ur ls /proc/$other/root/run 2>/dev/null)"
kill $other

# ---- folders --------------------------------------------------------------------------------------------------------

echo secret >/tmp/lab-file
is "files in /tmp are not seen" "" "$(isolated ls /tmp | grep lab-file)"
is "its own are nobody's" "mine gone" "$(isolated sh -c 'echo mine >/tmp/own; cat /tmp/own') $([ -e /tmp/own ] || echo gone)"
is "the runtime folder is the user's" "65534 700" "$(isolated stat -c '%u %a' $RT)"
mkdir -p /tmp/lab-folder
out=$(cd /tmp/lab-folder && isolated pwd 2>&1)
like "a working folder that is covered: a sentence" "working folder /tmp/lab-folder.*--isolate" "$out"
is "and 125" 125 "$(cd /tmp/lab-folder && isolated true 2>/dev/null; echo $?)"
is "/tmp itself is the covered one" "/tmp 0" "$(cd /tmp && isolated sh -c 'echo $(pwd) $(ls | wc -l)' 2>&1 | sed 's/ [12]$/ 0/')"
is "another one stays" /usr/share "$(cd /usr/share && isolated pwd)"
like "a runtime folder elsewhere: a sentence" "XDG_RUNTIME_DIR is /usr/share" \
  "$(in_ns host env XDG_RUNTIME_DIR=/usr/share "$NSVPN" exec -t home --isolate -- true 2>&1)"
like "a bus elsewhere: a sentence" "DBUS_SESSION_BUS_ADDRESS names the bus /mnt/unixd" \
  "$(in_ns host env DBUS_SESSION_BUS_ADDRESS=unix:path=/mnt/unixd "$NSVPN" exec -t home --isolate -- true 2>&1)"

# ---- the tunnel as ever ---------------------------------------------------------------------------------------------

is "the tunnel's address" 198.51.100.10 "$(isolated curl -4 -s -m 5 http://192.0.2.80/)"
is "names" 192.0.2.80 "$(isolated getent ahostsv4 iso.web.example.net | awk 'NR == 1 { print $1 }')"
is "asked inside" "1 0" "$(grep -c iso.web $WORK/dns-tunnel.log | sed 's/[1-9].*/1/') $(grep -c iso.web $WORK/dns-isp.log)"
spawn host "$NSVPN" exec -t home --user nobody --isolate -- sleep 1000 >/dev/null 2>&1
pid=$!
ok "status lists it" wait_for 5 sh -c "grep -q sleep /proc/$pid/comm && nsenter --net=/run/netns/host '$NSVPN' status home --json | jq -e '.tunnels[0].programs[] | select(.command == \"sleep\")'"
inner() { nsenter -t $pid --mount --root -- "$@"; }
is "it has the tunnel's resolver" 192.0.2.53 "$(inner awk '$1 == "nameserver" { print $2; exit }' /etc/resolv.conf)"
spawn host /mnt/unixd --listen /run/late.sock /tmp/late.sock $RT/late.sock >$WORK/late.out 2>&1
wait_for 5 grep -q ready $WORK/late.out
is "what is made later stays outside" "/run/late.sock ENOENT /tmp/late.sock ENOENT $RT/late.sock ENOENT" \
  "$(inner /mnt/unixd --connect /run/late.sock /tmp/late.sock $RT/late.sock | xargs)"
kill $pid
ok "the keepers go with the last program" wait_for 10 sh -c "! pgrep -x nsvpn-keeper"
is "a shell" "0000000000000000" "$(echo "sed -n 's/^CapBnd:\t//p' /proc/self/status" | in_ns host env SHELL=/bin/sh "$NSVPN" shell -t home --isolate)"
ok "down" nsvpn down home

# ---- rootless -------------------------------------------------------------------------------------------------------

# The same without root's rights: the covers and a second user namespace within the tunnel's.
U=61001 RT=/run/user/61001
mkdir -p /mnt/bin && cp "$(dirname "$NSVPN")"/nsvpn* /mnt/bin/ && install -d -m 700 -o $U -g $U /mnt/me $RT
install -m 600 -o $U -g $U $WORK/b.ovpn /mnt/me/home.ovpn
my() { nsenter --net=/run/netns/host -- setpriv --reuid $U --regid $U --clear-groups -- env -i HOME=/mnt/me XDG_RUNTIME_DIR=$RT PATH="$PATH" /mnt/bin/nsvpn "$@"; }
if setpriv --reuid $U --regid $U --clear-groups -- sh -c 'test -w /dev/net/tun && unshare -U true' 2>/dev/null; then
  ok "rootless: import" my import --rootless /mnt/me/home.ovpn --name home
  ok "rootless: up" my up --rootless home
  rm -f $RT/bus
  # shellcheck disable=SC2046
  spawn host setpriv --reuid $U --regid $U --clear-groups -- /mnt/unixd --listen $RT/bus $(kept_sockets) >$WORK/my-unixd.out 2>&1
  ok "rootless: listeners" wait_for 5 grep -q ready $WORK/my-unixd.out
  sockets="/run/docker.sock /run/dbus/system_bus_socket $RT/bus $(kept_sockets | xargs)"
  reach() { # OPTION...
    # shellcheck disable=SC2086
    my exec --rootless -t home "$@" -- /mnt/unixd --connect $sockets | grep -cE ' hello$'
  }
  mv /run/dbus/system_bus_socket /run/dbus/other # (the real bus does not say hello)
  spawn host /mnt/unixd --listen /run/dbus/system_bus_socket >$WORK/my-bus.out 2>&1
  wait_for 5 grep -q ready $WORK/my-bus.out
  is "control: rootless without --isolate all are reached" "$(wc -w <<<"$sockets")" "$(reach)"
  is "with it those that are kept" "$(kept_sockets | wc -w)" "$(reach --isolate)"
  is "the tunnel's address" 198.51.100.10 "$(my exec --rootless -t home --isolate -- curl -4 -s -m 5 http://192.0.2.80/)"
  is "no capability, none to be had" "CapInh= CapPrm= CapEff= CapBnd= CapAmb= NoNewPrivs=1" \
    "$(my exec --rootless -t home --isolate -- sh -c "$status" | xargs)"
  nsenter --net=/run/netns/host -- setpriv --reuid $U --regid $U --clear-groups -- env -i HOME=/mnt/me XDG_RUNTIME_DIR=$RT PATH="$PATH" \
    /mnt/bin/nsvpn exec --rootless -t home -- sleep 555 &
  other=$!
  ok "another program in the tunnel" wait_for 10 grep -q sleep /proc/$other/comm
  way=/proc/$other/root/run/docker.sock
  is "control: it shows the way to one that is not isolated" "$way hello" "$(my exec --rootless -t home -- /mnt/unixd --connect $way)"
  is "not to one that is" "$way EACCES" "$(my exec --rootless -t home --isolate -- /mnt/unixd --connect $way)"
  kill $other
  ok "rootless: down" my down --rootless home --kill
else
  skip "rootless" "users may make no user namespaces here, or not open /dev/net/tun"
fi
tap_done
