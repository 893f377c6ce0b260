#!/bin/bash
# What a server says besides its settings, from a real openvpn whose management interface decides: a refusal for now with a
# time to wait (AUTH_FAILED,TEMP), a log-in that is pending and then accepted or never (AUTH_PENDING), a remark (INFO), a
# restart with and without notice (RESTART), and being thrown out for good (HALT).
. "$(dirname "$(readlink -f "$0")")/lab.sh"
lab_enter "$@"
lab_pki && lab_up && lab_server c || { diag "lab"; exit 1; }
server_stop c
sed -i '/auth-user-pass-verify/d; /script-security/d' $WORK/server-c.conf
printf 'management 127.0.0.1 7505\nmanagement-client-auth\nexplicit-exit-notify 1\n' >>$WORK/server-c.conf

# The management side: $WORK/mode says how it decides, $WORK/seen collects who came when, $WORK/say is what it is to say.
cat >$WORK/manager <<'END'
until exec 3<>/dev/tcp/127.0.0.1/7505; do sleep 0.1; done 2>/dev/null
say() { printf '%s\n' "$1" >&3; }
decide() {
  local n
  printf '%s %s %s\n' "$(date +%s%3N)" "$user" "$password" >>$WORK/seen
  n=$(grep -c . $WORK/seen)
  case $(cat $WORK/mode) in
    plain) say "client-auth-nt $cid $kid" ;;
    temp) if [ $n -le 2 ]; then say "client-deny $cid $kid \"busy\" \"TEMP[backoff 3,advance no]:the cellar is full\""; else say "client-auth-nt $cid $kid"; fi ;;
    full) say "client-deny $cid $kid \"busy\" \"TEMP[backoff 2]:the cellar is full\"" ;;
    pending) say "client-pending-auth $cid $kid \"we look for your name\" 30"; wait_until=$(($(date +%s) + 3)) ;;
    never) say "client-pending-auth $cid $kid \"we look for your name\" 8" ;;
  esac
}
while :; do
  IFS= read -t 0.2 -r line <&3
  rc=$?
  [ $rc -gt 128 ] && line=
  [ $rc = 1 ] && break
  line=${line%$'\r'}
  case $line in
    '>CLIENT:CONNECT,'* | '>CLIENT:REAUTH,'*) IFS=, read -r _ cid kid <<<"$line"; user= password= ;;
    '>CLIENT:ENV,username='*) user=${line#*=} ;;
    '>CLIENT:ENV,password='*) password=${line#*=} ;;
    '>CLIENT:ENV,END') [ -n "$kid" ] && { decide; last=$cid/$kid; }; kid= ;;
  esac
  if [ -n "${wait_until:-}" ] && [ "$(date +%s)" -ge "$wait_until" ]; then say "client-auth-nt ${last%/*} ${last#*/}"; wait_until=; fi
  if [ -s $WORK/say ]; then say "client-kill ${last%/*} \"$(cat $WORK/say)\""; : >$WORK/say; fi
done
END
export WORK
: >$WORK/say
begin() { # starts server and manager
  lab_server_start c || exit 1
  spawn vpn bash $WORK/manager >$WORK/manager.out 2>&1
  manager=$!
}
mode() { echo "$1" >$WORK/mode; : >$WORK/seen; }
down() { nsvpn down home >/dev/null 2>&1; }
told() { nsvpn logs home | grep -qE -- "$1"; }
reconnected() { [ "$(grep -c . $WORK/seen)" -ge "$1" ] && is_state connected; }
begin
credentials
lab_import c
with="--credentials $WORK/credentials"

# ---- at the log-in ---------------------------------------------------------------------------------------------------

mode temp
# shellcheck disable=SC2086
ok "AUTH_FAILED,TEMP: it gets in when the server lets it" nsvpn up home --timeout 60 $with
is "at the third time" 3 "$(grep -c . $WORK/seen)"
is "with the same name and password each time" 1 "$(sed 's/^[0-9]* //' $WORK/seen | sort -u | grep -c .)"
gaps=$(awk 'NR > 1 { print $1 - t } { t = $1 }' $WORK/seen | sort -n | head -n 1)
ok "and never before the time that the server wants (${gaps:-0} ms)" test "${gaps:-0}" -ge 2900
ok "the log has the server's words" told 'the cellar is full'
down
mode full
# shellcheck disable=SC2086
out=$(nsvpn up home --timeout 8 $with 2>&1)
ok "a server that stays full: up ends" test $? -ne 0
like "in the server's words" 'the cellar is full' "$out"
down
ok "nothing is left of it" no_leftovers

mode pending
# shellcheck disable=SC2086
ok "AUTH_PENDING: the log-in is waited for" nsvpn up home --timeout 40 $with
ok "connected" is_state connected
is "it asked once" 1 "$(grep -c . $WORK/seen)"
ok "INFO_PRE: what the server said meanwhile is in the log" told 'we look for your name'
down
mode never
sed 's/^nobind$/nobind\nhand-window 4/' $WORK/c.ovpn >$WORK/n.ovpn
lab_import n
t0=$(date +%s)
# shellcheck disable=SC2086
out=$(nsvpn up home --timeout 45 $with 2>&1)
rc=$? took=$(($(date +%s) - t0))
ok "a log-in that is never decided ends" test $rc -ne 0
ok "not before the time that the server named, and in bounds ($took s)" test $took -ge 7 -a $took -le 60
down
ok "nothing is left" no_leftovers
lab_import c

# ---- in the middle ---------------------------------------------------------------------------------------------------

mode plain
# shellcheck disable=SC2086
ok "up" nsvpn up home --timeout 30 $with
: >$WORK/seen
echo 'RESTART,[P]we move the furniture' >$WORK/say
ok "RESTART: the tunnel connects again" wait_for 60 reconnected 1
ok "and the log has the server's words" told 'we move the furniture'
: >$WORK/seen
kill $manager
wait $manager 2>/dev/null
server_stop c # says RESTART to its clients (explicit-exit-notify)
ok "a server that goes says so, and is missed at once" wait_for 6 sh -c "! nsenter --net=/run/netns/host $NSVPN status home --json | grep -q '\"state\":\"connected\"'"
begin
ok "and is joined when it is back" wait_for 90 reconnected 1
: >$WORK/seen
echo 'HALT,the house is closed' >$WORK/say
ok "HALT: the tunnel does not come back by itself" wait_for 20 sh -c "! nsenter --net=/run/netns/host $NSVPN status home --json | grep -qE '\"state\":\"(connected|reconnecting|connecting)\"'"
like "status has the server's words" 'the house is closed' "$(nsvpn status home)"
is "nobody knocked again" 0 "$(grep -c . $WORK/seen)"
ok "programs inside have no way out" sh -c "! nsenter --net=/run/netns/home $LABBIN/probe --connect-once 192.0.2.80:80 --timeout 3"
# shellcheck disable=SC2086
ok "a person can try again" nsvpn up home --timeout 30 $with
down
ok "nothing is left of all that" no_leftovers
tap_done
