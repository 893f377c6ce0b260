#!/bin/bash
# The leak invariants of the design (1, 2, 4, 5, 7, 10, 11, 12, 18, 25, 26, 28) over both uplinks.
#
# A probe inside the tunnel's namespace sends tokens in every way an unprivileged program can; a judge on the far side of
# the machine's uplink accepts nothing but the engine's packets to the current server, and no token anywhere. That the
# judge and the probes are worth something is shown first: the recipe of the old blog post (a namespace with its default
# route over the veth, NAT on the host, openvpn's half routes) must fail each of them in this same lab.
. "$(dirname "$(readlink -f "$0")")/lab.sh"
lab_enter "$@"
lab_pki && lab_up && lab_server b && lab_server c || { diag "lab"; exit 1; }
credentials
SRV=198.51.100.10
KINDS_NET=udp4,udp6,tcp4,tcp6,conn-udp4,icmp4,v4mapped,linklocal6
KINDS_TRICK=bindtodevice,bindsrc,pktinfo,unicast-if
KINDS_SRV=server-udp,server-tcp,server-dev
KINDS_CAST=mcast,bcast
ALL=$KINDS_NET,$KINDS_TRICK,$KINDS_SRV,$KINDS_CAST,dns
probe_args() { # TOKEN KINDS
  echo --token "NSVPNPROBE-$1" --kinds "$2" --target4 192.0.2.80 --target6 2001:db8:80::80 --server "$SRV:1195" --dns4 203.0.113.53
}

# ---- positive controls: the blog recipe -----------------------------------------------------------------------------

recipe_tunnel() {
  : >$WORK/recipe.log
  spawn recipe openvpn --config $WORK/recipe.ovpn --remote $SRV 1195 udp4 --log $WORK/recipe.log --writepid $WORK/recipe.pid \
    --disable-dco --pull-filter ignore ifconfig-ipv6 --pull-filter ignore redirect-gateway --redirect-gateway def1 >/dev/null 2>&1
  wait_for 10 grep -q 'Initialization Sequence Completed' $WORK/recipe.log
}
recipe_up() {
  ip netns add recipe
  in_ns recipe ip link set lo up
  in_ns recipe sysctl -qw net.ipv6.conf.default.accept_dad=0 net.ipv6.conf.all.accept_dad=0
  ip link add veth2 netns host type veth peer name veth1 netns recipe
  in_ns recipe ip addr add 10.0.0.1/24 dev veth1
  in_ns recipe ip link set veth1 up
  host ip link set veth2 up
  in_ns recipe ip route add 192.168.77.2/32 dev veth1
  in_ns recipe ip route add default via 192.168.77.2 dev veth1
  host ip route add 10.0.0.0/24 dev veth2
  in_ns recipe ip -6 addr add 2001:db8:77:1::1/64 dev veth1 nodad
  host ip -6 addr add 2001:db8:77:1::2/64 dev veth2 nodad
  in_ns recipe ip -6 route add default via 2001:db8:77:1::2
  host sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
  host nft add table ip recipe
  host nft 'add chain ip recipe post { type nat hook postrouting priority srcnat; }'
  host nft 'add rule ip recipe post ip saddr 10.0.0.0/24 oifname eth0 masquerade'
  # 5: a program that is there before the tunnel is up.
  ok "control: 5: a program that is early leaks with the recipe" seen NSVPNPROBE-ctl-5 3 \
    in_recipe_as_user "$LABBIN"/probe --token NSVPNPROBE-ctl-5 --kinds udp4 --target4 192.0.2.80 --rate 20 --duration 0.6
  # IPv4 only, as that recipe was.
  sed '/^remote /d' $WORK/b.ovpn >$WORK/recipe.ovpn
  recipe_tunnel
}
recipe_down() {
  ip netns del recipe
  host ip link del veth2 2>/dev/null
  host nft delete table ip recipe
  host sysctl -qw net.ipv4.ip_forward=0 net.ipv6.conf.all.forwarding=0
}
# Judged exactly as the product is below: with the recipe the judge must object.
judge_objects() { # DESCRIPTION COMMAND...
  local what=$1 rc
  shift
  judge_start ctl "${VPN_FLOW4}1195" "$ISP_DNS"
  "$@" >$WORK/ctl.out 2>&1
  judge_stop ctl >/dev/null
  rc=$?
  is "control: $what" 1 $rc
}
in_recipe_as_user() { in_ns recipe setpriv --reuid 65534 --regid 65534 --clear-groups "$@"; }
recipe_up
ok "control: the old recipe comes up" grep -q 'Initialization Sequence Completed' $WORK/recipe.log
is "control: and carries traffic" 198.51.100.10 "$(in_ns recipe curl -4 -s -m 5 http://192.0.2.80/)"
recipe_probe() { # KIND
  # shellcheck disable=SC2046
  in_recipe_as_user "$LABBIN"/probe $(probe_args "ctl-$1" "$1") --rate 20 --duration 0.6
}
# 10, 11, 12, 26: with the tunnel up, what an unprivileged program can do against the recipe.
for k in bindtodevice pktinfo server-udp server-tcp; do
  ok "control: $k is seen on the wire with the recipe" seen "NSVPNPROBE-ctl-$k" 3 recipe_probe $k
done
for k in mcast bcast; do
  ok "control: $k is seen on the host's end of the veth with the recipe" seen_at host veth2 "NSVPNPROBE-ctl-$k" 3 recipe_probe $k
done
# The server names every packet that comes out of a tunnel with a source that is not the client's.
wrong_sources() { grep -c 'bad source address from client' $WORK/server-b.log; }
recipe_probe bindsrc >/dev/null 2>&1
ok "control: packets with the veth's source address enter the tunnel with the recipe" test "$(wrong_sources)" -gt 0
# 18: the host's services are reachable from the recipe's namespace.
spawn host "$LABBIN"/echod --http 0.0.0.0:8080 --http '[::]:8080' >$WORK/hostd.out 2>&1
hostd=$!
wait_for 3 grep -q ready $WORK/hostd.out
ok "control: the host's service is reachable with the recipe" in_ns recipe curl -s -m 2 -o /dev/null http://192.168.77.2:8080/
# 25: a v4-only tunnel beside a machine with IPv6.
ok "control: IPv6 passes by the recipe's tunnel" seen NSVPNPROBE-ctl-udp6 3 \
  in_recipe_as_user "$LABBIN"/probe --token NSVPNPROBE-ctl-udp6 --kinds udp6 --target6 2001:db8:99::254 --rate 20 --duration 0.6
# 28: names.
in_ns recipe getent ahostsv4 ctl-name.web.example.net >/dev/null 2>&1
like "control: names leak to the ISP's resolver with the recipe" ctl-name "$(cat $WORK/dns-isp.log)"
# 1: the engine dies.
recipe_dies() {
  # shellcheck disable=SC2046
  spawn recipe setpriv --reuid 65534 --regid 65534 --clear-groups "$LABBIN"/probe $(probe_args ctl-1 udp4,tcp4) --rate 500 --duration 2
  sleep 0.5
  kill -9 "$(cat $WORK/recipe.pid)"
  wait $!
}
judge_objects "invariant 1: the recipe leaks when its engine is killed, and the judge sees it" recipe_dies
# 4: dead for good.
ok "control: 4: the recipe goes on leaking while its engine is dead" seen NSVPNPROBE-ctl-udp4 3 recipe_probe udp4
# 2 and 7: another death, and an orderly stop.
for sig in SEGV TERM; do
  recipe_tunnel || diag "the recipe did not come up again"
  kill -$sig "$(cat $WORK/recipe.pid)"
  sleep 1
  ok "control: 2, 7: the recipe leaks after SIG$sig" seen NSVPNPROBE-ctl-udp4 3 recipe_probe udp4
done
recipe_down

# ---- the product ----------------------------------------------------------------------------------------------------

as_user() { in_ns host "$NSVPN" exec -t home --user nobody -- "$@"; }
# The same without nsvpn: it would wait for a tunnel that is not connected, and here that is the point.
straight() { spawn home setpriv --reuid 65534 --regid 65534 --clear-groups "$@"; }
probes_start() { # NAME KINDS RATE
  # shellcheck disable=SC2046
  straight "$LABBIN"/probe $(probe_args "$1" "$2") --rate "$3" --duration 600 \
    >"$WORK/probe-$1.json" 2>"$WORK/probe-$1.err"
  sleep 0.3
}
probes_stop() { # NAME: a failure when it did not try anything, for then its silence proves nothing
  pkill -TERM -f "NSVPNPROBE-$1 "
  sleep 0.4
  ok "probe $1 really tried" jq -e '[.kinds[].tries] | add > 0' "$WORK/probe-$1.json"
}
connect_error_ms() { # how long a fresh connect() takes to fail
  in_ns home setpriv --reuid 65534 --regid 65534 --clear-groups "$LABBIN"/probe --connect-once 192.0.2.80:80 --timeout 5
}
judge_ok() { ok "$1" judge_stop "$2" 0.3; }
# (A server goes on pinging for some seconds a client that said goodbye: the other server's flow is the tail of the last test.)
allow() { echo "${VPN_FLOW4}1195" "${VPN_FLOW4}1196" "$ISP_DNS"; }

invariants() {
  local u=$1 i pid t0 out before
  lab_import b home "$u" || { ok "$u: import" false; return; }

  # 5: from the creation of the namespace to "connected", a program placed inside as early as possible.
  # shellcheck disable=SC2046
  judge_start 5 $(allow)
  (
    while :; do
      nsenter --net=/run/netns/home -- true 2>/dev/null && break
    done
    # shellcheck disable=SC2046
    exec nsenter --net=/run/netns/home -- setpriv --reuid 65534 --regid 65534 --clear-groups \
      "$LABBIN"/probe $(probe_args "5$u" $ALL) --rate 500 --duration 600 >"$WORK/probe-5$u.json" 2>&1
  ) &
  ok "$u: up" nsvpn up home --timeout 20
  sleep 1
  probes_stop "5$u"
  judge_ok "$u: 5: nothing leaks between the namespace's birth and 'connected'" 5
  like "$u: 5: the early program was really inside and sent" '"sent": *[1-9]' "$(cat "$WORK/probe-5$u.json")"

  # 10, 11, 12, 26, connected.
  # shellcheck disable=SC2046
  judge_start 10 $(allow)
  [ "$u" = veth ] && { spawn host "$LABBIN"/judge nv-home --count >$WORK/hostend.json 2>&1; hostend=$!; }
  probes_start "10$u" $ALL 200
  sleep 3
  probes_stop "10$u"
  if [ "$u" = veth ]; then
    ok "veth: 12: the lock itself refuses programs the server's tuple on the uplink" \
      jq -e '.kinds["server-dev"].errors.EPERM > 0' "$WORK/probe-10$u.json"
  fi
  judge_ok "$u: 10, 11, 12, 26: no token on the uplink while connected, in any of the ways" 10
  if [ "$u" = veth ]; then
    kill -TERM $hostend
    wait $hostend
    is "$u: 26: no token on the host's end of the veth either" "" "$(grep -o 'NSVPNPROBE[^"]*' $WORK/hostend.json | head -n 3)"
  fi
  # 11: what enters the tunnel carries the tunnel's source address: seen at the server.
  before=$(wrong_sources)
  probes_start "11$u" $KINDS_TRICK,udp4,udp6 200
  sleep 1
  probes_stop "11$u"
  is "$u: 11: every packet in the tunnel has the tunnel's source address" "$before" "$(wrong_sources)"

  # 18: the machine, its LAN and link-local services from inside.
  ok "$u: 18: the internet is reachable from inside" as_user curl -s -m 3 -o /dev/null http://192.0.2.80/
  for t in 192.168.77.2:8080 169.254.169.254:80 192.168.77.1:80; do
    ok "$u: 18: $t is not reachable from inside" sh -c "! nsenter --net=/run/netns/host $NSVPN exec -t home --user nobody -- curl -s -m 1 -o /dev/null http://$t/"
  done
  for t in $(host ip -4 -o addr show dev nv-home 2>/dev/null | awk '{ sub("/.*", "", $4); print $4 }') ; do
    ok "$u: 18: the host's end of the veth ($t) is not reachable from inside" \
      sh -c "! nsenter --net=/run/netns/host $NSVPN exec -t home --user nobody -- curl -s -m 1 -o /dev/null http://$t:8080/"
  done

  # 28: names, whatever /etc/resolv.conf is.
  names "$u"

  # 1: SIGKILL under 1 kHz.
  # shellcheck disable=SC2046
  judge_start 1 $(allow)
  probes_start "1$u" $KINDS_NET,dns,bindtodevice,server-udp 1000
  in_ns vpn nft add table ip gap
  in_ns vpn nft 'add chain ip gap in { type filter hook input priority 0; policy drop; }'
  kill -9 "$(engine_pid)"
  sleep 0.5
  out=$(connect_error_ms)
  like "$u: 1, 4: connect() fails at once while the engine is dead" '(ENETUNREACH|EHOSTUNREACH|EPERM|ECONNREFUSED|EACCES)' "$out"
  ok "$u: 4: within a second ($out)" test "$(grep -oE '[0-9]+' <<<"$out" | tail -n 1)" -lt 1000
  sleep 4
  # 10 while connecting
  probes_start "10c$u" $ALL 200
  sleep 2
  probes_stop "10c$u"
  in_ns vpn nft delete table ip gap
  ok "$u: 1: connected again by itself" wait_for 60 is_state connected
  sleep 1
  probes_stop "1$u"
  judge_ok "$u: 1: SIGKILL of the engine under 1 kHz probes leaks nothing, before, during and after" 1

  # 2: other deaths.
  # shellcheck disable=SC2046
  judge_start 2 $(allow)
  probes_start "2$u" $KINDS_NET,dns,bindtodevice,server-udp 500
  for sig in SEGV TERM STOP; do
    pid=$(engine_pid)
    kill -$sig "$pid"
    if [ $sig = STOP ]; then
      sleep "${NSVPN_STOP_SECONDS:-20}"
      kill -CONT "$pid" 2>/dev/null
    else
      sleep 1
    fi
    ok "$u: 2: connected again after SIG$sig" wait_for 60 is_state connected
  done
  probes_stop "2$u"
  judge_ok "$u: 2: SIGSEGV, SIGTERM and SIGSTOP of the engine leak nothing" 2

  # 4: both dead, nothing restarted.
  # shellcheck disable=SC2046
  judge_start 4 $(allow)
  probes_start "4$u" $ALL 500
  pid=$(pgrep -f "NSVPNPROBE-4$u " | head -n 1)
  kill -9 "$(helper_pid)" "$(engine_pid)"
  sleep 0.3
  out=$(connect_error_ms)
  like "$u: 4: with both dead connect() fails" '(ENETUNREACH|EHOSTUNREACH|EPERM|EACCES)' "$out"
  ok "$u: 4: within a second ($out)" test "$(grep -oE '[0-9]+' <<<"$out" | tail -n 1)" -lt 1000
  sleep "${NSVPN_DEAD_SECONDS:-20}"
  probes_stop "4$u"
  judge_ok "$u: 4: with both dead nothing leaves, for as long as nobody restarts them" 4
  ok "$u: 4: up again" nsvpn up home --timeout 20

  # 7: down with a program inside.
  # shellcheck disable=SC2046
  judge_start 7 $(allow)
  probes_start "7$u" $ALL 500
  out=$(nsvpn down home 2>&1)
  like "$u: 7: down names the program that stays locked in" probe "$out"
  sleep "${NSVPN_DOWN_SECONDS:-20}"
  probes_stop "7$u"
  judge_ok "$u: 7: down with programs inside leaks nothing, during and after" 7
  ok "$u: 7: when the last program is gone nothing is left" no_leftovers

  # 25: a v4-only tunnel on a dual-stack machine.
  lab_import c home "$u"
  ok "$u: 25: up" nsvpn up home --timeout 20 --credentials $WORK/credentials
  # shellcheck disable=SC2046
  judge_start 25 $(allow)
  probes_start "25$u" udp6,tcp6,v4mapped,linklocal6,bindtodevice,mcast 300
  out=$(as_user "$LABBIN"/probe --connect-once '[2001:db8:80::80]:80' --timeout 5)
  like "$u: 25: IPv6 connect() fails" '(ENETUNREACH|EHOSTUNREACH|EPERM|EACCES)' "$out"
  ok "$u: 25: within 100 ms ($out)" test "$(grep -oE '[0-9]+' <<<"$out" | tail -n 1)" -lt 100
  sleep 2
  probes_stop "25$u"
  judge_ok "$u: 25: no IPv6 of programs on the uplink" 25
  nsvpn down home >/dev/null 2>&1
  ok "$u: nothing is left" no_leftovers
}

# 28: the lookups of programs go to the tunnel's resolver only, whatever the host's resolv.conf is.
names() {
  local u=$1 v etc=$WORK/etc-copy t r
  [ -d $etc ] || cp -a /etc $etc
  for v in file stub-link dangling immutable missing; do
    # A private mount namespace in which /etc is a copy that we may change.
    t="n28$u$v"
    r=$(unshare --mount --propagation private bash -c '
      v=$1 t=$2 etc=$3 user=$4; shift 4
      umount "$LABRESOLV" 2>/dev/null
      mount --bind "$etc" /etc
      chattr -i /etc/resolv.conf 2>/dev/null
      rm -f /etc/resolv.conf
      case $v in
        file) echo "nameserver 203.0.113.53" >/etc/resolv.conf ;;
        stub-link) mkdir -p /run/systemd/resolve; echo "nameserver 203.0.113.53" >/run/systemd/resolve/stub-resolv.conf
          ln -s ../run/systemd/resolve/stub-resolv.conf /etc/resolv.conf ;;
        dangling) ln -s ../run/nowhere/resolv.conf /etc/resolv.conf ;;
        immutable) echo "nameserver 203.0.113.53" >/etc/resolv.conf; chattr +i /etc/resolv.conf 2>/dev/null ;;
        missing) ;;
      esac
      nsenter --net=/run/netns/host -- "$NSVPN" exec -t home --user nobody -- getent ahostsv4 "$t.web.example.net" 2>&1
      chattr -i /etc/resolv.conf 2>/dev/null; true' - "$v" "$t" $etc nobody 2>&1)
    like "$u: 28: getaddrinfo works inside with resolv.conf as: $v" '192\.0\.2\.80' "$r"
    like "$u: 28: it asked the tunnel's resolver ($v)" "$t" "$(cat $WORK/dns-tunnel.log)"
    is "$u: 28: it did not ask the host's ($v)" "" "$(grep "$t" $WORK/dns-isp.log)"
  done
  # A direct question to another resolver does not leave, inside the tunnel or out of it.
  ok "$u: 28: port 53 to anyone else is refused" sh -c "! nsenter --net=/run/netns/host $NSVPN exec -t home --user nobody -- \
    timeout 3 bash -c 'exec 3<>/dev/tcp/203.0.113.53/53' 2>/dev/null"
}
export LABRESOLV=$LAB_RESOLV NSVPN

for u in ${NSVPN_UPLINKS-veth socket}; do invariants $u; done
kill $hostd
tap_done
