#!/bin/bash
# Invariant 21: a machine that lives on router advertisements keeps its IPv6 default route while a tunnel is up over IPv6, for
# longer than three lifetimes of that route, and connections to the machine itself live on. Both ways that kernels have: a
# switch per interface (force_forwarding), and, without it, forwarding for the machine with accept_ra=2. Afterwards every
# switch is as it was. The control: forwarding alone, as people switch it on by hand, loses the route within a lifetime.
. "$(dirname "$(readlink -f "$0")")/lab.sh"
lab_enter "$@"
lab_pki && lab_up noipv6 && lab_server b || { diag "lab"; exit 1; }
LIFETIME=4
SRV6='2001:db8:10::10'
in_ns router ip -6 addr add 2001:db8:77::1/64 dev br0 nodad
in_ns router ip -6 addr add 2001:db8:99::1/64 dev wan nodad
in_ns inet ip -6 addr add 2001:db8:99::254/64 dev r0 nodad
in_ns router ip -6 route add default via 2001:db8:99::254
in_ns inet ip -6 route add 2001:db8:77::/64 via 2001:db8:99::1
host sysctl -qw net.ipv6.conf.all.forwarding=0 net.ipv6.conf.eth0.accept_ra=1 net.ipv6.conf.eth0.autoconf=1 \
  net.ipv6.conf.eth0.use_tempaddr=0
spawn router "$LABBIN"/rasend br0 2001:db8:77::/64 $LIFETIME 1 >$WORK/rasend.out 2>&1

default6() { host ip -6 route show default | grep -q 'proto ra.*expires'; }
no_default6() { ! default6; }
# The route is there all the time, for as long as three lifetimes and a bit.
keeps_route() {
  local end=$(($(date +%s) + 3 * LIFETIME + 2)) n=0
  while [ "$(date +%s)" -lt $end ]; do
    default6 || { host ip -6 route; host grep . /proc/sys/net/ipv6/conf/eth0/{accept_ra,forwarding}; return 1; }
    n=$((n + 1))
    sleep 0.2
  done
  echo "$n looks"
}
switches() { host sh -c 'grep -rs . /proc/sys/net/ipv4/conf /proc/sys/net/ipv6/conf | grep -v stable_secret | sort'; }

ok "the machine has a default route by advertisement" wait_for 10 default6
host sysctl -qw net.ipv6.conf.all.forwarding=1
ok "control: with forwarding alone it is gone within a lifetime" wait_for $((2 * LIFETIME)) no_default6
host sysctl -qw net.ipv6.conf.all.forwarding=0
ok "and back without" wait_for 10 default6
ME=$(host ip -6 -o addr show dev eth0 scope global | sed -n 's/.*inet6 \([^/]*\).*/\1/p' | head -n 1)
ok "the machine has an address of the prefix ($ME)" test -n "$ME"
spawn host "$LABBIN"/tcpkeep server "[$ME]:2222" >$WORK/keep-server.out 2>&1

sed -i "s/^remote .*/remote $SRV6 1195 udp6/" $WORK/b.ovpn
lab_import b home veth || exit 1
kinds="machine"
[ -e /proc/sys/net/ipv6/conf/all/force_forwarding ] && kinds="interface machine"
[ "$kinds" = machine ] && skip "a switch per interface" "this kernel has none"
for kind in $kinds; do
  unset NSVPN_FAILPOINT
  # The helper behaves as on older kernels.
  [ $kind = machine ] && export NSVPN_FAILPOINT=kernel.force-forwarding:error
  export NSVPN_RUN=/run/nsvpn
  switches >$WORK/before.txt
  spawn inet "$LABBIN"/tcpkeep client "[$ME]:2222" --seconds $((3 * LIFETIME + 6)) --rate 20 --patience 5 >$WORK/keep.out 2>&1
  keep=$!
  ok "$kind: up over IPv6" nsvpn up home --timeout 20
  case $kind in
    interface) is "$kind: the machine forwards nothing else" 0 "$(host cat /proc/sys/net/ipv6/conf/all/forwarding)" ;;
    machine) is "$kind: advertisements are listened to all the same" 2 "$(host cat /proc/sys/net/ipv6/conf/eth0/accept_ra)" ;;
  esac
  ok "$kind: the default route stays for three lifetimes" keeps_route
  ok "$kind: the tunnel works" inside curl -4 -s -m 5 http://192.0.2.80/
  ok "$kind: a connection to the machine lives on" wait $keep
  ok "$kind: down" nsvpn down home
  ok "$kind: the route is there afterwards" wait_for 5 default6
  switches >$WORK/after.txt
  ok "$kind: every switch is as it was" diff $WORK/before.txt $WORK/after.txt
  ok "$kind: nothing is left" no_leftovers
done

# The other uplink forwards nothing, so it touches no switch to begin with.
unset NSVPN_FAILPOINT
lab_import b home socket || exit 1
switches >$WORK/before.txt
ok "socket: up over IPv6" nsvpn up home --timeout 20
switches >$WORK/during.txt
ok "socket: no switch is another while it is up" diff $WORK/before.txt $WORK/during.txt
ok "socket: the default route is there" default6
ok "socket: the tunnel works" inside curl -4 -s -m 5 http://192.0.2.80/
ok "socket: down" nsvpn down home
tap_done
