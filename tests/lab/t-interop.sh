#!/bin/bash
# What the matrix (t-matrix.sh) has no column for: one row for each option that chooses how to talk to a real openvpn server.
# A row connects, carries checksummed data both ways across a renewal of the keys, full-size datagrams and names, and leaves.
#
#   tests/lab/t-interop.sh [ROW]...     only the rows whose names are given
#
# NSVPN_INTEROP=2.7 (t-interop-2.7.sh): the servers are those of OpenVPN 2.7, from Debian's backports in a root of their own.
. "$(dirname "$(readlink -f "$0")")/lab.sh"
. "$(dirname "$(readlink -f "$0")")/box.sh"
. "$(dirname "$(readlink -f "$0")")/interop.sh"
openvpn_need "${NSVPN_INTEROP:-2.6}"
if [ "${NSVPN_INTEROP:-}" = 2.7 ] && [ $# = 0 ]; then
  set -- tls-crypt-v2 tls-crypt-v2-stateful stub-v2-pushed fragment ed25519
fi
lab_enter "$@"
# All of them: in three labs at once, each with a third of the rows.
if [ $# = 0 ] && [ -z "${NSVPN_INTEROP_PART:-}" ]; then
  mount -t tmpfs -o mode=700 lab /mnt || exit 2
  for part in 0 1 2; do
    NSVPN_LAB='' NSVPN_INTEROP_PART=$part "$(readlink -f "$0")" >/mnt/$part.tap 2>/mnt/$part.err </dev/null &
  done
  wait
  for part in 0 1 2; do tap_take /mnt/$part "part $part"; done
  tap_done
fi
lab_pki || { diag "no PKI"; exit 1; }
lab_up || { diag "the lab could not be built"; exit 1; }
openvpn_mounts || exit 1
spawn inet "$LABBIN"/tcpkeep server 192.0.2.80:5001 >$WORK/keep-server.out 2>&1

openvpn --genkey tls-crypt-v2-server $PKI/v2.server
openvpn --tls-crypt-v2 $PKI/v2.server --genkey tls-crypt-v2-client $PKI/v2.client

full_size() { # datagrams as large as the device takes, from inside and echoed back
  local n
  n=$(inside bash -c 'exec 3<>/dev/udp/192.0.2.80/7; head -c 1200 /dev/zero >&3; head -c 1200 <&3 | wc -c')
  [ "$n" = 1200 ]
}
# What a server really compressed is smaller outside than inside.
compresses() {
  local n wire
  [ "${NSVPN_INTEROP:-}" = 2.7 ] && return 0 # it only unpacks, too
  read -r n wire < <(compressible)
  is "$1: compressible data comes" 3000000 "$n"
  ok "$1: and came compressed (to $wire %)" test "$wire" -lt 90
  ok "$1: the user is told" grep -q VORACLE <(nsvpn logs home)
}
# A datagram that the server has to cut, and that we have to put together.
big_datagrams() {
  local n
  n=$(inside bash -c 'exec 3<>/dev/udp/192.0.2.80/7; head -c 1400 /dev/zero >&3; timeout 5 head -c 1400 <&3 | wc -c')
  is "$1: what the server cut comes whole" 1400 "$n"
  like "$1: the device's MTU needs no cutting" "$([ "${NSVPN_INTEROP:-}" = 2.7 ] || echo "${mtu:-.}")" "$(nsvpn status home --json | jq ".tunnels[0].mtu")"
}

# row WHAT: the story of the server and the profile that are there.
row() {
  local what=$1 json
  [ -s $WORK/server.pid ] || { ok "$what: server" false; return; }
  lab_import interop home || { ok "$what: import" false; server_end; return; }
  # shellcheck disable=SC2086
  ok "$what: up" nsvpn up home --timeout 30 ${with:-}
  json=$(nsvpn status home --json)
  case "${NSVPN_INTEROP:-}:${cipher:-}" in
    2.7:*CBC | :*) ;;
    *) ok "$what: epoch keys" grep -q 'protocol-flags .*aead-epoch' $WORK/server.log ;;
  esac
  [ -z "${cipher:-}" ] || is "$what: cipher" "$cipher" "$(jq -r '.tunnels[0].cipher' <<<"$json")"
  is "$what: IPv4" 198.51.100.10 "$(inside curl -4 -s -m 5 http://web.example.net/)"
  like "$what: IPv6" '^2001:db8:feed:e:' "$(inside curl -6 -s -m 5 http://web.example.net/)"
  ok "$what: datagrams" full_size
  [ -z "${extra:-}" ] || $extra "$what"
  ok "$what: checksummed data both ways, across a new key" \
    host "$NSVPN" exec -t home "$LABBIN"/tcpkeep client 192.0.2.80:5001 --seconds 5 --bulk
  ok "$what: keys were renewed" wait_for 20 renewed
  ok "$what: down" nsvpn down home
  ok "$what: the server saw it leave" wait_for 5 grep -qE "remote-exit|exit message received${leaving:-}" $WORK/server.log
  server_end; [ -z "${NSVPN_KEEP:-}" ] || cp $WORK/server.log "$NSVPN_KEEP"
  ok "$what: nothing is left" no_leftovers
}
rows=0
wanted() { # NAME
  local n
  rows=$((rows + 1))
  [ -z "${NSVPN_INTEROP_PART:-}" ] || { [ $((rows % 3)) = "$NSVPN_INTEROP_PART" ]; return; }
  for n in "${only[@]}"; do [ "$n" = "$1" ] && return 0; done
  return 1
}
only=("$@")

# ---- keys of the control channel ------------------------------------------------------------------------------------

if wanted tls-crypt-v2; then
  server "tls-crypt-v2 $PKI/v2.server force-cookie"
  client "explicit-exit-notify 2" "$(inline tls-crypt-v2 $PKI/v2.client)"
  row "tls-crypt-v2, with a cookie"
fi
if wanted tls-crypt-v2-stateful; then
  server "tls-crypt-v2 $PKI/v2.server allow-noncookie"
  client "explicit-exit-notify 2" "$(inline tls-crypt-v2 $PKI/v2.client)"
  row "tls-crypt-v2, no cookie needed"
fi

# ---- ciphers --------------------------------------------------------------------------------------------------------

# Each is the only one that the server has; the profile names it as old files do, or in its list.
for c in AES-128-CBC:SHA1 AES-192-CBC:SHA384 AES-256-CBC:SHA256 AES-256-CBC:SHA512; do
  wanted "$c" || continue
  server "data-ciphers ${c%%:*}" "auth ${c#*:}" "tls-auth $PKI/ta.key 0"
  client "cipher ${c%%:*}" "auth ${c#*:}" "key-direction 1" "$(inline tls-auth $PKI/ta.key)" "explicit-exit-notify 1"
  cipher=${c%%:*} row "${c%%:*} and ${c#*:}"
done
for c in AES-192-GCM; do
  wanted "$c" || continue
  server "data-ciphers $c" "tls-crypt $PKI/ta.key"
  client "data-ciphers $c:AES-128-CBC" "$(inline tls-crypt $PKI/ta.key)" "explicit-exit-notify 1"
  cipher=$c row "$c"
done
if wanted no-negotiation; then
  # Like a server of before 2.4: what it uses is known from its options string alone.
  server "data-ciphers AES-256-CBC" "data-ciphers-fallback AES-256-CBC" "auth SHA256"
  client "cipher AES-256-CBC" "auth SHA256" "explicit-exit-notify 1" 'pull-filter ignore "cipher "'
  cipher=AES-256-CBC row "AES-256-CBC without negotiation"
fi

# ---- compression framing --------------------------------------------------------------------------------------------

# NAME | lines of the server | lines of the profile | does the server compress?
while IFS='|' read -r name srv cli really; do
  [ -n "$name" ] && wanted "$name" || continue
  IFS=';' read -ra lines <<<"$srv"
  server "tls-crypt $PKI/ta.key" "${lines[@]}"
  IFS=';' read -ra lines <<<"$cli"
  client "$(inline tls-crypt $PKI/ta.key)" "explicit-exit-notify 1" "${lines[@]}"
  extra=${really:+compresses} row "framing, $name"
done <<'EOF'
comp-lzo|comp-lzo yes;allow-compression yes|comp-lzo|yes
comp-lzo-adaptive|comp-lzo adaptive;allow-compression yes|comp-lzo no|
comp-lzo-no|comp-lzo no|comp-lzo no|
comp-lzo-pushed|comp-lzo yes;push "comp-lzo yes";allow-compression yes||yes
compress-lzo|compress lzo;allow-compression yes|compress lzo|yes
lz4|compress lz4;allow-compression yes|compress lz4|yes
lz4-pushed|compress lz4;push "compress lz4";allow-compression yes|compress|yes
lz4-v2|compress lz4-v2;allow-compression yes|compress lz4-v2|yes
lz4-v2-pushed|compress lz4-v2;push "compress lz4-v2";allow-compression yes||yes
stub|compress stub|compress stub|
stub-v2|compress stub-v2|compress stub-v2|
stub-v2-pushed|compress stub-v2;push "compress stub-v2"||
lz4-v2-cbc|compress lz4-v2;allow-compression yes;data-ciphers AES-256-CBC;auth SHA256|compress lz4-v2;cipher AES-256-CBC;auth SHA256|yes
EOF

# ---- over TCP -------------------------------------------------------------------------------------------------------

over_tcp() { # 4|6 COMMAND...: a server or a client of that kind
  local server_proto=tcp$1-server client_proto=tcp$1-client client_host=vpn4
  [ "$1" = 4 ] || client_host=vpn
  "${@:2}"
}
# NAME | 4 or 6 | lines of the server | lines of the profile | tags and files of the profile
while IFS='|' read -r name family srv cli tag; do
  [ -n "$name" ] && wanted "$name" || continue
  IFS=';' read -ra lines <<<"$srv"
  over_tcp "$family" server "${lines[@]}"
  IFS=';' read -ra lines <<<"$cli"
  # shellcheck disable=SC2086
  over_tcp "$family" client "${lines[@]}" ${tag:+"$(inline $tag)"}
  # The end of the connection says it, too: in the middle of a renegotiation nothing else does.
  leaving='|Connection reset, restarting' row "TCP over IPv$family, $name"
done <<EOF
tcp4-tls-crypt-v2-cookie|4|tls-crypt-v2 $PKI/v2.server force-cookie||tls-crypt-v2 $PKI/v2.client
tcp4-mssfix|4|mssfix 1300|mssfix 1300|
EOF

# ---- fragments and MTU ----------------------------------------------------------------------------------------------

while IFS='|' read -r name srv cli mtu; do
  [ -n "$name" ] && wanted "$name" || continue
  IFS=';' read -ra lines <<<"$srv"
  server "tls-crypt $PKI/ta.key" "${lines[@]}"
  IFS=';' read -ra lines <<<"$cli"
  client "$(inline tls-crypt $PKI/ta.key)" "explicit-exit-notify 1" "${lines[@]}"
  extra=big_datagrams row "MTU, $name"
done <<'EOF'
fragment|fragment 1350|fragment 1350|^1322$
fragment-mtu|fragment 1400 mtu|fragment 1400 mtu|^1344$
fragment-lzo-cbc|fragment 1350;comp-lzo yes;allow-compression yes;data-ciphers AES-256-CBC;auth SHA256|fragment 1350;comp-lzo;cipher AES-256-CBC;auth SHA256|
fragment-mssfix|fragment 1350;mssfix 1300|fragment 1350;mssfix 1300|^1322$
mssfix-off|mssfix 0|mssfix 0|
mssfix-fixed|mssfix 1200 fixed|mssfix 1200 fixed|
EOF

# ---- certificates ---------------------------------------------------------------------------------------------------

# A second authority with keys of another kind: certificates KIND-ca, KIND-server, KIND-client.
pki_of() { # KIND GENPKEY-OPTIONS...
  local kind=$1 who
  shift
  (
    cd $PKI || exit 1
    exec >>pki.log 2>&1
    umask 077
    for who in ca server client; do openssl genpkey "$@" -out "$kind-$who.key"; done
    openssl req -x509 -new -key "$kind-ca.key" -days 30 -out "$kind-ca.crt" -subj "/CN=Lab CA $kind" \
      -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign,cRLSign
    for who in server client; do
      printf 'basicConstraints=CA:FALSE\nkeyUsage=digitalSignature\nextendedKeyUsage=%sAuth\n' $who >"$kind-$who.ext"
      openssl req -new -key "$kind-$who.key" -out "$kind-$who.csr" -subj "/C=DE/O=Lab/CN=$who.example.net"
      openssl x509 -req -in "$kind-$who.csr" -CA "$kind-ca.crt" -CAkey "$kind-ca.key" -CAcreateserial -days 30 \
        -extfile "$kind-$who.ext" -out "$kind-$who.crt"
    done
  )
  [ -s "$PKI/$kind-client.crt" ]
}
for kind in rsa ed25519; do
  wanted $kind || continue
  case $kind in rsa) pki_of rsa -algorithm RSA ;; ed25519) pki_of ed25519 -algorithm ed25519 ;; esac
  server "tls-crypt $PKI/ta.key" "ca $PKI/$kind-ca.crt" "cert $PKI/$kind-server.crt" "key $PKI/$kind-server.key"
  client "$(inline tls-crypt $PKI/ta.key)" "explicit-exit-notify 1" "$(inline ca $PKI/$kind-ca.crt)" \
    "$(inline cert $PKI/$kind-client.crt)" "$(inline key $PKI/$kind-client.key)" \
    'verify-x509-name "C=DE, O=Lab, CN=server.example.net"' "remote-cert-eku serverAuth" "remote-cert-ku 80"
  row "certificates, $kind"
done
if wanted fingerprint; then
  self_signed
  no_ca=1 server "tls-crypt $PKI/ta.key" "cert $PKI/self-server.crt" "key $PKI/self-server.key" \
    "peer-fingerprint $(fingerprint $PKI/self-client.crt)"
  client "$(inline tls-crypt $PKI/ta.key)" "explicit-exit-notify 1" "peer-fingerprint $(fingerprint $PKI/self-server.crt)" \
    "$(inline cert $PKI/self-client.crt)" "$(inline key $PKI/self-client.key)"
  row "certificates, fingerprints"
fi
if wanted pkcs12; then
  openssl pkcs12 -export -in $PKI/client.crt -inkey $PKI/client.key -certfile $PKI/ca.crt -out $WORK/me.p12 \
    -passout "pass:a pass phrase"
  printf 'a pass phrase\n' >$WORK/phrase
  server "tls-crypt $PKI/ta.key" "tls-version-min 1.3"
  client "$(inline tls-crypt $PKI/ta.key)" "explicit-exit-notify 1" "pkcs12 me.p12" "askpass phrase" "tls-groups X25519" \
    "tls-ciphersuites TLS_CHACHA20_POLY1305_SHA256"
  row "certificates, PKCS#12 under a pass phrase"
fi
if wanted askpass; then
  openssl pkcs8 -topk8 -in $PKI/client.key -out $PKI/client.enc -passout "pass:a pass phrase"
  printf 'a pass phrase\n' >$WORK/phrase
  printf 'another\n' >$WORK/wrong
  server "tls-crypt $PKI/ta.key"
  client "$(inline tls-crypt $PKI/ta.key)" "explicit-exit-notify 1" "askpass" "<cert>" "$(sed -n '/BEGIN/,/END/p' $PKI/client.crt)" \
    "</cert>" "$(inline key $PKI/client.enc)"
  lab_import interop home
  like "askpass: without it the sentence says what to do" 'pass phrase of its private key.*--credentials' "$(nsvpn up home 2>&1 </dev/null)"
  like "askpass: a wrong one is said to be wrong" 'does not open with the password given' \
    "$(nsvpn up home --timeout 20 --credentials $WORK/wrong 2>&1)"
  nsvpn down home >/dev/null 2>&1
  # Somebody at a terminal types it when the question is there; it must not be shown.
  typed=$({ sleep 2; echo "a pass phrase"; sleep 8; } | in_ns host script -qec "$NSVPN up home --timeout 20" /dev/null 2>&1)
  like "askpass: it is asked for at the terminal" 'pass phrase of the private key for tunnel home: ' "$typed"
  is "askpass: and not shown" "" "$(grep 'a pass phrase' <<<"$typed")"
  is "askpass: the tunnel is connected" connected "$(nsvpn status home --json | jq -r '.tunnels[0].state')"
  nsvpn down home >/dev/null 2>&1
  with="--credentials $WORK/phrase" row "certificates, an encrypted key"
fi
if wanted old-tls; then
  server "tls-crypt $PKI/ta.key" "tls-version-max 1.2"
  client "$(inline tls-crypt $PKI/ta.key)" "explicit-exit-notify 1" "tls-version-max 1.2" "tls-cert-profile preferred" \
    "tls-cipher TLS-ECDHE-ECDSA-WITH-AES-128-GCM-SHA256"
  row "certificates, TLS 1.2"
fi
tap_done
