#!/bin/bash
# Certificates, TLS and what a profile may ask of them, against a real openvpn server: each check of a server's certificate once
# where it holds and once where it does not, and the sentence that names what is wrong. Kinds of keys: t-interop.sh.
. "$(dirname "$(readlink -f "$0")")/lab.sh"
. "$(dirname "$(readlink -f "$0")")/box.sh"
. "$(dirname "$(readlink -f "$0")")/interop.sh"
openvpn_need 2.6
lab_enter "$@"
lab_pki && lab_up || { diag "the lab could not be built"; exit 1; }

# Lists of what the authority has taken back: nothing, the server's certificate, and one that is not its own.
revocations() {
  (
    cd $PKI || exit 1
    exec >>pki.log 2>&1
    for list in none revoked; do
      : >crl-index.txt
      echo 01 >crl-number
      printf '[ca]\ndefault_ca=d\n[d]\ndatabase=crl-index.txt\ncrlnumber=crl-number\ndefault_md=sha256\ndefault_crl_days=30\n' >crl.cnf
      [ $list = none ] || openssl ca -config crl.cnf -cert ca.crt -keyfile ca.key -revoke server.crt
      openssl ca -config crl.cnf -cert ca.crt -keyfile ca.key -gencrl -out crl-$list.pem
    done
  )
  [ -s $PKI/crl-revoked.pem ]
}
ok "revocation lists" revocations

# try WANT WHAT LINE...: a profile with these lines connects (WANT is "up"), or fails with a sentence like WANT.
try() {
  local want=$1 what=$2 out seconds
  shift 2
  client "$(inline tls-crypt $PKI/ta.key)" "explicit-exit-notify 1" "connect-retry 1" "$@"
  seconds=60
  [[ "$*" != *hand-window* ]] || seconds=12
  out=$(nsvpn remove home 2>&1; nsvpn import $WORK/interop.ovpn --name home 2>&1 && nsvpn up home --timeout $seconds 2>&1)
  if [ "$want" = up ]; then
    is "$what" connected "$(state)"
    [ "$(state)" = connected ] || diag "$out"
  else
    like "$what" "$want" "$out"
  fi
  nsvpn down home >/dev/null 2>&1
}
right=$(fingerprint $PKI/server.crt)
wrong=$(fingerprint $PKI/client.crt)
authority=$(fingerprint $PKI/ca.crt)

server "tls-crypt $PKI/ta.key" "tls-version-max 1.2" || exit 1
try up "TLS 1.2, verify-x509-name: the name" "verify-x509-name server.example.net name"
try 'expects.*other.example.net|other.example.net' "another name" "verify-x509-name other.example.net name"
try up "verify-x509-name: a prefix" "verify-x509-name server. name-prefix"
try 'vpn-' "another prefix" "verify-x509-name vpn- name-prefix"
try up "verify-x509-name: the whole subject" 'verify-x509-name "CN=server.example.net"'
try 'O=Lab' "another subject" 'verify-x509-name "O=Lab, CN=server.example.net"'
try up "remote-cert-eku by name" 'remote-cert-eku "TLS Web Server Authentication"'
try up "remote-cert-eku by number" "remote-cert-eku 1.3.6.1.5.5.7.3.1"
try 'remote-cert-eku' "another extended use" "remote-cert-eku 1.3.6.1.5.5.7.3.4"
try up "remote-cert-ku" "remote-cert-ku 88"
try 'remote-cert-ku' "another use" "remote-cert-ku 04"
try up "crl-verify: nobody is on the list" "$(inline crl-verify $PKI/crl-none.pem)"
try 'revoked' "crl-verify: the server is" "$(inline crl-verify $PKI/crl-revoked.pem)"
try up "verify-hash: its authority" "verify-hash $authority SHA256"
try 'verify-hash' "another authority" "verify-hash $wrong SHA256"
try up "peer-fingerprint with an authority" "peer-fingerprint $wrong" "peer-fingerprint $right" "$(inline ca $PKI/ca.crt)"
try 'peer-fingerprint' "another fingerprint" "peer-fingerprint $wrong"
try up "peer-fingerprint alone" "peer-fingerprint $right"
try up "tls-version-min 1.2" "tls-version-min 1.2"
# The server says nothing then, not even an alert.
try 'rejects us silently' "tls-version-min 1.3, and the server has 1.2 at most" "tls-version-min 1.3" "hand-window 4"
try up "tls-cipher" "tls-cipher TLS-ECDHE-ECDSA-WITH-AES-128-GCM-SHA256"
try up "tls-cert-profile preferred" "tls-cert-profile preferred"
server_end

server "tls-crypt $PKI/ta.key" "tls-version-min 1.3" "tls-ciphersuites TLS_AES_256_GCM_SHA384" "tls-groups secp384r1" || exit 1
try up "TLS 1.3, tls-groups and tls-ciphersuites in common" "tls-groups X25519:secp384r1" "tls-ciphersuites TLS_AES_256_GCM_SHA384"
try 'rejects us silently' "tls-groups: none in common" "tls-groups X25519" "hand-window 4"
server_end
ok "nothing is left" no_leftovers
tap_done
