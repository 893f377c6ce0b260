#!/bin/bash
# The interop matrix: real openvpn servers of one version with every transport, wrapping of the control channel, cipher,
# framing, topology and way to log in, so that every two values meet in a row (matrix.txt; matrix.awk checks that). Each row
# is a lab of its own, several run at once: handshake, checksummed data both ways across a renewal of the keys, a clean exit.
#
#   tests/lab/t-matrix.sh [LINE]...     only the rows on these lines of matrix.txt
#
# NSVPN_MATRIX: the version, 2.6 (what is installed), 2.5 or 2.7 (t-matrix-2.5.sh, t-matrix-2.7.sh: in roots of their own).
. "$(dirname "$(readlink -f "$0")")/lab.sh"
. "$(dirname "$(readlink -f "$0")")/box.sh"
. "$(dirname "$(readlink -f "$0")")/interop.sh"
version=${NSVPN_MATRIX:-2.6}
openvpn_need "$version"
lab_enter "$@"

# ---- one row, in a lab of its own -----------------------------------------------------------------------------------

keys_of() { # WRAP: sets `server` and `client` lines
  case $1 in
    none) ;;
    tls-auth) srv+=("tls-auth $PKI/ta.key 0") cli+=("key-direction 1" "$(inline tls-auth $PKI/ta.key)") ;;
    tls-crypt) srv+=("tls-crypt $PKI/ta.key") cli+=("$(inline tls-crypt $PKI/ta.key)") ;;
    tls-crypt-v2) srv+=("tls-crypt-v2 $PKI/v2.server") cli+=("$(inline tls-crypt-v2 $PKI/v2.client)") ;;
  esac
}
cipher_of() { # CIPHER: the only one that the server has
  case $1 in
    epoch) cipher=AES-256-GCM srv+=("data-ciphers AES-256-GCM") ;;
    *CBC) srv+=("data-ciphers $1" "auth SHA256") cli+=("cipher $1" "auth SHA256") ;;
    *) srv+=("data-ciphers $1") cli+=("data-ciphers $1:AES-128-CBC") ;;
  esac
}
framing_of() { # FRAMING
  case $1 in
    none) ;;
    comp-lzo) srv+=("comp-lzo adaptive" "allow-compression yes") cli+=("comp-lzo adaptive") ;;
    lz4-v2) srv+=("compress lz4-v2" "allow-compression yes") cli+=("compress lz4-v2") ;;
    stub-v2) srv+=("compress stub-v2") cli+=("compress stub-v2") ;;
  esac
}
login_of() { # LOGIN
  case $1 in
    *pass)
      credentials
      printf '#!/bin/sh\n[ "$(sed -n 1p "$1")" = alice ] && [ "$(sed -n 2p "$1")" = "open sesame" ]\n' >$WORK/checkpass
      chmod 755 $WORK/checkpass
      srv+=("script-security 3" "auth-user-pass-verify $WORK/checkpass via-file")
      cli+=("auth-user-pass")
      with="--credentials $WORK/credentials"
      ;;
  esac
  case $1 in
    pass) no_cert=1 srv+=("verify-client-cert none" "username-as-common-name") ;;
    fingerprint)
      # Before 2.6 a server cannot do without an authority: a self-signed certificate is its own.
      no_ca=1 srv+=("cert $PKI/self-server.crt" "key $PKI/self-server.key")
      case $version in
        2.5) srv+=("ca $PKI/self-client.crt") ;;
        *) srv+=("peer-fingerprint $(fingerprint $PKI/self-client.crt)") ;;
      esac
      cli+=("peer-fingerprint $(fingerprint $PKI/self-server.crt)" "$(inline cert $PKI/self-client.crt)"
        "$(inline key $PKI/self-client.key)")
      ;;
  esac
}
left() { grep -qE "remote-exit|exit message received|Connection reset, restarting" $WORK/server.log; }

one_row() { # TRANSPORT WRAP CIPHER FRAMING TOPOLOGY LOGIN
  local what="$*" srv=() cli=("explicit-exit-notify 1") with= no_cert= no_ca= cipher=$3 topology=$5 client_host=vpn4 n wire json
  local server_proto=$1 client_proto=$1
  case $1 in *6) client_host=vpn ;; esac
  case $1 in tcp*) server_proto=$1-server client_proto=$1-client ;; esac
  keys_of "$2"; cipher_of "$3"; framing_of "$4"; login_of "$6"
  ok "$what: server" server "${srv[@]}" || return
  client "${cli[@]}"
  ok "$what: import" lab_import interop home || return
  # shellcheck disable=SC2086
  ok "$what: up" nsvpn up home --timeout 60 $with || return
  json=$(nsvpn status home --json)
  is "$what: cipher and transport" "$cipher ${1%[46]}" "$(jq -r '.tunnels[0] | .cipher + " " + .remote.transport' <<<"$json")"
  like "$what: the server's address" "$([[ $1 = *6 ]] && echo '^2001:' || echo '^198\.')" "$(jq -r '.tunnels[0].remote.address' <<<"$json")"
  case $version:$cipher in
    2.7:*CBC) ;;
    2.7:*) ok "$what: epoch keys" grep -q 'protocol-flags .*aead-epoch' $WORK/server.log ;;
  esac
  case $version:$4 in
    2.7:*) ;; # it only unpacks
    *:comp-lzo | *:lz4-v2)
      read -r n wire < <(compressible)
      is "$what: compressible data comes" 3000000 "$n"
      ok "$what: and came compressed (to $wire %)" test "$wire" -lt 90
      ;;
  esac
  ok "$what: checksummed data both ways, across a new key" \
    host "$NSVPN" exec -t home "$LABBIN"/tcpkeep client 192.0.2.80:5001 --seconds 5 --bulk
  ok "$what: keys were renewed" wait_for 30 renewed
  like "$what: IPv6" '^2001:db8:feed:e:' "$(inside curl -6 -s -m 10 http://web.example.net/)"
  ok "$what: down" nsvpn down home
  # Over TCP the end of the connection says it.
  ok "$what: the server saw it leave" wait_for 10 left
  server_end
  ok "$what: nothing is left" no_leftovers
}

if [ -n "${NSVPN_MATRIX_ROW:-}" ]; then
  cp -r /mnt/pki $WORK/pki && PKI=$WORK/pki
  lab_up || { diag "the lab could not be built"; exit 1; }
  openvpn_mounts || exit 1
  spawn inet "$LABBIN"/tcpkeep server 192.0.2.80:5001 >$WORK/keep-server.out 2>&1
  # shellcheck disable=SC2086
  one_row $NSVPN_MATRIX_ROW
  [ "$tap_failed" = 0 ] || { tail -n 25 $WORK/server.log; nsvpn logs home | tail -n 25; } 2>&1 | sed 's/^/# /'
  tap_done
fi

# ---- all of them ----------------------------------------------------------------------------------------------------

table=$LAB_DIR/matrix.txt
ok "every two values meet in a row" awk -f "$LAB_DIR/matrix.awk" "$table"
sed 's/^/# /' $WORK/ok.out
# Not every pair: the check of the table sees that one is missing.
is "and it is seen when they do not" 1 "$(sed '0,/^2/{/^2/d}' "$table" | awk -f "$LAB_DIR/matrix.awk" >/dev/null; echo $?)"
like "the servers are of $version" "^OpenVPN ${version/./\\.}" "$($OPENVPN --version)"

# In this mount namespace only; the rows see it.
mount -t tmpfs -o mode=700 lab /mnt || exit 2
lab_pki && mv $PKI /mnt/pki || { diag "no PKI"; exit 1; }
PKI=/mnt/pki
self_signed
openvpn --genkey tls-crypt-v2-server $PKI/v2.server
openvpn --tls-crypt-v2 $PKI/v2.server --genkey tls-crypt-v2-client $PKI/v2.client

start_row() { # LINE COLUMNS
  NSVPN_LAB='' NSVPN_MATRIX_ROW=$2 timeout -k 5 180 "$(readlink -f "$0")" >"/mnt/$1.tap" 2>"/mnt/$1.err" </dev/null &
}
number=0 lines=()
while read -r columns; do
  number=$((number + 1))
  [ "${columns%% *}" = "$version" ] || continue
  [ $# = 0 ] || [[ " $* " = *" $number "* ]] || continue
  lines+=("$number")
  while [ "$(jobs -rp | wc -l)" -ge "${NSVPN_MATRIX_JOBS:-3}" ]; do wait -n; done
  start_row "$number" "$(tr -s ' ' <<<"${columns#* }")"
done <"$table"
wait
for number in "${lines[@]}"; do
  tap_take "/mnt/$number" "line $number"
done
tap_done
