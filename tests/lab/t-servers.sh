#!/bin/bash
# The product against real openvpn 2.6 servers, over both uplinks: names and addresses through the tunnel, IPv4 and IPv6,
# and nothing but the engine's packets on the wire.
. "$(dirname "$(readlink -f "$0")")/lab.sh"
lab_enter "$@"
lab_pki || { diag "no PKI"; exit 1; }

# server_ok KIND UPLINK ALLOW EXPECTED-TRANSPORT: the whole story of one server.
server_ok() {
  local kind=$1 uplink=$2 allow=$3 addr=$4 what="server $1, uplink $2" out json
  lab_import "$kind" home "$uplink" || { ok "$what: import" false; return; }
  # A server pings a client that said goodbye for some seconds more: the flows of the servers before are allowed too.
  judge_start s "$allow" "$ISP_DNS" "${VPN_FLOW4}1194" "${VPN_FLOW4}1195" "${VPN_FLOW4}1196" "${VPN_FLOW6}1194"
  if [ "$kind" = c ]; then
    ok "$what: up" nsvpn up home --timeout 30 --credentials $WORK/credentials
  else
    ok "$what: up" nsvpn up home --timeout 30
  fi
  json=$(nsvpn status home --json)
  is "$what: connected" connected "$(jq -r '.tunnels[0].state' <<<"$json")"
  is "$what: remote address" "$addr" "$(jq -r '.tunnels[0].remote.address' <<<"$json")"
  is "$what: uplink in status" "$uplink" "$(jq -r '.tunnels[0].uplink' <<<"$json")"
  is "$what: IPv4 comes out at the server" 198.51.100.10 "$(inside curl -4 -s -m 5 http://web.example.net/)"
  case $kind in
    c) is "$what: IPv6 is refused at once, not sent elsewhere" "" "$(inside curl -6 -s -m 5 http://web.example.net/)" ;;
    *) like "$what: IPv6 comes out at the server" '^2001:db8:feed:' "$(inside curl -6 -s -m 5 http://web.example.net/)" ;;
  esac
  out=$(inside getent ahostsv4 "t$kind$uplink.web.example.net" | head -n 1)
  like "$what: names resolve inside" '192\.0\.2\.80' "$out"
  like "$what: at the tunnel's resolver" "t$kind$uplink" "$(cat $WORK/dns-tunnel.log)"
  is "$what: and not at the host's" "" "$(grep "t$kind$uplink" $WORK/dns-isp.log)"
  like "$what: large transfer" '^10000000$' "$(inside bash -c 'exec 3<>/dev/tcp/192.0.2.80/19; head -c 10000000 <&3 | wc -c')"
  # Full-size datagrams of programs: the judge takes an outer fragment for a violation.
  inside bash -c 'for i in 1 2 3 4 5; do head -c 1472 /dev/zero >/dev/udp/192.0.2.80/9; done' 2>/dev/null
  ok "$what: down" nsvpn down home
  ok "$what: the judge saw nothing but the engine's packets" judge_stop s
  ok "$what: nothing is left" no_leftovers
}

# (a) as its author had it: a network without IPv6, so the first remote (udp6) cannot work.
lab_up noipv6 || { diag "the lab could not be built"; exit 1; }
for k in a b c; do lab_server $k || { diag "server $k"; exit 1; }; done
credentials
for uplink in veth socket; do
  server_ok a $uplink "${VPN_FLOW4}1194" 198.51.100.10
  server_ok b $uplink "${VPN_FLOW4}1195" 198.51.100.10
  server_ok c $uplink "${VPN_FLOW4}1196" 198.51.100.10
done

# (a) on a network with IPv6: the outer packets travel over IPv6.
for ns in router inet host; do in_ns $ns ip -6 addr flush scope global >/dev/null 2>&1; done
in_ns inet ip -6 addr add 2001:db8:80::80/128 dev lo nodad
in_ns inet ip -6 addr add 2001:db8:53::53/128 dev lo nodad
in_ns inet ip -6 addr add 2001:db8:10::1/64 dev v0 nodad
in_ns router ip -6 addr add 2001:db8:77::1/64 dev br0 nodad
in_ns router ip -6 addr add 2001:db8:99::1/64 dev wan nodad
in_ns inet ip -6 addr add 2001:db8:99::254/64 dev r0 nodad
in_ns router ip -6 route replace default via 2001:db8:99::254
in_ns inet ip -6 route replace 2001:db8:77::/64 via 2001:db8:99::1
in_ns inet ip -6 route replace 2001:db8:feed::/48 via 2001:db8:10::10
in_ns host ip -6 addr add 2001:db8:77::2/64 dev eth0 nodad
in_ns host ip -6 route replace default via 2001:db8:77::1
for uplink in veth socket; do
  before=$(host_dump)
  server_ok a $uplink "${VPN_FLOW6}1194" 2001:db8:10::10
  is "server over IPv6, uplink $uplink: the machine is as it was" "$before" "$(host_dump)"
done
tap_done
