# The lab: a machine, its router, a LAN neighbour, the internet and a VPN server, as private network namespaces.
# Sourced by every tests/lab/t-*.sh, by demo.sh and by tests/bench/run. Nothing of it touches the real machine: the
# script runs itself again inside new mount, network and PID namespaces with a /run of its own, and all is gone when it
# ends, however it ends.
#
#                                            +-- web 192.0.2.80, 2001:db8:80::80    (tells your address over HTTP)
#   host ---- router ---------- inet --------+-- resolver 192.0.2.53, 2001:db8:53::53 (the one the tunnel pushes)
#    |   .77.1     203.0.113.1       .254    +-- ISP resolver 203.0.113.53            (the one of the host)
#   lan  (NAT for IPv4)                      |
#   192.168.77.50                            +---- vpn 198.51.100.10, 2001:db8:10::10 (real openvpn servers)
#
#   host  plays the default namespace: eth0 192.168.77.2, 2001:db8:77::2; the judge listens on the far side of eth0.
#
# Addresses are those that the RFCs reserve for documentation, and 192.168.77.0/24; packets never leave the namespaces.

set -u
LAB_DIR=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
LAB_TOP=$(cd "$LAB_DIR/../.." && pwd)
BUILD=${NSVPN_BUILD:-$LAB_TOP/build}
LABBIN=${NSVPN_LABBIN:-$BUILD/lab}
NSVPN=${NSVPN_PROGRAM:-$BUILD/nsvpn}

# ---- TAP ------------------------------------------------------------------------------------------------------------

tap_n=0 tap_failed=0
ok() { # DESCRIPTION COMMAND...: passes when the command succeeds
  local what=$1 rc
  shift
  "$@" >"$WORK/ok.out" 2>&1
  rc=$?
  tap_n=$((tap_n + 1))
  if [ $rc = 0 ]; then
    echo "ok $tap_n - $what"
  else
    tap_failed=$((tap_failed + 1))
    echo "# '$*' exited with $rc"
    sed 's/^/#   /' "$WORK/ok.out" | tail -n 40
    echo "not ok $tap_n - $what"
  fi
  return $rc
}
is() { # DESCRIPTION EXPECTED ACTUAL
  tap_n=$((tap_n + 1))
  if [ "$2" = "$3" ]; then
    echo "ok $tap_n - $1"
    return 0
  fi
  tap_failed=$((tap_failed + 1))
  echo "#   expected: $2"
  echo "#   got:      $3"
  echo "not ok $tap_n - $1"
  return 1
}
like() { # DESCRIPTION REGEX ACTUAL
  tap_n=$((tap_n + 1))
  if grep -qE -- "$2" <<<"$3"; then
    echo "ok $tap_n - $1"
    return 0
  fi
  tap_failed=$((tap_failed + 1))
  echo "#   expected to match: $2"
  sed 's/^/#   got: /' <<<"$3" | head -n 20
  echo "not ok $tap_n - $1"
  return 1
}
skip() { # DESCRIPTION REASON
  tap_n=$((tap_n + 1))
  echo "ok $tap_n - $1 # SKIP $2"
}
skip_all() { # REASON
  echo "1..0 # SKIP $1"
  exit 0
}
diag() { echo "# $*"; }
tap_done() {
  echo "1..$tap_n"
  [ "$tap_failed" = 0 ]
  exit $?
}

# ---- entering -------------------------------------------------------------------------------------------------------

# Call first: `lab_enter "$@"`. Returns inside the private namespaces.
lab_enter() {
  if [ "${NSVPN_LAB:-}" != "$PPID$$" ] && [ "${NSVPN_LAB:-}" != inside ]; then
    [ "$(id -u)" = 0 ] || skip_all "the lab needs root"
    [ -c /dev/net/tun ] || skip_all "there is no /dev/net/tun here"
    for t in ip nft openvpn openssl; do
      command -v "$t" >/dev/null || skip_all "$t is not installed"
    done
    export NSVPN_LAB=inside
    exec unshare --mount --net --pid --fork --mount-proc --kill-child --propagation private \
      "$(readlink -f "$0")" "$@"
  fi
  mount -t tmpfs -o mode=755 lab /run || exit 2
  WORK=/run/lab
  mkdir -p $WORK $WORK/etc/tunnels $WORK/state /run/netns
  chmod 700 $WORK/etc $WORK/etc/tunnels $WORK/state
  # A host that names its resolver in a plain file, whatever this machine has.
  printf 'nameserver 203.0.113.53\n' >$WORK/resolv.conf
  LAB_RESOLV=$(readlink -f /etc/resolv.conf 2>/dev/null || echo /etc/resolv.conf)
  if [ -e "$LAB_RESOLV" ]; then
    mount --bind $WORK/resolv.conf "$LAB_RESOLV" || exit 2
  fi
  export NSVPN_ETC=$WORK/etc NSVPN_STATE=$WORK/state
  unset NSVPN_RUN SUDO_UID SUDO_GID SUDO_USER SUDO_COMMAND
  ip link set lo up
}

in_ns() { # NAMESPACE COMMAND...: without a mount namespace of its own, unlike `ip netns exec`
  local ns=$1
  shift
  nsenter --net=/run/netns/"$ns" -- "$@"
}
# The same in the background; $! is the program's own pid (a function followed by & would make it a subshell's).
spawn() {
  local ns=$1
  shift
  nsenter --net=/run/netns/"$ns" -- "$@" &
}
host() { in_ns host "$@"; }
nsvpn() { in_ns host "$NSVPN" "$@"; }
inside() { in_ns host "$NSVPN" exec -t "$TUNNEL" -- "$@"; } # a program in the tunnel, the product's way
TUNNEL=home

wait_for() { # SECONDS COMMAND...: until it succeeds
  local end=$(($(date +%s%N) / 1000000 + $1 * 1000))
  shift
  until "$@" >/dev/null 2>&1; do
    [ $(($(date +%s%N) / 1000000)) -lt $end ] || return 1
    sleep 0.05
  done
}

# ---- topology -------------------------------------------------------------------------------------------------------

lab_up() { # [noipv6]: the machine's network carries no IPv6
  local v6=1 ns
  [ "${1:-}" = noipv6 ] && v6=0
  for ns in host router lan inet vpn; do
    ip netns add $ns
    in_ns $ns ip link set lo up
    in_ns $ns sysctl -qw net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.default.accept_dad=0 \
      net.ipv4.tcp_congestion_control=reno 2>/dev/null
  done
  ip link add eth0 netns host type veth peer name h0 netns router
  ip link add eth0 netns lan type veth peer name l0 netns router
  ip link add wan netns router type veth peer name r0 netns inet
  ip link add eth0 netns vpn type veth peer name v0 netns inet

  in_ns router ip link add br0 type bridge
  in_ns router ip link set h0 master br0
  in_ns router ip link set l0 master br0
  for l in h0 l0 br0 wan; do in_ns router ip link set $l up; done
  in_ns router ip addr add 192.168.77.1/24 dev br0
  in_ns router ip addr add 203.0.113.1/24 dev wan
  in_ns router ip route add default via 203.0.113.254
  in_ns router sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
  # The judge sits on the router's side: its own IGMP would only be noise.
  in_ns router nft -f - <<'EOF'
table ip lab {
  chain out { type filter hook output priority 0; ip protocol igmp drop; }
  chain pre { type nat hook prerouting priority dstnat; iifname "wan" tcp dport 2222 dnat to 192.168.77.2:2222; }
  chain post { type nat hook postrouting priority srcnat; oifname "wan" ip saddr 192.168.77.0/24 masquerade; }
}
EOF
  in_ns host ip link set eth0 up
  in_ns host ip addr add 192.168.77.2/24 dev eth0
  in_ns host ip route add default via 192.168.77.1
  in_ns lan ip link set eth0 up
  in_ns lan ip addr add 192.168.77.50/24 dev eth0
  in_ns lan ip route add default via 192.168.77.1

  in_ns inet sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
  for l in r0 v0; do in_ns inet ip link set $l up; done
  in_ns inet ip addr add 203.0.113.254/24 dev r0
  in_ns inet ip addr add 203.0.113.53/24 dev r0
  in_ns inet ip addr add 198.51.100.1/24 dev v0
  in_ns inet ip addr add 192.0.2.80/32 dev lo
  in_ns inet ip addr add 192.0.2.53/32 dev lo
  in_ns vpn ip link set eth0 up
  in_ns vpn ip addr add 198.51.100.10/24 dev eth0
  in_ns vpn ip route add default via 198.51.100.1
  in_ns vpn sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
  in_ns vpn nft -f - <<'EOF'
table ip lab {
  chain post { type nat hook postrouting priority srcnat; oifname "eth0" masquerade; }
}
EOF

  in_ns inet ip -6 addr add 2001:db8:80::80/128 dev lo nodad
  in_ns inet ip -6 addr add 2001:db8:53::53/128 dev lo nodad
  in_ns inet ip -6 addr add 2001:db8:10::1/64 dev v0 nodad
  in_ns vpn ip -6 addr add 2001:db8:10::10/64 dev eth0 nodad
  in_ns vpn ip -6 route add default via 2001:db8:10::1
  in_ns inet ip -6 route add 2001:db8:feed::/48 via 2001:db8:10::10
  if [ $v6 = 1 ]; then
    in_ns router ip -6 addr add 2001:db8:77::1/64 dev br0 nodad
    in_ns router ip -6 addr add 2001:db8:99::1/64 dev wan nodad
    in_ns inet ip -6 addr add 2001:db8:99::254/64 dev r0 nodad
    in_ns router ip -6 route add default via 2001:db8:99::254
    in_ns inet ip -6 route add 2001:db8:77::/64 via 2001:db8:99::1
    in_ns host ip -6 addr add 2001:db8:77::2/64 dev eth0 nodad
    in_ns host ip -6 route add default via 2001:db8:77::1
    in_ns lan ip -6 addr add 2001:db8:77::50/64 dev eth0 nodad
    in_ns lan ip -6 route add default via 2001:db8:77::1
  fi

  local names="--name vpn.example.net=198.51.100.10,2001:db8:10::10 --name vpn4.example.net=198.51.100.10
    --name proxy.example.net=203.0.113.90
    --name web.example.net=192.0.2.80,2001:db8:80::80 --name probe.example.net=192.0.2.80,2001:db8:80::80"
  # shellcheck disable=SC2086
  spawn inet "$LABBIN"/echod --http 192.0.2.80:80 --http '[2001:db8:80::80]:80' --dns 203.0.113.53:53 $names \
    --log $WORK/dns-isp.log >$WORK/echod1.out 2>&1
  # shellcheck disable=SC2086
  spawn inet "$LABBIN"/echod --dns 192.0.2.53:53 --dns '[2001:db8:53::53]:53' $names --log $WORK/dns-tunnel.log \
    --udp-echo 192.0.2.80:7 --tcp-sink 192.0.2.80:9 --tcp-source 192.0.2.80:19 >$WORK/echod2.out 2>&1
  wait_for 5 grep -q ready $WORK/echod1.out || { diag "echod did not start: $(cat $WORK/echod1.out)"; return 1; }
  wait_for 5 grep -q ready $WORK/echod2.out || { diag "echod did not start: $(cat $WORK/echod2.out)"; return 1; }
}

# ---- a throw-away PKI -----------------------------------------------------------------------------------------------

# $PKI: ca.crt, server/client pairs, ta.key, and the wrong ones for the negative tests.
PKI=
lab_pki() {
  PKI=$WORK/pki
  mkdir -p $PKI
  (
    cd $PKI || exit 1
    exec >pki.log 2>&1
    umask 077
    ca() { # NAME SUBJECT
      openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 -keyout "$1.key" -out "$1.crt" \
        -subj "$2" -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign,cRLSign
    }
    leaf() { # NAME SUBJECT EKU CA [START END]
      printf 'basicConstraints=CA:FALSE\nkeyUsage=digitalSignature,keyAgreement\nextendedKeyUsage=%s\n' "$3" >"$1.ext"
      openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout "$1.key" -out "$1.csr" -subj "$2"
      if [ $# -lt 5 ]; then
        openssl x509 -req -in "$1.csr" -CA "$4.crt" -CAkey "$4.key" -CAcreateserial -days 30 -extfile "$1.ext" -out "$1.crt"
      else
        : >index.txt
        echo 77 >serial
        printf '[ca]\ndefault_ca=d\n[d]\ndatabase=index.txt\nserial=serial\nnew_certs_dir=.\ndefault_md=sha256\npolicy=p\n[p]\ncommonName=supplied\n' >ca.cnf
        openssl ca -batch -config ca.cnf -cert "$4.crt" -keyfile "$4.key" -in "$1.csr" -out "$1.crt" -notext \
          -extfile "$1.ext" -startdate "$5" -enddate "$6"
      fi
    }
    ca ca "/CN=Lab CA"
    ca otherca "/CN=Another CA"
    leaf server "/CN=server.example.net" serverAuth ca
    leaf client "/CN=client1" clientAuth ca
    leaf expired "/CN=server.example.net" serverAuth ca 20200101000000Z 20210101000000Z
    leaf imposter "/CN=client2" clientAuth ca
    leaf otherserver "/CN=server.example.net" serverAuth otherca
    openvpn --genkey secret ta.key
    openvpn --genkey secret ta2.key
  )
  [ -s $PKI/ta2.key ] && [ -s $PKI/otherserver.crt ] && [ -s $PKI/expired.crt ]
}

# ---- servers and profiles -------------------------------------------------------------------------------------------

inline() { # TAG FILE
  printf '<%s>\n' "$1"
  # Only what is between the PEM markers; comments of a static key stay, as in real files.
  case $1 in
    tls-auth|tls-crypt) cat "$2" ;;
    *) sed -n '/-----BEGIN/,/-----END/p' "$2" ;;
  esac
  printf '</%s>\n' "$1"
}

# lab_server KIND [EXTRA LINES]: starts an openvpn server of that kind in the vpn namespace (and waits until it listens)
# and leaves its client profile in $WORK/KIND.ovpn. $SERVER_PID_KIND is its pid.
#   a  the "OpenVPN IPv6 notes" server: tls-auth, comp-lzo, net30, pushed DNS and route-ipv6, an unknown pushed option
#   b  tls-crypt, topology subnet, AES-256-GCM, dual stack
#   c  ChaCha20-Poly1305 with user name and password, no client certificate
#   d  b with renegotiation every 10 seconds
#   t  b over TCP, with renegotiation every 10 seconds
lab_server() {
  local kind=$1 conf=$WORK/server-$1.conf port tun
  case $kind in a) port=1194 tun=tunA ;; b) port=1195 tun=tunB ;; c) port=1196 tun=tunC ;; d) port=1197 tun=tunD ;; t) port=1198 tun=tunT ;; esac
  {
    cat <<EOF
port $port
dev $tun
dev-type tun
mode server
tls-server
ca $PKI/ca.crt
cert $PKI/server.crt
key $PKI/server.key
dh none
disable-dco
verb 4
keepalive 2 12
persist-tun
persist-key
duplicate-cn
EOF
    case $kind in
      a) cat <<EOF
proto udp6
multihome
server 192.168.255.0 255.255.255.0
server-ipv6 2001:db8:feed:a::/64
push "block-outside-dns"
push "route-ipv6 2000::/3"
push "dhcp-option DNS 192.0.2.53"
push "dhcp-option DNS 2001:db8:53::53"
client-to-client
tls-auth $PKI/ta.key 0
comp-lzo
allow-compression yes
EOF
        ;;
      b|d) cat <<EOF
proto udp6
multihome
topology subnet
server 10.8.0.0 255.255.255.0
server-ipv6 2001:db8:feed:b::/64
push "redirect-gateway def1 ipv6"
push "dhcp-option DNS 192.0.2.53"
push "dhcp-option DOMAIN lab.example.net"
tls-crypt $PKI/ta.key
data-ciphers AES-256-GCM
EOF
        [ $kind = d ] && printf 'reneg-sec 10\n'
        ;;
      t) cat <<EOF
proto tcp6-server
topology subnet
server 10.12.0.0 255.255.255.0
server-ipv6 2001:db8:feed:12::/64
push "redirect-gateway def1 ipv6"
push "dhcp-option DNS 192.0.2.53"
tls-crypt $PKI/ta.key
data-ciphers AES-256-GCM
reneg-sec 10
EOF
        ;;
      c) cat <<EOF
proto udp6
multihome
topology subnet
server 10.9.0.0 255.255.255.0
push "redirect-gateway def1"
push "dhcp-option DNS 192.0.2.53"
tls-crypt $PKI/ta.key
data-ciphers CHACHA20-POLY1305
verify-client-cert none
username-as-common-name
script-security 3
auth-user-pass-verify $WORK/checkpass via-file
EOF
        ;;
    esac
    printf '%s\n' "${@:2}"
  } >"$conf"
  [ "$kind" = d ] && sed -i 's/10\.8\.0\.0/10.10.0.0/; s/feed:b::/feed:d::/' "$conf"
  cat >$WORK/checkpass <<'EOF'
#!/bin/sh
[ "$(sed -n 1p "$1")" = alice ] && [ "$(sed -n 2p "$1")" = "open sesame" ]
EOF
  chmod 755 $WORK/checkpass
  lab_server_start "$kind" || return 1
  lab_profile "$kind" $port >"$WORK/$kind.ovpn"
}

# (Re)starts the server of that kind with the configuration that is there.
lab_server_start() { # KIND
  local kind=$1 conf=$WORK/server-$1.conf log=$WORK/server-$1.log
  : >"$log"
  spawn vpn openvpn --config "$conf" --log "$log" --writepid "$WORK/server-$kind.pid" >/dev/null 2>&1
  wait_for 8 grep -q 'Initialization Sequence Completed' "$log" || { diag "openvpn server $kind: $(tail -n 5 "$log")"; return 1; }
}
server_pid() { cat "$WORK/server-$1.pid"; }
server_stop() { # KIND [SIGNAL]
  kill -"${2:-TERM}" "$(server_pid "$1")" 2>/dev/null
  wait_for 5 sh -c "! kill -0 $(server_pid "$1")"
}

lab_profile() { # KIND PORT: a provider's client file on stdout
  local kind=$1 port=$2
  cat <<EOF
# a provider's file
client
dev tun
nobind
remote-cert-tls server
persist-key
persist-tun
verb 3
EOF
  case $kind in
    a)
      printf 'remote vpn.example.net %s udp6\nremote vpn.example.net %s udp\n' "$port" "$port"
      printf 'redirect-gateway def1 ipv6\ncomp-lzo\nkey-direction 1\n'
      inline tls-auth $PKI/ta.key ;;
    t)
      printf 'remote vpn.example.net %s tcp\n' "$port"
      inline tls-crypt $PKI/ta.key ;;
    *)
      printf 'remote vpn4.example.net %s udp\n' "$port"
      inline tls-crypt $PKI/ta.key ;;
  esac
  inline ca $PKI/ca.crt
  case $kind in
    c) printf 'auth-user-pass\n' ;;
    *) inline cert $PKI/client.crt; inline key $PKI/client.key ;;
  esac
}
credentials() { printf 'alice\nopen sesame\n' >$WORK/credentials; chmod 600 $WORK/credentials; }

# Imports $WORK/KIND.ovpn as NAME (default home), optionally with an uplink: lab_import b home socket
lab_import() {
  local name=${2:-home}
  nsvpn remove "$name" >/dev/null 2>&1
  nsvpn import "$WORK/$1.ovpn" --name "$name" >"$WORK/import.out" 2>&1 || { sed 's/^/# /' "$WORK/import.out"; return 1; }
  if [ -n "${3:-}" ]; then
    printf '[Tunnel]\nUplink=%s\n' "$3" >"$NSVPN_ETC/tunnels/$name/settings.conf"
    chmod 600 "$NSVPN_ETC/tunnels/$name/settings.conf"
  fi
}

# ---- the judge ------------------------------------------------------------------------------------------------------

# judge_start NAME ALLOW...: captures on the far side of the host's uplink. judge_stop NAME: its verdict (exit status) and
# one JSON line in $WORK/judge-NAME.json.
judge_start() {
  local name=$1 args=() a
  shift
  for a in arp nd icmp-err "$@"; do args+=(--allow "$a"); done
  spawn router "$LABBIN"/judge h0 "${args[@]}" >"$WORK/judge-$name.json" 2>"$WORK/judge-$name.err"
  echo $! >"$WORK/judge-$name.pid"
  sleep 0.2
}
judge_stop() {
  local pid rc
  pid=$(cat "$WORK/judge-$1.pid")
  sleep "${2:-0.1}"
  kill -TERM "$pid"
  wait "$pid"
  rc=$?
  cat "$WORK/judge-$1.json" "$WORK/judge-$1.err"
  return $rc
}
# seen TOKEN SECONDS COMMAND...: does the token show on the wire while the command runs? The positive control.
seen() { seen_at router h0 "$@"; }
seen_at() { # NAMESPACE INTERFACE TOKEN SECONDS COMMAND...
  local ns=$1 iface=$2 token=$3 secs=$4 pid rc
  shift 4
  spawn "$ns" "$LABBIN"/judge "$iface" --seen "$token" --timeout "$secs" >"$WORK/seen.out" 2>&1
  pid=$!
  sleep 0.2
  "$@" >"$WORK/seen.cmd" 2>&1
  wait $pid
  rc=$?
  [ $rc = 0 ] || cat "$WORK/seen.out" "$WORK/seen.cmd"
  return $rc
}
VPN_FLOW4=udp:198.51.100.10:
VPN_FLOW6='udp:[2001:db8:10::10]:'
VPN_TCP4=tcp:198.51.100.10:
VPN_TCP6='tcp:[2001:db8:10::10]:'
ISP_DNS=udp:203.0.113.53:53

# ---- what the machine looks like ------------------------------------------------------------------------------------

# Everything of the default namespace that nsvpn might change, as text that can be compared.
host_dump() {
  host sh -c '
    echo "== links";   ip -d link show | sed -E "s/ qlen [0-9]+//; s/promiscuity [0-9]+ //; s/allmulti [0-9]+ //"
    echo "== addresses"; ip -4 addr show; ip -6 addr show | sed -E "s/(valid|preferred)_lft [^ ]+//g"
    echo "== rules";   ip -4 rule; ip -6 rule
    echo "== routes";  ip -4 route show table all; ip -6 route show table all | sed -E "s/ expires [0-9]+sec//"
    echo "== neighbours"; ip neigh show nud permanent
    echo "== firewall"; nft -s list ruleset
    echo "== sysctls"; grep -rs . /proc/sys/net/ipv4 /proc/sys/net/ipv6 /proc/sys/net/netfilter 2>/dev/null |
      grep -vE "nf_conntrack_count|/stat|tcp_fastopen_key|route/flush|stable_secret|fib_multipath_hash_seed|neigh/.*retrans_time" | sort'
  echo "== resolv.conf"; cat /etc/resolv.conf
  echo "== netns"; ls /run/netns
  echo "== mounts"; awk '{ print $5, $9, $10 }' /proc/self/mountinfo | grep -v "^/var/tmp/nsvpn-" | sort # roots that others make
  echo "== processes"; ps -eo comm= | grep nsvpn | sort
  echo "== files"; ls -A /run/nsvpn 2>/dev/null | grep -vE '^(log|nsvpnd\.log(\.1)?)$'; ls -A "$NSVPN_STATE"
}
# How many objects of nsvpn there are: 0 after a clean `down`.
leftovers() {
  {
    ls /run/netns | grep -vxE 'host|router|lan|inet|vpn'
    host ip -o link show | grep -oE 'nv-[a-z0-9-]+|tun[0-9]+'
    host nft list tables | grep -i nsvpn
    host ip rule | grep -iE '0x6e76'
    grep -oE '/run/netns/[a-z0-9-]+ ' /proc/self/mountinfo | sort -u | grep -vE '/(host|router|lan|inet|vpn) '
    ls -A /run/nsvpn 2>/dev/null | grep -vE '^(log|nsvpnd\.log(\.1)?)$'
    ls -A "$NSVPN_STATE"
    pgrep -l nsvpn
  } 2>/dev/null
}
no_leftovers() { # waits a moment: a helper that has nothing to do needs up to a second to leave
  local i
  for i in $(seq 60); do
    [ -z "$(leftovers)" ] && return 0
    sleep 0.1
  done
  leftovers
  return 1
}
state() { nsvpn status "$TUNNEL" --json 2>/dev/null | jq -r '.tunnels[0].state'; }
is_state() { [ "$(state)" = "$1" ]; }
engine_pid() { pgrep -x nsvpn-engine; }
helper_pid() { pgrep -o -x nsvpnd; } # the oldest: a child of it has its name until it becomes an engine
