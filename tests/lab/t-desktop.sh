#!/bin/bash
# `nsvpn desktop`: entries that desktop-file-validate accepts, made and removed by an ordinary user; started without a
# terminal, success is silent and failure is a notification on the user's own session bus.
. "$(dirname "$(readlink -f "$0")")/lab.sh"
lab_enter "$@"
for t in desktop-file-validate dbus-daemon setpriv; do command -v $t >/dev/null || skip_all "$t is not installed"; done
U=65534 H=$WORK/home APPS=$WORK/home/.local/share/applications
chmod 755 $WORK
mkdir -p $H $WORK/share/applications $WORK/bin /run/user/$U
chown $U:$U $H /run/user/$U
cp "$LABBIN"/stubapp $WORK/bin/notifyd
cp "$LABBIN"/stubapp $WORK/bin/firefox
sed "s|^nobody:.*|nobody:x:65534:65534:nobody:$H:/bin/sh|" /etc/passwd >$WORK/passwd
mount --bind $WORK/passwd /etc/passwd
as_user() {
  setpriv --reuid $U --regid $U --clear-groups env -u NSVPN_ETC -u NSVPN_STATE HOME=$H XDG_RUNTIME_DIR=/run/user/$U \
    XDG_DATA_DIRS=$WORK/share PATH="$WORK/bin:$PATH" "$@"
}
desktop() { as_user "$NSVPN" desktop "$@"; }

cat >$WORK/share/applications/firefox-esr.desktop <<'X'
[Desktop Entry]
Name=Firefox ESR
Name[de]=Firefox ESR auf Deutsch
Comment=Browse the World Wide Web
Exec=firefox %u
Terminal=false
X-MultipleArgs=false
Type=Application
Icon=firefox-esr
Categories=Network;WebBrowser;
MimeType=text/html;x-scheme-handler/http;x-scheme-handler/https;
StartupWMClass=firefox-esr
StartupNotify=true
DBusActivatable=false
Actions=new-window;private;

[Desktop Action new-window]
Name=Open a New Window
Exec=firefox -new-window

[Desktop Action private]
Name=Open a New Private Window
Exec="firefox" -private-window "a \\$b"
X
cat >$WORK/share/applications/org.example.Files.desktop <<'X'
[Desktop Entry]
Name=Files
Exec=nautilus --new-window %U
Type=Application
Categories=Utility;
DBusActivatable=true
NoDisplay=true
Keywords=folder;
X
ok "control: the originals are valid" desktop-file-validate $WORK/share/applications/*.desktop
like "add by program" "nsvpn-home-firefox-esr.desktop: Firefox ESR \(home\)" "$(desktop add firefox -t home)"
ok "add by id, separate" desktop add firefox-esr.desktop -t work --new-instance
ok "add one that is activated over D-Bus and not shown" desktop add nautilus -t home
ok "all of them are valid" desktop-file-validate $APPS/nsvpn-home-firefox-esr.desktop $APPS/nsvpn-work-firefox-esr.desktop \
  $APPS/nsvpn-home-org.example.Files.desktop
is "they belong to the user" "644 $U" "$(stat -c '%a %u' $APPS/nsvpn-home-firefox-esr.desktop)"
is "every way to start goes through nsvpn" "3 3" \
  "$(grep -c ^Exec= $APPS/nsvpn-work-firefox-esr.desktop) $(grep -cE "^Exec=$NSVPN exec --notify -t work --new-instance -- " $APPS/nsvpn-work-firefox-esr.desktop)"
is "it opens no types and is not activated" "0 1" \
  "$(grep -c ^MimeType $APPS/nsvpn-home-firefox-esr.desktop) $(grep -c ^DBusActivatable=false $APPS/nsvpn-home-org.example.Files.desktop)"
is "it is shown" 0 "$(grep -c NoDisplay $APPS/nsvpn-home-org.example.Files.desktop)"
like "names in all languages" "^Name\[de\]=Firefox ESR auf Deutsch \(home\)$" "$(cat $APPS/nsvpn-home-firefox-esr.desktop)"
is "list" "home firefox-esr|home org.example.Files|work firefox-esr|" \
  "$(desktop list --json | jq -r '.entries[] | "\(.tunnel) \(.id)"' | tr '\n' '|')"
is "an unknown application" 1 "$(desktop add no-such-app -t home >/dev/null 2>&1; echo $?)"
is "a name that cannot be a tunnel's" 2 "$(desktop add firefox -t '../x' >/dev/null 2>&1; echo $?)"
is "no separate instance of what has none" 1 "$(desktop add nautilus -t home --new-instance >/dev/null 2>&1; echo $?)"
is "not for root by sudo" 2 "$(SUDO_UID=$U "$NSVPN" desktop add firefox -t home >/dev/null 2>&1; echo $?)"
is "remove where several are meant" 2 "$(desktop remove firefox >/dev/null 2>&1; echo $?)"
ok "remove" desktop remove firefox -t work
is "it is gone, and nothing else" "nsvpn-home-firefox-esr.desktop nsvpn-home-org.example.Files.desktop" "$(ls $APPS | tr '\n' ' ' | sed 's/ $//')"
is "twice is an error" 1 "$(desktop remove firefox -t work >/dev/null 2>&1; echo $?)"

# From a menu: no terminal, no standard streams, the session bus of the user.
as_user dbus-daemon --session --nofork --address=unix:path=/run/user/$U/bus >$WORK/dbus.out 2>&1 &
wait_for 5 test -S /run/user/$U/bus
as_user $WORK/bin/notifyd >$WORK/notifyd.out 2>&1 &
wait_for 5 as_user dbus-send --session --dest=org.freedesktop.DBus --print-reply /org/freedesktop/DBus \
  org.freedesktop.DBus.GetNameOwner string:org.freedesktop.Notifications
menu() { # ENTRY: starts it as menus do
  local line
  line=$(sed -n 's/^Exec=//p' "$1" | head -n 1)
  # shellcheck disable=SC2086
  as_user setsid timeout -k 1 20 ${line% %[uU]} </dev/null >/dev/null 2>&1
}
noted() { cat $H/notifications 2>/dev/null; }
menu $APPS/nsvpn-home-firefox-esr.desktop
is "a failing start exits with 125" 125 $?
like "and is a notification with its sentence" "^dialog-error firefox\|.*[a-z]{4}" "$(noted)"
rm -f $H/notifications
as_user "$NSVPN" exec -t home -- firefox </dev/null >/dev/null 2>&1
is "no notification without --notify" "" "$(noted)"
kill %1
ok "without a bus it fails as quickly" timeout 5 sh -c "! '$NSVPN' exec --notify -t nope -- true </dev/null >/dev/null 2>&1"
tap_done
