#!/bin/bash
# Services in a tunnel, with real systemd: what `nsvpn unit` refuses and what it leaves behind; the guard, which keeps a unit
# from starting where it would not be in its locked tunnel (9, 58): the tunnel's unit stopped or failed, no lock, a machine on
# which systemd may not make namespaces. The same unit without drop-in is seen: the positive control. t-units-life.sh is how
# services live on.
. "$(dirname "$(readlink -f "$0")")/lab.sh"
. "$(dirname "$(readlink -f "$0")")/box.sh"
. "$(dirname "$(readlink -f "$0")")/units.sh"
box_need "${NSVPN_BOX_SUITE:-bookworm}"
lab_enter "$@"
lab_up || { diag "the lab could not be built"; exit 1; }
lab_pki || { diag "no PKI"; exit 1; }
lab_server b || { diag "no server"; exit 1; }
ok "boots" box_up
diag "$(box systemctl --version | head -n 1)"
ok "root imports" box_import b home
DROPIN=/etc/systemd/system/sender.service.d/50-nsvpn.conf
put_probe

refuses() { # WHAT CODE REGEX COMMAND...: fails with CODE, says so, and no drop-in of ours is anywhere
  local what=$1 code=$2 regex=$3 out rc
  shift 3
  out=$("$@" 2>&1)
  rc=$?
  is "$what: status" "$code" "$rc"
  like "$what: says why" "$regex" "$out"
  is "$what: nothing is left" "" "$(find "$BOX/etc/systemd/system" -name '50-nsvpn.conf')"
}

sender_file
box systemctl daemon-reload

# ---- what is refused -----------------------------------------------------------------------------------------------------
unit_file private.service "[Service]\nExecStart=/bin/sleep infinity\nPrivateNetwork=yes"
unit_file early.service "[Unit]\nDefaultDependencies=no\n[Service]\nExecStart=/bin/sleep infinity"
unit_file web.service "[Service]\nExecStart=/bin/sleep infinity"
unit_file web.socket "[Socket]\nListenStream=8080"
unit_file late.service "[Service]\nExecStart=/bin/sleep infinity"
unit_file late.service.d/90-other.conf "[Service]\nNetworkNamespacePath="
unit_file careful.service "[Service]\nExecCondition=/bin/true\nExecStart=/bin/sleep infinity"
mkdir -p $BOX/etc/systemd/user
printf '[Service]\nExecStart=/bin/true\n' >$BOX/etc/systemd/user/mine.service
box systemctl daemon-reload
box systemctl start web.socket
refuses "not root" 6 'sudo nsvpn unit add sender.*systemctl --user' box_as carol nsvpn unit add sender
refuses "no such unit" 1 'nobody.service does not exist' box nsvpn unit add nobody
refuses "no such template" 1 'nobody@.service does not exist' box nsvpn unit add nobody@
refuses "no such tunnel" 3 'nowhere.* not configured' box nsvpn unit add sender -t nowhere
refuses "a user's unit" 1 'unit of users.*nsvpn exec -t home' box nsvpn unit add mine
refuses "a socket" 1 'listens outside' box nsvpn unit add web.socket
refuses "a timer" 1 'add that service' box nsvpn unit add apt-daily.timer
refuses "a service with a network socket from outside" 1 'web.socket has opened outside.*8080' box nsvpn unit add web
unit_file each.socket "[Socket]\nListenStream=7000\nAccept=yes"
unit_file each@.service "[Service]\nStandardInput=socket\nExecStart=/bin/cat"
box systemctl daemon-reload
box systemctl start each.socket
refuses "a template that gets connections from outside" 1 'each.socket has opened outside.*7000' box nsvpn unit add each@
box systemctl stop each.socket
refuses "a service that is cut off" 1 'PrivateNetwork=yes' box nsvpn unit add private
refuses "a service of early boot" 1 'DefaultDependencies=no' box nsvpn unit add early
refuses "what a tunnel needs" 1 'tunnels need it|DefaultDependencies=no' box nsvpn unit add dbus
refuses "nsvpn itself" 1 'part of nsvpn' box nsvpn unit add nsvpn@home
refuses "another file that changes it again" 1 'another file changes NetworkNamespacePath=' box nsvpn unit add late
refuses "a condition before the guard, where systemd fails open" 1 'ExecCondition=' box nsvpn unit add careful --joins-namespace-of
unit_file tmp.service "[Service]\nPrivateTmp=yes\nExecStart=/bin/sleep infinity"
box systemctl daemon-reload
box systemctl start tmp
refuses "a running service that would join, where systemd may mix up namespaces" 1 'tmp.service runs.*add --now' box nsvpn unit add tmp --joins-namespace-of
stop_post on
refuses "what runs after the guard, where systemd fails open" 1 'ExecStopPost=' box nsvpn unit add sender --joins-namespace-of
stop_post off
rmdir $BOX/etc/systemd/system/sender.service.d
refuses "no name of a unit" 2 'no name of a unit' box nsvpn unit add ../x
refuses "not there" 1 'lives in no tunnel' box nsvpn unit remove sender
is "the folders are as before" "late.service.d" "$(cd $BOX/etc/systemd/system && ls -d -- *.d)"
like "nothing to list" 'unit add' "$(box nsvpn unit list)"

# ---- positive control ------------------------------------------------------------------------------------------------------
ok "control: without drop-in it is seen" seen NSVPNPROBE-unit 10 box systemctl start sender
ok "control: to its last instruction" seen NSVPNPROBE-unit 10 box systemctl stop sender

# ---- add, list, now -------------------------------------------------------------------------------------------------------
box systemctl start late
rm -r $BOX/etc/systemd/system/late.service.d
box systemctl daemon-reload
like "a running one is told to be restarted" 'outside of the tunnel until it is restarted: systemctl restart late' "$(box nsvpn unit add late 2>&1)"
like "listed as outside" 'late.service .*still outside' "$(box nsvpn unit list)"
ok "--now restarts it" box nsvpn unit add late --now
is "and it is inside" '["late.service","home","path","active","tunnel"]' \
  "$(box nsvpn unit list --json | jq -c '.units[] | [.unit,.tunnel,.form,.state,.where]')"
ok "the other form over it" box nsvpn unit add late --joins-namespace-of --now
is "inside, too" '["late.service","joins","tunnel"]' "$(box nsvpn unit list --json | jq -c '.units[] | [.unit,.form,.where]')"
ok "back" box nsvpn unit add late --now
is "names are the tunnel's" "nameserver 192.0.2.53" "$(box nsenter -m -t "$(main_pid late)" grep nameserver /etc/resolv.conf)"
is "the sockets of name services are covered" "resolv.conf stub-resolv.conf" \
  "$(box nsenter -m -t "$(main_pid late)" ls /run/systemd/resolve | sort | tr '\n' ' ' | sed 's/ $//')"
box sh -c 'rm /etc/resolv.conf; echo "nameserver 203.0.113.53" >/etc/resolv.new; mv /etc/resolv.new /etc/resolv.conf'
ok "and stay so when the machine replaces its file" \
  wait_for 5 sh -c "nsenter -t $BOX_PID -a nsenter -m -t $(main_pid late) grep -q 192.0.2.53 /etc/resolv.conf"
box ln -sf ../run/systemd/resolve/stub-resolv.conf /etc/resolv.conf
for i in 1 2 3; do
  ok "a running service with a PrivateTmp= of its own joins ($i)" box nsvpn unit add tmp --joins-namespace-of --now
  ok "and is inside ($i)" unit_is_inside tmp
  ok "by path ($i)" box nsvpn unit add tmp --now
  ok "joins again ($i)" box nsvpn unit add tmp --joins-namespace-of --now
  ok "is inside again ($i)" unit_is_inside tmp
  ok "and leaves ($i)" box nsvpn unit remove tmp --now
done
box systemctl stop tmp
like "a tunnel that somebody lives in is not removed" 'late.service lives in tunnel home' \
  "$(box systemctl stop nsvpn@home; wait_for 10 inactive nsvpn-netns@home; box nsvpn remove home 2>&1)"
box systemctl start late
like "remove: says what runs" 'until it is restarted' "$(box nsvpn unit remove late)"
ok "remove: nothing is left" test ! -e $BOX/etc/systemd/system/late.service.d
box systemctl restart late
is "and it is outside" "$(box readlink /proc/1/ns/net)" "$(box readlink "/proc/$(main_pid late)/ns/net")"
box systemctl stop late
unit_file many@.service "[Service]\nExecStart=/bin/sleep infinity"
box systemctl daemon-reload
ok "a template" box nsvpn unit add many@
box systemctl start many@one
is "its instances are inside" "$(box sh -c 'stat -Lc %i /run/netns/home')" "$(box stat -Lc %i "/proc/$(main_pid many@one)/ns/net")"
box systemctl start many@two
ok "a template leaves" box nsvpn unit remove many@ --now
is "both instances are outside" "$(box readlink /proc/1/ns/net)" "$(box readlink "/proc/$(main_pid many@two)/ns/net")"
box systemctl stop many@two
is "and its instances" "$(box readlink /proc/1/ns/net)" "$(box readlink "/proc/$(main_pid many@one)/ns/net")"
box systemctl stop many@one
# What starts a service does not matter, as long as it hands over nothing of the network outside.
unit_file file.socket "[Socket]\nListenStream=/run/file.sock"
unit_file file.service "[Service]\nExecStart=/bin/sleep infinity"
unit_file job.timer "[Timer]\nOnActiveSec=100ms\nAccuracySec=100ms"
unit_file job.service "[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/sh -c 'stat -Lc %%i /proc/self/ns/net >/run/job'"
box systemctl daemon-reload
box systemctl start file.socket
ok "a service with a socket that is a file" box nsvpn unit add file
box sh -c 'timeout 5 curl -s --unix-socket /run/file.sock -m 1 http://x/; true'
ok "is started by it, inside" wait_for 30 unit_is_inside file
ok "a service of a timer" box nsvpn unit add job
box systemctl start job.timer
ok "is started by it" wait_for 30 active job
is "inside" "$(box stat -Lc %i /run/netns/home)" "$(box cat /run/job)"
ok "an instance of a template alone" box nsvpn unit add many@two
box systemctl start many@two many@one
ok "is inside" unit_is_inside many@two
ok "the others are not" sh -c "! nsenter -t $BOX_PID -a nsvpn unit list | grep -q many@one"
box systemctl stop file.socket file job many@one many@two
box systemctl stop web.socket
ok "a service whose socket is off" box nsvpn unit add web
box systemctl start web.socket
like "and on later: the list says so" '^home +web.service .*listens outside: disable web.socket' "$(box nsvpn unit list)"
box systemctl stop web.socket
for u in file job many@two web; do box nsvpn unit remove $u >/dev/null; done
box systemctl stop nsvpn@home
ok "the tunnel's unit is stopped: nothing is left" wait_for 10 sh -c "! nsenter -t $BOX_PID -a sh -c 'ip -o link; nft list tables; ls /run/netns' | grep -E 'nv-|nsvpn|home'"

# ---- guard -----------------------------------------------------------------------------------------------------------------
guarded() { # FORM: the drop-in alone, without what makes sure that the tunnel is up
  box nsvpn unit add sender ${1:+--joins-namespace-of} >/dev/null
  sed -i '/^BindsTo=/d; /^After=/d' $BOX$DROPIN
  box systemctl daemon-reload
}
held_back() { # WHAT: by the guard, which makes the unit fail
  is "$1: the unit fails" failed "$(box systemctl start sender 2>/dev/null; box systemctl is-active sender)"
  box systemctl reset-failed sender 2>/dev/null
}
not_started() { # WHAT: by systemd, which calls it skipped or failed
  box systemctl start sender 2>/dev/null
  ok "$1: it is not started" inactive sender
  box systemctl reset-failed sender 2>/dev/null
}
judge_start guard "${VPN_FLOW4}1195" "$ISP_DNS"
guarded ""
not_started "no tunnel, path"
guarded joins
not_started "no tunnel, joins"
box nsvpn up home >/dev/null
held_back "joins, the tunnel's unit is not active: another namespace"
like "and the journal says why" 'nsvpn@home.service was not active' "$(box_log -u sender | tail -n 20)"
sed -i '/^PrivateNetwork=/d; /^JoinsNamespaceOf=/d' $BOX$DROPIN
box systemctl daemon-reload
held_back "the machine's own network"
like "and the journal says so" "machine's own network" "$(box_log -u sender | tail -n 20)"
box nsvpn down home >/dev/null
box nsvpn unit remove sender >/dev/null
box nsvpn unit add sender >/dev/null
box sh -c 'mkdir -p /run/systemd/system/nsvpn@home.service.d; printf "[Service]\nExecStart=\nExecStart=/bin/false\n" >/run/systemd/system/nsvpn@home.service.d/x.conf; systemctl daemon-reload'
not_started "the tunnel's unit fails, path"
box nsvpn unit add sender --joins-namespace-of >/dev/null
not_started "the tunnel's unit fails, joins"
box nsvpn unit add sender >/dev/null
box sh -c 'rm -r /run/systemd/system/nsvpn@home.service.d; systemctl daemon-reload; systemctl reset-failed'
box systemctl start nsvpn@home
box sh -c 'kill -STOP $(systemctl show -P MainPID nsvpnd); nsenter --net=/run/netns/home nft delete table inet nsvpn'
held_back "a namespace without lock"
like "and the journal says that" 'is not locked' "$(box_log -u sender | tail -n 20)"
ok "nor does the tunnel's unit stay" wait_for 20 inactive nsvpn@home
box sh -c 'kill -CONT $(systemctl show -P MainPID nsvpnd)'
box systemctl reset-failed
ok "and the tunnel goes down" wait_for 20 inactive nsvpn-netns@home
box systemctl start sender
box systemctl stop nsvpnd
ok "the helper is stopped: the service stays, locked in" active sender
box systemctl stop nsvpn@home
ok "a tunnel's unit is stopped without a helper: it goes down" wait_for 20 is_down
is "with success" inactive "$(box systemctl is-active nsvpn-netns@home)"
box systemctl start sender
for _ in 1 2 3 4 5 6 7 8; do box systemctl restart nsvpn@home; done
ok "restarted eight times in a row: the tunnel's unit is there" active nsvpn@home
ok "and the service is" wait_for 60 sending
box systemctl stop nsvpn@home
ok "stopped: it goes down" wait_for 20 is_down
ok "the judge saw nothing of all that" judge_stop guard

box systemctl start nsvpn@home
ok "the tunnel is up" wait_for 60 connected
is "the tunnel's own address from inside" 198.51.100.10 "$(box nsenter --net=/run/netns/home curl -4 -s -m 5 http://192.0.2.80/)"
is "the machine's from outside" 203.0.113.1 "$(box curl -4 -s -m 5 http://192.0.2.80/)"

# ---- Autostart=, Ready= ------------------------------------------------------------------------------------------------------
box nsvpn unit remove sender --now >/dev/null
box systemctl disable --now --quiet sender
home_settings 'Autostart=yes\nReady=locked'
server_stop b
ok "Autostart=yes: boot" box_reboot
ok "Autostart=yes: the tunnel's unit is active, Ready=locked: without a connection" active nsvpn@home
like "and says so" 'locked, connecting' "$(box systemctl show -P StatusText nsvpn@home)"
lab_server_start b
ok "it connects when the server is there" wait_for 60 connected
box sh -c "sed -i /Ready/d /etc/nsvpn/tunnels/home/settings.conf"
box systemctl stop nsvpn@home
ok "stopped: all is gone" wait_for 15 sh -c "! nsenter -t $BOX_PID -a sh -c 'ip -o link; nft list tables; ls /run/netns' | grep -E 'nv-|nsvpn|home'"

# ---- shutdown ------------------------------------------------------------------------------------------------------------------
judge_start off "${VPN_FLOW4}1195" "$ISP_DNS"
stop_post on
box nsvpn unit add sender >/dev/null
box systemctl start sender
ok "it sends before the shutdown" wait_for 30 sending
box_down
ok "shutdown: nothing leaves, to its last instruction" judge_stop off

# ---- a machine that may not make network namespaces ------------------------------------------------------------------------------
BOX_INIT=nonetns
ok "a container that may not make network namespaces boots" box_up
ok "root imports there" box_import b home
put_probe
unit_file sender.service "[Service]\nStandardOutput=null\nExecStart=$SEND --rate 100"
unit_file nsvpn-netns@.service "[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/true"
unit_file nsvpn@.service "[Service]\nExecStart=/bin/sleep infinity"
box systemctl daemon-reload
box sh -c 'mkdir -p /run/nsvpn/home; cp /etc/resolv.conf /etc/nsswitch.conf /run/nsvpn/home'
judge_start eperm "${VPN_FLOW4}1195" "$ISP_DNS" # the server has not noticed yet
box ip netns add home # not as a child of PID 1, so it may
ok "path: added" box nsvpn unit add sender
is "path: the guard keeps it from starting" failed "$(box systemctl start sender 2>/dev/null; box systemctl is-active sender)"
like "systemd would have gone on without" 'proceeding without|ignoring' "$(box_log -u sender)"
box ip netns del home
ok "joins: added" box nsvpn unit add sender --joins-namespace-of
is "joins: systemd would start it outside, the guard does not" failed "$(box systemctl start sender 2>/dev/null; box systemctl is-active sender)"
like "systemd said that it goes on without" 'proceeding without|ignoring' "$(box_log -u sender)"
ok "nothing was sent" judge_stop eperm
sed -i '/^ExecCondition=/d' $BOX$DROPIN
box systemctl daemon-reload
ok "control: without the guard it is seen" seen NSVPNPROBE-unit 10 box systemctl restart sender || box systemctl status sender | sed 's/^/# /'
box systemctl kill -s KILL sender
box_down
tap_done
