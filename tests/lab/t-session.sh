#!/bin/bash
# A desktop session of an ordinary user, with systemd and a session bus: what is started from a menu entry, what hands over
# to an instance outside and ends, and what programs inside start past the tunnel through systemd (invariants 35, 36).
. "$(dirname "$(readlink -f "$0")")/lab.sh"
. "$(dirname "$(readlink -f "$0")")/box.sh"
box_need "${NSVPN_BOX_SUITE:-bookworm}" firefox-esr,xvfb,x11-utils,dbus-user-session # the root of t-firefox
lab_enter "$@"
lab_pki && lab_up && lab_server b && box_up && box_import b home || { diag "lab"; exit 1; }
box nsvpn up home >$WORK/up.out 2>&1 || { diag "up: $(cat $WORK/up.out)"; exit 1; }
H=$BOX/home/alice
install -m 755 "$LABBIN"/stubapp $BOX/usr/local/bin/firefox-nightly # keeps one instance, of the family Firefox
install -m 755 "$LABBIN"/stubapp $BOX/usr/local/bin/notifyd
mkdir -p $BOX/usr/local/share/applications
cat >$BOX/usr/local/share/applications/nightly.desktop <<'X'
[Desktop Entry]
Type=Application
Name=Nightly
Exec=firefox-nightly %u
X
alice() { box_session alice "$@"; }
bg() { "$@" >>$WORK/bg.out 2>&1 & }
outer=$(box stat -Lc %i /proc/self/ns/net)
inner=$(box stat -Lc %i /run/netns/home)
windows() { awk '{ print $2, $3 }' $H/windows 2>/dev/null | sed "s/^$outer /outside /; s/^$inner /inside /"; }
has_window() { windows | grep -qxF "$1"; }
noted() { cat $H/notifications 2>/dev/null; }
gone() { ! box pgrep -u alice -f "$1"; }

# A session that stays, so that the user's manager and bus do.
bg alice sleep 600
bg alice notifyd
wait_for 10 alice busctl --user call org.freedesktop.DBus / org.freedesktop.DBus GetNameOwner s org.freedesktop.Notifications

# From a menu.
ok "a menu entry, made by the user" alice nsvpn desktop add nightly -t home
entry=$(sed -n 's/^Exec=\(.*\) %u$/\1/p' $H/.local/share/applications/nsvpn-home-nightly.desktop)
menu() { alice sh -c "exec $entry $1 </dev/null >/dev/null 2>&1"; }
bg menu one
ok "started from it without a terminal, the program is inside" wait_for 10 has_window "inside one"
is "and nothing is shown" "" "$(noted)"
box pkill -u alice -f firefox-nightly
wait_for 5 gone firefox-nightly
bg alice firefox-nightly two
wait_for 10 has_window "outside two"
menu three
is "with an instance outside it is refused" 125 $?
like "and that is shown as a notification" "^dialog-error firefox-nightly\|.*already runs outside tunnel home" "$(noted)"

# Handing over.
out=$(alice nsvpn exec -t home --allow-running firefox-nightly four 2>&1)
is "allowed to, it hands over" 0 $?
ok "and its window is outside" wait_for 5 has_window "outside four"
like "which is said loudly" "OUTSIDE tunnel home \(pid [0-9]+\)" "$out"
is "a program that does its work is not warned of" "0 " "$(alice nsvpn exec -t home sh -c true 2>&1; echo "$? ")"
box pkill -u alice -f firefox-nightly

# Past the tunnel, through the user's own manager.
is "escapes: nobody" 0 "$(alice nsvpn status home --escapes >/dev/null 2>&1; echo $?)"
alice nsvpn exec -t home systemd-run --user --quiet --setenv=NSVPN_TUNNEL=home sleep 77 >$WORK/run.out 2>&1
ok "(a program inside had systemd start one)" wait_for 5 box pgrep -u alice -x sleep
out=$(alice nsvpn status home --escapes 2>&1)
is "escapes: found" 5 $?
like "and named" " sleep$" "$out"
ok "down" box nsvpn down --kill home
box_down
tap_done
