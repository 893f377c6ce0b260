#!/bin/bash
# Servers behind real proxies: dante (SOCKS5, with and without a password, TCP and UDP), squid (HTTP with Digest), tinyproxy (HTTP
# with Basic), over both uplinks. The locks are open for the proxy's address alone, and nobody on this machine looks up the
# server's name. Then proxies that refuse, that are something else, that say nothing, and a person who is asked.
. "$(dirname "$(readlink -f "$0")")/lab.sh"
. "$(dirname "$(readlink -f "$0")")/box.sh"
if [ "${NSVPN_LAB:-}" != inside ]; then
  [ "$(id -u)" = 0 ] || skip_all "the lab needs root"
  [ -z "${NSVPN_FRESH:-}" ] || skip_all "roots of other releases are not made inside a fresh root"
  command -v debootstrap >/dev/null || skip_all "debootstrap is not installed"
  box_cache
  proxies_root "$NSVPN_BOX_CACHE/proxies"
fi
lab_enter "$@"
ROOT=$NSVPN_BOX_CACHE/proxies
lab_pki && lab_up && lab_server t && lab_server b || { diag "lab"; exit 1; }
for d in run dev proc; do mount --rbind /$d $ROOT/$d || { diag "no /$d in the root"; exit 1; }; done
printf 'nameserver 192.0.2.53\n' >$WORK/proxy-resolv.conf # not the resolver of the machine
mount --bind $WORK/proxy-resolv.conf $ROOT/etc/resolv.conf || exit 1
P=203.0.113.90
in_ns inet ip addr add $P/24 dev r0
spawn inet "$LABBIN"/echod --tcp-echo 192.0.2.80:77 --tcp-sink $P:9 >$WORK/echod3.out 2>&1
wait_for 5 grep -q ready $WORK/echod3.out || { diag "echod"; exit 1; }

dante() { # PORT METHOD RELAY-PORT
  cat >$WORK/danted-$1.conf <<X
logoutput: /run/lab/danted-$1.log
internal: $P port = $1
external: v0
socksmethod: $2
user.privileged: root
user.unprivileged: nobody
client pass { from: 0.0.0.0/0 to: 0.0.0.0/0 }
socks pass { from: 0.0.0.0/0 to: 0.0.0.0/0 udp.portrange: $3-$3 }
X
  spawn inet setsid chroot $ROOT /usr/sbin/danted -f /run/lab/danted-$1.conf -p /run/lab/danted-$1.pid >$WORK/danted-$1.out 2>&1
}
dante 1080 none 41080
dante 1081 username 41081
printf 'carol:lab:%s\n' "$(printf 'carol:lab:sesam oeffne dich' | md5sum | cut -d' ' -f1)" >$WORK/squid.digest
chmod 644 $WORK/squid.digest
chmod 755 $WORK
install -d -m 777 $WORK/squid
cat >$WORK/squid.conf <<X
http_port $P:3128
auth_param digest program /usr/lib/squid/digest_file_auth -c /run/lab/squid.digest
auth_param digest realm lab
auth_param digest children 1
acl known proxy_auth REQUIRED
http_access allow known
http_access deny all
pid_filename /run/lab/squid/pid
cache_log /run/lab/squid/cache.log
access_log none
cache deny all
pinger_enable off
netdb_filename none
shutdown_lifetime 1 second
coredump_dir /run/lab/squid
visible_hostname lab
X
spawn inet chroot $ROOT /usr/sbin/squid -N -f /run/lab/squid.conf >$WORK/squid.out 2>&1
cat >$WORK/tinyproxy.conf <<X
User nobody
Group nogroup
Port 8888
Listen $P
Timeout 600
MaxClients 20
BasicAuth carol sesam
ConnectPort 1198
X
spawn inet chroot $ROOT /usr/bin/tinyproxy -d -c /run/lab/tinyproxy.conf >$WORK/tinyproxy.out 2>&1
listens() { in_ns inet bash -c ": </dev/tcp/$P/$1"; }
for p in 1080 1081 3128 8888; do
  wait_for 40 listens $p || { diag "no proxy on port $p: $(tail -n 5 $WORK/squid.out $WORK/squid/cache.log $WORK/danted* $WORK/tinyproxy.out)"; exit 1; }
done

size=2000000
head -c $size /dev/urandom >$WORK/data
sum=$(sha256sum <$WORK/data)
round_trip() {
  inside bash -c "exec 3<>/dev/tcp/192.0.2.80/77; cat $WORK/data >&3 & head -c $size <&3 | sha256sum"
}
profile() { # NAME tcp|udp LINE...
  local name=$1 kind=b
  [ "$2" = tcp ] && kind=t
  sed 's/vpn\.example\.net/vpn4.example.net/' $WORK/$kind.ovpn >$WORK/$name.ovpn
  printf '%s\n' "${@:3}" >>$WORK/$name.ovpn
}
login=$'<%s-user-pass>\ncarol\n%s\n</%s-user-pass>'
printf 'carol\nsesam oeffne dich\n' >$WORK/proxy-login
profile s0 tcp "socks-proxy $P 1080"
profile s1 tcp "socks-proxy proxy.example.net 1081 proxy-login"
profile u0 udp "socks-proxy $P"
profile u1 udp "socks-proxy $P 1081" "$(printf "$login" socks-proxy 'sesam oeffne dich' socks-proxy)"
profile q tcp "http-proxy $P 3128 auto" "$(printf "$login" http-proxy 'sesam oeffne dich' http-proxy)" 'http-proxy-option AGENT "lab 1"'
profile n tcp "http-proxy $P 8888 proxy-basic basic"
printf 'carol\nsesam\n' >$WORK/proxy-basic

row() { # PROFILE UPLINK WHAT FLOW...
  local p=$1 up=$2 what="$3, uplink $2"
  lab_import $p home $up || { ok "$what: import" false; return; }
  : >$WORK/dns-isp.log
  judge_start p "${@:4}" "$ISP_DNS"
  ok "$what: up" nsvpn up home --timeout 60 || { nsvpn logs home 2>&1 | tail -n 15 | sed 's/^/# /'; }
  is "$what: IPv4 comes out at the server" 198.51.100.10 "$(inside curl -4 -s -m 10 http://web.example.net/)"
  is "$what: $size bytes there and back are the same" "$sum" "$(round_trip)"
  is "$what: nobody here looked the server's name up" "" "$(grep vpn4 $WORK/dns-isp.log)"
  ok "$what: down" nsvpn down home
  ok "$what: the judge saw packets to the proxy alone" judge_stop p
  ok "$what: nothing is left" no_leftovers
}
for uplink in veth socket; do
  row s0 $uplink "SOCKS5" tcp:$P:1080
  row s1 $uplink "SOCKS5 with a password" tcp:$P:1081
  row u0 $uplink "UDP over SOCKS5" tcp:$P:1080 udp:$P:41080
  row u1 $uplink "UDP over SOCKS5 with a password" tcp:$P:1081 udp:$P:41081
  row q $uplink "HTTP with Digest" tcp:$P:3128
  row n $uplink "HTTP with Basic" tcp:$P:8888
done

# ---- the relay lives as long as its connection -----------------------------------------------------------------------

lab_import u0
ok "UDP over SOCKS5, once more" nsvpn up home --timeout 60
kill -KILL -- "-$(cat $WORK/danted-1080.pid)"
gone() { ! listens 1080; }
wait_for 20 gone
ok "the proxy goes: the engine says what is over" wait_for 20 bash -c "nsenter --net=/run/netns/host -- $NSVPN logs home 2>&1 | grep 'the proxy has ended its relay'"
dante 1080 none 41080
back() { [ "$(inside curl -4 -s -m 2 http://web.example.net/)" = 198.51.100.10 ]; }
ok "it comes back, and so does the tunnel" wait_for 90 back
ok "down" nsvpn down home

# ---- proxies that do not --------------------------------------------------------------------------------------------------

refused() { # WHAT REGEX LINE...
  local what=$1 want=$2
  shift 2
  profile x tcp "$@"
  lab_import x home veth || { ok "$what: import" false; return; }
  lines=$(nsvpn logs home 2>/dev/null | wc -l)
  ok "$what: no tunnel" bash -c "! nsenter --net=/run/netns/host -- $NSVPN up home --timeout 8 2>$WORK/up.err"
  like "$what: the reason" "$want" "$(cat $WORK/up.err; nsvpn logs home 2>&1 | tail -n +$((lines + 1)))"
  nsvpn down home >/dev/null 2>&1
}
refused "a wrong password, SOCKS5" 'refused user name and password; correct them in line [0-9]+' "socks-proxy $P 1081" "$(printf "$login" socks-proxy wrong socks-proxy)"
refused "a wrong password, Digest" 'refused user name and password; correct' "http-proxy $P 3128" "$(printf "$login" http-proxy wrong http-proxy)"
refused "a wrong password, Basic" 'refused user name and password; correct' "http-proxy $P 8888 stdin basic" "$(printf "$login" http-proxy wrong http-proxy)"
refused "a port that the proxy does not allow" 'refused the connection to the server \(403' "http-proxy $P 8888 auto basic" "$(printf "$login" http-proxy sesam http-proxy)" "<connection>" "remote vpn4.example.net 1199 tcp" "</connection>"
refused "something that is no proxy" 'does not speak SOCKS5; check its address and port' "socks-proxy 192.0.2.80 19"
refused "a SOCKS proxy, taken for HTTP" 'HTTP proxy|without an answer' "http-proxy $P 1080"
refused "nobody there" 'refused the connection: nobody listens' "socks-proxy $P 1"
profile x tcp "http-proxy $P 3128 stdin ntlm"
nsvpn remove home >/dev/null 2>&1
ok "NTLM is refused" bash -c "! nsenter --net=/run/netns/host -- $NSVPN import $WORK/x.ovpn --name home 2>$WORK/up.err"
like "with the reason" 'NTLM is not supported.*Digest or Basic' "$(cat $WORK/up.err)"

# A silent proxy is left for the next server within its time.
profile x tcp "connect-timeout 4" "<connection>" "remote vpn4.example.net 1198 tcp" "socks-proxy $P 9" "</connection>" \
  "<connection>" "remote vpn4.example.net 1198 tcp" "http-proxy $P 8888 proxy-basic basic" "</connection>"
lab_import x home veth
t0=$SECONDS
ok "a silent proxy, and behind it another way" nsvpn up home --timeout 60
ok "was left within its time" test $((SECONDS - t0)) -lt 30
like "with a sentence" "the proxy $P:9 has not said within 4 s" "$(nsvpn logs home 2>&1)"
ok "down" nsvpn down home

# ---- a person is asked ------------------------------------------------------------------------------------------------------

if command -v script >/dev/null; then
  profile x tcp "http-proxy $P 3128"
  lab_import x home veth
  rm -f $WORK/keys
  mkfifo $WORK/keys
  : >$WORK/screen
  nsenter --net=/run/netns/host -- script -qefc "$NSVPN up home --timeout 60" $WORK/screen <$WORK/keys >/dev/null 2>&1 &
  person=$!
  exec 7>$WORK/keys
  types() { wait_for 20 grep -qF "$1" $WORK/screen && sleep 0.3 && printf '%s\n' "$2" >&7; } # (the terminal drops what is typed ahead)
  ok "the name is asked for" types "User name for the proxy $P, which wants" carol
  ok "the password, too" types "Password for the proxy $P" wrong
  : >$WORK/screen2
  ok "a wrong one is asked for again" wait_for 20 grep -qF "which refused user name and password" $WORK/screen
  sleep 0.3
  printf 'carol\n' >&7
  again() { [ "$(grep -c "Password for the proxy" $WORK/screen)" -ge 2 ]; }
  wait_for 20 again
  sleep 0.3
  printf 'sesam oeffne dich\n' >&7
  ok "the right one opens the way" wait_for 30 is_state connected
  exec 7>&-
  wait $person
  is "the password is not on the screen" "" "$(grep oeffne $WORK/screen)"
  ok "down" nsvpn down home
else
  skip "a person is asked" "script is not installed"
fi
ok "nothing is left" no_leftovers
kill "$(cat $WORK/squid/pid)" 2>/dev/null
tap_done
