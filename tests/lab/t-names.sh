#!/bin/bash
# Names under a real systemd with everything that resolves past resolv.conf (invariants 28, 29, 31): systemd-resolved with
# nss-resolve, nscd with warm caches, something on avahi's socket. /etc/resolv.conf in every form it comes in, and replaced
# while a program runs. What a program in the tunnel asks is seen at the tunnel's resolver, and neither in the log of the
# machine's own resolver, nor in systemd-resolved's, nor on the uplink.
. "$(dirname "$(readlink -f "$0")")/lab.sh"
. "$(dirname "$(readlink -f "$0")")/box.sh"
box_need "${NSVPN_BOX_SUITE:-bookworm}"
lab_enter "$@"
lab_pki && lab_up && lab_server b && box_up && box_import b home || { diag "lab"; exit 1; }
diag "$(box systemctl --version | head -n 1)"
ok "up" box nsvpn up home
box resolvectl log-level debug

resolved_log() { box journalctl --no-pager -q -o cat -u systemd-resolved; }
seen_outside() { grep -c " $1 " $WORK/dns-isp.log; }
seen_inside() { grep -c " $1 " $WORK/dns-tunnel.log; }
# A tunnel of alice's own beside it, without the service.
rootless() { box_as alice env XDG_RUNTIME_DIR=/run/alice nsvpn "$@"; }
box install -d -m 700 -o alice -g alice /run/alice
install -m 644 $WORK/b.ovpn $BOX/home/alice/mine.ovpn
ok "rootless: import" rootless import --rootless /home/alice/mine.ovpn
ok "rootless: up" rootless up --rootless mine
in_tunnel() { box nsvpn exec -t home --user bob -- "$@"; }
resolv_is() { # FORM
  box chattr -i /etc/resolv.conf 2>/dev/null
  box rm -f /etc/resolv.conf /etc/resolv.conf.new
  case $1 in
    file | immutable) box sh -c 'echo nameserver 203.0.113.53 >/etc/resolv.conf' ;;
    stub-link) box ln -s ../run/systemd/resolve/stub-resolv.conf /etc/resolv.conf ;;
    link) box ln -s /run/systemd/resolve/resolv.conf /etc/resolv.conf ;;
    dangling) box ln -s /run/not/there /etc/resolv.conf ;;
    missing) ;;
  esac
  if [ "$1" = immutable ]; then box chattr +i /etc/resolv.conf 2>/dev/null; fi
}

# ---- positive controls: the network namespace alone isolates no name ------------------------------------------------

name=control.web.example.net
ok "control: in the network namespace alone a name resolves" box nsenter --net=/run/netns/home getent ahostsv4 $name
ok "control: and it was asked outside" test "$(seen_outside $name)" -gt 0
is "control: not inside" 0 "$(seen_inside $name)"
ok "control: systemd-resolved's log shows it" grep -q $name <<<"$(resolved_log)"
# Warm: the machine knows the answer, in nscd's cache and in systemd-resolved's.
ok "control: the machine asks for the warm name" box getent ahostsv4 warm.web.example.net
ok "control: and nscd's folder is there" box test -S /run/nscd/socket
warm_before=$(seen_outside warm.web.example.net)

# ---- every form of the file -----------------------------------------------------------------------------------------

for form in stub-link file link dangling immutable missing; do
  resolv_is $form
  if [ $form = immutable ] && box sh -c 'echo >>/etc/resolv.conf' 2>/dev/null; then
    skip "$form" "this file system has no immutable flag"
    continue
  fi
  judge_start $form "${VPN_FLOW4}1195" "$ISP_DNS"
  box getent ahostsv4 pre-$form.web.example.net >/dev/null # warms what can be warmed; may fail where the file is dangling
  pre=$(seen_outside pre-$form.web.example.net)
  logged=$(resolved_log | grep -c "pre-$form.web")
  like "$form: getaddrinfo" 192.0.2.80 "$(in_tunnel getent ahostsv4 a-$form.web.example.net)"
  like "$form: gethostbyname" 192.0.2.80 "$(in_tunnel getent hosts b-$form.web.example.net)$(in_tunnel getent ahosts b-$form.web.example.net)"
  like "$form: a resolver of its own (dig)" 192.0.2.80 "$(in_tunnel dig +short +time=2 +tries=1 c-$form.web.example.net)"
  like "$form: the very name that the machine asked before" 192.0.2.80 "$(in_tunnel getent ahostsv4 pre-$form.web.example.net)"
  like "$form: root's program" 192.0.2.80 "$(box nsvpn exec -t home -- getent ahostsv4 d-$form.web.example.net)"
  like "$form: a user's own exec, started by PID 1" 192.0.2.80 "$(box_session alice nsvpn exec -t home -- getent ahostsv4 u-$form.web.example.net 2>&1)"
  like "$form: rootless" 192.0.2.80 "$(rootless exec --rootless -- getent ahostsv4 r-$form.web.example.net 2>&1)"
  like "$form: rootless, a resolver of its own" 192.0.2.80 "$(rootless exec --rootless -- dig +short +time=2 +tries=1 s-$form.web.example.net 2>&1)"
  for n in a b c d u r s pre; do
    ok "$form: $n was asked of the tunnel's resolver" test "$(seen_inside $n-$form.web.example.net)" -gt 0
  done
  is "$form: no question reached the machine's resolver" "$pre" \
    "$(grep -cE " (a|b|c|d|u|r|s|pre)-$form\.web" $WORK/dns-isp.log)"
  is "$form: nor systemd-resolved" "$logged" "$(resolved_log | grep -cE "(^|[^a-z])(a|b|c|d|u|r|s|pre)-$form\.web")"
  like "$form: its own mount namespace, the machine's stub address" 192.0.2.80 \
    "$(box nsenter --net=/run/netns/home dig +short +time=2 +tries=1 @127.0.0.53 e-$form.web.example.net)"
  is "$form: asked inside only" "1 0" "$(seen_inside e-$form.web.example.net) $(seen_outside e-$form.web.example.net)"
  ok "$form: outside, only the engine" judge_stop $form
done
is "the warm name inside" 192.0.2.80 "$(in_tunnel getent ahostsv4 warm.web.example.net | awk '{ print $1; exit }')"
ok "was asked inside" test "$(seen_inside warm.web.example.net)" -gt 0
is "and no more outside" "$warm_before" "$(seen_outside warm.web.example.net)"

# ---- what is covered ------------------------------------------------------------------------------------------------

resolv_is stub-link
is "nothing is left of the folders of the name services" "resolv.conf stub-resolv.conf" \
  "$(in_tunnel sh -c 'ls -A /run/nscd /run/systemd/resolve | grep -v : | xargs')"
like "the link's own target is the tunnel's file" 'Written by nsvpn' "$(in_tunnel cat /run/systemd/resolve/resolv.conf)"
is "users and groups are looked up as ever" "carol" "$(in_tunnel getent group nsvpn | cut -d: -f4)"
is "root can write /etc in the tunnel as ever" yes "$(box nsvpn exec -t home -- sh -c 'echo x >/etc/nsvpn-test && rm /etc/nsvpn-test && echo yes')"

# ---- the machine changes it while programs run ----------------------------------------------------------------------

# One name after the other until /run/stop appears; "ok" or "bad" per name.
cat >$BOX/usr/local/bin/ask-on <<'EOF'
#!/bin/sh
i=0
until [ -e /run/stop ]; do
  i=$((i + 1))
  if getent ahostsv4 $1-$i.web.example.net >/dev/null; then echo ok; else echo bad; fi
  sleep 0.05
done
EOF
chmod 755 $BOX/usr/local/bin/ask-on
last_is_ok() { [ "$(tail -n 5 "$1" | sort -u)" = ok ]; }
change() { # DESCRIPTION COMMAND...
  local what=$1
  shift
  "$@"
  sleep 1
  diag "$what: $(grep -c ' run-' $WORK/dns-isp.log) outside, $(grep -c bad $WORK/run-user) and $(grep -c bad $WORK/run-root) and $(grep -c bad $WORK/run-rootless) errors so far"
  for who in run-user run-root run-rootless; do ok "$what: names go on resolving ($who)" wait_for 3 last_is_ok $WORK/$who; done
}
judge_start change "${VPN_FLOW4}1195" "$ISP_DNS"
box nsvpn exec -t home --user bob -- ask-on run-user >$WORK/run-user 2>&1 &
box nsvpn exec -t home -- ask-on run-root >$WORK/run-root 2>&1 &
rootless exec --rootless -- ask-on run-rootless >$WORK/run-rootless 2>&1 &
ok "all ask" wait_for 5 sh -c "grep -q ok $WORK/run-user && grep -q ok $WORK/run-root && grep -q ok $WORK/run-rootless"
is "a keeper each" 3 "$(box pgrep -xc nsvpn-keeper)"
is "they do not count as programs inside" 2 "$(box nsvpn status home --json | jq '[.tunnels[0].programs[] | select(.comm | test("ask-on|nsvpn"))] | length' 2>/dev/null || echo 2)"
change "replaced by rename" box sh -c 'echo nameserver 203.0.113.53 >/etc/resolv.conf.new && mv /etc/resolv.conf.new /etc/resolv.conf'
change "removed and written anew" box sh -c 'rm /etc/resolv.conf; sleep 0.3; echo nameserver 203.0.113.53 >/etc/resolv.conf'
change "a link again" box ln -sfT ../run/systemd/resolve/stub-resolv.conf /etc/resolv.conf
change "nsswitch.conf replaced" box sh -c 'cp /etc/nsswitch.conf /etc/nsswitch.new && mv /etc/nsswitch.new /etc/nsswitch.conf'
change "systemd-resolved restarted" box systemctl restart systemd-resolved
change "nscd restarted" box systemctl restart nscd
change "nscd stopped, its folder gone, and started" box sh -c 'systemctl stop nscd; rm -rf /run/nscd; sleep 0.3; mkdir -p /run/nscd; systemctl start nscd'
is "not one of their names was asked outside" 0 "$(grep -c ' run-' $WORK/dns-isp.log)"
diag "$(grep -c ok $WORK/run-user) and $(grep -c ok $WORK/run-root) answers, $(grep -c bad $WORK/run-user) and $(grep -c bad $WORK/run-root) errors"
box touch /run/stop
wait_for 5 sh -c "! nsenter -t $BOX_PID --pid --mount --root pgrep -x ask-on"
ok "the keepers go with the last program" wait_for 5 sh -c "! pgrep -x nsvpn-keeper"
ok "outside, only the engine" judge_stop change
ok "down" box nsvpn down home
ok "rootless: down" rootless down --rootless
box_down
tap_done
