#!/bin/bash
# A restart of nsvpnd, and its death, under a running download: not a byte is lost, the engine is the same process, the server
# sees no second handshake. What is damaged is not believed: locked, connected anew, nothing outside.
. "$(dirname "$(readlink -f "$0")")/lab.sh"
. "$(dirname "$(readlink -f "$0")")/box.sh"
box_need "${NSVPN_BOX_SUITE:-bookworm}"
lab_enter "$@"
lab_pki && lab_up && lab_server b || { diag "lab"; exit 1; }
box_up && box_import b home || { diag "box"; exit 1; }
box install -m 755 /dev/stdin /usr/local/bin/tcpkeep <"$LABBIN"/tcpkeep

engine() { box pgrep -x nsvpn-engine | tr '\n' ' '; }
daemon() { box systemctl show -p MainPID --value nsvpnd; }
tunnel_state() { box nsvpn status home --json 2>/dev/null | jq -r '.tunnels[0].state'; }
connected() { [ "$(tunnel_state)" = connected ]; }
other_daemon() { [ "$(daemon)" != "$1" ] && [ "$(daemon)" != 0 ]; }
handshakes() { grep -c "Peer Connection Initiated" $WORK/server-b.log; }
has_way() { box ip -n home route show default | grep -q tun0; }
no_way() { ! has_way; }
stored() { box systemctl show -p NFileDescriptorStore --value nsvpnd; }

in_ns inet "$LABBIN"/tcpkeep server 192.0.2.80:7777 >$WORK/keep-server.out 2>&1 &
keep=$!
ok "up" box nsvpn up home --timeout 30
is "connected" connected "$(tunnel_state)"
ok "its default route is in the namespace" has_way
ok "descriptors are with the service manager" test "$(stored)" -ge 6
first=$(engine) hs=$(handshakes)
box nsvpn exec -t home -- tcpkeep client 192.0.2.80:7777 --seconds 20 --bulk --patience 15 >$WORK/keep.out 2>&1 &
client=$!
sleep 2

d=$(daemon)
ok "systemctl restart nsvpnd" box systemctl restart nsvpnd
ok "another nsvpnd" other_daemon "$d"
is "status right afterwards" connected "$(tunnel_state)"
is "the same engine" "$first" "$(engine)"
sleep 2
d=$(daemon)
box kill -9 "$d"
ok "kill -9: the service manager starts another one" wait_for 10 other_daemon "$d"
ok "connected right afterwards" wait_for 3 connected
is "the same engine" "$first" "$(engine)"
ok "and a second restart" box systemctl restart nsvpnd
is "still connected" connected "$(tunnel_state)"
is "the same engine" "$first" "$(engine)"
wait $client
is "the transfer through all of it: no byte lost, doubled or damaged" 0 $?
diag "$(head -c 300 $WORK/keep.out)"
is "no second handshake at the server" "$hs" "$(handshakes)"
kill $keep

# The engine of another helper dies: seen by its pidfd, and replaced.
box pkill -KILL -x nsvpn-engine
another_engine() { [ -n "$(engine)" ] && [ "$(engine)" != "$first" ] && connected; }
ok "an engine that was taken over and dies is replaced" wait_for 15 another_engine

# What was stored is no longer so: the journal is damaged.
second=$(engine) d=$(daemon)
box kill -STOP "$d"
box sh -c 'sed -i "s/^server.*/server=nonsense/" /run/nsvpn/home/journal'
box kill -KILL "$d"
ok "another nsvpnd" wait_for 10 other_daemon "$d"
blocked() { [ "$(tunnel_state)" = blocked ]; }
ok "a damaged journal: blocked" wait_for 10 blocked
engine_ended() { case " $(engine)" in *" $second"*) return 1 ;; esac; }
ok "the engine that nobody believed has ended" wait_for 10 engine_ended
ok "and no route is left in the namespace" no_way
ok "down" box nsvpn down home
ok "up again" box nsvpn up home --timeout 30

# Stopped for good: the store is emptied, the engine ends, the lock stays.
box systemctl stop nsvpnd
no_engine() { [ -z "$(engine)" ]; }
ok "systemctl stop nsvpnd ends the engine" wait_for 5 no_engine
ok "the namespace is still there" box test -e /run/netns/home
ok "no default route in it" no_way
ok "the next call brings it back" box nsvpn up home --timeout 20
ok "connected" wait_for 20 connected
ok "down" box nsvpn down home
ok "no engine is left" no_engine
ok "no namespace is left" box test ! -e /run/netns/home
ok "nothing is left with the service manager" test "$(stored)" = 0
box_log -u nsvpnd >$WORK/nsvpnd.log; diag "$(grep -E 'taken|handed|goes on' $WORK/nsvpnd.log | tr '\n' ';' | head -c 600)"
box_down
tap_done
