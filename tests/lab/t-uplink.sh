#!/bin/bash
# The machine's own network changes under a tunnel: another interface, another address, a cable that is out for a moment, no
# network at all in the beginning. The tunnel follows within seconds, not after its keepalive (the server's is set to minutes
# here), a TCP connection inside lives through it, switches that were set for the old interface are put back, and no packet
# but the engine's is on either wire.
. "$(dirname "$(readlink -f "$0")")/lab.sh"
lab_enter "$@"
lab_pki && lab_up && lab_server b || { diag "lab"; exit 1; }
# The pool has the same address for the same client, as with providers.
sed -i 's/^keepalive.*/keepalive 60 240/; s/^duplicate-cn$//' $WORK/server-b.conf
server_stop b KILL
lab_server_start b || exit 1

# The second way out: "Ethernet" beside "Wi-Fi".
ip link add eth1 netns host type veth peer name h1 netns router
in_ns router ip link set h1 up
in_ns router ip addr add 192.168.78.1/24 dev h1
in_ns router nft add rule ip lab post oifname wan ip saddr 192.168.78.0/24 masquerade
host ip link set eth1 addrgenmode none
host ip link set eth1 up
host ip addr add 192.168.78.2/24 dev eth1
KINDS=udp4,udp6,tcp4,conn-udp4,icmp4,bindtodevice,bindsrc,server-udp,mcast
spawn inet "$LABBIN"/tcpkeep server 192.0.2.80:5001 >$WORK/keep-server.out 2>&1
forwards() { host cat /proc/sys/net/ipv4/conf/"$1"/forwarding; }
# How often the server saw a new session, and where from.
sessions() { grep -c 'Peer Connection Initiated' $WORK/server-b.log; }
moved() { [ "$(sessions)" -gt "$1" ] && is_state connected; }
works() { [ "$(inside curl -4 -s -m 3 http://192.0.2.80/)" = 198.51.100.10 ]; }
ms() { echo $(($(date +%s%N) / 1000000)); }
judge2_start() {
  spawn router "$LABBIN"/judge h1 --allow arp --allow nd --allow icmp-err --allow "${VPN_FLOW4}1195" --allow "$ISP_DNS" >$WORK/judge2.json 2>$WORK/judge2.err
  judge2=$!
  sleep 0.2
}
judge2_stop() {
  sleep 0.3
  kill -TERM $judge2
  wait $judge2
  local rc=$?
  cat $WORK/judge2.json
  return $rc
}
# UPLINK WHAT COMMAND...: after the command the tunnel is on a new session within five seconds.
follows() {
  local u=$1 what=$2 n t0
  shift 2
  n=$(sessions)
  "$@"
  t0=$(ms)
  ok "$u: $what: a new session" wait_for 15 moved "$n"
  ok "$u: $what: within five seconds ($(($(ms) - t0)) ms)" test $(($(ms) - t0)) -lt 5000
  ok "$u: $what: works" works
}
to_eth1() { host ip route replace default via 192.168.78.1; }
to_eth0() { host ip route replace default via 192.168.77.1; }
readdress() {
  host ip addr add 192.168.77.9/24 dev eth0
  host ip addr del 192.168.77.2/24 dev eth0
  host ip addr add 192.168.77.9/24 dev eth0 2>/dev/null # went with the first one where it was secondary
  host ip route replace default via 192.168.77.1
}
back_to_old_address() {
  host ip addr add 192.168.77.2/24 dev eth0
  host ip addr del 192.168.77.9/24 dev eth0
  host ip addr add 192.168.77.2/24 dev eth0 2>/dev/null
  host ip route replace default via 192.168.77.1
}

for u in ${UPLINKS:-veth socket}; do
  lab_import b home $u || exit 1
  before=$(host_dump)
  judge_start one "${VPN_FLOW4}1195" "$ISP_DNS"
  judge2_start
  ok "$u: up" nsvpn up home --timeout 20
  spawn host "$NSVPN" exec -t home -- setpriv --reuid 65534 --regid 65534 --clear-groups "$LABBIN"/probe --token NSVPNPROBE-u$u --kinds $KINDS --target4 192.0.2.80 \
    --target6 2001:db8:80::80 --server 198.51.100.10:1195 --rate 200 --duration 600 >$WORK/probe.json 2>$WORK/probe.err
  probe=$!
  spawn host "$NSVPN" exec -t home -- "$LABBIN"/tcpkeep client 192.0.2.80:5001 --seconds 20 --rate 20 --patience 30 >$WORK/keep.out 2>&1
  keep=$!
  pid=$(engine_pid)

  follows $u "the other interface" to_eth1
  if [ $u = veth ]; then
    is "$u: the new interface forwards for the tunnel" 1 "$(forwards eth1)"
    is "$u: the old one is as it was" 0 "$(forwards eth0)"
  fi
  follows $u "back again" to_eth0
  follows $u "another address" readdress
  follows $u "the first address" back_to_old_address

  n=$(sessions)
  host ip link set eth0 down
  sleep 2
  is "$u: no network: the tunnel waits" connected "$(state)"
  host ip link set eth0 up
  host ip route replace default via 192.168.77.1
  ok "$u: the cable is back: works" wait_for 10 works
  is "$u: the cable is back: the same session" "$n" "$(sessions)"
  is "$u: one engine all the time" "$pid" "$(engine_pid)"

  ok "$u: a TCP connection inside lived through it all" wait $keep
  diag "$(cat $WORK/keep.out)"
  kill -TERM $probe
  wait $probe 2>/dev/null
  ok "$u: nothing but the engine's packets on the first wire" judge_stop one 0.3
  ok "$u: nor on the second" judge2_stop
  ok "$u: down" nsvpn down home

  # A machine that is not connected to anything yet.
  host ip link set eth0 down
  ok "$u: up without network" nsvpn up home --no-wait
  sleep 8
  is "$u: it waits" connecting "$(state)"
  host ip link set eth0 up
  host ip route replace default via 192.168.77.1
  t0=$(ms)
  ok "$u: connected when there is one" wait_for 20 is_state connected
  ok "$u: within five seconds ($(($(ms) - t0)) ms)" test $(($(ms) - t0)) -lt 5000
  ok "$u: down" nsvpn down home
  # What the kernel removed with the link.
  host ip -6 addr add 2001:db8:77::2/64 dev eth0 nodad 2>/dev/null
  host ip -6 route replace default via 2001:db8:77::1 2>/dev/null
  ok "$u: nothing is left" no_leftovers
  host_dump | grep -v ' temporary ' >$WORK/after.txt
  echo "$before" >$WORK/before.txt
  ok "$u: the machine is as it was" diff <(grep -vE 'fe80|ff00|inet6|valid_lft|mtu' $WORK/before.txt) <(grep -vE 'fe80|ff00|inet6|valid_lft|mtu' $WORK/after.txt)
done

# A server over IPv6: another interface, another address of the same network (as a router hands out after a renumbering, or
# a temporary address that has had its day), and no network for a moment.
in_ns router ip -6 addr add 2001:db8:78::1/64 dev h1 nodad
in_ns inet ip -6 route add 2001:db8:78::/64 via 2001:db8:99::1
host ip -6 addr add 2001:db8:78::2/64 dev eth1 nodad
# Without an address of the link, Linux asks for no neighbour on behalf of a packet with another interface's address, and what
# the old session still sends is such a packet.
host ip -6 addr add fe80::78:2/64 dev eth1 nodad
host ip -6 route replace default via 2001:db8:77::1 metric 1024
to6_eth1() { host ip -6 route replace default via 2001:db8:78::1 metric 1024; }
to6_eth0() { host ip -6 route replace default via 2001:db8:77::1 metric 1024; }
readdress6() {
  host ip -6 addr add 2001:db8:77::9/64 dev eth0 nodad
  host ip -6 addr del 2001:db8:77::2/64 dev eth0
}
back_to_old_address6() {
  host ip -6 addr add 2001:db8:77::2/64 dev eth0 nodad
  host ip -6 addr del 2001:db8:77::9/64 dev eth0
}
sed -i 's/^remote .*/remote 2001:db8:10::10 1195 udp6/' $WORK/b.ovpn
VPN_FLOW4="$VPN_FLOW6" # judge2_start
for u in ${UPLINKS:-veth socket}; do
  lab_import b home $u || exit 1
  # What the server still tells an old session's address goes out on the wire that this address was on.
  judge_start one "${VPN_FLOW6}1195" udp:198.51.100.10:1195 "$ISP_DNS"
  judge2_start
  ok "$u, IPv6: up" nsvpn up home --timeout 20
  spawn host "$NSVPN" exec -t home -- "$LABBIN"/tcpkeep client 192.0.2.80:5001 --seconds 12 --rate 20 --patience 30 >$WORK/keep.out 2>&1
  keep=$!
  pid=$(engine_pid)
  follows "$u, IPv6" "the other interface" to6_eth1
  follows "$u, IPv6" "back again" to6_eth0
  follows "$u, IPv6" "another address" readdress6
  follows "$u, IPv6" "the first address" back_to_old_address6
  is "$u, IPv6: one engine all the time" "$pid" "$(engine_pid)"
  ok "$u, IPv6: a TCP connection inside lived through it all" wait $keep
  diag "$(cat $WORK/keep.out)"
  ok "$u, IPv6: nothing but the engine's packets on the first wire" judge_stop one 0.3
  ok "$u, IPv6: nor on the second" judge2_stop
  ok "$u, IPv6: down" nsvpn down home
  ok "$u, IPv6: nothing is left" no_leftovers
done
tap_done
