#!/bin/bash
# Questions of the server at the log-in: the profile's one-time code (static-challenge), a challenge with a refusal (CRV1),
# questions and addresses while the log-in is pending (CR_TEXT, WEB_AUTH), asked at a terminal, answered from a file, or not
# at all; and the token that takes their place afterwards. The server is a real openvpn whose management interface decides.
. "$(dirname "$(readlink -f "$0")")/lab.sh"
lab_enter "$@"
command -v script >/dev/null || skip_all "script is not installed"
lab_pki && lab_up && lab_server c || { diag "lab"; exit 1; }
server_stop c
sed -i '/auth-user-pass-verify/d; /script-security/d' $WORK/server-c.conf
printf 'management 127.0.0.1 7505\nmanagement-client-auth\nauth-gen-token 3600\n' >>$WORK/server-c.conf

# The management side: $WORK/mode says how it decides, $WORK/seen collects what the clients sent.
cat >$WORK/manager <<'END'
exec 3<>/dev/tcp/127.0.0.1/7505 || exit 1
say() { printf '%s\n' "$1" >&3; }
b64() { printf '%s' "$1" | base64 -w0; }
decide() {
  printf '%s %s\n' "$user" "$password" >>$WORK/seen
  case $(cat $WORK/mode):$password in
    static:SCRV1:$(b64 "open sesame"):$(b64 123456) | concat:"open sesame123456") say "client-auth-nt $cid $kid" ;;
    crv1:"open sesame" | echo:"open sesame")
      flags=R; [ "$(cat $WORK/mode)" = echo ] && flags=R,E
      say "client-deny $cid $kid \"no\" \"CRV1:$flags:Om01u7:$(b64 alice2):Please enter the PIN: now\"" ;;
    crv1:CRV1::Om01u7::123456 | echo:CRV1::Om01u7::123456) say "client-auth-nt $cid $kid" ;;
    text:"open sesame") say "client-pending-auth $cid $kid \"CR_TEXT:R,E:What is the code?\" 60" ;;
    web:"open sesame") say "client-pending-auth $cid $kid \"WEB_AUTH::https://login.example.net/start?id=7\" 60"; web="$cid $kid" ;;
    plain:"open sesame") say "client-auth-nt $cid $kid" ;;
    *) say "client-deny $cid $kid \"wrong\" \"wrong answer\"" ;;
  esac
}
while :; do
  IFS= read -t 0.3 -r line <&3
  rc=$?
  [ $rc -gt 128 ] && line=
  [ $rc = 1 ] && break
  line=${line%$'\r'}
  case $line in
    '>CLIENT:CONNECT,'* | '>CLIENT:REAUTH,'*) IFS=, read -r _ cid kid <<<"$line"; user= password= ;;
    '>CLIENT:ENV,username='*) user=${line#*=} ;;
    '>CLIENT:ENV,password='*) password=${line#*=} ;;
    '>CLIENT:ENV,END') [ -n "$kid" ] && decide; kid= ;;
    '>CLIENT:CR_RESPONSE,'*)
      IFS=, read -r _ rcid rkid answer <<<"$line"
      echo "response $(base64 -d <<<"$answer")" >>$WORK/seen
      if [ "$(base64 -d <<<"$answer")" = 123456 ]; then say "client-auth-nt $rcid $rkid"; else say "client-deny $rcid $rkid \"no\" \"wrong code\""; fi ;;
  esac
  if [ -n "${web:-}" ] && [ -e $WORK/browser ]; then say "client-auth-nt $web"; web=; fi
done
END
export WORK
lab_server_start c || exit 1
spawn vpn bash $WORK/manager >$WORK/manager.out 2>&1
sleep 0.3
mode() { echo "$1" >$WORK/mode; : >$WORK/seen; }
codes() { printf 'alice\nopen sesame\n%s\n' "$1" >$WORK/cred3; }
credentials
sed 's/^auth-user-pass$/auth-user-pass\nstatic-challenge "Enter the code" 1/' $WORK/c.ovpn >$WORK/s.ovpn
down() { nsvpn down home >/dev/null 2>&1; }
# A person at a terminal: waits for a text, types a line.
person() { # COMMAND... then pairs on $PERSON: TEXT LINE
  rm -f $WORK/keys
  mkfifo $WORK/keys
  : >$WORK/screen
  nsenter --net=/run/netns/host -- script -qefc "$*" $WORK/screen <$WORK/keys >/dev/null 2>&1 &
  person_pid=$!
  exec 7>$WORK/keys
}
types() { wait_for 15 grep -qF "$1" $WORK/screen && sleep 0.2 && printf '%s\n' "$2" >&7; } # (the terminal drops what is typed ahead)
done_typing() { exec 7>&-; wait $person_pid; }

# ---- the profile's question ------------------------------------------------------------------------------------------

mode static
cp $WORK/s.ovpn $WORK/q.ovpn
lab_import q
like "explain says that it will be asked" 'static-challenge +asks for this|honoured +static-challenge' "$(nsvpn explain $WORK/s.ovpn; nsvpn -v explain $WORK/s.ovpn)"
codes 123456
ok "static-challenge: the third line of --credentials" nsvpn up home --timeout 20 --credentials $WORK/cred3
ok "connected" is_state connected
# The code is used up; the token takes its place.
kill -9 "$(engine_pid)"
ok "after the engine's death a person is needed: the tunnel stays locked and asks" wait_for 20 sh -c "nsenter --net=/run/netns/host $NSVPN status home --json | jq -e '.tunnels[0].question == \"Enter the code\"'"
like "status shows it" 'question +Enter the code' "$(nsvpn status home)"
person $NSVPN up home
ok "up at a terminal asks it" types "Answer:" 123456
done_typing
ok "and is connected" wait_for 15 is_state connected
down
person $NSVPN up home
types "user name" alice
types "password" "open sesame"
ok "all three at a terminal" types "asks: Enter the code" 123456
done_typing
ok "connected" is_state connected
down
mode static
out=$(nsvpn up home --timeout 15 --credentials $WORK/credentials 2>&1)
is "without terminal and answer: status" 4 $?
like "and a sentence that says what to do" 'asks "Enter the code" and there is no terminal.*further line' "$out"
ok "nothing is left of it" no_leftovers
codes 999999
out=$(nsvpn up home --timeout 15 --credentials $WORK/cred3 2>&1)
is "a wrong code is a refused log-in" 4 $?
like "in the server's words" 'wrong answer' "$out"
sed -i 's/code" 1/code" 0 concat/' $WORK/q.ovpn
mode concat
lab_import q
codes 123456
ok "concat" nsvpn up home --timeout 20 --credentials $WORK/cred3
down

# ---- a challenge with the refusal ------------------------------------------------------------------------------------

cp $WORK/c.ovpn $WORK/q.ovpn
lab_import q
mode crv1
codes 123456
ok "CRV1: answered from the file" nsvpn up home --timeout 20 --credentials $WORK/cred3
like "with the user that the server named" '^alice2 CRV1::Om01u7::123456' "$(tail -n 1 $WORK/seen)"
# A dead server: the token logs in again, nobody is asked.
server_stop c KILL
pkill -f $WORK/manager
lab_server_start c
spawn vpn bash $WORK/manager >$WORK/manager.out 2>&1
diag "a new server does not know the token; it asks again"
ok "a server that lost its tokens asks again" wait_for 60 sh -c "nsenter --net=/run/netns/host $NSVPN status home --json | jq -e '.tunnels[0].question == \"Please enter the PIN: now\"'"
down
person $NSVPN up home --credentials $WORK/credentials
ok "CRV1: asked at the terminal" types "asks: Please enter the PIN: now" 123456
done_typing
ok "connected" is_state connected
ok "the answer was not shown" sh -c "! grep -q 123456 $WORK/screen"
down
mode echo
person $NSVPN up home --credentials $WORK/credentials
types "Answer:" 123456
done_typing
ok "with E it may be seen" grep -q 123456 $WORK/screen
ok "connected" is_state connected
down
person $NSVPN up home --credentials $WORK/credentials
types "Answer:" 000
done_typing
ok "a wrong answer ends in the server's words" grep -q 'wrong answer' $WORK/screen
ok "nothing is left of it" no_leftovers

# ---- while the log-in is pending -------------------------------------------------------------------------------------

mode text
ok "CR_TEXT: answered from the file" nsvpn up home --timeout 20 --credentials $WORK/cred3
like "by CR_RESPONSE" 'response 123456' "$(cat $WORK/seen)"
down
person $NSVPN up home --credentials $WORK/credentials
ok "CR_TEXT: at the terminal" types "asks: What is the code?" 123456
done_typing
ok "connected" is_state connected
down
mode web
rm -f $WORK/browser
nsenter --net=/run/netns/host -- "$NSVPN" up home --timeout 30 --credentials $WORK/credentials >$WORK/web.out 2>&1 &
up=$!
ok "WEB_AUTH: the address is said" wait_for 10 grep -q 'log in with a browser: https://login.example.net/start?id=7' $WORK/web.out
like "and shown by status" 'to be opened +https://login' "$(nsvpn status home)"
kill -INT $up
wait $up
is "Ctrl-C while it waits" 130 $?
ok "leaves nothing" no_leftovers
is "nothing was opened" "" "$(cat $WORK/opened 2>&1 | grep https)"
mkdir -p $WORK/desktop
printf '#!/bin/sh\necho "$@" >%s/opened; exec sleep 300\n' $WORK >$WORK/desktop/xdg-open
chmod +x $WORK/desktop/xdg-open
PATH=$WORK/desktop:$PATH nsenter --net=/run/netns/host -- "$NSVPN" up home --open --timeout 30 --credentials $WORK/credentials >$WORK/web.out 2>&1 &
up=$!
wait_for 10 grep -q 'log in with a browser' $WORK/web.out
ok "--open: the browser is shown the address" wait_for 10 grep -qxF 'https://login.example.net/start?id=7' $WORK/opened
touch $WORK/browser
wait $up
is "once the browser has done it, it is connected" 0 $?
ok "the browser outlives nsvpn" pkill -f "sleep 300"
down

# ---- tokens ----------------------------------------------------------------------------------------------------------

mode plain
ok "up" nsvpn up home --timeout 20 --credentials $WORK/credentials
: >$WORK/seen
in_ns vpn nft 'add table ip gap; add chain ip gap in { type filter hook input priority 0; policy drop; ip saddr 127.0.0.1 accept; }'
ok "the server is gone for a while" wait_for 40 is_state reconnecting
in_ns vpn nft delete table ip gap
ok "connected again" wait_for 60 is_state connected
is "with the token, not the password" "" "$(grep 'open sesame' $WORK/seen)"
down
ok "nothing is left" no_leftovers
tap_done
