#!/bin/bash
# Invariant 23: somebody empties the machine's firewall (`nft flush ruleset`, a reload of another program) while the
# tunnel is up and probes run. No token and no packet with the veth's own address reaches the uplink, the locks are back
# within a second, and traffic flows again.
#
# With a flush the address translation is gone as well. What then keeps the engine's packets from leaving with the veth's
# address is no nftables rule but a policy rule: the outer lock marks what it lets in, and what comes from the veth
# without the mark is refused. The control takes that rule away and must see the packets. Servers of both families.
. "$(dirname "$(readlink -f "$0")")/lab.sh"
lab_enter "$@"
lab_pki && lab_up && lab_server b || { diag "lab"; exit 1; }
SRV=198.51.100.10
KINDS=udp4,udp6,tcp4,conn-udp4,icmp4,bindtodevice,bindsrc,pktinfo,server-udp,mcast,dns

straight() { spawn home setpriv --reuid 65534 --regid 65534 --clear-groups "$@"; }
probes_start() { # NAME
  straight "$LABBIN"/probe --token "NSVPNPROBE-$1" --kinds $KINDS --target4 192.0.2.80 --target6 2001:db8:80::80 \
    --server 198.51.100.10:1195 --dns4 203.0.113.53 --rate 500 --duration 600 >"$WORK/probe-$1.json" 2>"$WORK/probe-$1.err"
  probe=$!
  sleep 0.3
}
probes_stop() {
  kill -TERM $probe
  wait $probe
}
# Packets on the far side of eth0 whose source is not an address of this machine.
foreign_start() {
  in_ns router nft -f - <<'EOF'
table netdev foreign {
  counter n { }
  chain in {
    type filter hook ingress device "h0" priority 0
    meta protocol ip ip saddr != { 192.168.77.2, 0.0.0.0 } counter name n
    meta protocol ip6 ip6 saddr != { 2001:db8:77::2, fe80::/10, :: } counter name n
  }
}
EOF
}
foreign() { in_ns router nft list counter netdev foreign n | sed -n 's/.*packets \([0-9]*\).*/\1/p'; }
locked() {
  host nft list table inet nsvpn-home >/dev/null 2>&1 && host nft list set inet nsvpn-home engine$family | grep -q "$SRV"
}
works() { [ "$(inside curl -4 -s -m 2 http://192.0.2.80/)" = 198.51.100.10 ]; }
ms() { echo $(($(date +%s%N) / 1000000)); }

foreign_start
ok "control: a packet with a strange source is counted" sh -c "
  nsenter --net=/run/netns/host ip addr add 10.99.99.1/32 dev eth0
  nsenter --net=/run/netns/host curl -s -m 1 --interface 10.99.99.1 http://192.168.77.1/ >/dev/null
  nsenter --net=/run/netns/host ip addr del 10.99.99.1/32 dev eth0
  [ \$(nsenter --net=/run/netns/router nft list counter netdev foreign n | sed -n 's/.*packets \([0-9]*\).*/\1/p') -gt 0 ]"

cp $WORK/b.ovpn $WORK/b4.ovpn
sed 's/^remote .*/remote 2001:db8:10::10 1195 udp6/' $WORK/b4.ovpn >$WORK/b6.ovpn
for how in veth/4 socket/4 veth/6 socket/6; do
  u=${how%/*} family=${how#*/}
  cp $WORK/b$family.ovpn $WORK/b.ovpn
  SRV=198.51.100.10
  [ $family = 6 ] && SRV=2001:db8:10::10
  lab_import b home $u || exit 1
  before=$(host_dump)
  ok "$how: up" nsvpn up home --timeout 20
  in_ns router nft reset counter netdev foreign n >/dev/null
  judge_start flush "${VPN_FLOW4}1195" "${VPN_FLOW6}1195" # the server still tells an old session things
  probes_start "flush$u$family"
  slowest=0
  for i in 1 2 3; do
    host nft flush ruleset
    t0=$(ms)
    ok "$how: flush $i: the lock is back" wait_for 3 locked
    t=$(($(ms) - t0))
    [ $t -gt $slowest ] && slowest=$t
    ok "$how: flush $i: traffic flows" works
  done
  ok "$how: within a second (slowest: $slowest ms)" test $slowest -lt 1000
  # The namespace's own lock, by somebody with the right to do that.
  in_ns home nft flush ruleset
  ok "$how: the inner lock comes back" wait_for 1 in_ns home nft list table inet nsvpn
  ok "$how: and works" works
  like "$how: the log says what was put back" 'put back: .*lock-outer' "$(nsvpn logs home 2>&1)"
  probes_stop
  ok "$how: no token, and nothing but the engine's packets, on the uplink" judge_stop flush 0.3
  is "$how: nothing left with an address that is not the machine's" 0 "$(foreign)"
  is "$how: still connected" connected "$(state)"

  if [ $u = veth ]; then
    # Helper and engine dead, tables gone: nothing puts them back, and nothing may leave.
    kill -STOP "$(helper_pid)"
    host nft flush ruleset
    inside_pid=$(engine_pid)
    sleep 3
    is "$how: with the helper stopped nothing leaves untranslated either" 0 "$(foreign)"
    host ip -$family rule del pref 100
    sleep 5
    ok "$how: control: without the rule it would ($(foreign) packets)" test "$(foreign)" -gt 0
    kill -CONT "$(helper_pid)"
    ok "$how: lock and rule are back" wait_for 2 locked
    ok "$how: the rule too" wait_for 2 sh -c 'nsenter --net=/run/netns/host ip -$0 rule | grep -q "iif nv-home.*prohibit"' $family
    ok "$how: the engine lived through it" test "$inside_pid" = "$(engine_pid)"
    ok "$how: works" wait_for 10 works
  fi

  # Somebody else's tables are left alone.
  host nft 'add table inet theirs; add chain inet theirs c; add rule inet theirs c counter accept'
  theirs=$(host nft list table inet theirs)
  host nft delete table inet nsvpn-home
  ok "$how: our table comes back alone" wait_for 2 locked
  is "$how: theirs is as it was" "$theirs" "$(host nft list table inet theirs)"
  host nft delete table inet theirs
  ok "$how: down" nsvpn down home
  ok "$how: nothing is left" no_leftovers
  host_dump >$WORK/after.txt
  echo "$before" >$WORK/before.txt
  ok "$how: the machine is as it was" diff $WORK/before.txt $WORK/after.txt
done
tap_done
