#!/bin/bash
# Invariant 44: an engine that somebody has taken over reaches nothing outside its tunnel, whatever it says to the helper and
# whatever it does with the descriptors that it has (tests/lab/badengine.c). Two tunnels share a helper: `home` has the bad
# engine, `other` an honest one. While hundreds of acts and mutations run, the machine and `other` stay byte-identical, the
# locks of `home` stay, probes inside of it and the engine's own packets reach nobody, the helper lives and answers.
. "$(dirname "$(readlink -f "$0")")/lab.sh"
lab_enter "$@"
lab_pki && lab_up && lab_server b && lab_server d || { diag "lab"; exit 1; }
LIVES=${NSVPN_BAD_LIVES:-60}

# A private copy of the installation, with the bad engine in the place of the good one.
I=$WORK/inst
mkdir -m 755 $I
cp "$BUILD"/nsvpn "$BUILD"/nsvpnd "$BUILD"/nsvpn-launch $I/
cp "$BUILD"/nsvpn-engine $I/nsvpn-engine.real
cp "$LABBIN"/badengine $I/nsvpn-engine
NSVPN=$I/nsvpn
acts() { "$LABBIN"/badengine --list "$@"; }
sed '/^remote /a remote vpn4.example.net 1198 udp' $WORK/b.ovpn >$WORK/two.ovpn

# ---- what must not change ---------------------------------------------------------------------------------------------

netns_dump() { # NAMESPACE: everything that can be configured in it
  in_ns "$1" sh -c '
    ip -d link; ip -4 addr; ip -6 addr | sed -E "s/(valid|preferred)_lft [^ ]+//g"; ip -4 rule; ip -6 rule
    ip -4 route show table all; ip -6 route show table all | sed -E "s/ expires [0-9]+sec//"; nft -s list ruleset
    grep -rs . /proc/sys/net/ipv4/conf /proc/sys/net/ipv6/conf /proc/sys/net/ipv4/ip_forward | grep -v stable_secret | sort' |
    sed -E 's/ qlen [0-9]+//; s/promiscuity [0-9]+ //; s/allmulti [0-9]+ //'
}
# The machine, its files and the other tunnel; of `home` only what no engine may touch.
world() {
  host sh -c '
    ip -o -d link show | sed -E "s/ qlen [0-9]+//; s/promiscuity [0-9]+ //; s/allmulti [0-9]+ //" | grep -v "^[0-9]*: nv-home"
    ip -o addr | sed -E "s/(valid|preferred)_lft [^ ]+//g" | grep -v "^[0-9]*: nv-home"
    # its own rules stay while the veth is made anew (settings-veth), and say so
    { ip -4 rule; ip -6 rule; } | sed "s/ \[detached\]//"
    { ip -4 route show table all; ip -6 route show table all; } | sed -E "s/ expires [0-9]+sec//" | grep -v "dev nv-home"
    for t in $(nft list tables | sed -n "s/^table \([a-z0-9]*\) \(.*\)/\1:\2/p"); do
      case $t in *-home) echo "$t" ;; *) nft -s list table ${t%%:*} ${t#*:} ;; esac
    done
    grep -rs . /proc/sys/net/ipv4 /proc/sys/net/ipv6 /proc/sys/net/netfilter |
      grep -vE "nf_conntrack_count|/stat|tcp_fastopen_key|route/flush|stable_secret|fib_multipath_hash_seed|neigh/.*retrans_time|/nv-home/" | sort'
  cat /etc/resolv.conf
  ls /run/netns
  awk '{ print $5, $9, $10 }' /proc/self/mountinfo | sort
  find "$NSVPN_ETC" "$NSVPN_STATE" /run/nsvpn -type f ! -path '/run/nsvpn/home/*' ! -path '/run/nsvpn/log/*' ! -name '*.log*' \
    ! -name home.engine -exec md5sum {} + | sort -k2
  find "$NSVPN_ETC" "$NSVPN_STATE" /run/nsvpn ! -path '/run/nsvpn/home/*' ! -name home.engine ! -name '*.log*' -printf '%p %m %u %g %y\n' | sort
  md5sum /run/nsvpn/home/nsswitch.conf
  netns_dump other
}
home_dump() {
  netns_dump home
  host sh -c 'nft -s list table inet nsvpn-home; ip -d link show nv-home 2>/dev/null' | sed -E 's/ qlen [0-9]+//'
  cat /run/nsvpn/home/resolv.conf
  md5sum /run/nsvpn/home/journal
}
same() { # NAME NEW-DUMP-COMMAND: as it was at the beginning
  local now=$WORK/$1.now.$BASHPID
  $2 >"$now" 2>&1
  diff -a "$WORK/$1.ref" "$now"
}
# What holds at every moment, whatever the engine is about to do.
locked_at_all_times() {
  in_ns home nft list chain inet nsvpn output | grep -q 'policy drop' || echo "the inner lock is gone"
  in_ns home ip route show type unreachable default | grep -q . || echo "the IPv4 floor is gone"
  in_ns home ip -6 route show type unreachable default | grep -q . || echo "the IPv6 floor is gone"
  host nft list table inet nsvpn-home >/dev/null || echo "the outer lock is gone"
  for where in 'host inet nsvpn-home' 'home inet nsvpn'; do
    set -- $where
    in_ns "$1" nft list set "$2" "$3" engine4 | tr -d '\n' | sed -n 's/.*elements = {\([^}]*\)}.*/\1/p' | tr ',' '\n' | tr -d ' \t' |
      grep -vxE '198\.51\.100\.10\.udp\.(1195|1198)' | sed "s/^/an opening in $1: /"
    in_ns "$1" nft list set "$2" "$3" engine6 | grep elements | sed "s/^/an IPv6 opening in $1: /"
  done
  in_ns home ip route show table all type unicast | grep -vE 'dev (tun0|lo)|table (0x)?[0-9a-f]+' | sed 's/^/a route: /'
  in_ns home ip -o link show | grep -vE ': (lo|tun0|uplink0(@[^:]*)?):' | sed 's/^/a link: /'
  same world world >$WORK/world.diff || { echo "the world has changed"; cat $WORK/world.diff; }
}
guard() { # until it is killed
  while :; do
    locked_at_all_times >>$WORK/guard.out 2>&1
    echo >>$WORK/guard.rounds
    sleep 0.2
  done
}
# How long the helper takes to answer somebody else, in ms: the slowest.
clock() {
  local t0 t slowest=0
  while :; do
    t0=$(date +%s%N)
    nsvpn status other --json | grep -q '"state":"connected"' || echo "no answer about the other tunnel" >>$WORK/clock.out
    t=$((($(date +%s%N) - t0) / 1000000))
    [ $t -gt $slowest ] && slowest=$t && echo $slowest >$WORK/clock.slowest
    sleep 0.2
  done
}

# ---- running acts -----------------------------------------------------------------------------------------------------

bad_pid() { pgrep -x nsvpn-engine; }
is_parked() { grep -q '^parked' $I/report; }
# Does these acts, one life each, and parks. A tunnel that gave up is brought up again, as its user would.
series() { # ACT...
  local end=$((SECONDS + 300))
  printf '%s\n' "$@" >$I/script.new
  : >$I/report
  mv $I/script.new $I/script
  kill -9 "$(bad_pid)" 2>/dev/null
  until is_parked; do
    [ $SECONDS -lt $end ] || { diag "state $(state): $(tail -n 3 $I/report)"; return 1; }
    sleep 0.1
    [ "$(state)" != failed ] || nsvpn up home --no-wait >/dev/null 2>&1
  done
  wait_for 10 is_state connected
}
names() { acts "$1" | cut -d' ' -f1; }
lived() { grep -c '^life' $I/report; }
survivors() { sed -n 's/^alive [0-9]* \([^:]*\):.*/\1/p' $I/report | sort | tr '\n' ' '; }
complaints() { grep '^wrong' $I/report; }
group() { # GROUP WHAT: all of it in one series; each must end as it says
  local t0=$SECONDS
  # shellcheck disable=SC2046
  ok "$u: $2: $(names "$1" | wc -l) acts, one after the other" series $(names "$1")
  is "$u: $2: each began" "$(names "$1" | wc -l)" "$(lived)"
  is "$u: $2: those that must not be forgiven end the engine, the others are answered" \
    "$(acts "$1" | sed -n 's/ .* answered$//p' | sort | tr '\n' ' ')" "$(survivors)"
  is "$u: $2: no complaint of the engine" "" "$(complaints)"
  unchanged "$2"
  diag "$u: $2: $((SECONDS - t0)) s"
}
unchanged() { # WHAT
  ok "$u: $1: the machine and the other tunnel are byte-identical" same world world
  ok "$u: $1: and so is the tunnel, behind an honest start" same home home_dump
  is "$u: $1: the same helper" "$helper" "$(helper_pid)"
  ok "$u: $1: it holds no more descriptors" wait_for 5 no_more_descriptors # callers come and go
}
no_more_descriptors() { [ "$(ls /proc/"$helper"/fd | wc -l)" -le "$fds" ]; }
said() { nsvpn logs home 2>/dev/null | grep -c "$1"; }
tokens() { grep -o 'NSVPNPROBE[^"]*' "$1" | sort | uniq -c; }

run() { # UPLINK
  u=$1
  lab_import two home "$u" && lab_import d other veth || { ok "$u: import" false; return; }
  rm -f $I/script $WORK/guard.* $WORK/clock.*
  ok "$u: the other tunnel comes up, with an honest engine" nsvpn up other --timeout 20
  is "$u: it carries traffic" 198.51.100.10 "$(nsvpn exec -t other -- curl -4 -s -m 5 http://192.0.2.80/)"
  : >$I/report
  : >$I/count
  : >$I/script
  ok "$u: the bad one's tunnel comes up: it behaves" nsvpn up home --timeout 20
  ok "$u: and keeps still" wait_for 5 is_parked
  helper=$(helper_pid)
  sleep 0.5

  # Before the judge sits down: what the engine says to its server is seen, so silence later on means something.
  ok "$u: control: what the engine sends to its own server is on the wire" seen NSVPNPROBE-bad-control 10 series control
  spawn host "$LABBIN"/probe --token NSVPNPROBE-bad-lo --kinds udp4 --target4 127.0.0.1 --rate 20 --duration 2 >/dev/null 2>&1
  ok "$u: control: what reaches the machine's own services is seen" seen_at host lo NSVPNPROBE-bad-lo 5 sleep 1

  nsvpn exec -t other -- "$LABBIN"/tcpkeep client 192.0.2.80:7777 --seconds 1 >/dev/null 2>&1
  world >$WORK/world.ref 2>&1
  home_dump >$WORK/home.ref 2>&1
  fds=$(ls /proc/"$helper"/fd | wc -l)
  rss=$(awk '/^VmRSS/ { print $2 }' /proc/"$helper"/status)
  host ip route add 192.0.2.99/32 dev lo
  is "$u: control: a route too many on the machine is noticed" 1 "$(same world world >/dev/null; echo $?)"
  host ip route del 192.0.2.99/32 dev lo
  ok "$u: control: and nothing is, when there is nothing" same world world
  judge_start bad "${VPN_FLOW4}1195" "${VPN_FLOW4}1197" "${VPN_FLOW4}1198" "$ISP_DNS"
  spawn host "$LABBIN"/judge lo --count >$WORK/lo.json 2>&1
  lo=$!
  spawn home setpriv --reuid 65534 --regid 65534 --clear-groups "$LABBIN"/probe --token NSVPNPROBE-badinside \
    --kinds udp4,udp6,tcp4,conn-udp4,icmp4,bindtodevice,bindsrc,pktinfo,server-udp,server-dev,mcast,dns --target4 192.0.2.80 \
    --target6 2001:db8:80::80 --server 198.51.100.10:1195 --dns4 203.0.113.53 --rate 50 --duration 3000 >$WORK/probe.json 2>&1
  probe=$!
  spawn other "$LABBIN"/tcpkeep client 192.0.2.80:7777 --seconds "$SECONDS_KEPT" --rate 50 >$WORK/keep.json 2>&1
  keep=$!
  guard &
  guard=$!
  clock &
  clock=$!

  group order "messages that are not for this moment, or not for an engine"
  group form "malformed messages and descriptors"
  before=$(said 'signal 31')
  group call "system calls"
  is "$u: the sandbox ended each of them" $((before + $(names call | wc -l))) "$(said 'signal 31')"
  group packet "packets past the server, and out of the tun"
  group settings "settings"
  if [ "$u" = veth ]; then
    # A server whose networks touch the veth's own makes the helper choose another for the veth: that is the tunnel's own.
    ok "veth: settings that touch the veth's own network" series settings-veth
    like "veth: all of them are refused" 'alive 0 settings-veth: 11 refused' "$(grep ^alive $I/report)"
    is "veth: and none of them taken" "" "$(complaints)"
    ok "veth: the machine and the other tunnel are byte-identical" same world world
    home_dump >$WORK/home.ref 2>&1
  fi
  # Somebody stopped looking: what is said to him must not pile up.
  spawn host "$NSVPN" status other --watch >/dev/null 2>&1
  watcher=$!
  sleep 0.5
  kill -STOP $watcher
  fds=$((fds + 1))
  group flood "floods"
  kill -KILL $watcher
  wait $watcher 2>/dev/null
  fds=$((fds - 1))
  ok "$u: floods: the log is bounded" test "$(du -sk /run/nsvpn/log | cut -f1)" -lt 20000
  group end "giving up"
  # shellcheck disable=SC2046
  ok "$u: $LIVES lives of random messages, whole and damaged" \
    series $(for ((i = 0; i < LIVES; i++)); do case $((i % 6)) in 0) echo mutate-early ;; 1) echo mutate-idle ;; *) echo mutate ;; esac; done)
  is "$u: random messages: no complaint of the engine" "" "$(complaints)"
  unchanged "random messages"
  diag "$u: $(stat -c %s $I/count) messages in all"

  kill $guard $clock
  wait $guard $clock 2>/dev/null
  is "$u: at no moment was a lock gone, an opening too wide, a route or link too many, or the world another" "" \
    "$(sort $WORK/guard.out | uniq -c | head -n 30)"
  ok "$u: (it was looked at $(wc -l <$WORK/guard.rounds) times)" test "$(wc -l <$WORK/guard.rounds)" -gt 20
  is "$u: the helper always answered" "" "$(sort $WORK/clock.out 2>/dev/null | uniq -c)"
  ok "$u: in time (slowest: $(cat $WORK/clock.slowest) ms)" test "$(cat $WORK/clock.slowest)" -lt 5000
  now=$(awk '/^VmRSS/ { print $2 }' /proc/"$helper"/status)
  ok "$u: its memory has not grown much ($rss -> $now kB)" test $((now - rss)) -lt 16000
  kill -TERM $lo
  wait $lo
  is "$u: the machine's own services heard nothing from the engine" "" "$(tokens $WORK/lo.json)"
  kill -TERM $probe
  wait $probe
  ok "$u: (the probes inside really tried)" jq -e '[.kinds[].tries] | add > 100' $WORK/probe.json
  ok "$u: no token, and nothing but packets to the servers, on the uplink" judge_stop bad 0.3
  wait $keep
  is "$u: the other tunnel's connection lost, doubled and damaged nothing" 0 $? || sed 's/^/# /' $WORK/keep.json
  is "$u: nobody left anything in /tmp" "" "$(ls /tmp/x 2>/dev/null)"
  ok "$u: down" nsvpn down home
  ok "$u: the other one too" nsvpn down other
  ok "$u: nothing is left" no_leftovers
}

SECONDS_KEPT=${NSVPN_BAD_SECONDS:-60}
spawn inet "$LABBIN"/tcpkeep server 192.0.2.80:7777 >$WORK/keepd.json 2>&1
clean=$(host_dump)
for uplink in veth socket; do
  run $uplink
done
host_dump >$WORK/after.txt
echo "$clean" >$WORK/before.txt
sed -i '/NSVPN\|== files/,$d' $WORK/before.txt $WORK/after.txt
ok "the machine is as it was" diff $WORK/before.txt $WORK/after.txt
tap_done
