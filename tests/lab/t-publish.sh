#!/bin/bash
# Publish= and Allow= over both uplinks: what settings.conf names is reachable, from where it says, over TCP and UDP, IPv4
# and IPv6, in every state of the tunnel; and nothing else is. Port scans from the local network, the internet, the
# machine and from inside are compared with the settings, and a judge watches programs that try to use the way out.
#
#   inside    80 8081 9000 tcp, 5000 5001 udp: published are tcp:8080:80, udp:5000 and tcp:9000@machine, the rest is not
#   lan host  81 tcp, 82 udp, 53 udp and tcp (a name server)       host: 8888 tcp, as any service of the machine
. "$(dirname "$(readlink -f "$0")")/lab.sh"
lab_enter "$@"
lab_pki && lab_up && lab_server b || { diag "lab"; exit 1; }
HOST4=192.168.77.2 HOST6=2001:db8:77::2 LAN4=192.168.77.50 LAN6=2001:db8:77::50
PUBLISH='Publish=tcp:8080:80 udp:5000
Publish=tcp:9000@machine'
ALLOW="Allow=192.168.77.0/24 2001:db8:77::/64"

settings() { # UPLINK LINES
  printf '[Tunnel]\nUplink=%s\n[Exceptions]\n%s\n' "$1" "$2" >$NSVPN_ETC/tunnels/home/settings.conf
}
udp_ask() { # NAMESPACE ADDRESS PORT: what a datagram is answered with
  in_ns "$1" bash -c "exec 3<>/dev/udp/$2/$3; for i in 1 2 3 4 5; do echo hi >&3; timeout 0.5 head -n 1 <&3 && break; done" 2>/dev/null
}
get() { in_ns "$1" curl -s -m 4 "http://$2/"; } # the service tells who came
never() { in_ns "$1" curl -s -m 1 "http://$2/"; }
inside_scan() { in_ns home setpriv --reuid 65534 --regid 65534 --clear-groups "$LABBIN"/scan "$@"; }

# ---- who serves -----------------------------------------------------------------------------------------------------

serve() { # NAMESPACE NAME ARGUMENTS...: pid in $served
  spawn "$1" "$LABBIN"/echod "${@:3}" >"$WORK/serve-$2.out" 2>&1
  served=$!
  wait_for 10 grep -qx ready "$WORK/serve-$2.out" || diag "$2: $(cat "$WORK/serve-$2.out")"
}
serve lan lan --http $LAN4:81 --http "[$LAN6]:81" --udp-echo $LAN4:82 --udp-echo "[$LAN6]:82" --dns $LAN4:53
serve host host --http 0.0.0.0:8888 --http '[::]:8888'
serve_inside() {
  serve home home --http 0.0.0.0:80 --http '[::]:80' --http 0.0.0.0:8081 --http '[::]:8081' --http 0.0.0.0:9000 \
    --http '[::]:9000' --udp-echo 0.0.0.0:5000 --udp-echo '[::]:5000' --udp-echo 0.0.0.0:5001 --udp-echo '[::]:5001'
  inside_pid=$served
}
# The router lets the internet in on these ports, as routers of people who publish things do.
in_ns router nft -f - <<EOF
table ip lab {
  chain pre {
    iifname "wan" tcp dport { 80, 8080, 9000, 8888 } dnat to $HOST4
    iifname "wan" udp dport { 5000, 5001 } dnat to $HOST4
  }
}
EOF
# The others know the way to the tunnel's own subnet, as an attacker would.
know_the_way() {
  local r=add
  [ "${1:-}" = forget ] && r=del
  in_ns lan ip route $r "$SVC4/32" via $HOST4
  in_ns lan ip -6 route $r "$SVC6/128" via $HOST6
  in_ns router ip route $r "$SVC4/32" via $HOST4
  in_ns inet ip route $r "$SVC4/32" via 203.0.113.1
}
services_are_at() {
  local json
  json=$(nsvpn status home --json)
  SVC4=$(jq -r '.tunnels[0].service_addresses[0]' <<<"$json")
  SVC6=$(jq -r '.tunnels[0].service_addresses[1]' <<<"$json")
  END4=${SVC4%.*}.$((${SVC4##*.} - 1))
  END6=${SVC6%::3}::2
}

# ---- what works -----------------------------------------------------------------------------------------------------

published_works() { # WHEN
  is "$1: local network, TCP, IPv4; the service sees the client" $LAN4 "$(get lan $HOST4:8080)"
  is "$1: local network, TCP, IPv6; the service sees the client" $LAN6 "$(get lan "[$HOST6]:8080")"
  is "$1: local network, UDP, IPv4" hi "$(udp_ask lan $HOST4 5000)"
  is "$1: local network, UDP, IPv6" hi "$(udp_ask lan $HOST6 5000)"
  is "$1: this machine, by 127.0.0.1; the service sees the machine's end" "$END4" "$(get host 127.0.0.1:8080)"
  is "$1: this machine, by its own IPv4 address" "$END4" "$(get host $HOST4:8080)"
  is "$1: this machine, by its own IPv6 address" "$END6" "$(get host "[$HOST6]:8080")"
  is "$1: this machine, by the service's address" "$END4 $END6" "$(get host "$SVC4:80") $(get host "[$SVC6]:80")"
  is "$1: this machine, UDP" "hi hi hi" "$(udp_ask host 127.0.0.1 5000) $(udp_ask host $HOST6 5000) $(udp_ask host "$SVC4" 5000)"
  is "$1: this machine alone, where the setting says so" "$END4 $END6" "$(get host 127.0.0.1:9000) $(get host "[$HOST6]:9000")"
}
allowed_works() {
  is "$1: from inside to the local network, TCP; it sees the machine" "$HOST4 $HOST6" "$(get home $LAN4:81) $(get home "[$LAN6]:81")"
  is "$1: the same with UDP" "hi hi" "$(udp_ask home $LAN4 82) $(udp_ask home $LAN6 82)"
  is "$1: the machine itself is in that network, so it is reachable" "$SVC4" "$(get home $HOST4:8888)"
}
not_allowed() {
  is "$1: without Allow= the local network is out of reach" "" "$(never home $LAN4:81)"
  like "$1: but for public addresses, and those through the tunnel" '^(2001:db8:feed:b::.*)?$' "$(never home "[$LAN6]:81")"
  is "$1: and so is the machine" "" "$(never home $HOST4:8888)$(never home "$END4:8888")"
}

# ---- what must not --------------------------------------------------------------------------------------------------

scans() { # WHEN
  local lan="8080 8888" machine="8080 8888 9000"
  is "$1: scan from the local network, TCP, IPv4" "$lan" "$(in_ns lan "$LABBIN"/scan $HOST4 1 65535)"
  is "$1: scan from the local network, TCP, IPv6" "$lan" "$(in_ns lan "$LABBIN"/scan $HOST6 1 65535)"
  is "$1: scan from the local network, UDP" "5000" "$(in_ns lan "$LABBIN"/scan --udp --timeout 1500 $HOST4 1 65535)"
  is "$1: scan from the local network, UDP, IPv6" "5000" "$(in_ns lan "$LABBIN"/scan --udp --timeout 1500 $HOST6 4000 6000)"
  is "$1: scan from the internet, IPv6" 8888 "$(in_ns inet "$LABBIN"/scan $HOST6 1 65535)"
  is "$1: scan from the internet, UDP, IPv6" "" "$(in_ns inet "$LABBIN"/scan --udp --timeout 1000 $HOST6 4000 6000)"
  is "$1: scan from the internet through the router's port forwarding" 8888 "$(in_ns inet "$LABBIN"/scan 203.0.113.1 1 10000)"
  is "$1: the same with UDP" "" "$(in_ns inet "$LABBIN"/scan --udp --timeout 1000 203.0.113.1 4990 5010)"
  is "$1: scan from the machine, by 127.0.0.1" "$machine" "$(host "$LABBIN"/scan 127.0.0.1 1 65535)"
  is "$1: scan from the machine of the services' address" "80 9000" "$(host "$LABBIN"/scan --timeout 2000 "$SVC4" 1 450) $(host "$LABBIN"/scan --timeout 2000 "$SVC4" 8800 9200)"
  is "$1: the same, UDP" "5000" "$(host "$LABBIN"/scan --udp --timeout 1000 "$SVC6" 4000 6000)"
  know_the_way
  is "$1: the services' address itself answers nobody else" "" "$(
    for ns in lan router inet; do in_ns $ns "$LABBIN"/scan --timeout 1000 "$SVC4" 79 81; done
    in_ns lan "$LABBIN"/scan --timeout 1000 "$SVC6" 79 81
    in_ns lan "$LABBIN"/scan --timeout 1000 "$SVC4" 8080 8081
    in_ns lan "$LABBIN"/scan --udp --timeout 500 "$SVC4" 5000 5001)"
  know_the_way forget
}
# What programs inside find. Without Allow= these addresses lead into the tunnel and nothing ever answers, so fewer are asked.
inside_scans() { # WHEN ALLOWED
  local lan="" machine="" from=75 to=90 mfrom=8885 mto=8890
  [ "$2" = allowed ] && lan=81 machine=8888 from=1 to=65535 mfrom=1 mto=65535
  is "$1: scan from inside of the local network" "$lan" "$(inside_scan $LAN4 $from $to)"
  is "$1: scan from inside of the machine" "$machine" "$(inside_scan $HOST4 $mfrom $mto)"
  is "$1: scan from inside of the machine's end of the link" "" "$(inside_scan --timeout 1000 "$END4" 8000 9001)"
  is "$1: scan from inside of the router" "" "$(inside_scan --timeout 1000 192.168.77.1 50 90)"
  is "$1: no name server but the tunnel's" "" "$(inside_scan --udp --timeout 300 $LAN4 50 60; inside_scan --timeout 1000 $LAN4 53 53)"
}
# Programs that bind to the service's address or to the link, to get out by it; with a published port, too.
tries() { # WHEN
  judge_start try "${VPN_FLOW4}1195" "$ISP_DNS"
  spawn home setpriv --reuid 65534 --regid 65534 --clear-groups "$LABBIN"/probe --token NSVPNPROBE-try \
    --kinds udp4,udp6,tcp4,tcp6,bindtodevice,bindsrc,pktinfo,unicast-if,server-udp,server-dev,mcast,bcast,dns --target4 192.0.2.80 \
    --target6 2001:db8:80::80 --server 198.51.100.10:1195 --dns4 $LAN4 --bind4 "$SVC4" --bind-dev uplink0 --rate 50 --duration 2 \
    >$WORK/try.json 2>$WORK/try.err
  wait $!
  in_ns home curl -s -m 1 --interface "$SVC4" --local-port 40000 http://192.0.2.80/ >$WORK/try.out
  in_ns home curl -s -m 1 --interface "$SVC4" --local-port 80 http://192.0.2.80/ >>$WORK/try.out
  in_ns home curl -s -m 1 --interface uplink0 http://203.0.113.254/ >>$WORK/try.out
  ok "$1: programs that try the way out get nothing out" judge_stop try 0.3
  ok "$1: they really tried" jq -e '[.kinds[].tries] | add > 100' $WORK/try.json
  is "$1: and nobody answered them" "" "$(cat $WORK/try.out)"
}

# ---- states ---------------------------------------------------------------------------------------------------------

gap() { in_ns vpn nft "$@" 2>/dev/null; }
server_away() { gap add table ip gap; gap 'add chain ip gap in { type filter hook input priority 0; policy drop; }'; }
server_back() { gap delete table ip gap; }

refused() { # DESCRIPTION SETTINGS REGEX
  settings $u "$2"
  like "$u: refused: $1" "$3" "$(nsvpn up home --timeout 5 2>&1; nsvpn logs home 2>&1)"
  nsvpn down home >/dev/null 2>&1
}

for u in ${NSVPN_UPLINKS-veth socket}; do
  lab_import b home $u || exit 1
  clean=$(host_dump)

  # Publish= alone.
  settings $u "$PUBLISH"
  like "$u: plan names the exceptions" '^Exceptions.* Publish=tcp:8080:80, Publish=udp:5000, Publish=tcp:9000@machine$' "$(nsvpn plan home)"
  is "$u: status of a tunnel that is down names them" 3 "$(nsvpn status home --json | jq '.tunnels[0].exceptions | length')"
  ok "$u: up with Publish=" nsvpn up home --timeout 20
  like "$u: status shows them" 'exceptions +Publish=tcp:8080:80, Publish=udp:5000, Publish=tcp:9000@machine' "$(nsvpn status home)"
  like "$u: doctor, too" 'note +tunnels: the lock of tunnel home has exceptions: Publish=tcp:8080:80, Publish=udp:5000, Publish=tcp:9000@machine$' \
    "$(nsvpn doctor)"
  like "$u: the lock in words" 'lock +programs reach the tunnel, the exceptions and nothing else' "$(nsvpn status home)"
  services_are_at
  serve_inside
  published_works "$u: connected"
  not_allowed "$u: connected"
  scans "$u: connected"
  inside_scans "$u: connected" none
  tries "$u: connected"
  is "$u: the tunnel carries everything else" 198.51.100.10 "$(get home 192.0.2.80)"

  # The local network is what the machine is in now, not what it was in.
  host ip addr add 10.77.0.2/24 dev eth0
  in_ns lan ip addr add 10.77.0.50/24 dev eth0
  ok "$u: a new address of the machine makes a new local network" wait_for 10 sh -c \
    "[ \"\$(nsenter --net=/run/netns/lan curl -s -m 1 --interface 10.77.0.50 http://10.77.0.2:8080/)\" = 10.77.0.50 ]"
  host ip addr del 10.77.0.2/24 dev eth0
  in_ns lan ip addr del 10.77.0.50/24 dev eth0
  ok "$u: and it is forgotten again" wait_for 10 sh -c "! nsenter --net=/run/netns/host nft list set inet nsvpn-home lan4 | grep -q 10.77.0"

  # Somebody empties the firewall.
  host nft flush ruleset
  ok "$u: a flushed firewall is put back with what is published" wait_for 10 sh -c \
    "nsenter --net=/run/netns/host nft list map inet nsvpn-home published_lan | grep -q 8080"
  published_works "$u: after a flush"

  # Somebody else's firewall drops what is forwarded: the local network's packets, and with uplink veth the tunnel's.
  host nft 'add table ip mine; add chain ip mine routed { type filter hook forward priority 0; policy drop; }'
  is "$u: a foreign firewall: the local network is cut off, the machine is not" " $END4" "$(never lan $HOST4:8080) $(get host 127.0.0.1:8080)"
  found=$(nsvpn doctor --json | jq -c '.findings[] | select(.topic == "firewall")')
  what="Publish= and Allow="
  [ $u = veth ] && what="tunnels with uplink veth"
  like "$u: doctor names it" "policy drop of chain routed in table ip mine drops the packets of $what over IPv4" "$found"
  host sh -c "$(jq -r '.remedy | sub("^.*make an exception: "; "")' <<<"$found")" || diag "remedy: $found"
  is "$u: and what to do, which helps" $LAN4 "$(get lan $HOST4:8080)"
  is "$u: and lets nothing else in" "8080 8888" "$(in_ns lan "$LABBIN"/scan $HOST4 1 65535)"
  host nft delete table ip mine
  ok "$u: connected" wait_for 60 is_state connected

  # Reconnecting, with the engine dead; then with nobody left.
  server_away
  kill -9 "$(engine_pid)"
  ok "$u: no longer connected" wait_for 10 sh -c "! nsenter --net=/run/netns/host $NSVPN status home --json | grep -q '\"state\":\"connected\"'"
  published_works "$u: server away, engine killed"
  tries "$u: server away, engine killed"
  pkill -KILL -x 'nsvpnd|nsvpn-engine'
  published_works "$u: helper and engine dead"
  like "$u: doctor names the exceptions without a helper" 'lock of tunnel home has exceptions: Publish=tcp:8080:80' "$(nsvpn doctor)"
  tries "$u: helper and engine dead"
  server_back

  # The settings change; the next up changes what stands.
  settings $u "$PUBLISH
$ALLOW"
  ok "$u: up again, now with Allow=" nsvpn up home --timeout 30
  is "$u: the services' addresses are the same" "$SVC4 $SVC6" "$(nsvpn status home --json | jq -r '.tunnels[0].service_addresses | join(" ")')"
  published_works "$u: with Allow="
  allowed_works "$u: with Allow="
  scans "$u: with Allow="
  inside_scans "$u: with Allow=" allowed
  server_away
  kill -9 "$(engine_pid)"
  allowed_works "$u: with Allow=, engine killed"
  server_back
  ok "$u: connected again" wait_for 60 is_state connected
  is "$u: the tunnel carries everything else" 198.51.100.10 "$(get home 192.0.2.80)"

  # Down with the services still inside.
  nsvpn down home >/dev/null 2>&1
  is "$u: down: nothing is published any more" 8888 "$(in_ns lan "$LABBIN"/scan $HOST4 1 65535)"
  is "$u: down: nor on the machine" 8888 "$(host "$LABBIN"/scan 127.0.0.1 1 65535)"
  kill "$inside_pid"
  ok "$u: nothing is left" no_leftovers
  host_dump >$WORK/after.txt
  echo "$clean" >$WORK/before.txt
  ok "$u: the machine is as it was" diff $WORK/before.txt $WORK/after.txt

  # Allow= alone, and a network behind a router.
  settings $u "Allow=203.0.113.0/24"
  ok "$u: up with Allow= alone" nsvpn up home --timeout 20
  serve inet far --http 203.0.113.254:81
  is "$u: a network behind the router" 203.0.113.1 "$(get home 203.0.113.254:81)"
  is "$u: no other" "" "$(never home $LAN4:81)$(never home $HOST4:8888)"
  is "$u: nothing is published" 8888 "$(in_ns lan "$LABBIN"/scan $HOST4 1 65535)"
  kill $served
  ok "$u: down" nsvpn down home
  ok "$u: nothing is left" no_leftovers

  # What cannot be.
  refused "a port that the machine uses" "Publish=tcp:8888" 'listens on TCP port 8888'
  refused "the whole internet" "Allow=0.0.0.0/0" 'settings.conf:4:.*so large'
  refused "half of it, twice" "Allow=0.0.0.0/1 128.0.0.0/1" 'so large'
  refused "the tunnel's own network" "Allow=10.8.0.0/16" "tunnel's network 10.8.0.0/24 lies in Allow=10.8.0.0/16"
  refused "the server" "Allow=198.51.100.0/24" 'server 198.51.100.10/32 lies in Allow=198.51.100.0/24'
  refused "a port twice" "Publish=tcp:1:2 tcp:1" 'settings.conf:4:.*each port of a protocol once'
  refused "a port that is none" "Publish=tcp:70000" 'settings.conf:4:'
  lab_import b work $u
  for t in home work; do printf '[Tunnel]\nUplink=%s\n[Exceptions]\nPublish=tcp:7000\n' $u >$NSVPN_ETC/tunnels/$t/settings.conf; done
  nsvpn up work --timeout 20 >/dev/null 2>&1
  like "$u: refused: a port of another tunnel" 'tunnel work publishes TCP port 7000 already' "$(nsvpn up home --timeout 5 2>&1; nsvpn logs home 2>&1)"
  nsvpn down --all >/dev/null 2>&1
  nsvpn remove work >/dev/null 2>&1
  ok "$u: nothing is left of what was refused" no_leftovers
  host_dump >$WORK/after.txt
  ok "$u: the machine is as it was" diff $WORK/before.txt $WORK/after.txt
done

# The helper dies at each step that exceptions add, before and behind it.
export NSVPN_RUN=/run/nsvpn # failpoints are heard only where the run folder was named
for u in ${NSVPN_UPLINKS-veth socket}; do
  lab_import b home $u || exit 1
  settings $u "$PUBLISH
$ALLOW"
  clean=$(host_dump)
  bad=0 n=0 why=""
  for s in $("$BUILD/nsvpnd" --list-failpoints | grep '\.exc-'); do
    # "Behind" one step is "before" the next but for what the journal knows: each uplink has half of them.
    case $u$s in veth*+ | socket*[!+]) [ -n "${NSVPN_ALL_FAILPOINTS:-}" ] || continue ;; esac
    export NSVPN_FAILPOINT=$s:kill
    nsvpn up home --timeout 3 >/dev/null 2>&1
    case $s in down.*) nsvpn down home >/dev/null 2>&1 ;; esac
    unset NSVPN_FAILPOINT
    pkill -KILL -x nsvpnd
    n=$((n + 1))
    if [ $((n % 2)) = 0 ]; then
      nsvpn up home --timeout 20 >$WORK/up2.out 2>&1 || { bad=$((bad + 1)) why="$why; $s: up: $(tail -n 1 $WORK/up2.out)"; }
      [ "$(get home $LAN4:81)" = $HOST4 ] || { bad=$((bad + 1)) why="$why; $s: not allowed"; }
    fi
    nsvpn down home >$WORK/down.out 2>&1 || { bad=$((bad + 1)) why="$why; $s: down: $(tail -n 1 $WORK/down.out)"; }
    no_leftovers >$WORK/left.out || { bad=$((bad + 1)) why="$why; $s: left: $(tr '\n' ' ' <$WORK/left.out)"; }
  done
  ok "$u: there are failpoints ($n)" test $n -ge 8
  is "$u: the helper killed at each of these steps: up works, down leaves nothing" "0" "$bad$why"
  host_dump >$WORK/after.txt
  echo "$clean" >$WORK/before.txt
  ok "$u: the machine is byte-identical after that" diff $WORK/before.txt $WORK/after.txt
done
tap_done
