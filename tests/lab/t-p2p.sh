#!/bin/bash
# `tls-client` without `pull` against real point-to-point servers of openvpn: what both sides' lines agree on (cipher, peer
# id, keys out of TLS), what they do not, over UDP and TCP; checksummed data across new keys, a restarted server, leaving;
# and that a file with a static key is refused with its reason.
#
# NSVPN_INTEROP=2.7 (t-p2p-2.7.sh): the servers are those of OpenVPN 2.7.
. "$(dirname "$(readlink -f "$0")")/lab.sh"
. "$(dirname "$(readlink -f "$0")")/box.sh"
openvpn_need "${NSVPN_INTEROP:-2.6}"
lab_enter "$@"
lab_pki && lab_up || { diag "the lab could not be built"; exit 1; }
openvpn_mounts || exit 1
spawn inet "$LABBIN"/tcpkeep server 192.0.2.80:5001 >$WORK/keep-server.out 2>&1

port=1400
server_run() {
  : >$WORK/server.log
  # shellcheck disable=SC2086
  spawn vpn $OPENVPN --config $WORK/server.conf --log $WORK/server.log --writepid $WORK/server.pid >/dev/null 2>&1
  # Over TCP it goes on only when a client has come.
  wait_for 10 grep -qE 'Initialization Sequence Completed|UDPv[46] link remote|Listening for incoming TCP' $WORK/server.log ||
    { diag "openvpn: $(tail -n 5 $WORK/server.log)"; return 1; }
}
server() { # PROTO LINE...
  port=$((port + 1))
  cat >$WORK/server.conf <<END
mode p2p
port $port
proto $1
dev tunP
dev-type tun
tls-server
ifconfig 10.47.0.1 10.47.0.2
ifconfig-ipv6 2001:db8:feed:7::1/64 2001:db8:feed:7::2
ca $PKI/ca.crt
cert $PKI/server.crt
key $PKI/server.key
dh none
disable-dco
keepalive 2 12
reneg-sec 3
verb 4
END
  printf '%s\n' "${@:2}" >>$WORK/server.conf
  server_run
}
server_end() {
  local pid
  pid=$(cat $WORK/server.pid)
  kill -TERM "$pid" 2>/dev/null
  wait_for 5 sh -c "! kill -0 $pid"
}
client() { # PROTO LINE...
  {
    cat <<END
mode p2p
tls-client
dev tun
remote vpn4.example.net $port $1
nobind
remote-cert-tls server
ifconfig 10.47.0.2 10.47.0.1
ifconfig-ipv6 2001:db8:feed:7::2/64 2001:db8:feed:7::1
dhcp-option DNS 192.0.2.53
keepalive 2 12
END
    inline ca $PKI/ca.crt; inline cert $PKI/client.crt; inline key $PKI/client.key
    printf '%s\n' "${@:2}"
  } >$WORK/p2p.ovpn
}
row() { # WHAT
  local what=$1
  lab_import p2p home || { ok "$what: import" false; server_end; return; }
  ok "$what: up" nsvpn up home --timeout 30
  [ -z "${cipher:-}" ] || is "$what: cipher" "$cipher" "$(nsvpn status home --json | jq -r '.tunnels[0].cipher')"
  [ -z "${agreed:-}" ] || like "$what: agreed" "$agreed" "$(grep 'P2P mode NCP' $WORK/server.log | head -n 1)"
  # (The server begins a second later than we do; what came first is asked again by the resolver.)
  is "$what: IPv4" 198.51.100.10 "$(inside curl -4 -s -m 20 http://web.example.net/)"
  is "$what: IPv6" 2001:db8:feed:7::2 "$(inside curl -6 -s -m 20 http://web.example.net/)"
  ok "$what: checksummed data both ways, across new keys" host "$NSVPN" exec -t home "$LABBIN"/tcpkeep client 192.0.2.80:5001 --seconds 5 --bulk
  ok "$what: keys were renewed" test "$(grep -cE 'Outgoing (Data Channel|Epoch Data key 1): Cipher' $WORK/server.log)" -ge 2
  [ -z "${extra:-}" ] || $extra "$what"
  ok "$what: down" nsvpn down home
  [ -z "${leaves:-}" ] || ok "$what: the server saw it leave" wait_for 5 grep -qE "$leaves" $WORK/server.log
  server_end
  ok "$what: nothing is left" no_leftovers
}

server udp "tls-crypt $PKI/ta.key" "data-ciphers AES-128-GCM:AES-256-GCM" "explicit-exit-notify 1"
client udp "$(inline tls-crypt $PKI/ta.key)" "data-ciphers AES-256-GCM:AES-128-GCM" "explicit-exit-notify 1"
restarted() {
  server_end
  ok "$1: its goodbye (EXIT) is heard" wait_for 10 sh -c "nsenter --net=/run/netns/host $NSVPN logs home | grep -q goodbye"
  server_run
  ok "$1: a server that was restarted is joined again" wait_for 60 grep -q 'Initialization Sequence Completed' $WORK/server.log
  ok "$1: and the tunnel is connected" wait_for 30 is_state connected
  is "$1: IPv4 again" 198.51.100.10 "$(inside curl -4 -s -m 20 http://web.example.net/)"
}
cipher=AES-128-GCM agreed='TLS_export=1, DATA_v2=1, peer-id [0-9]{3,}' leaves='remote-exit|exit message' extra=restarted \
  row "UDP, agreed by both lists"

server udp "tls-auth $PKI/ta.key 0" "cipher AES-256-CBC" "data-ciphers AES-256-CBC" "auth SHA256" "comp-lzo no"
client udp "$(inline tls-auth $PKI/ta.key)" "key-direction 1" "cipher AES-256-CBC" "auth SHA256" "comp-lzo no"
cipher=AES-256-CBC row "UDP, an old file: CBC, framing"

server tcp-server "tls-crypt $PKI/ta.key"
client tcp-client "$(inline tls-crypt $PKI/ta.key)"
row "TCP"

# No cipher in common is said, not tried for ever without a word.
server udp "tls-crypt $PKI/ta.key" "data-ciphers AES-128-GCM" "cipher AES-128-GCM"
client udp "$(inline tls-crypt $PKI/ta.key)" "data-ciphers CHACHA20-POLY1305"
lab_import p2p home
like "no common cipher: the sentence names it" 'AES-128-GCM.*data-ciphers' "$(nsvpn up home --timeout 10 2>&1)"
nsvpn down home >/dev/null 2>&1
server_end

# ---- static keys ----------------------------------------------------------------------------------------------------

printf 'dev tun\nremote vpn4.example.net 1194\nifconfig 10.47.0.2 10.47.0.1\nsecret static.key\n' >$WORK/static.ovpn
out=$(nsvpn import $WORK/static.ovpn --name static 2>&1)
is "a static key file is refused" 1 $?
like "with file, line and reason" 'static.ovpn:4: `secret static.key`: .*forward secrecy.*TLS profile' "$out"
{ printf 'dev tun\nremote vpn4.example.net 1194\nifconfig 10.47.0.2 10.47.0.1\n'; inline tls-auth $PKI/ta.key | sed 's/tls-auth/secret/'; } >$WORK/static.ovpn
like "also with the key inside" 'static.ovpn:4: `<secret>`: .*forward secrecy' "$(nsvpn import $WORK/static.ovpn --name static 2>&1)"
ok "nothing is left" no_leftovers
tap_done
