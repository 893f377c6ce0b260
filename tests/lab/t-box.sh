#!/bin/bash
# The container that other tests rely on is what it claims to be: real services, and the kinds of callers that polkit tells
# apart.
. "$(dirname "$(readlink -f "$0")")/lab.sh"
. "$(dirname "$(readlink -f "$0")")/box.sh"
box_need "${NSVPN_BOX_SUITE:-bookworm}"
lab_enter "$@"
lab_up || { diag "the lab could not be built"; exit 1; }
ok "boots" box_up
diag "$(box systemctl --version | head -n 1)"
for s in dbus systemd-resolved nscd ssh systemd-logind; do is "$s runs" active "$(box systemctl is-active $s)"; done
is "root" 0 "$(box id -u)"
is "a user without a session" "1001:" "$(box_as bob sh -c 'echo "$(id -u):${XDG_SESSION_ID:-}"')"
is "input, output and status pass" "in 7" "$(echo in | box_as bob sh -c 'cat; exit 7' | tr '\n' ' ')7"
like "a local active session" '^yes no seat0$' \
  "$(box_session alice sh -c 'loginctl show-session $XDG_SESSION_ID -p Active -p Remote -p Seat --value | sort -r | tr "\n" " " | sed "s/^\(yes\) \(seat0\) \(no\) /\1 \3 \2/"')"
like "a remote session" 'yes' "$(box_ssh carol sh -c 'loginctl show-session $XDG_SESSION_ID -p Remote --value')"
is "a unit of a user, no session" "1001:" "$(box_unit bob sh -c 'echo "$(id -u):${XDG_SESSION_ID:-}"')"
box sh -c 'cat >/usr/share/polkit-1/actions/test.policy <<X
<?xml version="1.0"?><policyconfig><action id="org.test.x"><description>x</description><message>x</message>
<defaults><allow_any>no</allow_any><allow_inactive>no</allow_inactive><allow_active>yes</allow_active></defaults></action></policyconfig>
X'
ok "polkit lets the local active session" box_session alice sh -c 'pkcheck --action-id org.test.x --process $$'
is "not the remote one" 1 "$(box_ssh carol sh -c 'pkcheck --action-id org.test.x --process $$ 2>/dev/null; echo $?')"
is "not the one without session" 1 "$(box_as bob sh -c 'pkcheck --action-id org.test.x --process $$ 2>/dev/null; echo $?')"
like "names outside are asked of the ISP" '192\.0\.2\.80' "$(box getent ahostsv4 web.example.net)"
is "nsvpn is there" 0 "$(box nsvpn --version >/dev/null; echo $?)"
box_down
is "the machine's processes are gone" "" "$(pgrep -f systemd-nspawn)"
tap_done
