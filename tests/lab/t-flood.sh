#!/bin/bash
# Invariant 43: what nobody in particular, and a user who may do something, send to the service as fast as the bus takes it
# (busflood.c) does not end it, does not make it grow, and leaves its place to others.
#
# NSVPN_LONG=1: ten minutes instead of twenty seconds.
. "$(dirname "$(readlink -f "$0")")/lab.sh"
. "$(dirname "$(readlink -f "$0")")/box.sh"
box_need "${NSVPN_BOX_SUITE:-bookworm}"
lab_enter "$@"
lab_pki && lab_up && lab_server b || { diag "lab"; exit 1; }
ok "boots" box_up
ok "root imports" box_import b home
cp "$LABBIN"/busflood $BOX/usr/local/bin/
SECONDS_EACH=$([ -n "${NSVPN_LONG:-}" ] && echo 300 || echo 10)
SEED=${NSVPN_SEED:-$RANDOM}
diag "seed $SEED"
ok "up" box nsvpn up home --timeout 60
helper() { box systemctl show -P MainPID nsvpnd; }
kilobytes() { box sed -n "s/^$1:[^0-9]*\([0-9]*\) kB/\1/p" /proc/"$(helper)"/status; }
descriptors() { box sh -c "ls /proc/$(helper)/fd | wc -l"; }
few_descriptors() { [ "$(descriptors)" -le "$1" ]; }
footprint() { box sh -c "ip -br link; ip netns; nft -s list ruleset; find /var/lib/nsvpn /etc/nsvpn -type f -exec md5sum {} + | sort; pgrep -x nsvpn-engine"; }
# Somebody else, who only wants to look: how long he waits, in ms, and how often he was told no.
others() { # FILE: until the file FILE.end is there
  local t
  until [ -e "$1.end" ]; do
    t=$(date +%s%N)
    box_as carol nsvpn status home >/dev/null 2>>"$1.err" || echo no >>"$1.no"
    echo $((($(date +%s%N) - t) / 1000000)) >>"$1.ms"
  done
}
flood() { # WHO COMMAND-PREFIX...
  local who=$1 f=$WORK/flood-$1 pid rss now
  shift
  pid=$(helper) rss=$(kilobytes VmRSS)
  : >"$f.ms"
  others "$f" &
  "$@" busflood "$SECONDS_EACH" "$SEED" home >"$f.out" 2>&1
  : >"$f.end"
  wait $!
  diag "$who: $(cat "$f.out")"
  like "$who: thousands were sent and answered" '^[0-9]{4,} sent, [0-9]+ served, [0-9]{3,} refused' "$(cat "$f.out")"
  is "$who: the same helper goes on" "$pid 0" "$(helper) $(box systemctl show -P NRestarts nsvpnd)"
  now=$(kilobytes VmHWM)
  ok "$who: at most $now kB of memory ($rss before)" test "$now" -lt 65536
  # The bus itself refuses some calls when a flood is faster than the machine: its queues and quotas are not ours.
  now=$(cat "$f.no" 2>/dev/null | wc -l)
  diag "$who: others: $now of $(wc -l <"$f.ms") refused: $(sed 's/sender=.*//' "$f.err" | sort | uniq -c | sort -rn | head -n 3)"
  ok "$who: others were served meanwhile" test $((now * 2)) -lt "$(wc -l <"$f.ms")"
  ok "$who: and waited at most $(sort -n "$f.ms" | tail -n 1) ms (median $(sort -n "$f.ms" | awk '{ a[NR] = $1 } END { print a[int((NR + 1) / 2)] }') of $(wc -l <"$f.ms"))" \
    test "$(sort -n "$f.ms" | tail -n 1)" -lt 60000
}
before=$(footprint)
fds=$(descriptors)
flood nobody box setpriv --reuid nobody --regid nogroup --clear-groups
is "nobody: nothing has changed" "$before" "$(footprint)"
ok "nobody: it holds no more descriptors" wait_for 60 few_descriptors "$fds" || diag "$fds -> $(descriptors)"
flood "a user" box_session alice
like "somebody else is served at once" '^home: ' "$(box_as carol nsvpn status home 2>&1)"
ok "up again, whatever she did with her tunnel" box nsvpn up home --timeout 60
is "it carries traffic" 198.51.100.10 "$(box_session alice nsvpn exec -t home -- curl -4 -s -m 5 http://192.0.2.80/)"
ok "it holds no more descriptors" wait_for 60 few_descriptors "$fds" || diag "$fds -> $(descriptors): $(box ls -l /proc/"$(helper)"/fd | sed 's/.* -> //' | sort | uniq -c)"
is "no other tunnel came into being" home "$(box ip netns | awk '{ print $1 }')"
ok "down" box nsvpn down home --kill
is "nothing is left" "" "$(box sh -c 'ls /run/netns; ip -o link | grep nv-; nft list tables')"
box_down
tap_done
