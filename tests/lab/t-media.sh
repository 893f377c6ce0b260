#!/bin/bash
# What the documentation promises to owners of a media box, done to the letter in a container with real systemd and the real
# package: every command of README.md ("A media box"), examples/media-box.md and examples/units/migrate.md is run as a user with
# sudo, and each line that they show is looked for in what was printed (numbers may differ). Kodi is a stand-in that serves a page.
. "$(dirname "$(readlink -f "$0")")/lab.sh"
. "$(dirname "$(readlink -f "$0")")/box.sh"
. "$(dirname "$(readlink -f "$0")")/deb.sh"
. "$(dirname "$(readlink -f "$0")")/units.sh"
suite=${NSVPN_BOX_SUITE:-bookworm}
box_need "$suite"
deb_need "$suite"
lab_enter "$@"
lab_pki && lab_up && lab_server b || { diag "lab"; exit 1; }
BOX_INSTALL=none
box_up || { diag "box"; exit 1; }
EXAMPLES=$LAB_TOP/examples

# ---- the reader ------------------------------------------------------------------------------------------------------------

# Addresses of the lab in place of those that only exist outside.
localized() { sed 's|https://icanhazip.com|http://web.example.net/|; s|192\.168\.1\.0/24|192.168.77.0/24|'; }
shape() { sed -E 's/[0-9]+/0/g; s/[[:space:]]+/ /g; s/^ //; s/ since .*//'; }
does() { # COMMAND: as a user with sudo
  case $1 in
    "sudo reboot") box_reboot ;;
    *) box_as carol sh -c "cd; $1" ;;
  esac
}
shows() { # COMMAND EXPECTED: what is printed has these lines
  local out line
  out=$(does "$1" 2>&1 | shape)
  while IFS= read -r line; do
    grep -qxF -- "$line" <<<"$out" || { echo "missing: $line"; echo "$out"; return 1; }
  done < <(grep -vE '^ *\.\.\.$' <<<"$2" | shape)
}
step() { # FILE COMMAND EXPECTED
  local what="$1: ${2%%$'\n'*}" cmd
  cmd=$(localized <<<"$2")
  if [ -z "$3" ]; then
    ok "$what" does "$cmd"
    return
  fi
  case $cmd in # what only looks may look again: services take a moment
    "nsvpn status"* | "nsvpn unit list"* | systemctl* | curl* | "sudo nsvpn exec"*) wait_for 60 shows "$cmd" "$3" ;;
  esac
  ok "$what" shows "$cmd" "$3"
}
play() { # FILE [HEADING]: its blocks of "console", all or below that heading
  local file=$1 heading=${2:-} line in=no here=${2:+no} cmd= expected=
  while IFS= read -r line; do
    case $line in
      '## '*) [ -z "$heading" ] || { [ "$line" = "## $heading" ] && here=yes || here=no; } ;;
      '```console') in=yes; continue ;;
      '```')
        [ -z "$cmd" ] || step "${file##*/}" "$cmd" "$expected"
        in=no cmd= expected=
        ;;
    esac
    [ "$in" = yes ] && [ "$here" != no ] || continue
    case $line in
      '$ '*)
        [ -z "$cmd" ] || step "${file##*/}" "$cmd" "$expected"
        cmd=${line#'$ '} expected=
        ;;
      '> '*) cmd+=$'\n'${line#'> '} ;;
      *) expected+=${expected:+$'\n'}$line ;;
    esac
  done <"$file"
}

# ---- the machine -----------------------------------------------------------------------------------------------------------

# It would tell for a while that users who have just been made or removed are not there, or still are; the story goes fast.
box systemctl disable --now --quiet nscd
box sh -c 'echo "carol ALL=(ALL) NOPASSWD: ALL" >/etc/sudoers.d/carol; mkdir -p /usr/lib/kodi
  for g in input render; do groupadd --force --system $g; done' # as udev's package does
ok "a user for Kodi, as its unit says" box $(sed -n 's/.*Before: sudo //p' "$EXAMPLES"/units/kodi.service)
install -m 755 "$LABBIN"/echod $BOX/usr/lib/kodi/kodi.bin
printf '#!/bin/sh\n/usr/lib/kodi/kodi.bin --http 0.0.0.0:8080 --http "[::]:8080"\n' >$BOX/usr/bin/kodi-standalone
chmod 755 $BOX/usr/bin/kodi-standalone
cp "$DEB" "$EXAMPLES"/units/kodi.service $WORK/b.ovpn $BOX/home/carol/
mv $BOX/home/carol/b.ovpn $BOX/home/carol/provider.ovpn
box chown -R carol: /home/carol
cp "$EXAMPLES"/units/kodi.service $BOX/etc/systemd/system/
# The story starts it more often than people do.
mkdir -p $BOX/usr/lib/systemd/system/kodi.service.d
printf '[Unit]\nStartLimitIntervalSec=0\n' >$BOX/usr/lib/systemd/system/kodi.service.d/lab.conf
box systemctl daemon-reload
box systemctl enable --now --quiet kodi
before() { box sh -c 'cd /etc/systemd/system && find . | sort; cut -d: -f1 /etc/passwd; ls -d /etc/nsvpn /run/nsvpn /var/lib/nsvpn 2>&1'; }
before >$WORK/before

# ---- the five commands, and what comes after them ----------------------------------------------------------------------------

judge_start story "${VPN_FLOW4}1195" "$ISP_DNS" tcp:192.0.2.80:80 tcp:192.168.77.2:8080 # the machine's own curl; Kodi's page
play "$LAB_TOP/README.md" "A media box"
ok "Kodi is in the tunnel" wait_for 30 unit_is_inside kodi
page_at_home() { [ "$(in_ns lan curl -s -m 10 http://192.168.77.2:8080/)" = 192.168.77.50 ]; }
published() { # checked before the next command, which stops it
  ok "Kodi's page in the local network" wait_for 60 page_at_home
  in_ns router nft add rule ip lab pre iifname wan tcp dport 8080 dnat to 192.168.77.2
  ok "and not in the internet" sh -c "! nsenter --net=/run/netns/inet curl -s -m 2 http://203.0.113.1:8080/"
}
for heading in "A service for Kodi" "What to check" "The web interface, and files at home"; do
  play "$EXAMPLES/media-box.md" "$heading"
done
published
play "$EXAMPLES/media-box.md" "Stopping, and the way back"
before >$WORK/after
is "and it is as it was" "" "$(diff $WORK/before $WORK/after)"
ok "with Kodi outside again" sh -c "nsenter -t $BOX_PID -a sh -c '[ \$(readlink /proc/1/ns/net) = \$(readlink /proc/\$(systemctl show -P MainPID kodi)/ns/net) ]'"
judge_stop story >$WORK/verdict 2>&1
is "nothing left beside the tunnel meanwhile but the machine's own" 0 $? || diag "$(head -c 2000 $WORK/verdict)"

# ---- changing over from the hand-made namespace ------------------------------------------------------------------------------

unit_file netns-vpn.service "[Service]\nType=oneshot\nRemainAfterExit=yes\nPrivateNetwork=yes\nExecStart=/bin/true\n[Install]\nWantedBy=multi-user.target"
unit_file openvpn-client@.service "[Service]\nExecStart=/bin/sleep infinity\n[Install]\nWantedBy=multi-user.target"
joins="[Unit]\nJoinsNamespaceOf=netns-vpn.service\nRequires=netns-vpn.service\nAfter=netns-vpn.service\n[Service]\nPrivateNetwork=yes"
unit_file openvpn-client@provider.service.d/netns.conf "$joins"
unit_file kodi.service.d/10-netns.conf "$joins"
install -D -m 600 $WORK/b.ovpn $BOX/etc/openvpn/client/provider.conf
box systemctl daemon-reload
box systemctl enable --now --quiet netns-vpn openvpn-client@provider
box systemctl restart kodi
ok "the package again" does "sudo apt install ./nsvpn_*.deb"
ok "an old tunnel" does "sudo nsvpn import provider.ovpn --name old"
like "with the old drop-in Kodi is refused, and the line named" 'netns-vpn.service .JoinsNamespaceOf=.*remove that line' "$(does 'sudo nsvpn unit add kodi' 2>&1)"
does "sudo nsvpn remove old" >/dev/null 2>&1
play "$EXAMPLES/units/migrate.md"
ok "Kodi is in the tunnel" unit_is_inside kodi

# ---- drop-ins of one's own ---------------------------------------------------------------------------------------------------

lines() { grep -vE '^(#|$)' | sort; }
for form in path joins; do
  # shellcheck disable=SC2046
  ok "$form: unit add" does "sudo nsvpn unit add kodi --now $([ $form = path ] || echo --joins-namespace-of)"
  sed 's|/usr/local/bin|/usr/bin|' "$EXAMPLES/units/$form.conf" >$WORK/$form.conf
  is "$form.conf has the lines of \`nsvpn unit add\`" "$(lines <$BOX/etc/systemd/system/kodi.service.d/50-nsvpn.conf)" "$(lines <$WORK/$form.conf)"
  does "sudo nsvpn unit remove kodi --now" >/dev/null 2>&1
  box systemctl stop kodi
  install -D -m 644 $WORK/$form.conf $BOX/etc/systemd/system/kodi.service.d/tunnel.conf
  box systemctl daemon-reload
  box systemctl start kodi
  ok "$form.conf: Kodi is in the tunnel" wait_for 30 unit_is_inside kodi || diag "$(box_log -u kodi -u nsvpn@home -o short-precise | tail -n 30)"
  is "$form.conf: and its names are" "nameserver 192.0.2.53" "$(box nsenter -m -t "$(main_pid kodi)" grep nameserver /etc/resolv.conf)"
  rm -r $BOX/etc/systemd/system/kodi.service.d
  box systemctl daemon-reload
done

printf '[Desktop Entry]\nType=Application\nName=Kodi\nExec=kodi-standalone\n' >$BOX/usr/share/applications/kodi.desktop
ok "a menu entry" does "nsvpn desktop add kodi"
like "that starts it in the tunnel" '^Exec=[^ ]*nsvpn exec .*home.* kodi-standalone' "$(cat $BOX/home/carol/.local/share/applications/nsvpn-home-kodi.desktop)"
for command in "explain provider.ovpn" "plan home"; do ok "nsvpn $command" does "sudo nsvpn $command"; done

# ---- a unit of a user, as the manual says --------------------------------------------------------------------------------------

box usermod -aG nsvpn carol
box install -d -o carol -g carol /home/carol/.config /home/carol/.config/systemd /home/carol/.config/systemd/user
printf '[Service]\nExecStart=nsvpn exec -t home -- sh -c "curl -4 -s http://192.0.2.80/ >%%h/seen; exec sleep 600"\n' >$BOX/home/carol/.config/systemd/user/mine.service
ok "a unit of a user is started" box_ssh carol sh -c 'systemctl --user daemon-reload && systemctl --user start mine && for i in $(seq 300); do grep -qs . seen && exit; sleep 0.2; done; false'
is "and sees the provider's address" 198.51.100.10 "$(cat $BOX/home/carol/seen)"
box_down
tap_done
