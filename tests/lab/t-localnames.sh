#!/bin/bash
# Names for programs that do not see the tunnel's resolver files: with a mount namespace of their own (snap, flatpak) or
# files of their own, they ask a name server of "this machine", 127.0.0.53 or 127.0.0.1. In the tunnel's namespace that
# address is the tunnel's resolver (invariant 31). And that this opens nothing: nobody at the other end of the tunnel
# reaches a listener of 127.0.0.1 or passes for one (CVE-2020-8558), what enters the tunnel has the tunnel's address, and
# nothing shows outside.
. "$(dirname "$(readlink -f "$0")")/lab.sh"
lab_enter "$@"
mkdir -p $WORK/ccd
printf 'iroute 127.0.0.0 255.0.0.0\n' >$WORK/ccd/client1 # the server would not forward such packets to a client otherwise
lab_pki && lab_up && lab_server b "client-config-dir $WORK/ccd" && lab_server a || { diag "lab"; exit 1; }

# A program with its own mount namespace and the resolv.conf given, in the tunnel's network namespace, as nobody.
own() { # RESOLV.CONF COMMAND...
  printf "$1" >$WORK/own-resolv.conf
  printf 'hosts: files dns\n' >$WORK/own-nsswitch.conf
  shift
  nsenter --net=/run/netns/home unshare --mount --propagation private bash -c '
    mount --bind '$WORK'/own-resolv.conf "$(readlink -f /etc/resolv.conf)" &&
    mount --bind '$WORK'/own-nsswitch.conf /etc/nsswitch.conf &&
    exec setpriv --reuid 65534 --regid 65534 --clear-groups "$@"' - "$@"
}
resolves() { own "nameserver $1\noptions timeout:2 attempts:1 ${3:-}\n" getent ahostsv4 "$2" | grep -q ^192.0.2.80; }
asked_inside() { grep -q " $1 " $WORK/dns-tunnel.log && ! grep -q " $1 " $WORK/dns-isp.log; }
ms_until_failure() { # NAMESERVER NAME: how long getent takes to fail
  local t=$(date +%s%N)
  resolves "$1" "$2" && echo resolved && return
  echo $((($(date +%s%N) - t) / 1000000))
}
under() { test "$2" -lt "$1"; }

# Control: the same program in a namespace without nsvpn asks the machine's resolver, and that is seen outside.
printf 'nameserver 203.0.113.53\n' >$WORK/own-resolv.conf
ok "control: a name asked in the default namespace is seen outside" seen ctl 3 host getent ahostsv4 ctl.web.example.net

for uplink in veth socket; do
  lab_import b home $uplink
  ok "$uplink: up" nsvpn up home
  judge_start $uplink "${VPN_FLOW4}1195" "$ISP_DNS"
  for at in 127.0.0.53 127.0.0.1 127.0.0.54 127.0.1.1; do
    n=u-$uplink-${at//./-}.web.example.net
    ok "$uplink: UDP to $at:53 is answered" resolves $at $n
    ok "$uplink: by the tunnel's resolver and no other" asked_inside $n
  done
  n=t-$uplink.web.example.net
  ok "$uplink: TCP to 127.0.0.53:53 is answered" resolves 127.0.0.53 $n use-vc
  ok "$uplink: by the tunnel's resolver and no other" asked_inside $n
  ok "$uplink: no resolv.conf at all: libc asks 127.0.0.1" own '' getent ahostsv4 none-$uplink.web.example.net
  ok "$uplink: and that is the tunnel's resolver" asked_inside none-$uplink.web.example.net
  ok "$uplink: the machine's own resolver is refused at once" under 1000 "$(ms_until_failure 203.0.113.53 r-$uplink.web.example.net)"
  ok "$uplink: without an IPv6 resolver ::1 is refused at once" under 1000 "$(ms_until_failure ::1 s-$uplink.web.example.net)"
  is "$uplink: every question came with the tunnel's address" "" \
    "$(grep -E "(u|t|none)-$uplink" $WORK/dns-tunnel.log | grep -v '^198.51.100.10 ')"
  ok "$uplink: outside, only the engine" judge_stop $uplink

  # Programs may use the rest of the loopback as everywhere, and the tunnel's own address.
  spawn home "$LABBIN"/echod --udp-echo 127.0.0.2:53 --tcp-echo 127.0.0.1:4053 >$WORK/own-echod.out 2>&1
  own_pid=$!
  wait_for 3 grep -q ready $WORK/own-echod.out
  is "$uplink: 127.0.0.1, another port" hello "$(in_ns home bash -c 'exec 3<>/dev/tcp/127.0.0.1/4053; echo hello >&3; read -t 2 -r x <&3; echo $x')"
  is "$uplink: a name server of one's own at 127.0.0.2" h "$(in_ns home bash -c 'exec 3<>/dev/udp/127.0.0.2/53; echo hello >&3; head -c 1 <&3')"
  kill $own_pid
  nsvpn down home >/dev/null 2>&1
done

# ---- strangers at the other end -------------------------------------------------------------------------------------

lab_import b home
nsvpn up home >/dev/null 2>&1
own4=$(in_ns home ip -4 -o addr show tun0 | awk '{ sub("/.*", "", $4); print $4 }')
listen() { # ADDRESS: leaves the listener's words in $WORK/heard
  : >$WORK/heard
  spawn home "$LABBIN"/forge --listen "$1" 60 >$WORK/heard 2>&1
  listener=$!
  wait_for 3 grep -q ready $WORK/heard
}
from_vpn() { in_ns vpn "$LABBIN"/forge --send tunB "$@"; sleep 0.3; }
listen 0.0.0.0:4007
from_vpn 10.8.0.1:999 "$own4:4007" plain
like "control: what is sent to the tunnel's address arrives" '^10.8.0.1 plain' "$(cat $WORK/heard)"
from_vpn 10.8.0.1:999 127.0.0.1:4007 to-loopback
from_vpn 127.0.0.1:999 "$own4:4007" from-loopback
from_vpn 127.0.0.1:999 127.0.0.1:4007 both-loopback
from_vpn 192.0.2.53:53 127.0.0.1:4007 as-resolver
is "nothing to or from 127.0.0.1 comes in over the tunnel" "" "$(grep loopback $WORK/heard)"
is "not even as the resolver" "" "$(grep as-resolver $WORK/heard)"
kill $listener
like "the lock counted them" 'packets [4-9]' "$(in_ns home nft list counter inet nsvpn dropped)"
# A listener on port 53 of 127.0.0.1 gets none of it either; and the port is the resolver's, not the program's.
listen 127.0.0.1:53
from_vpn 192.0.2.53:53 127.0.0.1:53 to-port-53
ok "a listener on 127.0.0.1:53 does not come between" resolves 127.0.0.1 between.web.example.net
is "and hears nothing while the tunnel is up" ready "$(cat $WORK/heard)"
kill $listener
# The probe is worth something: without these rules the kernel delivers.
kill -STOP "$(helper_pid)"
in_ns home nft flush chain inet nsvpn track_in
in_ns home nft insert rule inet nsvpn input iifname tun0 accept
listen 0.0.0.0:4007
from_vpn 10.8.0.1:999 127.0.0.1:4007 to-loopback
is "control: without the lock's rules it would have arrived" "10.8.0.1 to-loopback" "$(grep loopback $WORK/heard)"
kill $listener
kill -CONT "$(helper_pid)"
nsvpn down home >/dev/null 2>&1
nsvpn up home >/dev/null 2>&1
listen 0.0.0.0:4007
from_vpn 10.8.0.1:999 127.0.0.1:4007 to-loopback
is "with the lock again: nothing" "" "$(grep loopback $WORK/heard)"
kill $listener

# ---- the tunnel is cut ----------------------------------------------------------------------------------------------

judge_start cut "${VPN_FLOW4}1195" "$ISP_DNS"
in_ns vpn nft add table ip gap
in_ns vpn nft 'add chain ip gap in { type filter hook input priority 0; policy drop; }'
kill -9 "$(engine_pid)"
ok "the tunnel is cut" wait_for 5 is_state reconnecting
for at in 127.0.0.53 127.0.0.1; do
  ok "cut: $at fails at once" under 1000 "$(ms_until_failure $at cut.web.example.net)"
  ok "cut: TCP too" under 1000 "$(ms_until_failure $at cut.web.example.net use-vc)"
done
in_ns vpn nft delete table ip gap
ok "connected again" wait_for 30 is_state connected
ok "and 127.0.0.53 answers" wait_for 5 resolves 127.0.0.53 again.web.example.net
ok "outside, only the engine" judge_stop cut
is "the machine's resolver was never asked" "" "$(grep -E ' (u|t|none|r|s|cut|again|between)(-[a-z0-9-]+)?\.web' $WORK/dns-isp.log)"
nsvpn down home >/dev/null 2>&1

# ---- IPv6 -----------------------------------------------------------------------------------------------------------

lab_import a home
ok "a tunnel with resolvers of both kinds" nsvpn up home
ok "127.0.0.53 is the IPv4 one" resolves 127.0.0.53 six-4.web.example.net
ok "::1 is refused at once" under 1000 "$(ms_until_failure ::1 six-6.web.example.net)"
nsvpn down home >/dev/null 2>&1
printf '[Tunnel]\nDNS=2001:db8:53::53\n' >"$NSVPN_ETC/tunnels/home/settings.conf"
chmod 600 "$NSVPN_ETC/tunnels/home/settings.conf"
ok "a tunnel with an IPv6 resolver only" nsvpn up home
ok "127.0.0.53 fails at once: IPv4 questions cannot become IPv6 ones" under 1000 "$(ms_until_failure 127.0.0.53 only6.web.example.net)"
ok "nsvpn exec resolves all the same" inside getent ahosts only6-exec.web.example.net
nsvpn down home >/dev/null 2>&1
ok "nothing is left" no_leftovers
tap_done
