#!/bin/bash
# Bad input of every kind gives one clear sentence, the right exit code, and leaves nothing behind.
. "$(dirname "$(readlink -f "$0")")/lab.sh"
lab_enter "$@"
lab_pki && lab_up && lab_server b && lab_server c || { diag "lab"; exit 1; }
P=$WORK/bad
mkdir -p $P
cp $WORK/b.ovpn $P/good.ovpn
clean=$(host_dump)

# one_sentence TEXT: exactly one line, that begins with the program's name and is not a bare errno.
one_sentence() { [ "$(grep -c . <<<"$1")" = 1 ] && grep -qE '^nsvpn: .{20,}' <<<"$1"; }
import_fails() { # DESCRIPTION FILE EXIT REGEX
  local out rc
  out=$(nsvpn import "$2" --name bad 2>&1 >/dev/null)
  rc=$?
  is "import, $1: exit code" "$3" $rc
  like "import, $1: says so" "$4" "$out"
  ok "import, $1: one sentence" one_sentence "$out"
  is "import, $1: nothing was stored" "" "$(ls $NSVPN_ETC/tunnels)"
}
: >$P/empty.ovpn
head -c 40000 /dev/urandom >$P/binary.ovpn
head -c 10485760 /dev/zero | tr '\0' 'a' >$P/huge.ovpn
sed '/<\/ca>/,$d' $P/good.ovpn >$P/truncated.ovpn
{ cat $P/good.ovpn; echo 'up /bin/touch-me'; } >$P/script.ovpn
{ cat $P/good.ovpn; echo 'remot vpn.example.net'; } >$P/unknown.ovpn
{ cat $P/good.ovpn; printf 'verify-x509-name "a\001b" name\n'; } >$P/control.ovpn
{ cat $P/good.ovpn; echo 'plugin /usr/lib/evil.so'; } >$P/plugin.ovpn
{ cat $P/good.ovpn; echo 'config /etc/shadow'; } >$P/include.ovpn
{ cat $P/good.ovpn; echo 'secret static.key'; } >$P/static.ovpn
grep -v '^remote ' $P/good.ovpn >$P/noremote.ovpn
sed 's/<ca>/<ca>\nca missing.crt/; /<ca>/,/<\/ca>/d' $P/good.ovpn >$P/nofile.ovpn
echo 'ca missing.crt' >>$P/nofile.ovpn
import_fails empty $P/empty.ovpn 1 'empty\.ovpn.*empty'
import_fails binary $P/binary.ovpn 1 'binary\.ovpn'
import_fails "10 MB" $P/huge.ovpn 1 'huge\.ovpn.*(large|limit|bytes|MiB)'
import_fails truncated $P/truncated.ovpn 1 'truncated\.ovpn:[0-9]+: .*<ca>'
import_fails "a script hook" $P/script.ovpn 1 "script\.ovpn:$(grep -n touch-me $P/script.ovpn | cut -d: -f1): .*up"
import_fails "an unknown option" $P/unknown.ovpn 1 "unknown\.ovpn:[0-9]+: .*remot.*remote"
import_fails "control characters" $P/control.ovpn 1 'control\.ovpn:[0-9]+: '
import_fails "a plug-in" $P/plugin.ovpn 1 'plugin\.ovpn:[0-9]+: .*plugin'
import_fails "an include" $P/include.ovpn 1 'include\.ovpn:[0-9]+: .*config'
import_fails "a static key" $P/static.ovpn 1 'static\.ovpn:[0-9]+: .*secret'
import_fails "no remote" $P/noremote.ovpn 1 'noremote\.ovpn.*remote'
import_fails "a missing file" $P/nofile.ovpn 1 'nofile\.ovpn:[0-9]+: .*missing\.crt'
import_fails "no such profile" $P/nothere.ovpn 1 'nothere\.ovpn.*[Nn]o such file'
import_fails "a folder" $P 1 'bad'
# Providers name a password file that their customers do not have: taken, with a word about it.
sed 's/^auth-user-pass$/auth-user-pass pass.txt/' $WORK/c.ovpn >$P/pass.ovpn
out=$(nsvpn import $P/pass.ovpn --name bad 2>&1)
is "import, a missing password file: taken" 0 $?
like "import, a missing password file: named" 'pass\.txt' "$out"
nsvpn remove bad >/dev/null
for f in /etc/shadow /dev/zero /proc/kcore; do
  out=$(nsvpn import $f --name bad 2>&1)
  is "import $f: no content of it in the message" "" "$(grep -o 'root:' <<<"$out")"
done

# up_fails DESCRIPTION EXIT REGEX [up options]: the profile is $P/x.ovpn
up_fails() {
  local what=$1 code=$2 re=$3 out rc
  shift 3
  cp $P/x.ovpn $WORK/x.ovpn
  lab_import x bad || { ok "up, $what: import" false; return; }
  out=$(nsvpn up bad --timeout "${T:-25}" "$@" 2>&1 >/dev/null </dev/null)
  rc=$?
  is "up, $what: exit code" "$code" $rc
  like "up, $what: says so" "$re" "$out"
  nsvpn down bad >/dev/null 2>&1
  ok "up, $what: nothing is left" no_leftovers
  nsvpn remove bad >/dev/null 2>&1
}
swap() { # TAG FILE: $P/good.ovpn with that inline block replaced
  { sed "/<$1>/,/<\/$1>/d" $P/good.ovpn; inline "$1" "$2"; } >$P/x.ovpn
}
swap ca $PKI/otherca.crt
up_fails "wrong CA" 1 '(certificate|CA).*(Lab CA|issuer|not signed|unknown|self|trust|verif|local issuer)'
server_stop b
for c in expired imposter otherserver; do
  sed -i -E "s#^cert .*#cert $PKI/$c.crt#; s#^key .*#key $PKI/$c.key#" $WORK/server-b.conf
  lab_server_start b || diag "server with $c"
  cp $P/good.ovpn $P/x.ovpn
  case $c in
    expired) up_fails "expired certificate" 1 'expired' ;;
    imposter) up_fails "a client certificate posing as server" 1 '(server certificate|serverAuth|not a server|client certificate|purpose)' ;;
    otherserver) up_fails "a server certificate of another CA" 1 '(certificate|CA)' ;;
  esac
  server_stop b
done
sed -i -E "s#^cert .*#cert $PKI/server.crt#; s#^key .*#key $PKI/server.key#" $WORK/server-b.conf
lab_server_start b
{ cat $P/good.ovpn; echo 'verify-x509-name other.example.net name'; } >$P/x.ovpn
up_fails "wrong name" 1 'server\.example\.net'
swap cert $PKI/imposter.crt
up_fails "certificate without its key" 1 '(key|certificate)'
swap tls-crypt $PKI/ta2.key
T=4 up_fails "wrong tls-crypt key (the server stays silent)" 7 '(no answer|did not answer|silent|no reply)'
cp $WORK/c.ovpn $P/x.ovpn
printf 'alice\nwrong\n' >$WORK/wrongcred
up_fails "wrong password" 4 '(password|refused|AUTH)' --credentials $WORK/wrongcred
up_fails "no password and no terminal" 1 '(password|credentials)'
# A server that accepts and says nothing: a bound UDP port that never answers.
spawn vpn "$LABBIN"/echod --dns 198.51.100.10:1999 >/dev/null 2>&1
mute=$!
in_ns vpn nft add table ip mute
in_ns vpn nft 'add chain ip mute in { type filter hook input priority 0; }'
in_ns vpn nft 'add rule ip mute in udp dport 1999 drop'
sed 's/^remote .*/remote 198.51.100.10 1999 udp/' $P/good.ovpn >$P/x.ovpn
T=4 up_fails "a server that says nothing" 7 '(no answer|did not answer|silent|no reply).*|198\.51\.100\.10'
in_ns vpn nft delete table ip mute
kill $mute
sed 's/^remote .*/remote 198.51.100.10 1998 udp/' $P/good.ovpn >$P/x.ovpn
T=4 up_fails "a port where nobody listens" 7 '(refused|nobody|listen|unreachable)'
sed 's/^remote .*/remote nowhere.invalid 1195 udp/' $P/good.ovpn >$P/x.ovpn
T=4 up_fails "a name that does not resolve" 7 'nowhere\.invalid.*(resolve|known)'
sed 's/^remote .*/remote 2001:db8:ffff::1 1195 udp6/' $P/good.ovpn >$P/x.ovpn
host ip -6 route del default
T=4 up_fails "an unreachable network" 7 '([Uu]nreachable|no route)'
host ip -6 route add default via 2001:db8:77::1

# The command line.
usage() { # DESCRIPTION REGEX ARGS...
  local what=$1 re=$2 out rc
  shift 2
  out=$(nsvpn "$@" 2>&1 >/dev/null)
  rc=$?
  is "$what: exit code" 2 $rc
  like "$what: says so" "$re" "$out"
}
usage "unknown command" "expotr|export|exec|import" imporrt
usage "unknown option" "timout.*timeout" up --timout 3
usage "missing argument" "FILE|file" import
usage "bad number" "timeout" up home --timeout soon
is "up of a tunnel that is not configured: exit code" 3 "$(nsvpn up nothere >/dev/null 2>&1; echo $?)"
is "down of a tunnel that is not configured: exit code" 3 "$(nsvpn down nothere >/dev/null 2>&1; echo $?)"
is "exec in a tunnel that is not configured: exit code" 125 "$(nsvpn exec -t nothere true >/dev/null 2>&1; echo $?)"
out=$(in_ns host setpriv --reuid 65534 --regid 65534 --clear-groups "$NSVPN" up home 2>&1)
is "not root: exit code" 6 $?
like "not root: the remedy" sudo "$out"
out=$(nsvpn import $P/good.ovpn --name 'Bad_Name!' 2>&1)
is "a bad name: exit code" 2 $?

# A full disk.
lab_import b home
mkdir -p $WORK/full
mount -t tmpfs -o size=16k,mode=700 full $WORK/full
head -c 16384 /dev/zero >$WORK/full/x 2>/dev/null
out=$(NSVPN_STATE=$WORK/full nsvpn up home 2>&1)
is "full disk under the intent file: exit code" 1 $?
like "full disk: says so" '(full|[Nn]o space)' "$out"
umount $WORK/full
ok "full disk: nothing is left" no_leftovers
# Ctrl-C in the middle of up.
in_ns vpn nft add table ip gap
in_ns vpn nft 'add chain ip gap in { type filter hook input priority 0; policy drop; }'
spawn host "$NSVPN" up home --timeout 20 >$WORK/int.out 2>&1
up=$!
sleep 1
kill -INT $up
wait $up
is "Ctrl-C in the middle of up: exit code" 130 $?
is "Ctrl-C in the middle of up: what became of it" "nsvpn: interrupted; home is taken down again" "$(cat $WORK/int.out)"
ok "Ctrl-C in the middle of up: nothing is left" no_leftovers
in_ns vpn nft delete table ip gap
# Two at once.
nsvpn up home --timeout 20 >$WORK/u1 2>&1 &
a=$!
nsvpn up home --timeout 20 >$WORK/u2 2>&1 &
b=$!
ok "two copies of up at once: the first" wait $a
ok "two copies of up at once: the second" wait $b
is "one engine" 1 "$(pgrep -cx nsvpn-engine)"
is "remove while up is refused" 1 "$(nsvpn remove home >/dev/null 2>&1; echo $?)"
ok "down" nsvpn down home
ok "down again is no error" nsvpn down home
ok "nothing is left" no_leftovers
nsvpn remove home >/dev/null
host_dump >$WORK/after.txt
echo "$clean" >$WORK/before.txt
ok "the machine is byte-identical after all of that" diff $WORK/before.txt $WORK/after.txt
tap_done
