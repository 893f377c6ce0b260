#!/bin/bash
# nsvpnd as a service on a real system bus with a real polkit: who may do what, that a refusal leaves nothing behind, that it
# comes and goes, and how closed its unit is.
. "$(dirname "$(readlink -f "$0")")/lab.sh"
. "$(dirname "$(readlink -f "$0")")/box.sh"
box_need "${NSVPN_BOX_SUITE:-bookworm}"
lab_enter "$@"
lab_up || { diag "the lab could not be built"; exit 1; }
lab_pki
lab_server b
ok "the box boots" box_up
ok "root imports" box_import b home

call() { echo "busctl --system call org.nsvpn1 /org/nsvpn1 org.nsvpn1.Manager $*"; }
get_all="busctl --system call org.nsvpn1 /org/nsvpn1/tunnel/home org.freedesktop.DBus.Properties GetAll s org.nsvpn1.Tunnel"
# What a refused call could have changed: kernel objects, files, the helper's own state.
footprint() {
  box sh -c 'ip -br link; ip netns; nft list ruleset; ls /run/nsvpn /var/lib/nsvpn; pgrep -x nsvpn-engine' 2>&1 |
    grep -v 'nsvpnd.log\|^log$'
}
refused() { # WHAT CODE REGEX COMMAND...: fails with CODE, says so, changes nothing
  local what=$1 code=$2 regex=$3 before after out rc
  shift 3
  before=$(footprint)
  out=$("$@" 2>&1)
  rc=$?
  after=$(footprint)
  is "$what: status" "$code" "$rc" || diag "$out"
  like "$what: says why" "$regex" "$out"
  is "$what: nothing has changed" "$before" "$after"
}

# ---- who may what ----
like "root lists" '^home +down' "$(box nsvpn list)"
like "a user sees the tunnel" '^home +down' "$(box_as bob nsvpn list)"
like "a remote user sees it" '^home' "$(box_ssh alice nsvpn list)"
like "introspection" 'method name="Up"' "$(box_as bob busctl --system --xml-interface introspect org.nsvpn1 /org/nsvpn1)"
ok "a local active user brings it up" box_session alice nsvpn up home
like "and sees it" '"state":"connected"' "$(box_session alice nsvpn status --json)"
like "pinned where everybody sees it" '^home' "$(box ip netns)"
ok "and takes it down" box_session alice nsvpn down home
ok "a member of nsvpn over SSH" box_ssh carol nsvpn up home
ok "and without a session" box_as carol nsvpn down home
refused "no session, no agent: up" 6 'password .*group nsvpn' box_as bob nsvpn up home
refused "over SSH: up" 6 'password .*group nsvpn' box_ssh bob nsvpn up home
refused "import by a user" 6 'only root may import' box_as bob nsvpn up ./x.ovpn
refused "logs for a user" 6 'sudo nsvpn logs' box_as bob nsvpn logs home
for m in 'Up sa{sv} home 0' 'Down sa{sv} home 0' 'Reload'; do
  refused "no agent: ${m%% *}" 1 'password|allow' box_as bob $(call $m)
done
refused "Reload by a member of nsvpn" 1 'password' box_as carol $(call Reload)
refused "a method that is not there" 1 'Unknown|denied' box_as bob $(call Destroy)
refused "a property cannot be set" 1 '.' box_as bob busctl --system set-property org.nsvpn1 /org/nsvpn1/tunnel/home org.nsvpn1.Tunnel State s up

# ---- [Access] ----
box sh -c 'printf "[Access]\nUsers=alice\n" >/etc/nsvpn/tunnels/home/settings.conf; chmod 600 /etc/nsvpn/tunnels/home/settings.conf'
is "others do not see it" "" "$(box_as carol nsvpn list --names)"
is "nor in the tree" "" "$(box_as carol busctl --system tree --list org.nsvpn1 | grep home)"
like "alice does" '^home$' "$(box_session alice nsvpn list --names)"
for m in 'Up sa{sv} home 0' 'Down sa{sv} home 0' 'Plan s home' 'Processes s home'; do
  refused "not in Users=: ${m%% *}" 1 'for the users alice only; ask the administrator' box_as carol $(call $m)
done
refused "not in Users=: properties" 1 'for the users alice only' box_as carol $get_all
refused "not in Users=: status" 6 'for the users alice only' box_as carol nsvpn status home
ok "in Users=: up" box_session alice nsvpn up home
refused "not in Users=: down of what is up" 6 'for the users alice only' box_as carol nsvpn down home
ok "root: down" box nsvpn down home
box rm /etc/nsvpn/tunnels/home/settings.conf

# ---- a polkit that says no, or nothing ----
box sh -c 'mkdir -p /etc/polkit-1/rules.d; echo "polkit.addRule(function(a, s) { if (a.id.indexOf(\"org.nsvpn1.\") == 0) return polkit.Result.NO; });" >/etc/polkit-1/rules.d/00-no.rules'
box_polkit
for m in 'Up sa{sv} home 0' 'Down sa{sv} home 0' 'Plan s home' 'ListTunnels' 'Processes s home' 'Reload'; do
  refused "polkit says no: ${m%% *}" 1 'do not allow' box_as carol $(call $m)
done
refused "polkit says no: properties" 1 'do not allow' box_as carol $get_all
box rm /etc/polkit-1/rules.d/00-no.rules
box_polkit
# A caller that goes while polkit thinks: it is stopped meanwhile.
before=$(footprint)
box sh -c 'kill -STOP $(pgrep -x polkitd)'
box_as carol timeout -s KILL 0.7 busctl --system call org.nsvpn1 /org/nsvpn1 org.nsvpn1.Manager Up 'sa{sv}' home 0 >/dev/null 2>&1
box sh -c 'kill -CONT $(pgrep -x polkitd)'
sleep 0.5
is "a caller that went has no effect" "$before" "$(footprint)"
box systemctl mask --runtime --now polkit >/dev/null 2>&1
refused "without polkit: a user" 6 'polkit' box_as carol nsvpn up home
ok "without polkit: root" box nsvpn up home
ok "without polkit: root takes it down" box nsvpn down home
box systemctl unmask --runtime polkit >/dev/null 2>&1

# ---- coming and going ----
pid() { box systemctl show -p MainPID --value nsvpnd; }
first=$(pid)
ok "it stays while it was just used" test "$first" != 0
ok "it leaves when idle" wait_for 45 sh -c "! kill -0 $(pgrep -x nsvpnd)"
is "with success" "inactive success" "$(box systemctl show -p ActiveState -p Result --value nsvpnd | sort | tr '\n' ' ' | sed 's/ $//')"
like "a call starts it again" '^home' "$(box_as carol nsvpn list --names)"
ok "as another process" test "$(pid)" != "$first"
is_connected() { box nsvpn status home --json | grep -q '"state":"connected"'; }
ok "a tunnel over a killed helper: up" box nsvpn up home
box systemctl kill -s KILL nsvpnd
ok "it is started again and connects again" wait_for 30 is_connected
ok "and goes down" box nsvpn down home
is "nothing is left" "" "$(box sh -c 'ip netns; nft list ruleset; ls /var/lib/nsvpn; pgrep -x nsvpn-engine')"

# ---- how closed ----
score=$(box systemd-analyze security --no-pager nsvpnd | sed -n 's/.*exposure level for nsvpnd.service: \([0-9.]*\).*/\1/p')
diag "systemd-analyze security nsvpnd: $score ($(box systemctl --version | head -n 1))"
ok "exposure at most 4.0" awk -v s="$score" 'BEGIN { exit !(s != "" && s <= 4.0) }'
is "no setuid, setgid or capability bit" "" "$(box sh -c 'find /usr/local -perm /6000; getcap -r /usr/local')"
is "the engine's user is not in group nsvpn" "nsvpn-engine" "$(box id -Gn nsvpn-engine)"
box_down
tap_done
