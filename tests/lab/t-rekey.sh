#!/bin/bash
# Renegotiation every 10 seconds, started by the server, under load for two minutes: not one TCP connection is lost.
. "$(dirname "$(readlink -f "$0")")/lab.sh"
lab_enter "$@"
lab_pki && lab_up && lab_server d || { diag "lab"; exit 1; }
seconds=${NSVPN_REKEY_SECONDS:-120}
lab_import d home || exit 1
spawn inet "$LABBIN"/tcpkeep server 192.0.2.80:5001 >$WORK/keep-server.out 2>&1
judge_start r "${VPN_FLOW4}1197" "$ISP_DNS"
ok "up" nsvpn up home --timeout 20
rss() { awk '/^VmRSS/ { print $2 }' "/proc/$(engine_pid)/status"; }
spawn host "$NSVPN" exec -t home "$LABBIN"/tcpkeep client 192.0.2.80:5001 --seconds "$seconds" --rate 50 >$WORK/keep1.out 2>&1
k1=$!
spawn host "$NSVPN" exec -t home "$LABBIN"/tcpkeep client 192.0.2.80:5001 --seconds "$seconds" --bulk >$WORK/keep2.out 2>&1
k2=$!
sleep 5
rss0=$(rss) fds0=$(ls "/proc/$(engine_pid)/fd" | wc -l)
engine=$(engine_pid)
ok "a paced connection lives through it all" wait $k1
ok "a connection at full speed lives through it all" wait $k2
diag "paced: $(tail -n 1 $WORK/keep1.out)"
diag "bulk:  $(tail -n 1 $WORK/keep2.out)"
is "the engine was never restarted" "$engine" "$(engine_pid)"
n=$(grep -c 'Incoming Data Channel: Cipher' $WORK/server-d.log)
diag "data keys negotiated: $n in $seconds s; engine memory $rss0 -> $(rss) kB"
ok "at least one new key every 15 s" test "$n" -ge $((seconds / 15))
ok "no memory growth beyond 2 MB" test $(($(rss) - rss0)) -lt 2048
is "no descriptor growth" "$fds0" "$(ls "/proc/$(engine_pid)/fd" | wc -l)"
ok "down" nsvpn down home
ok "the judge saw nothing but the engine's packets" judge_stop r
ok "nothing is left" no_leftovers
tap_done
