#!/bin/bash
# The machine itself is untouched: everything of the default namespace is the same before and after, and TCP sessions from
# outside to the machine live through up, the death of engine and helper, recovery, and down.
. "$(dirname "$(readlink -f "$0")")/lab.sh"
lab_enter "$@"
lab_pki && lab_up && lab_server b || { diag "lab"; exit 1; }

for uplink in veth socket; do
  lab_import b home $uplink || exit 1
  before=$(host_dump)
  spawn host "$LABBIN"/tcpkeep server 0.0.0.0:2222 >$WORK/keep-server.out 2>&1
  srv=$!
  sleep 0.2
  spawn lan "$LABBIN"/tcpkeep client 192.168.77.2:2222 --seconds 16 --rate 50 >$WORK/keep-lan.out 2>&1
  k1=$!
  spawn inet "$LABBIN"/tcpkeep client 203.0.113.1:2222 --seconds 16 --rate 50 >$WORK/keep-inet.out 2>&1
  k2=$!
  sleep 1
  ok "$uplink: up" nsvpn up home --timeout 20
  sleep 1
  kill -9 "$(engine_pid)"
  ok "$uplink: connected again after the engine's SIGKILL" wait_for 10 is_state connected
  sleep 1
  kill -9 "$(helper_pid)"
  sleep 1
  ok "$uplink: up after the helper's SIGKILL" nsvpn up home --timeout 20
  ok "$uplink: works" inside curl -4 -s -m 5 -o /dev/null http://web.example.net/
  sleep 1
  ok "$uplink: down" nsvpn down home
  ok "$uplink: the session from the LAN lived through it" wait $k1
  ok "$uplink: the session from the internet lived through it" wait $k2
  kill $srv
  wait $srv 2>/dev/null
  ok "$uplink: nothing is left" no_leftovers
  host_dump >$WORK/after.txt
  echo "$before" >$WORK/before.txt
  ok "$uplink: routes, rules, sysctls, firewall, resolv.conf are byte-identical" diff $WORK/before.txt $WORK/after.txt
done
tap_done
