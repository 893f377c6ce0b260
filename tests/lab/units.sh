# Services in tunnels, for the labs that have a box with real systemd. Sourced after lab.sh and box.sh.
#
# The sender is a service that sends every kind of packet, with a token, from its first instruction to its last.

PROBE=/usr/local/bin/probe
SEND="$PROBE --token NSVPNPROBE-unit --target4 192.0.2.80 --target6 2001:db8:80::80 --server 198.51.100.10:1195 --dns4 203.0.113.53"
SEND="$SEND --kinds udp4,udp6,tcp4,tcp6,conn-udp4,icmp4,v4mapped,bindtodevice,bindsrc,pktinfo,server-udp,server-dev,mcast,dns"

put_probe() { install -m 755 "$LABBIN"/probe $BOX$PROBE; }
unit_file() { # NAME TEXT
  mkdir -p "$(dirname "$BOX/etc/systemd/system/$1")"
  printf '%b\n' "$2" >"$BOX/etc/systemd/system/$1"
}
# Sends in ExecStartPre, ExecStart, ExecStop and (stop_post on) ExecStopPost.
sender_file() {
  unit_file sender.service "[Unit]\nDescription=sends\nStartLimitIntervalSec=0\n[Service]\nStandardOutput=null
ExecStartPre=$SEND --rate 100 --duration 0.2\nExecStart=$SEND --rate 200\nExecStop=$SEND --rate 100 --duration 0.2\n[Install]\nWantedBy=multi-user.target"
}
stop_post() { # on|off: only the form by path takes it
  [ "$1" = off ] || unit_file sender.service.d/10-last.conf "[Service]\nExecStopPost=$SEND --rate 100 --duration 0.2"
  [ "$1" = on ] || rm -rf $BOX/etc/systemd/system/sender.service.d/10-last.conf
  box systemctl daemon-reload
}
active() { [ "$(box systemctl is-active "$1")" = active ]; }
inactive() { case $(box systemctl is-active "$1") in inactive | failed) ;; *) return 1 ;; esac; }
main_pid() { box systemctl show -P MainPID "$1"; }
state_of_home() { box nsvpn status home --json | jq -r '.tunnels[0].state'; }
connected() { [ "$(state_of_home)" = connected ]; }
is_down() { [ "$(state_of_home)" = down ]; }
unit_is_inside() { # UNIT: is its process in the tunnel?
  local p
  p=$(main_pid "$1")
  [ "${p:-0}" != 0 ] && [ "$(box stat -Lc %i "/proc/$p/ns/net")" = "$(box stat -Lc %i /run/netns/home)" ]
}
sending() { active sender && unit_is_inside sender && connected; }
home_settings() { # LINES: of section [Tunnel]
  box sh -c "printf '[Tunnel]\n$1\n' >/etc/nsvpn/tunnels/home/settings.conf; chmod 600 /etc/nsvpn/tunnels/home/settings.conf; systemctl reload nsvpnd 2>/dev/null"
}
