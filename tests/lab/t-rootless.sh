#!/bin/bash
# Rootless tunnels: an unprivileged user without nsvpnd and without any right on the machine. The leak invariants that
# concern uplink=socket (1, 2, 4, 5, 7, 10, 11, 12, 18, 25, 26, 27, 38), what a program inside may not do, a helper that dies, what the
# system may forbid, and the sentences for it. Names under a real systemd are in t-names.sh.
. "$(dirname "$(readlink -f "$0")")/lab.sh"
lab_enter "$@"
lab_pki && lab_up && lab_server b && lab_server c && lab_server t || { diag "lab"; exit 1; }
credentials
SRV=198.51.100.10
ID=61001
# A build tree may lie where other users cannot go.
mkdir -p /run/bin && cp "$(dirname "$NSVPN")"/nsvpn* "$LABBIN"/probe /run/bin/ && chmod 755 /run /run/bin /run/bin/* $WORK
MY=/run/bin/nsvpn
install -d -m 700 -o $ID -g $ID /run/home /run/xdg
for k in b c t; do install -m 600 -o $ID -g $ID $WORK/$k.ovpn /run/home/$k.ovpn; done
install -m 600 -o $ID -g $ID $WORK/credentials /run/home/credentials
# The user's own commands, in the machine's namespace.
ME=(nsenter --net=/run/netns/host -- setpriv --reuid $ID --regid $ID --clear-groups -- env -i HOME=/run/home XDG_RUNTIME_DIR=/run/xdg PATH=/usr/sbin:/usr/bin:/sbin:/bin)
me() { "${ME[@]}" "$@"; }
my() { me $MY "$@"; }
in_it() { my exec --rootless -t home -- "$@"; }
mine() { my status --rootless home --json 2>/dev/null | jq -r '.tunnels[0].state'; }
mine_is() { [ "$(mine)" = "$1" ]; }
nothing_left() { # of a user's: processes, files
  local i left
  for i in $(seq 60); do
    left=$(pgrep -l 'nsvpn'; find /run/xdg -mindepth 1 ! -path '/run/xdg/nsvpn/log*' ! -path /run/xdg/nsvpn)
    [ -z "$left" ] && return 0
    sleep 0.1
  done
  echo "$left"
  return 1
}
fails_with() { # DESCRIPTION EXIT-CODE REGEX COMMAND...: one sentence and that status
  local what=$1 code=$2 re=$3 out rc
  shift 3
  out=$("$@" 2>&1)
  rc=$?
  is "$what: status" "$code" $rc
  like "$what: sentence" "$re" "$out"
}
before=$(host_dump)

# ---- one command ----------------------------------------------------------------------------------------------------

is "exec --config: the tunnel's address" 198.51.100.10 "$(my exec --rootless --config /run/home/b.ovpn -- curl -s -m 5 http://192.0.2.80/)"
ok "nothing is left of it" nothing_left
is "exec --config, over TCP" 198.51.100.10 "$(my exec --rootless --config /run/home/t.ovpn -- curl -s -m 5 http://192.0.2.80/)"
ok "nothing is left of that" nothing_left
is "exit status" 42 "$(my exec --rootless --config /run/home/b.ovpn -- sh -c 'exit 42'; echo $?)"
like "it is the caller" "^uid=$ID gid=$ID groups=$ID\$" "$(my exec --rootless --config /run/home/b.ovpn -- id)"
is "a pipe stays a pipe" abc "$(echo abc | my exec --rootless --config /run/home/b.ovpn -- cat)"
my exec --rootless --config /run/home/b.ovpn -- sh -c 'readlink /proc/self/ns/net; sleep 1.5' >$WORK/one 2>&1 &
one=$!
my exec --rootless --config /run/home/b.ovpn -- sh -c 'readlink /proc/self/ns/net; sleep 1' >$WORK/two 2>&1
wait $one
is "two with one file are in one tunnel" "$(cat $WORK/one)" "$(cat $WORK/two)"
like "which is a namespace" '^net:\[' "$(cat $WORK/one)"
ok "nothing is left of both" nothing_left
# Each begins while the tunnel of the one before is going down.
is "ten in a row, each has the network" "10 198.51.100.10" \
  "$(for _ in $(seq 10); do my exec --rootless --config /run/home/b.ovpn -- curl -s -m 10 http://192.0.2.80/; done | sort | uniq -c | sed 's/^ *//')"
ok "nothing is left of these" nothing_left
my exec --rootless --config /run/home/b.ovpn -- sh -c 'sleep 3 >/dev/null 2>&1 & exit 0'
sleep 0.5
ok "a process left in the background keeps the tunnel" pgrep -x nsvpn-engine
ok "until it ends" nothing_left
my exec --rootless --config /run/home/b.ovpn -- sleep 100 2>/dev/null &
ok "one that is killed" wait_for 20 pgrep -x sleep
pkill -KILL -x sleep
ok "takes the tunnel with it" nothing_left
fails_with "wrong password" 125 'refused user name|AUTH_FAILED|refused' sh -c "printf 'alice\nwrong\n' | ${ME[*]} $MY exec --rootless --config /run/home/c.ovpn --credentials - -- true"
ok "a wrong password leaves nothing" nothing_left
sed 's/^remote .*/remote 198.51.100.77 1195 udp/' $WORK/b.ovpn >/run/home/dead.ovpn
chown $ID /run/home/dead.ovpn
fails_with "a server that never answers" 125 'not connected after 2 s' my exec --rootless --config /run/home/dead.ovpn --timeout 2 -- true
ok "it leaves nothing" nothing_left
me timeout -s INT 1.5 $MY exec --rootless --config /run/home/dead.ovpn -- true 2>/dev/null
ok "Ctrl-C leaves nothing" nothing_left

# ---- tunnels that stay ----------------------------------------------------------------------------------------------

ok "import" my import --rootless /run/home/b.ovpn --name home
is "its folder is the user's alone" "700 $ID" "$(stat -c '%a %u' /run/home/.config/nsvpn/tunnels)"
is "up, programs join it" "$(my up --rootless home >/dev/null 2>&1; in_it readlink /proc/self/ns/net)" "$(in_it readlink /proc/self/ns/net)"
like "status" 'connected \(openvpn, uplink socket\)' "$(my status --rootless home)"
like "list" 'home +connected' "$(my list --rootless)"
is "plan changes nothing outside" nothing "$(my plan --rootless home | awk '/^In the default/ { getline; print $1 }')"
like "logs" 'connecting -> connected' "$(my logs --rootless home)"
fails_with "veth needs root" 2 'veth needs root' sh -c "${ME[*]} $MY down --rootless home >/dev/null; ${ME[*]} $MY up --rootless home --uplink veth"
ok "up again" my up --rootless home

# ---- single instances, escapes ---------------------------------------------------------------------------------------

mkdir /run/apps && cp "$LABBIN"/stubapp /run/apps/firefox && chmod 755 /run/apps/firefox
me /run/apps/firefox one >/dev/null 2>&1 &
ok "control: an instance runs outside" wait_for 5 grep -q one /run/home/windows
fails_with "an instance outside refuses the start" 125 'Firefox already runs outside tunnel home.*--new-instance' in_it /run/apps/firefox two
is "no window opened for it" "" "$(grep two /run/home/windows)"
my exec --rootless -t home --new-instance -- /run/apps/firefox three >/dev/null 2>&1 &
ok "--new-instance opens one" wait_for 5 grep -q three /run/home/windows
is "inside" "$(in_it readlink /proc/self/ns/net | tr -dc 0-9)" "$(awk '/three/ { print $2 }' /run/home/windows)"
pkill -f /run/apps/firefox
me env NSVPN_TUNNEL=home sleep 1000 &
ok "control: a process of the tunnel runs outside" wait_for 5 pgrep -x sleep
in_it sleep 1001 &
wait_for 5 sh -c '[ "$(pgrep -xc sleep)" = 2 ]'
out=$(my status --rootless --escapes home)
is "status --escapes finds it, and not the one inside" "5 1" "$(my status --rootless --escapes home >/dev/null; echo $?) $(grep -c sleep <<<"$out")"
pkill -x sleep

# ---- who is confined -------------------------------------------------------------------------------------------------

status=$(in_it cat /proc/self/status)
is "no capability, none in reach" "0000000000000000 0000000000000000 0000000000000000" \
  "$(awk '/^Cap(Eff|Prm|Bnd)/ { print $2 }' <<<"$status" | xargs)"
is "descriptors" "0 1 2" "$(in_it sh -c 'ls /proc/$$/fd' | xargs)"
is "the terminal's and the session's variables are the caller's" /run/xdg "$(in_it printenv XDG_RUNTIME_DIR)"
cp "$(command -v nft)" /run/bin/nft-cap && setcap cap_net_admin,cap_sys_admin=ep /run/bin/nft-cap
cp "$(command -v nft)" /run/bin/nft-root && chmod 4755 /run/bin/nft-root
cp "$(command -v nsenter)" /run/bin/nsenter-cap && setcap cap_sys_admin=ep /run/bin/nsenter-cap
ok "control: with file capabilities nft works outside" sh -c "unshare --net setpriv --reuid $ID --regid $ID --clear-groups /run/bin/nft-cap list ruleset"
for n in nft nft-cap nft-root; do
  [ $n = nft ] || n=/run/bin/$n
  ok "38: $n cannot change the lock" sh -c "! ${ME[*]} $MY exec --rootless -t home -- $n flush ruleset"
  ok "38: $n cannot do so in a user namespace of its own" sh -c "! ${ME[*]} $MY exec --rootless -t home -- unshare --user --map-root-user $n flush ruleset"
done
lock=$(nsenter -t "$(helper_pid)" --mount -- nsenter --net=/run/xdg/nsvpn/.netns/home -- nft list table inet nsvpn)
like "the lock stands" 'policy drop' "$lock"
ok "38: no link can be made or removed" sh -c "! ${ME[*]} $MY exec --rootless -t home -- ip link del tun0 && ! ${ME[*]} $MY exec --rootless -t home -- ip link add x type veth"
host sleep 1000 &
outside=$!
me sleep 1000 &
own=$!
wait_for 5 test "$(stat -c %u /proc/$own)" = $ID
for p in 1 $outside $own "$(helper_pid)"; do
  ok "38: the namespaces of process $p are closed" sh -c "! ${ME[*]} $MY exec --rootless -t home -- nsenter --net=/proc/$p/ns/net true"
  ok "38: with file capabilities, too" sh -c "! ${ME[*]} $MY exec --rootless -t home -- /run/bin/nsenter-cap --net=/proc/$p/ns/net true"
done
kill $outside $own
fails_with "the helper hears nobody from inside" 125 'from inside tunnel home' \
  my exec --rootless -t home -- env -u NSVPN_TUNNEL $MY exec --rootless -t home -- true
fails_with "and says so where it knows" 6 'inside tunnel home' in_it $MY down --rootless home
ok "the tunnel is up all the same" mine_is connected
eng=$(engine_pid)
is "the engine's sandbox is the same" "0000000000000000 1 2 $ID" \
  "$(awk '/^(CapEff|NoNewPrivs|Seccomp):/ { print $2 } /^Uid:/ { u = $2 } END { print u }' /proc/$eng/status | xargs)"
is "its mounts are empty" 1 "$(wc -l </proc/$eng/mountinfo)"
is "its network namespace has nothing" lo "$(nsenter -t $eng --net -- ip -o link | awk -F': ' '{ print $2 }')"

# ---- leaks -----------------------------------------------------------------------------------------------------------

ALL=udp4,udp6,tcp4,tcp6,conn-udp4,icmp4,v4mapped,linklocal6,bindtodevice,bindsrc,pktinfo,unicast-if,server-udp,server-tcp,server-dev,mcast,bcast,dns
probe_args() { # TOKEN KINDS
  echo --token "NSVPNPROBE-$1" --kinds "$2" --target4 192.0.2.80 --target6 2001:db8:80::80 --server "$SRV:1195" --dns4 203.0.113.53
}
allow() { echo "${VPN_FLOW4}1195" "${VPN_FLOW4}1196" "$ISP_DNS"; }
# Controls: the same user, the same ways, outside of the tunnel.
for k in udp4 tcp4 udp6 bindtodevice pktinfo server-udp mcast bcast dns; do
  # shellcheck disable=SC2046
  ok "control: $k is seen outside of the tunnel" seen "NSVPNPROBE-ctl-$k" 4 me /run/bin/probe $(probe_args "ctl-$k" $k) --rate 20 --duration 0.6
done
probes_start() { # NAME KINDS RATE
  # shellcheck disable=SC2046
  "${ME[@]}" $MY exec --rootless -t home --no-wait -- /run/bin/probe $(probe_args "$1" "$2") --rate "$3" --duration 600 \
    >"$WORK/probe-$1.json" 2>"$WORK/probe-$1.err" &
  ok "probe $1 runs" wait_for 10 pgrep -f "NSVPNPROBE-$1 .*--duration 600"
  sleep 0.3
}
probes_stop() {
  pkill -TERM -x probe
  sleep 0.4
  ok "probe $1 really tried" jq -e '[.kinds[].tries] | add > 0' "$WORK/probe-$1.json"
}
judge_ok() { ok "$1" judge_stop "$2" 0.3; }
connect_error() { in_it /run/bin/probe --connect-once "${1:-192.0.2.80:80}" --timeout 5; }
soon() { test "$(grep -oE '[0-9]+' <<<"$1" | tail -n 1)" -lt "$2"; }
REFUSED='(ENETUNREACH|EHOSTUNREACH|EPERM|ECONNREFUSED|EACCES)'

my down --rootless home >/dev/null
# 5: a process in the namespace as early as possible. Root puts it there: the user could not be as quick.
# shellcheck disable=SC2046
judge_start 5 $(allow)
(
  until h=$(pgrep -x nsvpnd) && nsenter -t "$h" --mount -- nsenter --net=/run/xdg/nsvpn/.netns/home -- true 2>/dev/null; do :; done
  # shellcheck disable=SC2046
  exec nsenter -t "$h" --mount -- nsenter --net=/run/xdg/nsvpn/.netns/home -- setpriv --reuid $ID --regid $ID --clear-groups \
    /run/bin/probe $(probe_args 5 $ALL) --rate 500 --duration 600 >"$WORK/probe-5.json" 2>&1
) &
ok "up" my up --rootless home
sleep 1
probes_stop 5
judge_ok "5: nothing leaks between the namespace's birth and 'connected'" 5

# shellcheck disable=SC2046
judge_start 10 $(allow)
probes_start 10 $ALL 200
sleep 2
in_it curl -s -m 3 -o /dev/null http://192.0.2.80/
head -c 200000 /dev/zero | in_it sh -c 'cat >/dev/udp/192.0.2.80/9' 2>/dev/null
in_it bash -c 'head -c 60000 /dev/zero >/dev/udp/192.0.2.80/9' # 27: fragments
probes_stop 10
judge_ok "10, 11, 12, 26, 27: no token and no fragment on the uplink while connected" 10
is "11: every packet in the tunnel has the tunnel's source address" 0 "$(grep -c 'bad source address from client' $WORK/server-b.log)"
for t in 192.168.77.1:80 192.168.77.2:2222 169.254.169.254:80; do
  like "18: $t is not reachable from inside" 'E[A-Z]+|TIMEOUT' "$(in_it /run/bin/probe --connect-once $t --timeout 1)"
done

# shellcheck disable=SC2046
judge_start 1 $(allow)
probes_start 1 $ALL 1000
in_ns vpn nft 'add table ip gap; add chain ip gap in { type filter hook input priority 0; policy drop; }'
kill -9 "$(engine_pid)"
sleep 0.5
out=$(connect_error)
like "1: connect() fails at once while the engine is dead" "$REFUSED" "$out"
ok "1: within a second ($out)" soon "$out" 1000
sleep 3
in_ns vpn nft delete table ip gap
ok "1: connected again by itself" wait_for 60 mine_is connected
for sig in SEGV TERM STOP; do
  pid=$(engine_pid)
  kill -$sig "$pid"
  sleep 1
  [ $sig = STOP ] && sleep 8 && kill -CONT "$pid"
  ok "2: connected again after SIG$sig" wait_for 60 mine_is connected
done
probes_stop 1
judge_ok "1, 2: deaths of the engine leak nothing" 1

# 4: both dead. The program stays in its namespace, and the next helper finds it there.
# shellcheck disable=SC2046
judge_start 4 $(allow)
probes_start 4 $ALL 500
p=$(pgrep -x probe)
ns=$(readlink /proc/"$p"/ns/net)
kill -9 "$(helper_pid)" "$(engine_pid)"
sleep 0.3
like "4: with both dead there is no way out" "unreachable|No route to host" "$(nsenter -t "$p" --net -- ip route get 192.0.2.80 2>&1)"
like "4: status says blocked" blocked "$(my status --rootless home)"
sleep 5
ok "4: up again" my up --rootless home
is "4: in the same namespace" "$ns" "$(in_it readlink /proc/self/ns/net)"
like "4: where the program is still known" probe "$(my status --rootless home)"
probes_stop 4
judge_ok "4: nothing leaks while both are dead, nor when the next helper takes over" 4

# 7: down with a program inside.
# shellcheck disable=SC2046
judge_start 7 $(allow)
probes_start 7 $ALL 500
like "7: down names the program that stays locked in" probe "$(my down --rootless home 2>&1)"
sleep 3
probes_stop 7
judge_ok "7: down with a program inside leaks nothing" 7
ok "7: nothing is left" nothing_left

# 25: a tunnel without IPv6 on a machine that has it.
ok "25: import" my import --rootless /run/home/c.ovpn --name four
ok "25: up" my up --rootless four --credentials /run/home/credentials
# shellcheck disable=SC2046
judge_start 25 $(allow)
out=$(my exec --rootless -t four -- /run/bin/probe --connect-once '[2001:db8:80::80]:80' --timeout 5)
like "25: IPv6 connect() fails" "$REFUSED" "$out"
ok "25: within 100 ms ($out)" soon "$out" 100
# shellcheck disable=SC2046
my exec --rootless -t four -- /run/bin/probe $(probe_args 25 udp6,tcp6,v4mapped,linklocal6,bindtodevice,mcast) --rate 300 --duration 2 >$WORK/probe-25.json
ok "25: it really tried" jq -e '[.kinds[].tries] | add > 0' $WORK/probe-25.json
judge_ok "25: no IPv6 of programs on the uplink" 25
ok "25: down" my down --rootless four
ok "nothing is left of all" nothing_left
is "the machine is as it was" "$before" "$(host_dump)"

ok "remove" my remove --rootless four
is "its folder is gone" home "$(ls /run/home/.config/nsvpn/tunnels)"

# ---- what the system may lack or forbid --------------------------------------------------------------------------------

fails_with "no XDG_RUNTIME_DIR" 1 'XDG_RUNTIME_DIR is not set' me env -u XDG_RUNTIME_DIR $MY up --rootless home
install -d -m 755 -o $ID /run/open
fails_with "one that others may enter" 1 '/run/open.*chmod 700' me env XDG_RUNTIME_DIR=/run/open $MY up --rootless home
fails_with "one that is not there" 1 '/run/nowhere.*No such file' me env XDG_RUNTIME_DIR=/run/nowhere $MY up --rootless home
fails_with "root" 2 'you are root' host $MY up --rootless home
fails_with "--config without --rootless" 125 'goes with --rootless' my exec --config /run/home/b.ovpn -- true
fails_with "two names" 125 'both name a tunnel' my exec --rootless --config /run/home/b.ovpn -t home -- true
fails_with "a command that has no use for it" 2 'has no meaning' my desktop --rootless list
fails_with "no such tunnel" 125 'nope is not configured' my exec --rootless -t nope -- true
fails_with "a file that is not there" 125 'nofile.ovpn' my exec --rootless --config /run/home/nofile.ovpn -- true
ok "no helper is left to ask" nothing_left
dev() { # COMMANDS that arrange /dev/net: then up
  unshare --mount --propagation private sh -c "mount -t tmpfs -o mode=755 dev /dev/net && $1; shift; exec \"\$@\"" - x "${ME[@]}" $MY up --rootless home
}
fails_with "no /dev/net/tun" 1 '/dev/net/tun is not there.*modprobe' dev true
fails_with "no access to it" 1 '/dev/net/tun cannot be opened.*0666' dev 'mknod -m 600 /dev/net/tun c 10 200'
# A user namespace stands for a machine whose administrator forbids more of them: the limit is per user namespace.
unshare --user sleep 1000 &
u=$!
wait_for 5 sh -c "[ \"\$(readlink /proc/$u/ns/user)\" != \"\$(readlink /proc/self/ns/user)\" ]"
echo "0 0 4294967295" >/proc/$u/uid_map
echo "0 0 4294967295" >/proc/$u/gid_map
nsenter -t $u --user -- sh -c 'echo 0 >/proc/sys/user/max_user_namespaces'
fails_with "no user namespaces" 1 'max_user_namespaces is 0.*sysctl user.max_user_namespaces' nsenter -t $u --user -- "${ME[@]:3}" $MY up --rootless home
kill $u
fails_with "a full runtime folder" 1 '(No space|space)' sh -c "mount -t tmpfs -o size=4k,mode=700,uid=$ID full /run/open && head -c 4096 /dev/zero >/run/open/x; ${ME[*]} env XDG_RUNTIME_DIR=/run/open $MY up --rootless home"
ok "nothing is left of the failures" nothing_left
tap_done
