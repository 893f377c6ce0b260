#!/bin/bash
# OpenVPN over TCP against a real server, over IPv4 and IPv6 and both uplinks: what goes in comes out unchanged in both
# directions and through renegotiations, a server that is killed, restarted or stopped costs no packet outside the tunnel
# and no memory, and remotes of both protocols are tried in their order.
. "$(dirname "$(readlink -f "$0")")/lab.sh"
lab_enter "$@"
lab_pki && lab_up && lab_server t && lab_server b || { diag "lab"; exit 1; }
sed 's/^remote .*/remote vpn4.example.net 1198 tcp4/' $WORK/t.ovpn >$WORK/t4.ovpn
sed 's/^remote .*/remote vpn.example.net 1198 tcp6-client/' $WORK/t.ovpn >$WORK/t6.ovpn
spawn inet "$LABBIN"/echod --tcp-echo 192.0.2.80:77 >$WORK/echod3.out 2>&1
wait_for 5 grep -q ready $WORK/echod3.out || { diag "echod"; exit 1; }
spawn inet "$LABBIN"/tcpkeep server 192.0.2.80:5001 >$WORK/keep-server.out 2>&1
size=12000000
head -c $size /dev/urandom >$WORK/data
sum=$(sha256sum <$WORK/data)
# What is sent comes back from the other side of the tunnel, in the same connection: both directions at once.
round_trip() {
  inside bash -c "exec 3<>/dev/tcp/192.0.2.80/77; cat $WORK/data >&3 & head -c $size <&3 | sha256sum"
}
rss() { awk '/^VmRSS/ { print $2 }' "/proc/$(engine_pid)/status"; }

for uplink in veth socket; do
  for family in 4 6; do
    what="tcp$family, uplink $uplink"
    if [ $family = 4 ]; then flow=${VPN_TCP4}1198 addr=198.51.100.10; else flow=${VPN_TCP6}1198 addr=2001:db8:10::10; fi
    before=$(host_dump)
    lab_import t$family home $uplink || { ok "$what: import" false; continue; }
    judge_start t "$flow" "$ISP_DNS"
    ok "$what: up" nsvpn up home --timeout 30
    is "$what: status says so" "connected tcp $addr" \
      "$(nsvpn status home --json | jq -r '.tunnels[0] | "\(.state) \(.remote.transport) \(.remote.address)"')"
    is "$what: a stream needs no smaller packets" 1500 "$(nsvpn status home --json | jq '.tunnels[0].mtu')"
    is "$what: IPv4 comes out at the server" 198.51.100.10 "$(inside curl -4 -s -m 5 http://web.example.net/)"
    like "$what: IPv6 comes out at the server" '^2001:db8:feed:12:' "$(inside curl -6 -s -m 5 http://web.example.net/)"
    is "$what: $size bytes there and back are the same" "$sum" "$(round_trip)"
    ok "$what: down" nsvpn down home
    ok "$what: the judge saw nothing but the engine's packets" judge_stop t
    ok "$what: nothing is left" no_leftovers
    is "$what: the machine is as it was" "$before" "$(host_dump)"
  done
done

ok "positive control: the judge knows the prober's packets" seen NSVPNPROBE-control 10 \
  host "$LABBIN"/probe --token NSVPNPROBE-control --rate 20 --duration 2
# Renegotiation under load; then, with a prober inside, the server killed in mid-transfer, and stopped.
both='"$0" client 192.0.2.80:5001 --seconds 23 --bulk & "$0" client 192.0.2.80:5001 --seconds 23 --rate 50; a=$?; wait $! && exit $a'
for uplink in veth socket; do
  lab_import t4 home $uplink || exit 1
  judge_start t "${VPN_TCP4}1198" "$ISP_DNS"
  ok "$uplink: up" nsvpn up home --timeout 30
  engine=$(engine_pid) rss0=$(rss)
  ok "$uplink: two connections live through renegotiations" inside bash -c "$both" "$LABBIN"/tcpkeep
  ok "$uplink: there were some" test "$(grep -c 'Incoming Data Channel: Cipher' $WORK/server-t.log)" -ge 3
  diag "$uplink: engine memory $rss0 -> $(rss) kB"

  spawn host "$NSVPN" exec -t home "$LABBIN"/probe --token NSVPNPROBE-$uplink --rate 20 --duration 120 >$WORK/probe.out 2>&1
  probe=$!
  spawn host "$NSVPN" exec -t home "$LABBIN"/tcpkeep client 192.0.2.80:5001 --seconds 15 --rate 100 >$WORK/keep.out 2>&1
  keep=$!
  sleep 2
  server_stop t KILL
  ok "$uplink: the end of the connection is noticed at once" wait_for 5 is_state reconnecting
  sleep 1
  lab_server_start t || exit 1
  ok "$uplink: the server that came back is rejoined" wait_for 20 is_state connected
  is "$uplink: by the same engine" "$engine" "$(engine_pid)"
  ok "$uplink: a connection of a program lives through it, not one byte lost" wait $keep

  kill -KILL "$engine"
  new_engine() { [ -n "$(engine_pid)" ] && [ "$(engine_pid)" != "$engine" ] && is_state connected; }
  ok "$uplink: an engine that dies is followed by another" wait_for 20 new_engine
  is "$uplink: which carries on" 198.51.100.10 "$(inside curl -4 -s -m 5 http://web.example.net/)"

  rss0=$(rss)
  kill -STOP "$(server_pid t)"
  spawn host "$NSVPN" exec -t home bash -c 'exec 3<>/dev/tcp/192.0.2.80/9; exec cat /dev/zero >&3' >/dev/null 2>&1
  writer=$!
  ok "$uplink: a server that takes nothing is given up at its keepalive" wait_for 40 is_state reconnecting
  ok "$uplink: which cost no memory ($rss0 -> $(rss) kB)" test $(($(rss) - rss0)) -lt 2048
  kill -CONT "$(server_pid t)"
  ok "$uplink: and is rejoined when it goes on" wait_for 40 is_state connected
  kill $writer $probe 2>/dev/null
  wait $writer $probe 2>/dev/null
  ok "$uplink: down" nsvpn down home --kill
  ok "$uplink: the judge saw nothing but the engine's packets" judge_stop t
  ok "$uplink: nothing is left" no_leftovers
done

# A provider's list: a name that does not exist, nobody there, then UDP, with TCP behind it. And the same, TCP only.
{
  grep -v '^remote ' $WORK/t.ovpn
  printf 'remote gone.example.net 1198 tcp\nremote vpn4.example.net 4 tcp4\nremote vpn4.example.net 1195 udp\n'
  printf 'remote vpn4.example.net 1198 tcp-client\nserver-poll-timeout 4\n'
} >$WORK/mixed.ovpn
remote() { nsvpn status home --json | jq -r '.tunnels[0].remote | "\(.transport) \(.port)"'; }
lab_import mixed || exit 1
ok "a mixed list: up" nsvpn up home --timeout 30
is "a mixed list: in its order" "udp 1195" "$(remote)"
like "a mixed list: the refusal is in the log" '198.51.100.10:4 refused the connection.*TCP' "$(nsvpn logs home)"
ok "a mixed list: down" nsvpn down home
echo 'proto-force tcp' >>$WORK/mixed.ovpn
like "explain says which servers do not count" 'ignored.*proto-force' "$(nsvpn explain $WORK/mixed.ovpn)"
lab_import mixed || exit 1
ok "proto-force tcp: up" nsvpn up home --timeout 30
is "proto-force tcp: at the TCP server" "tcp 1198" "$(remote)"
ok "proto-force tcp: down" nsvpn down home
ok "nothing is left" no_leftovers
tap_done
