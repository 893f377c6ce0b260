#!/bin/bash
# A rekey every 5 seconds under load, asked for by both sides: not one TCP connection is lost, and neither memory nor
# descriptors grow. One minute; NSVPN_LONG=1: ten.
. "$(dirname "$(readlink -f "$0")")/lab.sh"
lab_enter "$@"
lab_pki && lab_up && lab_server d "reneg-sec 5" || { diag "lab"; exit 1; }
seconds=60
[ -z "${NSVPN_LONG:-}" ] || seconds=600
printf 'reneg-sec 5\n' >>$WORK/d.ovpn
lab_import d home || exit 1
spawn inet "$LABBIN"/tcpkeep server 192.0.2.80:5001 >$WORK/keep-server.out 2>&1
judge_start r "${VPN_FLOW4}1197" "$ISP_DNS"
ok "up" nsvpn up home --timeout 60
rss() { awk '/^VmRSS/ { print $2 }' "/proc/$1/status"; }
fds() { ls "/proc/$1/fd" | wc -l; }
keys() { grep -c 'Incoming Data Channel: Cipher' $WORK/server-d.log; }
has_keys() { [ "$(keys)" -ge "$1" ]; }
spawn host "$NSVPN" exec -t home "$LABBIN"/tcpkeep client 192.0.2.80:5001 --seconds "$seconds" --rate 50 >$WORK/keep1.out 2>&1
k1=$!
spawn host "$NSVPN" exec -t home "$LABBIN"/tcpkeep client 192.0.2.80:5001 --seconds "$seconds" --bulk >$WORK/keep2.out 2>&1
k2=$!
engine=$(engine_pid) helper=$(helper_pid)
ok "the first keys" wait_for 50 has_keys 4
n0=$(keys) rss0=$(rss "$engine") fds0=$(fds "$engine") hrss0=$(rss "$helper") hfds0=$(fds "$helper")
( for ((i = 0; i < seconds; i += 30)); do
    sleep 30
    kill -0 $k1 2>/dev/null || break
    diag "keys $(keys), engine $(rss "$engine") kB and $(fds "$engine") descriptors, helper $(rss "$helper") kB and $(fds "$helper")"
  done ) &
ok "a paced connection lives through it all" wait $k1
ok "a connection at full speed lives through it all" wait $k2
diag "paced: $(tail -n 1 $WORK/keep1.out)"
diag "bulk:  $(tail -n 1 $WORK/keep2.out)"
is "the engine was never restarted" "$engine" "$(engine_pid)"
n=$(keys)
diag "data keys: $n in $seconds s; engine $rss0 -> $(rss "$engine") kB, $fds0 -> $(fds "$engine") descriptors;" \
  "helper $hrss0 -> $(rss "$helper") kB, $hfds0 -> $(fds "$helper")"
ok "at least one new key every 10 s" test "$((n - n0))" -ge $((seconds / 10 - 3))
# Under AddressSanitizer what is freed waits in a quarantine, so there only the sanitizer's own verdict counts.
if grep -q __asan_init "$BUILD/nsvpn-engine"; then
  skip "no memory growth" "a build with AddressSanitizer"
else
  ok "no memory growth beyond 2 MB" test $(($(rss "$engine") - rss0)) -lt 2048
  ok "nor of the helper's" test $(($(rss "$helper") - hrss0)) -lt 2048
fi
is "no descriptor growth" "$fds0" "$(fds "$engine")"
ok "down" nsvpn down home
is "no sanitizer had anything to say" "" "$(grep -rhE 'ERROR: AddressSanitizer|runtime error' $WORK /run/nsvpn/log 2>/dev/null | head -n 3)"
ok "the judge saw nothing but the engine's packets" judge_stop r
ok "nothing is left" no_leftovers
tap_done
