# Servers of real openvpn and the profiles for them, line by line: what t-interop.sh and t-matrix.sh share. Sourced after
# lab.sh and box.sh; OPENVPN is the server's command (openvpn_need).

port=1200
# server LINE...: a server with these lines besides the usual; its output goes to $WORK/server.log.
#   server_proto  udp      topology  subnet      no_ca  set: nobody's authority
server() {
  port=$((port + 1))
  cat >$WORK/server.conf <<EOF
port $port
proto ${server_proto:-udp}
dev tunI
dev-type tun
mode server
tls-server
topology ${topology:-subnet}
server 10.44.0.0 255.255.255.0
server-ipv6 2001:db8:feed:e::/64
push "redirect-gateway def1 ipv6"
push "dhcp-option DNS 192.0.2.53"
dh none
ignore-unknown-option disable-dco
disable-dco
verb 4
keepalive 2 12
reneg-sec 3
duplicate-cn
EOF
  [ -n "${no_ca:-}" ] || grep -q '^ca ' <(printf '%s\n' "$@") || printf 'ca %s\n' $PKI/ca.crt >>$WORK/server.conf
  grep -q '^cert ' <(printf '%s\n' "$@") || printf 'cert %s\nkey %s\n' $PKI/server.crt $PKI/server.key >>$WORK/server.conf
  printf '%s\n' "$@" >>$WORK/server.conf
  : >$WORK/server.log
  # shellcheck disable=SC2086
  spawn vpn $OPENVPN --config $WORK/server.conf --log $WORK/server.log --writepid $WORK/server.pid >/dev/null 2>&1
  wait_for 20 grep -q 'Initialization Sequence Completed' $WORK/server.log ||
    { diag "openvpn: $(tail -n 5 $WORK/server.log)"; return 1; }
}
server_end() {
  kill -TERM "$(cat $WORK/server.pid)" 2>/dev/null
  wait_for 10 sh -c "! kill -0 $(cat $WORK/server.pid)"
}
# client LINE...: the profile for that server, with these lines.
#   client_host  vpn4      client_proto  udp     no_cert  set: a password only
client() {
  {
    printf 'client\ndev tun\nnobind\nremote %s.example.net %s %s\n' "${client_host:-vpn4}" "$port" "${client_proto:-udp}"
    [[ "$*" == *peer-fingerprint* ]] || printf 'remote-cert-tls server\n'
    [[ "$*" == *"<ca>"* || "$*" == *peer-fingerprint* || "$*" == *pkcs12* ]] || inline ca $PKI/ca.crt
    [[ -n "${no_cert:-}" || "$*" == *"<cert>"* || "$*" == *pkcs12* ]] ||
      { inline cert $PKI/client.crt; inline key $PKI/client.key; }
    printf '%s\n' "$@"
  } >$WORK/interop.ovpn
}
# Data that can be compressed, from the server: prints how much of 3000000 came, and how much of a hundred bytes that the
# server had to send were on the wire. To be asked before there is traffic that cannot be compressed: adaptive compression
# rests for a minute then.
compressible() {
  local inner outer n
  inner=$(bytes vpn tunI tx) outer=$(bytes host eth0 rx)
  n=$(inside bash -c 'exec 3<>/dev/tcp/192.0.2.80/19; head -c 3000000 <&3 | wc -c')
  echo "$n $((100 * ($(bytes host eth0 rx) - outer) / ($(bytes vpn tunI tx) - inner)))"
}
bytes() { in_ns "$1" ip -s -j link show "$2" | jq ".[0].stats64.$3.bytes"; } # NAMESPACE LINK rx|tx
keys_made() { grep -cE 'Outgoing (Data Channel|Epoch Data key 1): Cipher' $WORK/server.log; }
renewed() { [ "$(keys_made)" -ge 2 ]; }
# Two self-signed certificates that know each other, and nobody else: $PKI/self-server, $PKI/self-client.
self_signed() {
  local who
  for who in server client; do
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:secp384r1 -nodes -days 30 -keyout $PKI/self-$who.key \
      -out $PKI/self-$who.crt -subj "/CN=self-$who" 2>>$PKI/pki.log
  done
}
fingerprint() { openssl x509 -in "$1" -noout -fingerprint -sha256 | cut -d= -f2; }

# tap_take FILE WHAT: what another script of the lab said, in FILE.tap and FILE.err, becomes part of what this one says.
tap_take() {
  local line ended=
  [ -s "$1.tap" ] || ok "$2 ran" cat "$1.err"
  while read -r line; do
    case $line in
      "ok "*) tap_n=$((tap_n + 1)); echo "ok $tap_n - ${line#* - }" ;;
      "not ok "*) tap_n=$((tap_n + 1)) tap_failed=$((tap_failed + 1)); echo "not ok $tap_n - ${line#* - }" ;;
      1..*) ended=1 ;;
      *) echo "$line" ;;
    esac
  done <"$1.tap"
  ok "$2 came to its end" test -n "$ended"
}
