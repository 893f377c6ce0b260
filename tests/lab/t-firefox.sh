#!/bin/bash
# A real Firefox, under a real X server, started by an ordinary user with `nsvpn exec`: the address that a web server sees
# and every address that WebRTC finds are the tunnel's, names are asked of the tunnel's resolver only; a Firefox that runs
# outside already is found, and --new-instance starts a separate one. A Firefox outside is the control: it shows what there
# would be to see. With NSVPN_ARTEFACTS a screenshot and the reports are kept in that folder.
#
#   inet: echod serves tests/lab/firefox.html, logs every request with the address it came from, and answers STUN.
. "$(dirname "$(readlink -f "$0")")/lab.sh"
. "$(dirname "$(readlink -f "$0")")/box.sh"
box_need "${NSVPN_BOX_SUITE:-bookworm}" firefox-esr,xvfb,x11-utils,dbus-user-session
lab_enter "$@"
lab_pki && lab_up && lab_server b && box_up && box_import b home || { diag "lab"; exit 1; }
LOG=$WORK/http.log
spawn inet "$LABBIN"/echod --http 192.0.2.80:8080 --http '[2001:db8:80::80]:8080' --page "$LAB_DIR/firefox.html" --http-log $LOG \
  --stun 192.0.2.80:3478 --stun '[2001:db8:80::80]:3478' >$WORK/echod3.out 2>&1
wait_for 5 grep -q ready $WORK/echod3.out || { diag "echod: $(cat $WORK/echod3.out)"; exit 1; }
# WebRTC names its addresses plainly, all of them; Debian's Firefox reads settings for the machine here.
cat >$WORK/lab.js <<'X'
pref("media.peerconnection.ice.obfuscate_host_addresses", false);
pref("media.peerconnection.ice.default_address_only", false);
pref("browser.shell.checkDefaultBrowser", false);
pref("browser.aboutwelcome.enabled", false);
pref("datareporting.policy.dataSubmissionEnabled", false);
X
box mkdir -p /etc/firefox-esr
install -m 644 $WORK/lab.js $BOX/etc/firefox-esr/lab.js

url() { echo "http://$1.web.example.net:8080/page?$1"; } # a name of its own for each browser
reported() { grep -q "/report?$1&.*&end" $LOG; }
report() { sed -n "s|^[^ ]* /report?$1&\(.*\)&end.*|\1|p" $LOG | head -n 1; }
server_saw() { sed -n "s|^\([^ ]*\) /address?$1\$|\1|p" $LOG | head -n 1; }
candidates() { report "$1" | tr '&' '\n' | sed -n 's/^[a-z]*=//p' | sort -u; }
NOT_TUNNEL='^(192\.168\.|203\.0\.113\.|10\.(1[0-9]|[2-9])|172\.|169\.254\.|2001:db8:77:|2001:db8:99:|fe80|127\.)'
alice() { box_session alice env DISPLAY=:7 MOZ_DISABLE_CONTENT_SANDBOX= "$@"; }
exec_inside() { alice nsvpn exec -t home "$@"; }
bg() { "$@" >>$WORK/bg.out 2>&1 & }
browsers() { box pgrep -u alice -x -f '.*/firefox-esr .*'; }

bg alice Xvfb :7 -screen 0 1100x700x24 -nolisten tcp
wait_for 10 box test -S /tmp/.X11-unix/X7 || { diag "Xvfb: $(cat $WORK/bg.out)"; exit 1; }
box nsvpn up home >$WORK/up.out 2>&1 || { diag "up: $(cat $WORK/up.out)"; exit 1; }

ok "an ordinary user in a session may start programs in the tunnel" exec_inside true

# Outside, the control.
bg alice firefox --headless "$(url outside)"
ok "control: a Firefox outside loads the page and reports" wait_for 60 reported outside
like "control: the server sees the machine's address" '^(203\.0\.113\.1|2001:db8:77::2)$' "$(server_saw outside)"
like "control: WebRTC finds the machine's addresses" '^192\.168\.77\.2$' "$(candidates outside)"
ok "control: its name was asked of the ISP" grep -q ' outside.web.example.net ' $WORK/dns-isp.log

# It is found.
out=$(exec_inside firefox "$(url refused)" 2>&1)
is "with a Firefox outside, exec refuses" 125 $?
like "and says why, with its pid and the remedy" "Firefox already runs outside tunnel home \(pid [0-9]+, .*--new-instance" "$out"
like "that pid is the browser's" "firefox-esr" "$(box cat /proc/"$(sed -n 's/.*(pid \([0-9]*\),.*/\1/p' <<<"$out")"/comm)"

# Inside.
bg exec_inside --new-instance firefox "$(url inside)"
ok "--new-instance: a Firefox inside loads the page and reports" wait_for 60 reported inside
like "the server sees the tunnel's address" '^(198\.51\.100\.10|2001:db8:feed:b:.*)$' "$(server_saw inside)"
like "WebRTC finds the tunnel's address" '^(10\.8\.0\.[0-9]+|2001:db8:feed:b:.*)$' "$(candidates inside)"
like "and by STUN the server's, so the probe was at work" '^198\.51\.100\.10$' "$(candidates inside)"
is "and no other address" "" "$(candidates inside | grep -vE '^(10\.8\.0\.[0-9]+|198\.51\.100\.10|2001:db8:feed:b:[0-9a-f:]+)$')"
ok "its name was asked of the tunnel's resolver" grep -q ' inside.web.example.net ' $WORK/dns-tunnel.log
is "and of nobody else" "" "$(grep ' inside.web.example.net ' $WORK/dns-isp.log)"
is "the page was never asked for from outside" "" "$(grep -E '[/?](page\?|address\?|report\?)?(inside|refused)' $LOG | grep -E "$NOT_TUNNEL")"
is "the refused one opened no window" "" "$(grep refused $LOG)"
like "its windows are on the user's display" "Firefox" "$(alice xwininfo -root -tree 2>/dev/null | grep -i firefox)"
like "its profile is the tunnel's" "prefs.js" "$(box ls /home/alice/.local/state/nsvpn/home/firefox)"
bg exec_inside --new-instance firefox "$(url second)"
ok "a second start opens in the first one inside" wait_for 30 reported second
like "from the tunnel's address" '^(198\.51\.100\.10|2001:db8:feed:b:.*)$' "$(server_saw second)"

# Without buses, with a display.
box_as alice mkdir /home/alice/isolated
bg alice nsvpn exec -t home --isolate -- firefox --no-remote --profile /home/alice/isolated "$(url isolated)"
ok "--isolate: a Firefox that reaches no bus loads the page and reports" wait_for 60 reported isolated
like "from the tunnel's address" '^(198\.51\.100\.10|2001:db8:feed:b:.*)$' "$(server_saw isolated)"

# A picture, for people.
picture=/home/alice/shot.png
box_as alice mkdir /home/alice/shot # Firefox asks where there is none
exec_inside timeout 60 firefox --headless --no-remote --profile /home/alice/shot --window-size 900,400 \
  --screenshot $picture "$(url picture)" >>$WORK/bg.out 2>&1
like "a screenshot is a picture" "PNG image" "$(file $BOX$picture)"
like "of the page from the tunnel" '^(198\.51\.100\.10|2001:db8:feed:b:.*)$' "$(server_saw picture)"
if [ -n "${NSVPN_ARTEFACTS:-}" ]; then
  mkdir -p "$NSVPN_ARTEFACTS" && cp $BOX$picture "$NSVPN_ARTEFACTS/firefox.png" && cp $LOG "$NSVPN_ARTEFACTS/firefox-http.log"
fi

# Displays: only the socket with a path crosses into the tunnel.
ok "a display by its path socket works inside" exec_inside xdpyinfo
box rm /tmp/.X11-unix/X7
ok "control: without it, the abstract one works outside" alice xdpyinfo
is "and does not inside" 1 "$(exec_inside xdpyinfo >/dev/null 2>&1; echo $?)"
box pkill -u alice -f firefox-esr
wait_for 10 sh -c '! pgrep -f firefox-esr'
ok "down" box nsvpn down --kill home
box_down
tap_done
