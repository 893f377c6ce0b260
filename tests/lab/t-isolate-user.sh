#!/bin/bash
# `nsvpn exec --isolate` by an ordinary user through the service, in a real system: systemd, its user manager, D-Bus, polkit
# and systemd-resolved are asked from inside and answer without it, not with it. What the program is otherwise, is the same.
. "$(dirname "$(readlink -f "$0")")/lab.sh"
. "$(dirname "$(readlink -f "$0")")/box.sh"
box_need "${NSVPN_BOX_SUITE:-bookworm}"
lab_enter "$@"
lab_pki && lab_up && lab_server b || { diag "lab"; exit 1; }
ok "boots" box_up
diag "$(box systemctl --version | head -n 1)"
ok "root imports" box_import b home
ok "up" box nsvpn up home
cp "$LABBIN"/unixd $BOX/usr/local/bin/
# A session that stays, so that the user's manager does.
box_session alice sleep 1000 &
ok "the user's manager runs" wait_for 20 box test -S /run/user/1000/systemd/private
plain() { box_session alice nsvpn exec -t home -- "$@"; }
isolated() { box_session alice nsvpn exec -t home --isolate -- "$@"; }
both() { # DESCRIPTION SCRIPT: it succeeds without, not with --isolate
  is "control: $1" yes "$(plain sh -c "($2) >/dev/null 2>&1 && echo yes || echo no"; said $?)"
  is "not with --isolate: $1" no "$(isolated sh -c "($2) >/dev/null 2>&1 && echo yes || echo no"; said $?)"
}
said() { [ "$1" = 0 ] || echo "(it was not even asked: status $1)"; }

# ---- who acts for it outside ----------------------------------------------------------------------------------------

both "the system bus answers" 'busctl --system call org.freedesktop.DBus /org/freedesktop/DBus org.freedesktop.DBus GetId'
both "systemd over the bus" 'systemctl is-system-running | grep -E "running|degraded"'
both "the user's systemd, which has no bus" 'systemctl --user list-units'
both "a unit that runs outside" 'systemd-run --user --quiet true'
both "systemd-resolved over the bus" 'resolvectl query --cache=no by-bus.web.example.net'
both "the log's socket" 'unixd --connect /run/systemd/journal/stdout | grep -v E'
ok "control: that name was asked outside" grep -q by-bus $WORK/dns-isp.log
box install -d -o alice /home/alice/bus
# As newer systems have it: a socket with a name by chance in /tmp.
box sh -c 'sed "s|<listen>.*</listen>|<listen>unix:dir=/tmp</listen>|" /usr/share/dbus-1/session.conf >/home/alice/bus/session.conf'
in_bus() { box_session alice dbus-run-session --config-file=/home/alice/bus/session.conf -- sh -c "export BUS=\${DBUS_SESSION_BUS_ADDRESS%%,*}; nsvpn exec -t home $1 -- sh -c 'busctl --address=\$BUS list >/dev/null 2>&1 && echo reached; echo [\$DBUS_SESSION_BUS_ADDRESS]'" 2>&1; }
like "control: the session bus of a dbus-run-session" reached "$(in_bus "")"
is "not with --isolate: a dbus-run-session around it" "[]" "$(in_bus --isolate)"
is "one inside works" yes \
  "$(isolated dbus-run-session --config-file=/home/alice/bus/session.conf -- sh -c 'busctl --user list >/dev/null && echo yes' 2>&1)"
box sh -c 'mkdir -p /run/docker-of-lab; setpriv --reuid alice --regid alice --clear-groups -- unixd --listen /run/user/1000/wayland-0 /run/user/1000/pulse/native /run/user/1000/pipewire-0 /run/user/1000/bus >/run/unixd.out 2>&1 &'
ok "servers of a desktop" wait_for 5 box grep -q ready /run/unixd.out
is "display and sound stay, the bus does not" "hello hello hello ENOENT" \
  "$(isolated unixd --connect /run/user/1000/wayland-0 /run/user/1000/pulse/native /run/user/1000/pipewire-0 /run/user/1000/bus | cut -d' ' -f2 | xargs)"

# ---- through other processes ----------------------------------------------------------------------------------------

# Not one of a session: Debian 13 gives those a capability, which keeps everybody out.
box_as alice sleep 999 >/dev/null 2>&1 </dev/null &
ok "a process of the user outside" wait_for 10 box pgrep -u alice -x -f "sleep 999"
other=$(box pgrep -u alice -x -f "sleep 999")
both "its view of the files" "unixd --connect /proc/$other/root/run/dbus/system_bus_socket | grep hello || readlink /proc/$other/root"
both "its environment" "cat /proc/$other/environ"
both "covers can be lifted with a user namespace" \
  'unshare -Urm sh -c "umount -l /run; test -S /run/dbus/system_bus_socket"'

# ---- what it is -----------------------------------------------------------------------------------------------------

box sh -c 'cat >/usr/local/bin/dump' <<'X'
#!/bin/sh
echo "id $(id)"
grep -E '^(Uid|Gid|Groups|SigBlk|SigIgn)' /proc/self/status
echo "umask $(umask) nice $(nice) oom $(cat /proc/$$/oom_score_adj) login $(cat /proc/$$/loginuid)"
cat /proc/$$/limits
echo "cwd $(pwd) slice $(grep -oE 'user-[0-9]+\.slice' /proc/$$/cgroup | sort -u)"
echo "env $(env | grep -vE '^(_|SHLVL|OLDPWD|PWD)=' | sort | tr '\n' ' ')"
X
box chmod 755 /usr/local/bin/dump
box_session alice sh -c 'umask 027; ulimit -n 512; cd /home/alice; export MARK="a b"; unset DBUS_SESSION_BUS_ADDRESS
  for o in "" --isolate; do nice -n 5 nsvpn exec -t home $o -- dump >bus/dump$o; done'
is "identity, groups, limits, umask, priority, folder, slice and environment are as without it" "" \
  "$(box diff /home/alice/bus/dump /home/alice/bus/dump--isolate)"
like "(they were really read)" "nice $(($(nice) + 5))" "$(box cat /home/alice/bus/dump--isolate)"
is "no capability, none to be had, no_new_privs" "CapInh= CapPrm= CapEff= CapBnd= CapAmb= NoNewPrivs=1" \
  "$(isolated sed -nE 's/^(NoNewPrivs|CapBnd|CapEff|CapPrm|CapInh|CapAmb):\t0*/\1=/p' /proc/self/status | xargs)"
like "sudo says why it does nothing" "no new privileges" "$(isolated sudo -n true 2>&1)"
is "exit status" 3 "$(isolated sh -c 'exit 3'; echo $?)"
like "a terminal is one" "/dev/pts/[0-9]" "$(box_session alice timeout -k 1 20 script -qec "nsvpn exec -t home --isolate -- tty" /dev/null </dev/null)"
out=$(box_session alice sh -c 'mkdir -p /tmp/mine; cd /tmp/mine; nsvpn exec -t home --isolate -- pwd' 2>&1)
like "a working folder that is covered: a sentence" "nsvpn: .*working folder /tmp/mine.*--isolate" "$out"
like "a runtime folder elsewhere: a sentence" "nsvpn: XDG_RUNTIME_DIR is /home/alice" \
  "$(box_session alice sh -c 'XDG_RUNTIME_DIR=/home/alice nsvpn exec -t home --isolate -- true' 2>&1)"
is "and 125" 125 "$(box_session alice sh -c 'XDG_RUNTIME_DIR=/home/alice nsvpn exec -t home --isolate -- true' >/dev/null 2>&1; echo $?)"

# ---- the tunnel as ever ---------------------------------------------------------------------------------------------

is "the tunnel's address" 198.51.100.10 "$(isolated curl -4 -s -m 5 http://192.0.2.80/)"
is "names" 192.0.2.80 "$(isolated getent ahostsv4 iso-user.web.example.net | awk 'NR == 1 { print $1 }')"
is "asked inside only" "1 0" "$(grep -c iso-user $WORK/dns-tunnel.log | sed 's/[1-9].*/1/') $(grep -c iso-user $WORK/dns-isp.log)"
box_session alice nsvpn exec -t home --isolate -- sh -c 'sleep 500; :' &
ok "the user's status lists the program" wait_for 10 sh -c "nsenter -t $BOX_PID -a -- setpriv --reuid alice --regid alice --init-groups -- nsvpn status home --json | jq -e '.tunnels[0].programs[] | select(.command == \"sleep\")'" ||
  diag "$(box_session alice nsvpn status home)"
ok "resolver file replaced outside" box sh -c 'echo nameserver 203.0.113.53 >/etc/resolv.conf.new && mv /etc/resolv.conf.new /etc/resolv.conf'
pid=$(box pgrep -u alice -x -f 'sleep 500' | head -n 1)
inner_resolver() { box nsenter -t "$pid" --mount awk '$1 == "nameserver" { print $2; exit }' /etc/resolv.conf; }
is_tunnels() { [ "$(inner_resolver)" = 192.0.2.53 ]; }
ok "the program sees the tunnel's again" wait_for 5 is_tunnels
ok "services that start again stay outside" box sh -c 'systemctl restart systemd-resolved nscd systemd-journald'
is "for a program that runs" "no no" \
  "$(box nsenter -t "$pid" --mount sh -c 'for s in /run/nscd/socket /run/systemd/resolve/io.systemd.Resolve; do test -S $s && echo yes || echo no; done' | xargs)"
ok "down" box nsvpn down home --kill
box_down
tap_done
