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

# The other uplink needs no forwarding.
docker_like
lab_import b home socket || exit 1
ok "Uplink=socket: up, whatever is forwarded" nsvpn up home --timeout 20
ok "Uplink=socket: works" inside curl -4 -s -m 5 http://192.0.2.80/
ok "Uplink=socket: down" nsvpn down home
host nft delete table ip filter
ok "nothing is left then either" no_leftovers
host_dump >$WORK/after.txt
echo "$before" >$WORK/before.txt
ok "the machine is as it was" diff $WORK/before.txt $WORK/after.txt
tap_done
