#!/bin/bash
# `nsvpn exec` by ordinary users, without sudo, in a real system: from a local session, over SSH, from a unit; who is refused;
# what the program is, has and can do.
. "$(dirname "$(readlink -f "$0")")/lab.sh"
. "$(dirname "$(readlink -f "$0")")/box.sh"
box_need "${NSVPN_BOX_SUITE:-bookworm}"
lab_enter "$@"
lab_up || { diag "the lab could not be built"; exit 1; }
lab_pki || { diag "no PKI"; exit 1; }
lab_server b || { diag "no server"; exit 1; }
# A file system of alice's own, as sshfs is: root is not let in.
own_fs() {
  mkdir -p $BOX/home/alice/own
  "$LABBIN"/ownfs $BOX/home/alice/own 1000 >$WORK/ownfs.out 2>&1 &
  OWNFS=$!
  wait_for 5 grep -q ready $WORK/ownfs.out
}
OWNFS=
[ -c /dev/fuse ] && BOX_PREPARE=own_fs
ok "boots" box_up
diag "$(box systemctl --version | head -n 1)"
ok "root imports" box_import b home
ok "root brings it up" box nsvpn up home
is "it is the service" active "$(box systemctl is-active nsvpnd)"
# ---- who may -------------------------------------------------------------------------------------------------------------
ask='curl -4 -s -m 5 http://192.0.2.80/'
is "outside, the internet sees the line's address" 203.0.113.1 "$(box $ask)"
judge_start u "${VPN_FLOW4}1195" "$ISP_DNS"
is "a local session: the tunnel's address" 198.51.100.10 "$(box_session alice nsvpn exec -- $ask)"
is "an SSH session of a member of group nsvpn" 198.51.100.10 "$(box_ssh carol nsvpn exec -- $ask)"
is "a unit without terminal, of a member" 198.51.100.10 "$(box_unit carol nsvpn exec -- $ask)"
out=$(box_unit bob nsvpn exec -- echo started 2>&1)
is "a unit of somebody else is refused" 125 "$(box_unit bob nsvpn exec -- echo started >/dev/null 2>&1; echo $?)"
like "with a sentence" 'nsvpn: .*(group nsvpn|administrator|polkit|sudo)' "$out"
is "and starts nothing" "" "$(grep started <<<"$out")"
box sh -c "printf '[Access]\nUsers=alice carol\n' >/etc/nsvpn/tunnels/home/settings.conf"
box nsvpn list >/dev/null
out=$(box_session bob nsvpn exec -t home -- echo started 2>&1)
like "not in Users=: refused even in a local session, with the remedy" 'home.*Users=' "$out"
is "in Users=: as before" 198.51.100.10 "$(box_session alice nsvpn exec -- $ask)"
is "the refused one does not see it listed" "" "$(box_session bob nsvpn list 2>/dev/null | grep home)"

# ---- what it is ----------------------------------------------------------------------------------------------------------
box sh -c 'cat >/tmp/dump.sh' <<'EOF'
echo "id $(id -u) $(id -g) $(id -G)"
echo "ids $(grep -E '^(Uid|Gid|Groups)' /proc/$$/status | tr '\n\t' '  ')"
grep -E '^(CapBnd|NoNewPrivs|SigBlk|SigIgn)' /proc/self/status # (a shell that waits for its vfork() blocks signals)
echo "umask $(umask)"
echo "nice $(nice)"
echo "affinity $(taskset -pc $$ | sed 's/.*: //')"
echo "sched $(chrt -p $$ | sed 's/.*policy: //;s/.*priority: //;s/pid .*current //' | tr '\n' ' ')"
echo "oom $(cat /proc/$$/oom_score_adj)"
echo "loginuid $(cat /proc/$$/loginuid)"
cat /proc/$$/limits
echo "cwd $(pwd)"
echo "slice $(grep -oE 'user-[0-9]+\.slice' /proc/$$/cgroup | sort -u | tr '\n' ' ')"
echo "env $(env | grep -vE '^(NSVPN_TUNNEL|_|SHLVL|OLDPWD|PWD)=' | sort | tr '\n' ' ')"
EOF
box sh -c 'cat >/tmp/compare.sh' <<'EOF'
umask 027; ulimit -n 512; ulimit -c 0; ulimit -S -s 4096; cd /home/alice; export MARK="a b'c"
nice -n 5 taskset -c 0 sh -c 'sh /tmp/dump.sh >/tmp/direct; nsvpn exec -- sh /tmp/dump.sh >/tmp/inside'
EOF
box_session alice bash /tmp/compare.sh
is "identity, groups, capabilities, umask, limits, priority, processors, environment, folder, slice are the caller's" "" \
  "$(box diff /tmp/direct /tmp/inside 2>&1)"
# pam_systemd of Debian 13 gives CAP_WAKE_ALARM to sessions as an ambient capability; it is not handed on.
is "it has no capability" "0000000000000000 0000000000000000 0000000000000000 0000000000000000" \
  "$(box_session alice nsvpn exec -- sed -nE 's/^Cap(Inh|Prm|Eff|Amb):\t//p' /proc/self/status | tr '\n' ' ' | sed 's/ $//')"
like "(they were really read)" "nice $(($(nice) + 5))" "$(box cat /tmp/inside)"
is "its descriptors are 0, 1 and 2" "0 1 2 3" "$(box_session alice bash -c 'exec 5</etc/passwd 9</; nsvpn exec -- ls /proc/self/fd' | tr '\n' ' ' | sed 's/ $//')"
is "a dropped group does not come back" "1002" "$(box setpriv --reuid carol --regid carol --clear-groups -- id -G)"
like "a caller whose socket shows other groups than his bus connection is no way to more" '^(1002|)$' \
  "$(box setpriv --reuid carol --regid carol --clear-groups -- env HOME=/home/carol nsvpn exec -- id -G 2>/dev/null)"
is "exit status" 3 "$(box_session alice nsvpn exec -- sh -c 'exit 3'; echo $?)"
is "death by signal" 139 "$(box_session alice nsvpn exec -- sh -c 'kill -SEGV $$' 2>/dev/null; echo $?)"
is "not found" 127 "$(box_session alice nsvpn exec -- no-such-program 2>/dev/null; echo $?)"
is "not executable" 126 "$(box_session alice nsvpn exec -- /etc/passwd 2>/dev/null; echo $?)"
is "pipes stay pipes" "in out" "$(echo in | box_session alice sh -c 'nsvpn exec -- sh -c "cat; echo out" | tr "\n" " "' | sed 's/ $//')"
is "large output arrives whole" "5000000" "$(box_session alice sh -c 'nsvpn exec -- head -c 5000000 /dev/zero | wc -c')"
is "a signal passes through" 42 \
  "$(box_session alice bash -c 'nsvpn exec -- sh -c "trap \"exit 42\" TERM; touch /tmp/ready; while :; do sleep 0.1; done" & p=$!; until [ -e /tmp/ready ]; do sleep 0.1; done; kill $p; wait $p; echo $?')"
is "nothing of them is left" "" "$(box systemctl list-units --plain --no-legend 'nsvpn-exec-*')"

# 256 at a time: control groups that look like programs of alice's.
many() {
  box sh -c "for t in '' unified systemd; do mkdir -p /sys/fs/cgroup/\$t/user.slice/user-1000.slice 2>/dev/null && cd /sys/fs/cgroup/\$t/user.slice/user-1000.slice && break; done &&
    for i in \$(seq 256); do $1 nsvpn-exec-home-\$i.service || exit 1; done"
}
ok "as many programs as a user may have" many mkdir
out=$(box_session alice nsvpn exec -- true 2>&1)
is "one more is refused" 125 "$(box_session alice nsvpn exec -- true 2>/dev/null; echo $?)"
like "with the number and the remedy" '256 of your programs.*systemctl list-units' "$out"
is "another user's is not" 0 "$(box_unit carol nsvpn exec -- true; echo $?)"
many rmdir
is "when they have ended, it starts" 0 "$(box_session alice nsvpn exec -- true; echo $?)"

# ---- surroundings ----------------------------------------------------------------------------------------------------------
weird() { box_session alice timeout -k 5 60 bash -c "$1" 2>&1; }
is "a caller that ignores SIGCHLD sees the end" "rc 7" "$(weird 'env --ignore-signal=CHLD nsvpn exec -- sh -c "exit 7"; echo rc $?')"
box sh -c 'systemctl stop nscd; rm -rf /run/nscd'
ok "a caller whose umask is 077" weird 'umask 077; nsvpn exec -- true'
is "the folder that is made on the machine has not" 755 "$(box stat -c %a /run/nscd)"
box systemctl start nscd
if [ -n "$OWNFS" ]; then
  is "a working folder in a file system that root may not see" "/home/alice/own/sub" "$(weird 'cd own/sub && nsvpn exec -- pwd')"
  is "it is that" "directory" "$(weird 'cd own/sub && nsvpn exec -- stat -c %F ../sub')"
  is "with --isolate" "/home/alice/own/sub" "$(weird 'cd own/sub && nsvpn exec --isolate -- pwd')"
  is "control: root does not see it" refused "$(box sh -c 'cd /home/alice/own 2>/dev/null && echo entered || echo refused')"
else
  skip "a working folder in a file system that root may not see" "there is no /dev/fuse here"
fi
is "an environment with entries that are no NAME=value" "rc 0" "$(weird 'env "A B=c" "=x" nsvpn exec -- true; echo rc $?')"
like "a limit of file sizes that is too small for the request" 'ulimit -f.*rc 125' "$(weird 'ulimit -f 0; nsvpn exec -- true; echo rc $?' | xargs)"
is "closed streams" "rc 0" "$(weird 'nsvpn exec -- sh -c "cat; echo out; echo err >&2" <&- >&- 2>&-; echo rc $?')"
like "inside already" 'inside tunnel home already.*rc 125' "$(weird 'nsvpn exec -- nsvpn exec -- true; echo rc $?' | xargs)"
like "root of a user namespace" 'user namespace.*rc 125' "$(weird 'unshare -Ur nsvpn exec -- true; echo rc $?' | xargs)"
like "an empty name" 'name of the program is empty.*rc 127' "$(weird 'nsvpn exec -- ""; echo rc $?' | xargs)"
like "status of a tunnel that is not there" 'nope is not configured.*rc 3' "$(weird 'nsvpn status nope; echo rc $?' | xargs)"
is "nothing of them is left" "" "$(box systemctl list-units --plain --no-legend 'nsvpn-exec-*')"

# ---- down --kill -----------------------------------------------------------------------------------------------------------
running() { box pgrep -f "^sleep $1\$" >/dev/null; }
box nsvpn exec -- sleep 10001 >/dev/null 2>&1 &
box_session alice nsvpn exec -- sleep 10002 >/dev/null 2>&1 &
ok "a program of root's inside" wait_for 20 running 10001
ok "and one of alice's" wait_for 20 running 10002
out=$(box_session alice nsvpn down --kill home 2>&1)
like "alice's down --kill leaves root's" 'programs of others stay locked in.*sudo nsvpn down --kill home.*sleep' "$(xargs <<<"$out")"
ok "it runs" running 10001
no_alice() { ! running 10002; }
ok "hers has ended" wait_for 10 no_alice
ok "root's down --kill ends the rest" box nsvpn down --kill home
is "everything is gone" "" "$(box sh -c 'ls /run/netns')"
ok "up again" box nsvpn up home --timeout 20

# ---- what it cannot ------------------------------------------------------------------------------------------------------
no() { # DESCRIPTION SCRIPT: must not succeed inside
  is "$1" refused "$(box_session alice nsvpn exec -- sh -c "$2 >/dev/null 2>&1 && echo done || echo refused")"
}
no "it cannot enter the namespace outside" 'nsenter --net=/proc/1/ns/net true'
no "nor make a link" 'ip link add x type veth'
no "nor change the lock" 'nft flush ruleset'
no "nor with a user namespace of its own" 'unshare -U -r nft flush ruleset'
no "nor enter outside with it" 'unshare -U -r nsenter --net=/proc/1/ns/net true'
is "a user cannot stop the tunnel of others without being asked" 198.51.100.10 \
  "$(box_unit bob nsvpn down home >/dev/null 2>&1; box_session alice nsvpn exec -- $ask)"
is "no installed file has a setuid, setgid or capability bit" "" \
  "$(box sh -c 'find /usr/local -type f \( -perm -4000 -o -perm -2000 \); getcap -r /usr/local' 2>/dev/null)"

# ---- names ---------------------------------------------------------------------------------------------------------------
is "names are asked of the tunnel's resolver" 192.0.2.80 "$(box_session alice nsvpn exec -- getent ahostsv4 u1.web.example.net | awk 'NR == 1 { print $1 }')"
is "and not of the line's, through nss-resolve, nscd or D-Bus" "" "$(grep u1 $WORK/dns-isp.log)"
like "(the log knows it)" u1 "$(cat $WORK/dns-tunnel.log)"

# ---- the helper in between ---------------------------------------------------------------------------------------------
connected() { [ "$(box nsvpn status home --json | jq -r '.tunnels[0].state')" = connected ]; }
engine() { box pgrep -x nsvpn-engine; }
e=$(engine)
before=$(grep -c 'TLS: Initial packet\|Initial packet from' $WORK/server-b.log 2>/dev/null)
download() { box_session alice nsvpn exec -- bash -c 'exec 3<>/dev/tcp/192.0.2.80/19; head -c 60000000 <&3 | wc -c'; }
download >$WORK/dl &
dl=$!
sleep 0.5
ok "the service is restarted under a running download" box systemctl restart nsvpnd
is "the same engine goes on" "$e" "$(engine)"
is "connected" connected "$(box nsvpn status home --json | jq -r '.tunnels[0].state')"
sleep 0.3
box sh -c 'kill -KILL $(systemctl show -P MainPID nsvpnd)'
ok "killed, it comes back" wait_for 10 box systemctl is-active nsvpnd
is "the same engine goes on after SIGKILL" "$e" "$(engine)"
wait $dl
is "no byte of the download is lost" 60000000 "$(cat $WORK/dl)"
is "and there was no second log-in" "$before" "$(grep -c 'TLS: Initial packet\|Initial packet from' $WORK/server-b.log 2>/dev/null)"
is "connected as before" connected "$(box nsvpn status home --json | jq -r '.tunnels[0].state')"
box sh -c 'kill -KILL $(systemctl show -P MainPID nsvpnd) $(pgrep -x nsvpn-engine)'
sleep 0.2
ok "engine and helper killed at once: it connects again by itself" \
  wait_for 20 connected ||
  diag "$(box nsvpn status home; box_log -u nsvpnd | tail -n 12)"
is "new programs start" 198.51.100.10 "$(box_session alice nsvpn exec -- $ask)"
ok "the service is stopped for good" box systemctl stop nsvpnd
ok "its engine leaves" wait_for 10 sh -c "! nsenter -t $BOX_PID -p -m pgrep -x nsvpn-engine"
is "the lock stays" 1 "$(box sh -c 'nsenter --net=/run/netns/home nft list chain inet nsvpn output' | grep -c 'policy drop')"
ok "and the next call connects again" box nsvpn up home --timeout 20
is "through the tunnel" 198.51.100.10 "$(box_session alice nsvpn exec -- $ask)"

# ---- start-up ------------------------------------------------------------------------------------------------------------
box sh -c 'cat >/tmp/bench.sh' <<'EOF'
median() { for i in 1 2 3 4 5 6 7 8 9; do s=$(date +%s%N); "$@" >/dev/null 2>&1; echo $((($(date +%s%N) - s) / 100000)); done | sort -n | sed -n 5p; }
echo "$1 $(median $2) x 0.1 ms"
EOF
diag "start-up: $(box_session alice bash /tmp/bench.sh 'user exec true' 'nsvpn exec -- true'), $(box bash /tmp/bench.sh 'root exec true' 'nsvpn exec -- true'), $(box bash /tmp/bench.sh 'systemd-run --wait --pipe' 'systemd-run -q --wait --pipe true'), $(box bash /tmp/bench.sh 'ip netns exec' 'ip netns exec home true')"

ok "the judge saw nothing but the engine's packets" judge_stop u
ok "down" box nsvpn down home
is "nothing is left" "" "$(box sh -c 'ls /run/netns; ip -o link | grep nv-; nft list tables')"
[ -n "$OWNFS" ] && kill $OWNFS && umount $BOX/home/alice/own
box_down
tap_done
