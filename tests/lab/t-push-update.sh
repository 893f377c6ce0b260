#!/bin/bash
# PUSH_UPDATE of a real server of OpenVPN 2.7, by its management interface: routes, addresses, resolvers, MTU and keepalive
# change while programs live in the tunnel and packets flow. The judge watches the uplink all the time: nothing may leave
# beside the tunnel while settings are swapped. What cannot be changed brings a new connection, what is optional a word in
# the log.
. "$(dirname "$(readlink -f "$0")")/lab.sh"
. "$(dirname "$(readlink -f "$0")")/box.sh"
openvpn_need 2.7
lab_enter "$@"
lab_pki && lab_up || { diag "the lab could not be built"; exit 1; }
openvpn_mounts || exit 1
cat >$WORK/server.conf <<END
port 1300
proto udp
dev tunU
dev-type tun
mode server
tls-server
topology subnet
server 10.46.0.0 255.255.255.0
server-ipv6 2001:db8:feed:6::/64
push "redirect-gateway def1 ipv6"
push "dhcp-option DNS 192.0.2.53"
push "route 192.0.2.80 255.255.255.255"
ca $PKI/ca.crt
cert $PKI/server.crt
key $PKI/server.key
tls-crypt $PKI/ta.key
dh none
disable-dco
verb 4
keepalive 3 30
management 127.0.0.1 7505
END
# shellcheck disable=SC2086
spawn vpn $OPENVPN --config $WORK/server.conf --log $WORK/server.log >/dev/null 2>&1
wait_for 10 grep -q 'Initialization Sequence Completed' $WORK/server.log || { diag "openvpn: $(tail -n 5 $WORK/server.log)"; exit 1; }
{
  printf 'client\ndev tun\nnobind\nremote vpn4.example.net 1300 udp\nremote-cert-tls server\nexplicit-exit-notify 1\n'
  inline ca $PKI/ca.crt; inline cert $PKI/client.crt; inline key $PKI/client.key; inline tls-crypt $PKI/ta.key
} >$WORK/update.ovpn

# What the administrator of the server types: one command, its answer is printed.
cat >$WORK/manage <<'END'
exec 3<>/dev/tcp/127.0.0.1/7505 || exit 1
printf '%s\n' "$1" >&3
while IFS= read -t 10 -r line <&3; do
  case $line in SUCCESS*) echo "$line"; exit 0 ;; ERROR*) echo "$line"; exit 1 ;; esac
done
exit 1
END
manage() { in_ns vpn bash $WORK/manage "$1"; }
update() { ok "the server says: $1" manage "push-update-broad \"$1\""; }
ip_in() { in_ns home ip "$@"; }
has() { ip_in "${@:2}" | grep -qE -- "$1"; }
hasnt() { ! has "$@"; }
becomes() { ok "$1" wait_for 20 "${@:2}"; } # the words of the server travel, and are applied by somebody else
told() { nsvpn logs home | grep -qE -- "$1"; }

lab_import update home
ok "up" nsvpn up home --timeout 30
like "the server knows that updates are taken" 'IV_PROTO=[0-9]+' "$(cat $WORK/server.log)"
spawn inet "$LABBIN"/tcpkeep server 192.0.2.80:5001 >$WORK/keep-server.out 2>&1
# The positive control: a packet of the host itself is seen.
probe_host() { host "$LABBIN"/probe --token NSVPNPROBE-ctl --kinds udp4 --target4 192.0.2.80 --rate 20 --duration 0.6; }
reaches() { in_ns home "$LABBIN"/probe --connect-once "$1" --timeout 5; }
ok "control: the judge sees what is not the tunnel's" seen NSVPNPROBE-ctl 5 probe_host
judge_start update "${VPN_FLOW4}1300" "$ISP_DNS"
# From inside, in every way, all the time, until the end.
spawn home setpriv --reuid 65534 --regid 65534 --clear-groups "$LABBIN"/probe --token NSVPNPROBE-upd --rate 200 --duration 600 \
  --kinds udp4,udp6,tcp4,tcp6,conn-udp4,bindtodevice --target4 192.0.2.80 --target6 2001:db8:80::80 >$WORK/probe.json 2>$WORK/probe.err
flood=$!
host "$NSVPN" exec -t home "$LABBIN"/tcpkeep client 192.0.2.80:5001 --seconds 12 >$WORK/keep.out 2>&1 &
keep=$!

update "route 10.99.0.0 255.255.0.0, route 10.98.1.0 255.255.255.0"
becomes "the new routes are there" has '^10\.99\.0\.0/16 dev tun0' route show table all
ok "both of them" has '^10\.98\.1\.0/24 dev tun0' route show table all
ok "the old one is gone" hasnt '^192\.0\.2\.80 dev tun0' route show table all
ok "the default route stays" has 'default dev tun0' route show table all
update "-route"
becomes "and go again" hasnt '10\.9[89]\.' route show table all
update "dns server 1 address 192.0.2.53 2001:db8:53::53, dns search-domains one.example.net"
becomes "status names the new resolver" sh -c "nsenter --net=/run/netns/host $NSVPN status home --json | grep -q '2001:db8:53::53'"
like "so do programs that start now" '2001:db8:53::53' "$(inside cat /etc/resolv.conf)"
like "and the search domain" 'one\.example\.net' "$(inside cat /etc/resolv.conf)"
is "names are found" 198.51.100.10 "$(inside curl -4 -s -m 10 http://web.example.net/)"
update "tun-mtu 1300"
becomes "the device has the new MTU" has 'mtu 1300' link show tun0
update "ifconfig 10.46.0.77 255.255.255.0"
becomes "the device has the new address" has '10\.46\.0\.77/24' addr show tun0
ok "and no longer the old one" hasnt '10\.46\.0\.2/24' addr show tun0
update "ifconfig 10.46.0.2 255.255.255.0"
becomes "and the first one again" has '10\.46\.0\.2/24' addr show tun0
update "ifconfig-ipv6 2001:db8:feed:6::77/64 2001:db8:feed:6::1"
becomes "another IPv6 address" has '2001:db8:feed:6::77/64' -6 addr show tun0
update "ifconfig-ipv6 2001:db8:feed:6::1000/64 2001:db8:feed:6::1, block-ipv6"
becomes "block-ipv6: IPv6 goes nowhere" hasnt 'default dev tun0' -6 route show table all
update "-block-ipv6"
becomes "and comes back" has 'default dev tun0' -6 route show table all
update "-redirect-gateway, route 10.96.0.0 255.255.0.0"
becomes "without redirect-gateway there is no default route" hasnt 'default dev tun0' route show table all
no_answer() { ! reaches 192.0.2.80:80; }
ok "and what has no route is unreachable" no_answer
update "redirect-gateway def1 ipv6"
becomes "and back" has 'default dev tun0' route show table all
becomes "IPv4 flows" reaches 192.0.2.80:80
becomes "IPv6 flows" reaches '[2001:db8:80::80]:80'
is "it is one connection all along" 1 "$(grep -c 'Peer Connection Initiated' $WORK/server.log)"
wait $keep
is "a TCP connection of a program lived through all of it" 0 $?
[ -s $WORK/keep.out ] && diag "$(tail -n 1 $WORK/keep.out)"

# ---- what cannot be, and what need not be ---------------------------------------------------------------------------

update "?sndbuf 65536, route 10.97.0.0 255.255.0.0"
becomes "an optional option that nsvpn does not know leaves the rest alone" has '^10\.97\.0\.0/16' route show table all
becomes "and is named in the log" told 'sndbuf'
is "still one connection" 1 "$(grep -c 'Peer Connection Initiated' $WORK/server.log)"
update "sndbuf 65536"
becomes "one that is not optional brings a new connection" sh -c "[ \$(grep -c 'Peer Connection Initiated' $WORK/server.log) = 2 ]"
becomes "which comes up" is_state connected
becomes "with what the server pushes then" hasnt '10\.97\.' route show table all
becomes "and the log says why" told 'PUSH_UPDATE.*sndbuf'
kill $flood
wait $flood
ok "the probe really tried" jq -e '[.kinds[].tries] | add > 1000' $WORK/probe.json
ok "not one packet beside the tunnel in all that time" judge_stop update
ok "down" nsvpn down home
ok "nothing is left" no_leftovers
tap_done
