#!/bin/bash
# Invariant 40: every method of the service's bus interface x {another user, no agent, an agent that says no, an agent that
# lies, a caller who leaves while polkit asks}, with a real bus and a real polkit: refused, and nothing has changed.
#
# The rule of this lab makes polkit ask about every action, so that the methods that anybody may call are refused as well.
. "$(dirname "$(readlink -f "$0")")/lab.sh"
. "$(dirname "$(readlink -f "$0")")/box.sh"
box_need "${NSVPN_BOX_SUITE:-bookworm}"
lab_enter "$@"
lab_pki && lab_up && lab_server b || { diag "lab"; exit 1; }
ok "boots" box_up
ok "root imports" box_import b home
cp "$LABBIN"/buscall $BOX/usr/local/bin/
MARK=/tmp/it-ran
METHODS='Up Down Answer Plan ListTunnels Processes Reload Exec Examine'
is "these are all the methods there are" "$(tr ' ' '\n' <<<"$METHODS" | sort | xargs)" \
  "$(box busctl --system --xml-interface introspect org.nsvpn1 /org/nsvpn1 |
    sed -n '/interface name="org.nsvpn1.Manager"/,/<\/interface>/s/.*method name="\([^"]*\)".*/\1/p' | sort | xargs)"
is "and tunnels have none" "" \
  "$(box busctl --system --xml-interface introspect org.nsvpn1 /org/nsvpn1/tunnel/home |
    sed -n '/interface name="org.nsvpn1.Tunnel"/,/<\/interface>/s/.*method name="\([^"]*\)".*/\1/p')"
call() { # METHOD: arguments of buscall
  case $1 in
    Exec) echo "Exec home /bin/touch $MARK" ;;
    *) echo "$1 home" ;;
  esac
}
# Whatever a call could have changed: kernel objects, files, processes, programs started, the helper's state.
footprint() {
  box sh -c "ip -br link; ip netns; nft -s list ruleset; find /run/nsvpn /var/lib/nsvpn /etc/nsvpn ! -name '*.log*' -type f -exec md5sum {} + | sort
    pgrep -x nsvpn-engine; pgrep -x nsvpn-launch; systemctl list-units --all --plain --no-legend 'nsvpn-exec-*'; ls $MARK; nsvpn list" 2>&1
}
refused() { # WHAT REGEX COMMAND...     (STATUS: of nsvpn itself)
  local what=$1 regex=$2 before out rc
  shift 2
  before=$(footprint)
  out=$("$@" 2>&1)
  rc=$?
  is "$what: refused" "${STATUS:-1}" $rc
  like "$what: says why" "$regex" "$out"
  is "$what: nothing has changed" "$before" "$(footprint)"
}
rule() { # RESULT: what polkit says about everything of ours
  box sh -c "mkdir -p /etc/polkit-1/rules.d; echo 'polkit.addRule(function(a, s) { if (a.id.indexOf(\"org.nsvpn1.\") == 0) return polkit.Result.$1; });' >/etc/polkit-1/rules.d/00-lab.rules"
  box_polkit
}
no_rule() {
  box rm -f /etc/polkit-1/rules.d/00-lab.rules
  box_polkit
}
access() { box sh -c "printf '[Access]\nUsers=$1\n' >/etc/nsvpn/tunnels/home/settings.conf; chmod 600 /etc/nsvpn/tunnels/home/settings.conf"; }

# ---- controls: the same calls, allowed ------------------------------------------------------------------------------

# shellcheck disable=SC2046
{
  ok "control: Up works from a local session" box_session alice buscall $(call Up)
  ok "it is up" box nsvpn up home --timeout 20
  for m in Plan ListTunnels Processes Examine; do
    like "control: $m answers" 'string|array' "$(box_session alice buscall $(call $m) 2>&1 | tr 'A-Z' 'a-z')"
  done
  ok "control: Exec starts the program" box_session alice buscall $(call Exec)
  ok "control: it ran" wait_for 5 box test -e $MARK
  is "control: as the caller" alice "$(box stat -c %U $MARK)"
  box rm $MARK
  like "control: Answer is let through, to a tunnel that asks nothing" 'Error.*asks nothing|Error.*no question' "$(box_session alice buscall $(call Answer) 2>&1)"
  ok "control: Reload by root" box buscall $(call Reload)
}

# As installed: who is not at the machine is asked for a password, and so is who sits at it for what concerns all users.
for m in Up Down Answer Exec Reload; do
  # shellcheck disable=SC2046
  refused "a session over SSH: $m" 'password' box_ssh bob buscall $(call $m)
done
refused "a local session: Reload" 'password' box_session bob buscall Reload
is "an inactive session is like one over SSH" "$(box pkaction --verbose | awk '/^org\.nsvpn1\./ { on = 1 } /^[a-z]/ && !/^org\.nsvpn1\./ { on = 0 } on && /implicit any/ { print $3 }')" \
  "$(box pkaction --verbose | awk '/^org\.nsvpn1\./ { on = 1 } /^[a-z]/ && !/^org\.nsvpn1\./ { on = 0 } on && /implicit inactive/ { print $3 }')"
rule AUTH_ADMIN
out=$(box_as bob buscall --agent no Plan home 2>&1)
like "control: polkit asks the caller's own agent" 'asked 1' "$out"

# ---- the matrix -----------------------------------------------------------------------------------------------------

matrix() { # STATE
  local m c
  for m in $METHODS; do
    c=$(call $m)
    # shellcheck disable=SC2086
    {
      refused "$1: $m, no agent" 'password|allow' box_as bob buscall $c
      refused "$1: $m, the agent says no" 'asked 1' box_as bob buscall --agent no $c
      refused "$1: $m, the agent lies" 'asked [1-9]' box_as bob buscall --agent lie $c
      before=$(footprint)
      out=$(box_as bob buscall --agent silent --gone $c 2>&1)
      is "$1: $m, the caller leaves while he is asked" "3 asked 1" "$? $out"
      is "$1: $m, the caller leaves: nothing has changed" "$before" "$(footprint)"
    }
  done
}
matrix "up"
ok "root takes it down, asked by nobody" box nsvpn down home
matrix "down"
ok "polkit forgets its questions" box_polkit
is "nothing of it comes late" "" "$(box sh -c "ls $MARK; ip netns; pgrep -x nsvpn-engine" 2>/dev/null)"
no_rule

# Not in Users=: even somebody whom polkit would let, and even with an agent that would help.
access alice
ok "up, for alice alone" box nsvpn up home --timeout 20
for m in Up Down Answer Plan Processes Exec; do
  # shellcheck disable=SC2046
  refused "another user's tunnel: $m" 'for the users alice only' box_as carol buscall --agent lie $(call $m)
done
is "another user's tunnel is not listed" 0 "$(box_as carol buscall ListTunnels 2>/dev/null | grep -c home)"
is "nor named by Examine" 0 "$(box_as carol buscall Examine 2>/dev/null | grep -cw home)"
rule NO
for m in $METHODS; do
  # shellcheck disable=SC2046
  refused "polkit says no: $m" 'do not allow|for the users alice only' box_as carol buscall --agent lie $(call $m)
done
no_rule

# ---- a polkit that cannot be started --------------------------------------------------------------------------------

ok "Users= is open again" box sh -c 'rm /etc/nsvpn/tunnels/home/settings.conf; buscall Reload'
box systemctl mask --quiet --runtime --now polkit 2>/dev/null
for m in $METHODS; do
  # shellcheck disable=SC2046
  refused "polkit is masked: $m" 'polkit does not start, so only root may; use sudo' box_as carol buscall $(call $m)
done
ok "polkit is masked: root may all the same" box nsvpn plan home
box systemctl unmask --quiet --runtime polkit
box sh -c 'mkdir -p /run/systemd/system/polkit.service.d
  printf "[Unit]\nStartLimitIntervalSec=1h\nStartLimitBurst=1\n" >/run/systemd/system/polkit.service.d/zz-often.conf
  systemctl daemon-reload; systemctl restart polkit; systemctl restart polkit' >/dev/null 2>&1
is "control: its start was attempted too often" failed "$(box systemctl is-active polkit)"
STATUS=6 refused "polkit was started too often" 'polkit does not answer, so only root may; use sudo' box_session alice nsvpn plan home
refused "polkit was started too often, and may ask" 'polkit does not start, so only root may; use sudo' box_as carol buscall Up home
ok "polkit was started too often: root may all the same" box nsvpn plan home
box sh -c 'rm /run/systemd/system/polkit.service.d/zz-often.conf; systemctl daemon-reload'
ok "polkit is back" box_polkit
like "after all that alice still works" alice "$(box_session alice nsvpn exec -- id -un)"
ok "down" box nsvpn down home
box_down
tap_done
