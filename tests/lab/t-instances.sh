#!/bin/bash
# Single-instance programs (invariant 35): one that runs outside is found and refused, a separate instance stays in the
# tunnel, what hands over is said; by a socket in a profile and by a name on the session bus. And what status says of the
# programs inside and of those that got out (invariant 36).
. "$(dirname "$(readlink -f "$0")")/lab.sh"
lab_enter "$@"
lab_pki && lab_up && lab_server b || { diag "lab"; exit 1; }
lab_import b home
nsvpn up >$WORK/up.out 2>&1 || { diag "up: $(cat $WORK/up.out)"; exit 1; }

# A user with a home, a wrapper script as Debian's, and programs that keep one instance.
U=65534 H=$WORK/home
chmod 755 $WORK
mkdir -p $H $WORK/bin $WORK/lib
chown $U:$U $H
for n in firefox-esr stub; do cp "$LABBIN"/stubapp $WORK/lib/$n; done
for n in nautilus gedit; do cp "$LABBIN"/stubapp $WORK/bin/$n; done
printf '#!/bin/sh\nWHERE=%s\n[ -n "$X" ] && exec "$X.real" "$@"\nexec ${WHERE}/firefox-esr "$@"\n' $WORK/lib >$WORK/bin/firefox
chmod 755 $WORK/bin/firefox
mount --bind $WORK/passwd /etc/passwd 2>/dev/null
sed "s|^nobody:.*|nobody:x:65534:65534:nobody:$H:/bin/sh|" /etc/passwd >$WORK/passwd
mount --bind $WORK/passwd /etc/passwd
export PATH=$WORK/bin:$PATH
as_user() { in_ns host setpriv --reuid $U --regid $U --clear-groups env HOME=$H PATH="$PATH" "$@"; }
ex() { in_ns host timeout -k 1 10 "$NSVPN" exec --user nobody "$@"; }
outer=$(host stat -Lc %i /proc/self/ns/net)
inner=$(stat -Lc %i /run/netns/home)
windows() { awk '{ print $2, $3 }' $H/windows 2>/dev/null | sed "s/^$outer /outside /; s/^$inner /inside /"; }
has_window() { windows | grep -qxF "$1"; }
gone() { ! pgrep -f lib/firefox-esr; }
bg() { "$@" >>$WORK/bg.out 2>&1 & }

# Nobody runs: no objection; the first one is inside, and what it is asked for later opens inside.
bg ex firefox one
ok "the first instance opens its window inside" wait_for 5 has_window "inside one"
out=$(ex firefox two 2>&1)
is "an instance inside takes further windows" "0 " "$? $out"
ok "and they open inside" wait_for 5 has_window "inside two"
kill "$(pgrep -f lib/firefox-esr)"
wait_for 5 gone

# One runs outside.
bg as_user firefox three
wait_for 5 has_window "outside three"
out=$(ex firefox four 2>&1)
is "an instance outside: refused" 125 $?
like "the sentence names it, its pid and the remedy" "Firefox already runs outside tunnel home \(pid $(pgrep -f lib/firefox-esr), .*--new-instance" "$out"
out=$(ex env X= nohup firefox four 2>&1)
is "also behind env and nohup" 125 $?
ok "control: without nsvpn's look it goes to the instance outside" in_ns host "$NSVPN" exec --user nobody --allow-running firefox five
ok "(that is where the window is)" wait_for 5 has_window "outside five"
bg ex --new-instance firefox six
ok "--new-instance: a separate one opens inside" wait_for 5 has_window "inside six"
is "its folder is the tunnel's, for the user alone" "700 65534" "$(stat -c '%a %u' $H/.local/state/nsvpn/home/firefox)"
out=$(ex --new-instance firefox seven 2>&1)
is "a second --new-instance goes to the first one inside" "0 " "$? $out"
ok "and opens inside" wait_for 5 has_window "inside seven"
bg ex firefox --profile $H/mine eight
ok "the caller's own folder is accepted" wait_for 5 has_window "inside eight"
out=$(ex firefox --profile $H/.stub-profile nine 2>&1)
is "the folder that the instance outside holds is not" 125 $?
out=$(ex --new-instance firefox --profile $H/.stub-profile nine 2>&1)
is "not with --new-instance either" 125 $?
is "nothing of this opened outside" "" "$(windows | grep outside | grep -vE ' (three|five)$')"
inst_json=$(nsvpn status home --json)
is "status counts the programs and names them" "true true" \
  "$(jq -r '.tunnels[0] | "\(.processes == (.programs | length)) \([.programs[].command] | contains(["firefox-esr"]))"' <<<"$inst_json")"
like "and shows them to people" "programs inside .*[0-9]+ firefox-esr" "$(nsvpn status home | tr '\n' ' ')"
pkill -f lib/firefox-esr

# By the session bus.
if command -v dbus-daemon >/dev/null; then
  mkdir -p /run/user/$U && chown $U:$U /run/user/$U
  as_user dbus-daemon --session --nofork --address=unix:path=/run/user/$U/bus >$WORK/dbus.out 2>&1 &
  wait_for 5 test -S /run/user/$U/bus
  export XDG_RUNTIME_DIR=/run/user/$U
  bg as_user nautilus ten
  ok "control: the bus stub runs outside" wait_for 5 has_window "outside ten"
  out=$(ex nautilus eleven 2>&1)
  is "a program that its bus name keeps single: refused" 125 $?
  like "with what there is to do" 'close it first' "$out"
  out=$(ex --new-instance nautilus eleven 2>&1)
  is "--new-instance where there is no way: refused, too" 125 $?
  bg as_user gedit twelve
  bg ex --new-instance gedit thirteen
  ok "one that can stand alone: inside" wait_for 5 has_window "inside thirteen"
  pkill -f bin/gedit
  pkill -f bin/nautilus
else
  skip "single instances by the session bus" "dbus-daemon is not installed"
fi

# A program that the table does not know.
cp $WORK/lib/stub $WORK/bin/stub
is "an unknown program and --new-instance: refused" 125 "$(ex --new-instance stub x 2>/dev/null; echo $?)"
is "an unknown program that runs nowhere: no word" "0 " "$(ex sh -c true 2>&1; echo "$? ")"

# Those that got out.
out=$(nsvpn status home --escapes)
is "escapes: nobody" 0 $?
as_user env NSVPN_TUNNEL=home sleep 61 &
sleep 0.3
out=$(nsvpn status home --escapes)
is "escapes: a process with the tunnel's mark outside" 5 $?
like "is named" 'sleep' "$out"
is "in JSON" sleep "$(nsvpn status home --escapes --json | jq -r '.tunnels[0].escapes[0].command')"
diag "$(cat $WORK/bg.out)"
ok "down" nsvpn down --kill home
tap_done
