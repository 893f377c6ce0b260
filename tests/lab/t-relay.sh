#!/bin/bash
# Bad roads and servers that go. Through a relay that loses 30 %, doubles and swaps datagrams (tests/lab/relay.c, seeded) the tunnel comes
# up within 60 s and carries checksummed data across rekeys; a server that falls silent, or never said a word, is left for the next one within the
# configured time; a server that is restarted in mid-transfer is joined again with the same namespace and the same programs.
# NSVPN_LONG=1: more seeds.
. "$(dirname "$(readlink -f "$0")")/lab.sh"
lab_enter "$@"
lab_pki && lab_up && lab_server b && lab_server d "reneg-sec 15" || { diag "lab"; exit 1; }
spawn inet "$LABBIN"/tcpkeep server 192.0.2.80:5001 >$WORK/keep-server.out 2>&1
R=203.0.113.91
in_ns inet ip addr add $R/24 dev r0
relay() { # PORT TARGET-PORT OPTION...
  spawn inet "$LABBIN"/relay $R:$1 198.51.100.10:$2 "${@:3}" >$WORK/relay-$1.out 2>&1
  relay_pid=$!
  wait_for 10 grep -q ready $WORK/relay-$1.out || { diag "relay: $(cat $WORK/relay-$1.out)"; exit 1; }
}
keep() { # SECONDS: the transfer of a program in the tunnel
  inside "$LABBIN"/tcpkeep client 192.0.2.80:5001 --seconds "$1" --rate 10 --patience 120
}
up_in_two() {
  nsvpn up home --timeout 60 && return 0
  late=$((late + 1))
  nsvpn down home >/dev/null 2>&1
  t0=$(date +%s%N)
  nsvpn up home --timeout 60
}
late=0
remote_port() { nsvpn status home --json | jq -r '.tunnels[0] | select(.state == "connected") | .remote.port'; }
at_port() { [ "$(remote_port)" = "$1" ]; }

# ---- loss, duplication, reordering ---------------------------------------------------------------------------------------

seeds="1 2"
[ -z "${NSVPN_LONG:-}" ] || seeds=$(seq 1 25)
for seed in $seeds; do
  what="30 % loss, seed $seed"
  sed "s/^remote .*/remote $R 2000 udp/" $WORK/d.ovpn >$WORK/l.ovpn
  printf 'ping-restart 60\npull-filter ignore ping-restart\n' >>$WORK/l.ovpn
  relay 2000 1197 --seed $seed --loss 30 --duplicate 10 --reorder 25
  lab_import l home || { ok "$what: import" false; continue; }
  judge_start l "udp:$R:2000" "$ISP_DNS"
  t0=$(date +%s%N)
  # The server's own repetitions double, so that in one of some dozen handshakes all that come in a minute are lost: then once more.
  ok "$what: up within 60 s" up_in_two
  diag "seed $seed: up after $((($(date +%s%N) - t0) / 1000000)) ms"
  engine=$(engine_pid)
  ok "$what: every datagram there and back unchanged" inside "$LABBIN"/udpkeep 192.0.2.80:7 --count $([ $seed = 1 ] && echo 3000 || echo 300)
  diag "$(tail -n 1 $WORK/ok.out)"
  is "$what: over one session" "$engine connected" "$(engine_pid) $(state)"
  ok "$what: down" nsvpn down home
  kill $relay_pid
  wait $relay_pid
  done_json=$(tail -n 1 $WORK/relay-2000.out)
  diag "the relay: $done_json"
  ok "$what: the relay did lose, double and delay" jq -e '.lost * 100 > .taken * 20 and .doubled > 0 and .late > 0' <<<"$done_json"
  ok "$what: the judge saw nothing but the engine's packets" judge_stop l
done

diag "$late of $(wc -w <<<"$seeds") needed a second try"

# ---- servers that fall silent -----------------------------------------------------------------------------------------------

two() { # LINE...: first through the relay, then straight to another server
  { sed "s/^remote .*/remote $R 2001 udp\nremote vpn4.example.net 1197 udp/" $WORK/b.ovpn; printf '%s\n' "$@"; } >$WORK/s.ovpn
}
elapsed() { echo $((($(date +%s%N) - t0) / 1000000)); }
two 'ping 1' 'ping-restart 6' 'pull-filter ignore ping'
relay 2001 1195
lab_import s home
ok "up through the first" nsvpn up home --timeout 60
is "at the first" 2001 "$(remote_port)"
ns=$(stat -Lc %i /run/netns/home)
t0=$(date +%s%N)
kill -USR1 $relay_pid
ok "the server falls silent and is left for the next" wait_for 90 at_port 1197
ms=$(elapsed)
diag "silent for 6 s allowed; connected to the next after $ms ms"
ok "not before its time" test $ms -ge 4500
like "with the sentence" "nothing came from $R:2001/udp for 6 s" "$(nsvpn logs home 2>&1 | tail -n 20)"
is "the namespace is the same" "$ns" "$(stat -Lc %i /run/netns/home)"
ok "packets pass" keep 2
ok "down" nsvpn down home

two 'connect-timeout 5'
lab_import s home
t0=$(date +%s%N)
ok "a server that never says a word is left for the next" nsvpn up home --timeout 90
ms=$(elapsed)
diag "connect-timeout 5; connected to the next after $ms ms"
is "at the next" 1197 "$(remote_port)"
ok "within its time, and not before" test $ms -ge 4500 -a $ms -lt 45000
ok "down" nsvpn down home
kill $relay_pid

# ---- a server that is restarted ---------------------------------------------------------------------------------------------

server_stop b # so that it gives the same address before and behind: a client that left in silence keeps its own for a while
lab_server_start b || exit 1
lab_import b home
judge_start b "${VPN_FLOW4}1195" "${VPN_FLOW4}1197" "$ISP_DNS" # (the other server still looks for its client)
ok "up" nsvpn up home --timeout 60
ns=$(stat -Lc %i /run/netns/home) engine=$(engine_pid)
spawn host "$NSVPN" exec -t home "$LABBIN"/tcpkeep client 192.0.2.80:5001 --seconds 30 --rate 50 --patience 120 >$WORK/keep1.out 2>&1
keep_pid=$!
is_inside() { pgrep -x tcpkeep | while read -r p; do [ "$(stat -Lc %i /proc/$p/ns/net 2>/dev/null)" = "$ns" ] && echo "$p"; done; }
wait_for 20 test -n "$(is_inside)"
program=$(is_inside)
sleep 3
server_stop b KILL
lab_server_start b || { diag "the server did not start again"; exit 1; }
lost() { nsvpn logs home 2>&1 | grep -qE 'connected -> reconnecting'; }
ok "the server is killed and started in mid-transfer: the tunnel notices" wait_for 60 lost
ok "and joins it again" wait_for 60 is_state connected
is "the namespace is the same" "$ns" "$(stat -Lc %i /run/netns/home)"
is "the engine is the same" "$engine" "$(engine_pid)"
is "the program is the same, and inside" "$program" "$(is_inside)"
ok "its transfer went on and lost nothing" wait $keep_pid
diag "$(tail -n 1 $WORK/keep1.out)"
ok "down" nsvpn down home
ok "the judge saw nothing but the engine's packets" judge_stop b
ok "nothing is left" no_leftovers
tap_done
