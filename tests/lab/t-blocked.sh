#!/bin/bash
# Invariant 22: somebody's firewall on the machine drops what it forwards. `nsvpn up` says who it is within five seconds,
# leaves nothing behind and lets nothing out; with the exception that it names the tunnel comes up; a tunnel that was
# connected says it in `status` and comes back by itself. (The same with the real programs: t-foreign.sh.)
. "$(dirname "$(readlink -f "$0")")/lab.sh"
lab_enter "$@"
lab_pki && lab_up && lab_server b || { diag "lab"; exit 1; }
SRV=198.51.100.10
ms() { echo $(($(date +%s%N) / 1000000)); }

# NAME REGEX: up fails in time with a sentence that matches, and nothing stays
up_says() {
  local t0 t text rc
  t0=$(ms)
  text=$(nsvpn up home --timeout 30 2>&1)
  rc=$?
  t=$(($(ms) - t0))
  is "$1: up fails" 1 $rc
  like "$1: and says who it is" "$2" "$text"
  ok "$1: in less than five seconds ($t ms)" test $t -lt 5000
  is "$1: nothing of the tunnel is left" down "$(nsvpn status home --json | jq -r '.tunnels[0].state | sub("failed"; "down")')"
  ok "$1: no table, link or rule either" sh -c '! nsenter --net=/run/netns/host nft list table inet nsvpn-home 2>/dev/null &&
    ! nsenter --net=/run/netns/host ip link show nv-home 2>/dev/null && ! nsenter --net=/run/netns/host ip rule | grep -q nv-home'
}
# The exception that `up` named, as it stands there.
exception() { sed -n 's/.*make an exception: //p' <<<"$1"; }
docker_like() {
  host nft -f - <<'X'
table ip filter {
  chain DOCKER-USER { counter return; }
  chain DOCKER-ISOLATION-STAGE-1 { iifname "docker0" oifname != "docker0" counter jump DOCKER-ISOLATION-STAGE-2; counter return; }
  chain DOCKER-ISOLATION-STAGE-2 { oifname "docker0" counter drop; counter return; }
  chain FORWARD {
    type filter hook forward priority filter; policy drop;
    counter jump DOCKER-USER
    counter jump DOCKER-ISOLATION-STAGE-1
    oifname "docker0" ct state related,established counter accept
    iifname "docker0" oifname != "docker0" counter accept
  }
}
X
}

lab_import b home veth || exit 1
before=$(host_dump)
judge_start quiet "${VPN_FLOW4}1195" "$ISP_DNS"

docker_like
up_says "Docker's policy" 'drops the packets to 198\.51\.100\.10:1195: the policy drop of chain FORWARD in table ip filter.*Uplink=socket.*iptables -I DOCKER-USER -i nv-home -j ACCEPT'
host nft flush ruleset

host nft 'add table inet mine; add chain inet mine routed { type filter hook forward priority 10; }; add rule inet mine routed iifname "eth0" accept; add rule inet mine routed counter reject with icmpx admin-prohibited comment "not a router"'
text=$(nsvpn up home --timeout 30 2>&1)
up_says "a rule that rejects" "the rule 'counter reject with icmpx admin-prohibited comment \"not a router\"' of chain routed in table inet mine"
line=$(exception "$text")
like "the exception is one line for a shell" "^nft 'insert rule inet mine routed iifname \"nv-home\" accept; insert rule" "$line"
ok "it can be run" in_ns host sh -c "$line"
ok "and then the tunnel comes up" nsvpn up home --timeout 20
ok "and works" inside curl -4 -s -m 5 http://192.0.2.80/
ok "down" nsvpn down home
host nft delete table inet mine

host nft 'add table inet mine; add chain inet mine routed { type filter hook forward priority 0; }; add rule inet mine routed oifname "nv-*" ct state established counter drop'
up_says "somebody who drops the answers" 'drops the answers of 198\.51\.100\.10:1195: the rule .*oifname "nv-\*" ct state established counter drop'
host nft delete table inet mine

host nft 'add table inet mine; add chain inet mine pre { type filter hook prerouting priority -300; }; add rule inet mine pre iifname "nv-*" drop'
up_says "somebody in another hook" 'drops the packets to .* of chain pre in table inet mine'
host nft delete table inet mine

# What nobody can read: perhaps, but that it is dropped is proven.
host nft 'add table inet mine; add set inet mine s { type ipv4_addr; }; add element inet mine s { 198.51.100.10 }; add chain inet mine routed { type filter hook forward priority 0; }; add rule inet mine routed ip daddr @s counter drop'
up_says "a rule with a set" "probably the rule 'ip daddr @s counter drop' of chain routed in table inet mine"
host nft delete table inet mine

# Not in the way: a silent server is not blamed on a firewall that lets the packets through.
host nft 'add table inet mine; add chain inet mine routed { type filter hook forward priority 0; policy accept; }; add rule inet mine routed iifname "docker0" drop'
server_stop b KILL
text=$(nsvpn up home --timeout 6 2>&1)
rc=$?
is "a silent server: the time is over" 7 $rc
ok "a silent server: no firewall is blamed" sh -c '! grep -q firewall <<X
'"$text"'
X'
ok "down" nsvpn down home
lab_server_start b
ok "such a table: up" nsvpn up home --timeout 20
host nft delete table inet mine

# A tunnel that was connected.
pid=$(engine_pid)
docker_like
server_stop b KILL
lab_server_start b
ok "connected before: status names it" wait_for 40 sh -c "nsenter --net=/run/netns/host env NSVPN_ETC=$NSVPN_ETC NSVPN_STATE=$NSVPN_STATE $NSVPN status home --json | grep -q 'policy drop of chain FORWARD'"
is "connected before: it goes on trying" reconnecting "$(state)"
host nft delete table ip filter
ok "connected before: it comes back by itself" wait_for 60 sh -c "nsenter --net=/run/netns/host env NSVPN_ETC=$NSVPN_ETC NSVPN_STATE=$NSVPN_STATE $NSVPN status home --json | grep -q '\"state\":\"connected\"'"
is "connected before: and the sentence is gone" null "$(nsvpn status home --json | jq -r '.tunnels[0].last_error')"
ok "down" nsvpn down home
ok "nothing but the engine's packets on the uplink, all the time" judge_stop quiet 0.3
ok "nothing is left" no_leftovers

# An IPv6 server: Docker and ip6tables have a table of their own for it.
V6='s/^remote .*/remote 2001:db8:10::10 1195 udp6/'
cp $WORK/b.ovpn $WORK/b4.ovpn
sed -i "$V6" $WORK/b.ovpn
lab_import b home veth || exit 1
judge_start quiet6 "${VPN_FLOW6}1195" "${VPN_FLOW4}1195" "$ISP_DNS" # old sessions are still told things
docker_like
ok "IPv6: a policy for IPv4 is not in the way" nsvpn up home --timeout 20
ok "IPv6: down" nsvpn down home
host nft delete table ip filter
docker_like6() { host nft 'add table ip6 filter; add chain ip6 filter DOCKER-USER; add chain ip6 filter FORWARD { type filter hook forward priority 0; policy drop; }; add rule ip6 filter FORWARD counter jump DOCKER-USER'; }
docker_like6
up_says "IPv6: Docker's policy" 'drops the packets to \[2001:db8:10::10\]:1195: the policy drop of chain FORWARD in table ip6 filter.*ip6tables -I DOCKER-USER -i nv-home -j ACCEPT'
host nft 'add rule ip6 filter DOCKER-USER iifname "nv-home" accept; add rule ip6 filter DOCKER-USER oifname "nv-home" accept'
ok "IPv6: and with that exception the tunnel comes up" nsvpn up home --timeout 20
ok "IPv6: and works" inside curl -4 -s -m 5 http://192.0.2.80/
ok "IPv6: down again" nsvpn down home
host nft delete table ip6 filter
ok "IPv6: nothing but the engine's packets on the uplink" judge_stop quiet6 0.3

# The other uplink needs no forwarding. There it is the machine's own packets that somebody may drop: a default of
# "deny outgoing", over both families, out and back.
docker_like
for family in 4 6; do
  cp $WORK/b4.ovpn $WORK/b.ovpn
  server=198.51.100.10:1195 ip=ip addr=198.51.100.10
  if [ $family = 6 ]; then
    sed -i "$V6" $WORK/b.ovpn
    server='\[2001:db8:10::10\]:1195' ip=ip6 addr=2001:db8:10::10
  else
    sed -i 's/^remote .*/remote 198.51.100.10 1195 udp/' $WORK/b.ovpn
  fi
  u="Uplink=socket, IPv$family"
  lab_import b home socket || exit 1
  judge_start own "${VPN_FLOW6}1195" "${VPN_FLOW4}1195" "$ISP_DNS"
  host nft 'add table inet mine; add chain inet mine out { type filter hook output priority 0; policy drop; }; add rule inet mine out oifname "lo" accept; add rule inet mine out icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert, mld2-listener-report } accept'
  text=$(nsvpn up home --timeout 30 2>&1)
  up_says "$u: outgoing is denied" "drops the packets to $server: the policy drop of chain out in table inet mine; make an exception: nft 'insert rule inet mine out $ip daddr $addr udp dport 1195 accept'"
  ok "$u: doctor says it, too" sh -c "nsenter --net=/run/netns/host $NSVPN doctor --json | jq -e '[.findings[] | select(.topic == \"firewall\" and .level == \"problem\" and .object == \"inet mine\" and (.remedy | test(\"udp dport 1195 accept\")))] | length == 1'"
  ok "$u: the exception can be made as it stands there" in_ns host sh -c "$(exception "$text")"
  ok "$u: and then the tunnel comes up" nsvpn up home --timeout 20
  ok "$u: and works" inside curl -4 -s -m 5 http://192.0.2.80/
  host nft 'flush chain inet mine out; add rule inet mine out oifname "lo" accept'
  server_stop b KILL
  lab_server_start b
  ok "$u: connected before: status names it, and goes on naming it" wait_for 40 sh -c "for i in 1 2 3 4 5; do nsenter --net=/run/netns/host env NSVPN_ETC=$NSVPN_ETC NSVPN_STATE=$NSVPN_STATE $NSVPN status home --json | grep -q 'policy drop of chain out' || exit 1; sleep 0.3; done"
  host nft delete table inet mine
  ok "$u: connected before: it comes back by itself" wait_for 60 is_state connected
  ok "$u: down" nsvpn down home
  host nft 'add table inet mine; add chain inet mine in { type filter hook input priority 0; policy drop; }; add rule inet mine in iifname "lo" accept; add rule inet mine in icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept'
  up_says "$u: answers are dropped" "drops the answers of $server: the policy drop of chain in in table inet mine; make an exception: nft 'insert rule inet mine in $ip saddr $addr udp sport 1195 accept'"
  host nft delete table inet mine
  ok "$u: nothing but the engine's packets and names on the uplink" judge_stop own 0.3
done

# The name of the server cannot be asked for.
cp $WORK/b4.ovpn $WORK/b.ovpn
for u in veth socket; do
  [ $u = veth ] && host nft delete table ip filter
  lab_import b home $u || exit 1
  host nft 'add table inet mine; add chain inet mine out { type filter hook output priority 0; policy drop; }; add rule inet mine out oifname "lo" accept'
  up_says "names, $u" "drops the questions to its name server 203\.0\.113\.53:53, so the server of tunnel home has no address: the policy drop of chain out in table inet mine; make an exception: nft 'insert rule inet mine out ip daddr 203.0.113.53 udp dport 53 accept'"
  ok "names, $u: doctor says it, too" sh -c "nsenter --net=/run/netns/host $NSVPN doctor | grep -q '^problem  firewall: .*drops the questions to this machine.s name server 203.0.113.53:53'"
  host nft delete table inet mine
done
docker_like
ok "Uplink=socket: up, whatever is forwarded" nsvpn up home --timeout 20
ok "Uplink=socket: works" inside curl -4 -s -m 5 http://192.0.2.80/
ok "Uplink=socket: down" nsvpn down home
host nft delete table ip filter
ok "nothing is left then either" no_leftovers
host_dump >$WORK/after.txt
echo "$before" >$WORK/before.txt
ok "the machine is as it was" diff $WORK/before.txt $WORK/after.txt
tap_done
