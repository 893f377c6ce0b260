#!/bin/bash
# `dev tap`: Ethernet over real servers of openvpn that bridge it to a network behind them. The tunnel is one of its machines:
# both sides find each other by ARP and neighbour discovery, IPv4 and IPv6 flow to the neighbours and through the gateway,
# in every framing; MTU and MSS fit the path; and the locks hold like those of a tun: a probe inside tries everything while
# the judge watches, the engine dies, the tunnel is cut.
. "$(dirname "$(readlink -f "$0")")/lab.sh"
lab_enter "$@"
lab_pki && lab_up || { diag "the lab could not be built"; exit 1; }
spawn inet "$LABBIN"/tcpkeep server 192.0.2.80:5001 >$WORK/keep-server.out 2>&1

# The network behind the server: a bridge with its address, a neighbour (another leg of `lan`), and the tap as one more port.
ip link add eth1 netns lan type veth peer name p0 netns vpn
in_ns vpn ip link add br0 type bridge
in_ns vpn ip tuntap add dev tapS mode tap
for l in p0 tapS; do in_ns vpn ip link set $l master br0; done
for l in br0 p0 tapS; do in_ns vpn ip link set $l up; done
in_ns vpn ip addr add 10.48.0.1/24 dev br0
in_ns vpn ip -6 addr add 2001:db8:feed:8::1/64 dev br0 nodad
in_ns lan sysctl -qw net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.eth1.accept_dad=0
in_ns lan ip link set eth1 up
in_ns lan ip addr add 10.48.0.50/24 dev eth1
in_ns lan ip -6 addr add 2001:db8:feed:8::50/64 dev eth1 nodad
spawn lan "$LABBIN"/echod --http 10.48.0.50:80 --http '[2001:db8:feed:8::50]:80' --udp-echo 10.48.0.50:7 >$WORK/echod3.out 2>&1
wait_for 5 grep -q ready $WORK/echod3.out || { diag "echod: $(cat $WORK/echod3.out)"; exit 1; }

port=1500
server() { # PROTO LINE...
  port=$((port + 1))
  cat >$WORK/server.conf <<END
port $port
proto $1
dev tapS
dev-type tap
mode server
tls-server
server-bridge 10.48.0.1 255.255.255.0 10.48.0.100 10.48.0.110
push "ifconfig-ipv6 2001:db8:feed:8::100/64 2001:db8:feed:8::1"
push "redirect-gateway def1 ipv6"
push "dhcp-option DNS 192.0.2.53"
ca $PKI/ca.crt
cert $PKI/server.crt
key $PKI/server.key
tls-crypt $PKI/ta.key
dh none
keepalive 2 12
reneg-sec 3
verb 4
END
  printf '%s\n' "${@:2}" >>$WORK/server.conf
  : >$WORK/server.log
  spawn vpn openvpn --config $WORK/server.conf --log $WORK/server.log --writepid $WORK/server.pid >/dev/null 2>&1
  wait_for 8 grep -q 'Initialization Sequence Completed' $WORK/server.log || { diag "openvpn: $(tail -n 5 $WORK/server.log)"; return 1; }
}
server_end() {
  local pid
  pid=$(cat $WORK/server.pid)
  kill -TERM "$pid" 2>/dev/null
  wait_for 5 sh -c "! kill -0 $pid"
}
client() { # PROTO LINE...
  {
    printf 'client\ndev tap\nnobind\nremote vpn4.example.net %s %s\nremote-cert-tls server\n' "$port" "$1"
    inline ca $PKI/ca.crt; inline cert $PKI/client.crt; inline key $PKI/client.key; inline tls-crypt $PKI/ta.key
    printf '%s\n' "${@:2}"
  } >$WORK/tap.ovpn
}
full_size() { # ADDRESS SIZE
  local n
  n=$(inside bash -c "exec 3<>/dev/udp/$1/7; head -c $2 /dev/zero >&3; timeout 5 head -c $2 <&3 | wc -c")
  [ "$n" = "$2" ]
}
row() { # WHAT
  local what=$1
  lab_import tap home "${uplink:-}" || { ok "$what: import" false; server_end; return; }
  ok "$what: up" nsvpn up home --timeout 30
  is "$what: the neighbour, IPv4" 10.48.0.100 "$(inside curl -4 -s -m 10 http://10.48.0.50/)"
  is "$what: the neighbour, IPv6" 2001:db8:feed:8::100 "$(inside curl -6 -s -m 10 'http://[2001:db8:feed:8::50]/')"
  is "$what: through the gateway, by name, IPv4" 198.51.100.10 "$(inside curl -4 -s -m 10 http://web.example.net/)"
  is "$what: through the gateway, IPv6" 2001:db8:feed:8::100 "$(inside curl -6 -s -m 10 http://web.example.net/)"
  ok "$what: datagrams, large" full_size 10.48.0.50 1300
  ok "$what: larger than a frame, from both sides" full_size 10.48.0.50 1600
  ok "$what: checksummed data both ways, across new keys" host "$NSVPN" exec -t home "$LABBIN"/tcpkeep client 192.0.2.80:5001 --seconds 5 --bulk
  ok "$what: keys were renewed" test "$(grep -cE 'Outgoing Data Channel: Cipher' $WORK/server.log)" -ge 2
  is "$what: nobody complains about the other's options" "" "$(grep -E "WARNING: '(dev-type|tun-mtu|link-mtu)'" $WORK/server.log | head -n 2)"
  [ -z "${extra:-}" ] || $extra "$what"
  ok "$what: down" nsvpn down home
  server_end
  ok "$what: nothing is left" no_leftovers
}

# ---- what the file's reader is told ---------------------------------------------------------------------------------

server udp
client udp "explicit-exit-notify 1"
like "explain says what it is" 'honoured +dev .*Ethernet.*tap' "$(nsvpn explain $WORK/tap.ovpn; nsvpn -v explain $WORK/tap.ovpn)"

# ---- all the same as with tun, and what only Ethernet has -----------------------------------------------------------

ALL=udp4,udp6,tcp4,tcp6,conn-udp4,icmp4,bindtodevice,bindsrc,pktinfo,unicast-if,mcast,bcast,dns
probe_ctl() { host "$LABBIN"/probe --token NSVPNPROBE-ctl --kinds udp4 --target4 192.0.2.80 --rate 20 --duration 0.6; }
probe_start() {
  spawn home setpriv --reuid 65534 --regid 65534 --clear-groups "$LABBIN"/probe --token NSVPNPROBE-tap --kinds $ALL --rate 200 \
    --duration 600 --target4 192.0.2.80 --target6 2001:db8:80::80 --dns4 203.0.113.53 >$WORK/probe.json 2>$WORK/probe.err
  probe=$!
}
no_answer() { ! in_ns home "$LABBIN"/probe --connect-once "$1" --timeout 2; }
ethernet() { # WHAT
  local mac
  like "$1: the device is a tap" 'tun type tap' "$(in_ns home ip -d link show tun0)"
  like "$1: the default route has a gateway" '^default via 10.48.0.1 dev tun0' "$(in_ns home ip route)"
  like "$1: also that of IPv6" '^default via 2001:db8:feed:8::1 dev tun0' "$(in_ns home ip -6 route)"
  mac=$(in_ns home cat /sys/class/net/tun0/address 2>/dev/null || in_ns home ip -j link show tun0 | jq -r '.[0].address')
  # The neighbour speaks first: it has to ask who we are.
  in_ns lan ip neigh flush all
  spawn home "$LABBIN"/echod --http 10.48.0.100:8080 --http '[2001:db8:feed:8::100]:8080' >$WORK/echod4.out 2>&1
  local echod=$!
  wait_for 5 grep -q ready $WORK/echod4.out
  is "$1: a neighbour that asks by ARP is answered" 10.48.0.50 "$(in_ns lan curl -4 -s -m 10 http://10.48.0.100:8080/)"
  is "$1: and one that asks by neighbour discovery" 2001:db8:feed:8::50 "$(in_ns lan curl -6 -s -m 10 'http://[2001:db8:feed:8::100]:8080/')"
  kill $echod
  like "$1: with the address of the tap" "$mac" "$(in_ns lan ip neigh show 10.48.0.100)"
  # No other address of the namespace is told to the network behind the server.
  in_ns lan ip route add 10.0.0.0/8 dev eth1
  local inner
  inner=$(in_ns home ip -j -4 addr show dev uplink0 2>/dev/null | jq -r '.[0].addr_info[0].local')
  if [ -n "$inner" ] && [ "$inner" != null ]; then
    in_ns lan timeout 3 bash -c "exec 3<>/dev/tcp/$inner/9" 2>/dev/null
    is "$1: the veth's address is nobody's business there" "" "$(in_ns lan ip neigh show "$inner" | grep lladdr)"
  fi
  in_ns lan ip route del 10.0.0.0/8 dev eth1
}
leaks() { # WHAT
  ethernet "$1"
  ok "$1: control: the judge sees what is not the tunnel's" seen NSVPNPROBE-ctl 5 probe_ctl
  judge_start tap "$VPN_FLOW4$port" "$ISP_DNS"
  probe_start
  wait_for 5 sh -c "kill -0 $probe"
  is "$1: it works beside the probe" 198.51.100.10 "$(inside curl -4 -s -m 15 http://web.example.net/)"
  ok "$1: the engine dies" kill -9 "$(engine_pid)"
  ok "$1: a new one connects" wait_for 60 is_state connected
  is "$1: and it works again" 198.51.100.10 "$(inside curl -4 -s -m 15 http://web.example.net/)"
  in_ns vpn nft 'add table ip gap; add chain ip gap in { type filter hook input priority 0; policy drop; }'
  ok "$1: the server is gone" wait_for 60 is_state reconnecting
  ok "$1: no way out" no_answer '[2001:db8:80::80]:80'
  in_ns vpn nft delete table ip gap
  ok "$1: connected again" wait_for 90 is_state connected
  kill $probe
  wait $probe
  ok "$1: the probe really tried" jq -e '[.kinds[].tries] | add > 1000' $WORK/probe.json
  ok "$1: not one packet beside the tunnel" judge_stop tap
}
extra=leaks row "UDP"

mss() { # the segments that a connection was given, by what the neighbour sees
  local m
  spawn home "$LABBIN"/echod --tcp-source 10.48.0.100:19 >$WORK/echod5.out 2>&1
  local echod=$!
  wait_for 5 grep -q ready $WORK/echod5.out
  in_ns lan bash -c 'exec 3<>/dev/tcp/10.48.0.100/19; head -c 100000 <&3 >/dev/null; ss -tin dst 10.48.0.100' >$WORK/ss.out
  kill $echod
  m=$(grep -oE 'rcvmss:[0-9]+' $WORK/ss.out | head -n 1 | cut -d: -f2)
  diag "$1: segments of ${m:-?} bytes"
  ok "$1: segments leave room for the frame's head" test "${m:-9999}" -le "${most:-9999}" -a "${m:-0}" -ge 1000
}
# 1250 in a datagram: less 4 and 20 of the data format, 14 of Ethernet, 40 of IP and TCP.
server udp "mssfix 1250"
client udp "mssfix 1250" "data-ciphers AES-128-GCM"
most=1172 extra=mss row "UDP, mssfix"

server udp
client udp
uplink=socket row "UDP, uplink=socket"

server tcp-server "comp-lzo yes" "allow-compression yes" "data-ciphers AES-256-CBC" "auth SHA256"
client tcp-client "comp-lzo" "cipher AES-256-CBC" "auth SHA256"
row "TCP, CBC, compression"

server udp "compress stub-v2" "fragment 1200"
client udp "compress stub-v2" "fragment 1200"
row "UDP, fragments, framing"

# ---- without a gateway, without an address --------------------------------------------------------------------------

server udp
client udp 'pull-filter ignore "route-gateway"' 'pull-filter ignore "ifconfig-ipv6"'
lab_import tap home
ok "no gateway: up" nsvpn up home --timeout 30
is "no gateway: the neighbours are there" 10.48.0.100 "$(inside curl -4 -s -m 10 http://10.48.0.50/)"
ok "no gateway: the rest is unreachable" no_answer 192.0.2.80:80
like "no gateway: the log says why" 'route-gateway' "$(nsvpn logs home)"
nsvpn down home >/dev/null 2>&1
client udp 'pull-filter ignore "ifconfig "'  'pull-filter ignore "ifconfig-ipv6"'
lab_import tap home
like "no address: DHCP is named" 'DHCP' "$(nsvpn up home --timeout 10 2>&1)"
nsvpn down home >/dev/null 2>&1
server_end
ok "nothing is left" no_leftovers
tap_done
