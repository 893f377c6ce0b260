#!/bin/bash
# What people with an account can get out of a tunnel that they may use, or that they may not, in a real system:
#   33  no program but ours is executed by root, whatever a server pushes
#   39  a setuid-root program started in a tunnel sees files that root made of typed values, and nothing that its user shaped
#   45  one user cannot join, stop, look into or capture in another one's tunnel
. "$(dirname "$(readlink -f "$0")")/lab.sh"
. "$(dirname "$(readlink -f "$0")")/box.sh"
box_need "${NSVPN_BOX_SUITE:-bookworm}"
lab_enter "$@"
command -v strace >/dev/null || skip_all "strace is not installed"
# A server that pushes what a careless client would hand to a shell or paste into a file.
lab_pki && lab_up && lab_server b 'push "dhcp-option DOMAIN $(touch${IFS}/tmp/pwned)"' 'push "dhcp-option DOMAIN-SEARCH a;touch /tmp/pwned"' \
  'push "dhcp-option ADAPTER_DOMAIN_SUFFIX `touch /tmp/pwned`"' 'push "route-gateway %n%n%n"' 'push "setenv-safe X /tmp/pwned"' \
  'push "script-security 3"' 'push "up /tmp/pwned.sh"' 'push "dhcp-option PROXY_HTTP ../../etc/shadow 1"' ||
  { diag "lab"; exit 1; }

# ---- 33: what root executes, without a service manager --------------------------------------------------------------

executed() { # TRACE: paths of programs that were really executed
  sed -nE 's/.*execve(at)?\([^"]*"([^"]*)".*= 0$/\2/p' "$1" | sort -u
}
lab_import b home
spawn host strace -f -qq -s 256 -e trace=execve,execveat -e signal=none -o $WORK/trace.up "$NSVPN" up home --timeout 60 >/dev/null
TRACER=$!
ok "33: up, traced" wait_for 60 is_state connected
kill -9 "$(engine_pid)"
ok "33: a second engine" wait_for 20 is_state connected
is "33: the lock holds the server's push, without a shell" 198.51.100.10 "$(inside curl -4 -s -m 5 http://192.0.2.80/)"
for f in resolv.conf nsswitch.conf; do
  is "33: $f has lines of its own form only" "" \
    "$(grep -vE '^(nameserver [0-9a-f.:]+|search( [A-Za-z0-9._-]+)+|options [a-z0-9: -]+|[a-z_]+: .*|#.*|)$' /run/nsvpn/home/$f)"
done
ok "33: down" nsvpn down home
ok "33: (nothing that is traced is left)" wait_for 60 sh -c "! kill -0 $TRACER"
is "33: nsvpn, nsvpnd and the engine are all that was executed" \
  "$(printf '%s\n' "$BUILD/nsvpn" "$BUILD/nsvpn-engine" "$BUILD/nsvpnd" | xargs)" "$(executed $WORK/trace.up | xargs)"
ok "33: control: the server did push commands" grep -q 'PUSH_REPLY.*touch /tmp/pwned' $WORK/server-b.log
is "33: nothing of the server's ran" "" "$(ls /tmp/pwned* 2>/dev/null)"
wait_for 10 no_leftovers

# ---- the system -----------------------------------------------------------------------------------------------------

ok "boots" box_up
diag "$(box systemctl --version | head -n 1)"
box_import b home
box_import b work
cp "$LABBIN"/intruder $BOX/usr/local/bin/
install -m 4755 "$LABBIN"/intruder $BOX/usr/local/bin/intruder-suid
access() { box sh -c "printf '[Access]\nUsers=$2\n' >/etc/nsvpn/tunnels/$1/settings.conf; chmod 600 /etc/nsvpn/tunnels/$1/settings.conf"; }
access home alice
access work bob
ok "a tunnel of alice's" box nsvpn up home --timeout 20
ok "a tunnel of bob's" box nsvpn up work --timeout 20
alice() { box_session alice nsvpn exec -t home "$@"; }
bob() { box_session bob nsvpn exec -t work "$@"; }

# ---- 33: the same where PID 1 starts users' programs ----------------------------------------------------------------

# A library that says where it is loaded, and leaves a file of whoever loaded it.
cat >$WORK/evil.c <<'X'
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>
__attribute__((constructor)) static void loaded(void)
{
	char name[64];
	snprintf(name, sizeof(name), "/tmp/pwned-library-%u", geteuid());
	close(creat(name, 0644));
	fputs("LOADED\n", stderr);
}
X
echo 'touch /tmp/pwned-shell-$(id -u)' >$BOX/home/alice/evil.sh
echo 'nameserver 203.0.113.66' >$BOX/home/alice/evil
if command -v "${CC:-gcc}" >/dev/null; then
  "${CC:-gcc}" -shared -fPIC -o $BOX/home/alice/evil.so $WORK/evil.c
fi
helper=$(box systemctl show -P MainPID nsvpnd)
ours=$(pgrep -x nsvpnd)
trace() { # NAME PID SECONDS COMMAND...: what this process and its children execute, and whom they become, meanwhile
  local name=$1 pid=$2 tracer
  shift 2
  strace -f -qq -s 256 -e trace=execve,execveat,setresuid,setuid -e signal=none -o "$WORK/trace.$name" -p "$pid" 2>"$WORK/trace.$name.err" &
  tracer=$!
  wait_for 10 grep -q '^TracerPid:.[1-9]' /proc/"$pid"/status
  "$@" >"$WORK/trace.$name.out" 2>&1
  kill -INT $tracer
  wait $tracer 2>/dev/null
}
like "33: (the service is process $helper)" '^[0-9]+$' "$ours"
a_days_work() {
  box nsvpn down work
  box nsvpn up work --timeout 20
  box_session alice env PATH=/home/alice/bin:$PATH LD_PRELOAD=/home/alice/evil.so BASH_ENV=/home/alice/evil.sh nsvpn exec -t home -- id -u
  box_as carol nsvpn list
  box nsvpn plan home
}
trace service "$ours" a_days_work
like "33: (the traced work was done)" '^1000$' "$(cat $WORK/trace.service.out)"
is "33: the service executes its engine and nothing else" /usr/local/libexec/nsvpn/nsvpn-engine "$(executed $WORK/trace.service | xargs)"
is "33: nothing of alice's was loaded as root" "" "$(box sh -c 'find /tmp -name "pwned*" -user root')"
box install -d -o alice /home/alice/bin
box sh -c 'printf "#!/bin/sh\ntouch /tmp/pwned\n" >/home/alice/bin/nsvpn-launch; cp /home/alice/bin/nsvpn-launch /home/alice/bin/sh; chmod 755 /home/alice/bin/*'
trace manager "$BOX_PID" box_session alice env PATH=/home/alice/bin:/usr/local/bin:/usr/bin:/bin nsvpn exec -t home -- env -i /usr/bin/id -u
like "33: (that ran, too)" '^1000$' "$(cat $WORK/trace.manager.out)"
# The launcher is root until it has become the caller: the program is executed by a process that has.
launcher=$(grep -m1 'execve("/usr/local/libexec/nsvpn/nsvpn-launch".*= 0$' $WORK/trace.manager | cut -d' ' -f1)
like "33: PID 1 executed the launcher" '^[0-9]+$' "$launcher"
is "33: which executed nothing itself before it was the caller" "setresuid(1000, 1000, 1000) = 0" \
  "$(awk -v p="$launcher" '$1 == p && /nsvpn-launch/ { on = 1; next } on && $1 == p && /= 0$/ && /execve|setresuid/ { $1 = ""; sub(/^ /, ""); print; exit }' $WORK/trace.manager | tr -s ' ')"
is "33: nothing of alice's ran as root" "" "$(box sh -c 'find /tmp -name "pwned*" -user root')"

# ---- 39: a setuid-root program --------------------------------------------------------------------------------------

suid=/usr/local/bin/intruder-suid
like "39: setuid works inside, as everywhere" '^uids 1000 0 0, no_new_privs 0' "$(alice -- $suid who)"
like "39: not with --no-new-privs" '^uids 1000 1000 1000, no_new_privs 1' "$(alice --no-new-privs -- $suid who)"
like "39: nor with --isolate" 'uids 1000 1000 1000, no_new_privs 1' "$(alice --isolate -- $suid who)"
if [ -e $BOX/home/alice/evil.so ]; then
  like "39: control: alice's library is loaded into her program" LOADED "$(alice -- env LD_PRELOAD=/home/alice/evil.so intruder who 2>&1)"
  out=$(alice -- env LD_PRELOAD=/home/alice/evil.so LD_LIBRARY_PATH=/home/alice $suid who 2>&1)
  like "39: and the setuid program, started with it" '^uids 1000 0 0' "$out"
  is "39: does not load it" 0 "$(grep -c LOADED <<<"$out")"
fi
etc='/etc/resolv.conf /etc/nsswitch.conf'
for f in $etc; do
  is "39: $f is root's, and nobody else's to write" "0 0 644" "$(alice -- stat -Lc '%u %g %a' $f)"
  like "39: $f is mounted read-only, without setuid and devices" 'ro.*nosuid.*nodev|ro.*nodev.*nosuid' \
    "$(alice -- findmnt -n -o OPTIONS "$(alice -- readlink -f $f)" | tail -n 1)"
done
before=$(box sh -c 'md5sum /run/nsvpn/home/resolv.conf /run/nsvpn/home/nsswitch.conf; cat /etc/nsswitch.conf | md5sum')
# shellcheck disable=SC2086
out=$(alice -- $suid write $etc 2>&1)
is "39: even it cannot write into them" "" "$(grep 'write passed' <<<"$out")"
# shellcheck disable=SC2086
out=$(alice -- intruder write $etc /run/nsvpn/home/resolv.conf /run/nsvpn/home/journal 2>&1)
is "39: its user can neither write nor replace them" "" "$(grep passed <<<"$out")"
is "39: they are as they were" "$before" \
  "$(box sh -c 'md5sum /run/nsvpn/home/resolv.conf /run/nsvpn/home/nsswitch.conf; cat /etc/nsswitch.conf | md5sum')"
is "39: nothing that the server pushed as text is in them" "" "$(alice -- cat $etc | grep -v '^#' | grep -E 'touch|[$;`]|etc/|pwned')"
out=$(box_session alice unshare -Urm sh -c 'mount -t tmpfs x /etc; cp /dev/null /etc/resolv.conf; nsvpn exec -t home -- intruder-suid who' 2>&1)
like "39: a mount namespace of the user's own making is not taken along" 'container or sandbox|cannot|refused|not ' "$out"
is "39: no program ran in it" "" "$(grep uids <<<"$out")"
out=$(alice -- sh -c "unshare -Urm sh -c 'mount --bind /home/alice/evil /etc/resolv.conf 2>/dev/null; $suid who'" 2>&1)
is "39: in one made inside, setuid gives nothing" "" "$(grep -E '^uids [1-9][0-9]* 0' <<<"$out")"

# ---- 45: users beside each other ------------------------------------------------------------------------------------

box_session alice nsvpn exec -t home -- sleep 600 &
wait_for 10 box pgrep -u alice -x sleep
prog=$(box pgrep -u alice -x sleep | head -n 1)
is "45: (the program is in alice's tunnel)" "$(box stat -Lc %i /run/netns/home)" "$(box stat -Lc %i /proc/"$prog"/ns/net)"
like "45: bob is not let in" 'for the users alice only' "$(box_session bob nsvpn exec -t home -- id 2>&1)"
like "45: nor may he stop it" 'for the users alice only' "$(box_session bob nsvpn down home 2>&1)"
like "45: nor see its state" 'for the users alice only' "$(box_session bob nsvpn status home 2>&1)"
control=$(box nsenter --net=/run/netns/home intruder capture | grep -c passed)
ok "45: control: root may capture there ($control ways)" test "$control" -ge 3
files="/run/netns/home /proc/$prog/ns/net /proc/$prog/ns/mnt /proc/$prog/ns/user /proc/1/ns/net /proc/1/ns/mnt"
# shellcheck disable=SC2086
for from in "box_session bob" bob; do
  is "45: $from: no way in" "" "$($from intruder enter $files | grep passed)"
  is "45: $from: no socket that sees packets" "" "$($from intruder capture | grep passed)"
  is "45: $from: no profile, key, journal or intent to read" "" \
    "$($from sh -c 'cat /etc/nsvpn/tunnels/home/* /run/nsvpn/home/journal /var/lib/nsvpn/* /run/nsvpn/log/* 2>/dev/null | head -c 100')"
  is "45: $from: nothing of the other's program" "" \
    "$($from sh -c "cat /proc/$prog/environ /proc/$prog/mem 2>/dev/null | head -c 10; ls /proc/$prog/fd /proc/$prog/root/ 2>/dev/null")"
  is "45: $from: neither its program nor the engines can be ended or stopped" "" \
    "$($from sh -c "kill -STOP $prog 2>/dev/null && echo $prog; for p in \$(pgrep -x 'nsvpnd|nsvpn-engine'; pgrep -u alice); do kill -STOP \$p 2>/dev/null && echo \$p; done")"
done
is "45: alice sees no packets of her own tunnel either" "" "$(alice -- intruder capture | grep passed)"
is "45: and cannot reach bob's from hers" "" "$(alice -- intruder enter /run/netns/work /proc/1/ns/net | grep passed)"
spawn router tcpdump -i h0 -n -l -A -s 0 >$WORK/wire 2>$WORK/wire.err
dump=$!
wait_for 30 grep -q 'listening on' $WORK/wire.err
box curl -s -m 20 "http://192.0.2.80/?NSVPNPROBE-open" >/dev/null
ok "45: control: who captures on the line reads what goes past the tunnel" wait_for 20 grep -q NSVPNPROBE-open $WORK/wire
is "45: alice asks through hers" 198.51.100.10 "$(alice -- curl -4 -s -m 20 "http://192.0.2.80/?NSVPNPROBE-secret")"
box curl -s -m 20 "http://192.0.2.80/?NSVPNPROBE-after" >/dev/null
ok "45: (it was captured)" wait_for 20 grep -q NSVPNPROBE-after $WORK/wire
kill $dump
wait $dump 2>/dev/null
is "45: he reads nothing of that" 0 "$(grep -c NSVPNPROBE-secret $WORK/wire)"
is "alice's program was not disturbed" "$prog" "$(box pgrep -u alice -x sleep | head -n 1)"
is "nor her tunnel" 198.51.100.10 "$(alice -- curl -4 -s -m 5 http://192.0.2.80/)"
box pkill -u alice -x sleep
ok "down" box nsvpn down home
ok "down" box nsvpn down work
box_down
tap_done
