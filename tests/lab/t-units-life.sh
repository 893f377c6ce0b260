#!/bin/bash
# The life of services in a tunnel, with real systemd and the real package, on a captured line: a unit that sends from its
# first instruction to its last leaks nothing over cold boot, engine crashes, restarts, reexec, an upgrade of the package and
# shutdown, for both forms of the drop-in (9, 58). Meanwhile the machine itself stays reachable from the internet, over IPv4
# (behind its router's port forwarding) and IPv6: an SSH session of each that lives through all of it, log-ins, and a web
# server of which not one request fails. The same unit without drop-in is seen: the positive control.
#
# NSVPN_LONG=1: each form over each uplink; otherwise two of the four.
. "$(dirname "$(readlink -f "$0")")/lab.sh"
. "$(dirname "$(readlink -f "$0")")/box.sh"
. "$(dirname "$(readlink -f "$0")")/deb.sh"
. "$(dirname "$(readlink -f "$0")")/units.sh"
box_need "${NSVPN_BOX_SUITE:-bookworm}"
# The package of this machine's release, which newer ones take as well.
deb_need "$DEB_HERE"
lab_enter "$@"
lab_pki && lab_up && lab_server b || { diag "lab"; exit 1; }
cp "$DEB" $WORK/new.deb
# The release before: another version, and units that read otherwise.
dpkg-deb -R "$DEB" $WORK/old && sed -i 's/^Version: .*/Version: 0.0.9-1/' $WORK/old/DEBIAN/control &&
  sed -i 's/^Description=.*/& (old)/' $WORK/old/usr/lib/systemd/system/nsvpn*.service &&
  dpkg-deb --root-owner-group -b $WORK/old $WORK/old.deb >/dev/null || { diag "old package"; exit 1; }
BOX_INSTALL=none
ok "boots" box_up
diag "$(box systemctl --version | head -n 1)"
cp $WORK/old.deb $WORK/new.deb $BOX/root
put_probe
install -m 755 "$LABBIN"/echod $BOX/usr/local/bin/echod
sender_file
unit_file web.service "[Service]\nExecStart=/usr/local/bin/echod --http 0.0.0.0:8080 --http [::]:8080\n[Install]\nWantedBy=multi-user.target"
unit_file quiet.target "[Unit]\nRequires=basic.target ssh.service web.service\nAfter=basic.target ssh.service web.service\nAllowIsolate=yes
Wants=dbus.service systemd-logind.service"
box systemctl daemon-reload
box systemctl enable --quiet --now web
box systemctl enable --quiet sender

# ---- reachable from outside ------------------------------------------------------------------------------------------------

OUT4=203.0.113.1 OUT6=2001:db8:77::2
HOST_FLOWS="tcp:192.168.77.2:22 tcp:[2001:db8:77::2]:22 tcp:192.168.77.2:8080 tcp:[2001:db8:77::2]:8080"
in_ns router nft add rule ip lab pre iifname wan tcp dport '{ 22, 8080 }' dnat to 192.168.77.2
ssh_from_internet() { # ADDRESS COMMAND: its pid is that of ssh
  spawn inet chroot $BOX ssh -q -i /root/.ssh/id -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o ConnectTimeout=30 \
    carol@"$1" "$2"
}
log_in() { ssh_from_internet "$1" true </dev/null; wait $!; }
logs_in() { log_in $OUT4 && log_in $OUT6; }
session() { # ADDRESS NAME: prints the time, five times a second
  ssh_from_internet "$1" 'while sleep 0.2; do date +%s; done' >"$WORK/ssh-$2" 2>"$WORK/ssh-$2.err" </dev/null
}
visitor() { # ADDRESS NAME: a line per request: status of HTTP, seconds
  spawn inet sh -c "while sleep 0.2; do curl -s -o /dev/null -m 20 -w '%{http_code} %{time_total}\n' http://$1:8080/; done" >"$WORK/web-$2"
}
outside_start() {
  box_ssh carol true || return 1
  session $OUT4 4
  SSH4=$!
  session $OUT6 6
  SSH6=$!
  visitor $OUT4 4
  WEB4=$!
  visitor "[$OUT6]" 6
  WEB6=$!
  wait_for 30 sh -c "test -s $WORK/ssh-4 && test -s $WORK/ssh-6 && test -s $WORK/web-4 && test -s $WORK/web-6"
}
lived_on() { # NAME PID: it is still there, and never paused for long
  local now
  kill -0 "$2" || { cat "$WORK/ssh-$1.err"; return 1; }
  now=$(date +%s)
  awk -v now="$now" 'NR > 1 && $1 - last > 10 { print "silent for", $1 - last; bad = 1 } { last = $1 }
    END { if (now - last > 10) print "silent for", now - last; exit bad || now - last > 10 || NR < 20 }' "$WORK/ssh-$1"
}
served() { # NAME: every request
  diag "web-$1: $(wc -l <"$WORK/web-$1") requests, the slowest $(sort -k 2 -g "$WORK/web-$1" | tail -n 1)" >&2
  [ "$(grep -c '^200 ' "$WORK/web-$1")" -ge 20 ] && ! grep -v '^200 ' "$WORK/web-$1"
}
outside_stop() { # WHAT
  ok "$1: the SSH session over IPv4 lived through all of it" lived_on 4 $SSH4
  ok "$1: and that over IPv6" lived_on 6 $SSH6
  kill $WEB4 $WEB6
  ok "$1: each request to the web server was answered, over IPv4" served 4
  ok "$1: and IPv6" served 6
  diag "ticks: $(cat $WORK/ssh-4 | wc -l) $(cat $WORK/ssh-6 | wc -l), requests: $(cat $WORK/web-4 | wc -l) $(cat $WORK/web-6 | wc -l)"
}

# ---- a life ----------------------------------------------------------------------------------------------------------------

version() { box dpkg-query -W -f '${db:Status-Abbrev}${Version}' nsvpn; }
install_old() { box dpkg -i /root/old.deb && [ "$(version)" = "ii 0.0.9-1" ]; }
restart_often() { # restarts the sender again and again until the file is there
  until [ -e $WORK/enough ]; do box systemctl restart sender; echo again; done
}
upgrade() { # FORM/UPLINK
  local n=$1 p
  p=$(main_pid sender)
  is "$n: the old version, with its units" "ii 0.0.9-1 nsvpn: tunnel home (old)" "$(version) $(box systemctl show -P Description nsvpn@home)"
  ok "$n: upgrade" box dpkg -i /root/new.deb
  is "$n: the new version, with its units" "ii $(dpkg-deb -f $WORK/new.deb Version) nsvpn: tunnel home" "$(version) $(box systemctl show -P Description nsvpn@home)"
  ok "$n: it goes on sending inside" wait_for 60 sending
  is "$n: the same process" "$p" "$(main_pid sender)"
  rm -f $WORK/enough
  restart_often >$WORK/again 2>&1 &
  p=$!
  ok "$n: upgrade while it is restarted all the time" box dpkg -i /root/new.deb
  wait_for 30 test -s $WORK/again
  : >$WORK/enough
  wait $p
  ok "$n: it sends inside" wait_for 60 sending
}
disconnected() { case $(state_of_home) in connecting | reconnecting) ;; *) return 1 ;; esac; }
trouble() { # FORM/UPLINK: what must not stop it, and what must
  local n=$1 p i
  p=$(main_pid sender)
  for ((i = 0; i < 8; i++)); do
    box sh -c 'pkill -KILL -x nsvpn-engine'
    sleep 0.3
  done
  ok "$n: engine killed again and again: it goes on inside" wait_for 60 sending
  ok "$n: SSH log-ins from the internet" logs_in
  box systemctl daemon-reload
  box systemctl daemon-reexec
  box systemctl restart nsvpnd
  box sh -c 'kill -KILL $(systemctl show -P MainPID nsvpnd)'
  ok "$n: daemon-reload, daemon-reexec, the helper restarted and killed" wait_for 60 sending
  server_stop b
  ok "$n: the provider is gone" wait_for 60 disconnected
  ok "$n: SSH log-ins from the internet meanwhile" logs_in
  lab_server_start b
  ok "$n: the provider is back" wait_for 60 sending
  is "$n: all the time the same process" "$p" "$(main_pid sender)"
  ok "$n: systemctl restart nsvpn@home" box systemctl restart nsvpn@home
  ok "$n: it is started again" wait_for 60 sending
  ok "$n: systemctl restart nsvpn-netns@home" box systemctl restart nsvpn-netns@home
  ok "$n: it is started again, too" wait_for 60 sending
  box sh -c 'kill -KILL $(systemctl show -P MainPID nsvpn@home)'
  ok "$n: the process of nsvpn@home killed: it comes back" wait_for 60 active nsvpn@home
  box systemctl start sender
  ok "$n: and the service can be started" wait_for 60 sending
  ok "$n: nsvpn down" box nsvpn down home
  ok "$n: stops it" wait_for 30 inactive sender
  ok "$n: and the units of the tunnel" wait_for 30 inactive nsvpn-netns@home
  box systemctl start sender
  ok "$n: its start brings the tunnel up" wait_for 60 sending
  box systemctl isolate quiet.target 2>/dev/null
  ok "$n: isolate: stopped" wait_for 60 inactive sender
  ok "$n: isolate: and back" box systemctl isolate multi-user.target
  ok "$n: it sends again" wait_for 60 sending
}
stopped_last() { # in the boot before this one: in which order they ended for the last time
  box_log -b -1 | sed -nE 's/^Stopped (sender|nsvpn@home|nsvpn-netns@home|nsvpnd)\.service.*/\1/p' | tac | awk '!seen[$1]++' | tac | tr '\n' ' '
}
life() { # FORM UPLINK
  local f=$1 n=$1/$2
  ok "$n: the old package" install_old
  home_settings "Uplink=$2"
  # shellcheck disable=SC2086
  judge_start "$f-$2" "${VPN_FLOW4}1195" "$ISP_DNS" $HOST_FLOWS
  stop_post off
  ok "$n: added" box nsvpn unit add sender $([ "$f" = joins ] && echo --joins-namespace-of)
  stop_post $([ "$f" = path ] && echo on || echo off)
  ok "$n: cold boot" box_reboot
  ok "$n: it sends inside" wait_for 60 sending
  ok "$n: reachable from the internet" outside_start
  trouble "$n"
  upgrade "$n"
  box systemctl restart dbus 2>/dev/null
  box systemctl restart systemd-logind # it loses the bus, and would keep the reboot below waiting for a minute
  ok "$n: the bus restarted" wait_for 60 sending
  outside_stop "$n"
  ok "$n: shutdown and boot while it sends" box_reboot
  is "$n: stopped in the safe order" "sender nsvpn@home nsvpn-netns@home nsvpnd " "$(stopped_last)"
  ok "$n: it sends inside" wait_for 60 sending
  ok "$n: the judge saw nothing but the engine's packets" judge_stop "$f-$2"
  ok "$n: taken out" box nsvpn unit remove sender --now
  box systemctl stop sender nsvpn@home
}

ok "install" install_old
ok "root imports" box_import b home
ok "control: without drop-in the boot is seen" seen NSVPNPROBE-unit 120 box_reboot
ok "control: and the stop" seen NSVPNPROBE-unit 10 box systemctl stop sender
life path veth
[ -z "${NSVPN_LONG:-}" ] || life path socket
[ -z "${NSVPN_LONG:-}" ] || life joins veth
life joins socket

# ---- the package is removed ------------------------------------------------------------------------------------------------

# shellcheck disable=SC2086
judge_start removal "${VPN_FLOW4}1195" "$ISP_DNS"
for form in "" --joins-namespace-of; do
  w=${form:+joins}
  w=${w:-path}
  stop_post off
  # shellcheck disable=SC2086
  box nsvpn unit add sender $form >/dev/null
  box systemctl start sender
  ok "$w: it sends" wait_for 60 sending
  ok "$w: the package is removed while it does" box dpkg -r nsvpn
  ok "$w: it is stopped" wait_for 30 inactive sender
  box systemctl start sender 2>/dev/null
  ok "$w: and not started without it" inactive sender
  ok "$w: installed again" box dpkg -i /root/new.deb
done
box systemctl start sender
ok "it sends again" wait_for 60 sending
box_down
ok "removal and shutdown: nothing but the engine's packets" judge_stop removal
tap_done
