#!/bin/bash
# What a user's program in a tunnel cannot do, started as users start it, in a real system:
#   28  names of services, in both forms of the drop-in, by every call of the C library
#   32  a resolver of one's own choice, in the clear or over TLS, is not reached past the tunnel
#   37  a socket of the machine's network does not come along, as a stream or as another descriptor
#   38  the machine's namespace, links and the lock are out of reach, for the user and for root of a user namespace of his
#   42  a profile that its owner swaps while root reads it gives no content of root's files
#   46  the engine has no rights, and its memory is nobody's to read
. "$(dirname "$(readlink -f "$0")")/lab.sh"
. "$(dirname "$(readlink -f "$0")")/box.sh"
box_need "${NSVPN_BOX_SUITE:-bookworm}"
lab_enter "$@"
lab_pki && lab_up && lab_server b || { diag "lab"; exit 1; }
ok "boots" box_up
ok "root imports" box_import b home
cp "$LABBIN"/intruder "$LABBIN"/echod $BOX/usr/local/bin/
ok "up" box nsvpn up home --timeout 60
alice() { box_session alice nsvpn exec -t home -- "$@"; }
inside_has() { grep -c " $1 " $WORK/dns-tunnel.log; }
outside_has() { grep -c " $1 " $WORK/dns-isp.log; }

# ---- 28 -------------------------------------------------------------------------------------------------------------

# getaddrinfo(), gethostbyname(), and a resolver library of its own.
cat >$BOX/usr/local/bin/ask <<'X'
#!/bin/sh
getent ahostsv4 "gai-$1.web.example.net"
getent hosts "ghbn-$1.web.example.net"
dig +short +tries=2 +time=3 "dig-$1.web.example.net"
X
chmod 755 $BOX/usr/local/bin/ask
cat >$BOX/etc/systemd/system/asker.service <<'X'
[Service]
Type=oneshot
ExecStart=/usr/local/bin/ask ${WHO}
EnvironmentFile=/etc/asker
X
box sh -c 'echo WHO=control >/etc/asker'
box systemctl start asker
for how in gai ghbn dig; do
  ok "28: control: a service without drop-in asks outside ($how)" test "$(outside_has $how-control.web.example.net)" -gt 0
done
for form in path joins; do
  box nsvpn unit add asker $([ $form = joins ] && echo --joins-namespace-of) >$WORK/add.out 2>&1 || diag "$(cat $WORK/add.out)"
  box sh -c "echo WHO=$form >/etc/asker"
  ok "28: $form: the service runs" box systemctl start asker
  for how in gai ghbn dig; do
    n=$how-$form.web.example.net
    is "28: $form: $how asks inside, and nobody outside" "yes 0" "$([ "$(inside_has $n)" -gt 0 ] && echo yes) $(outside_has $n)"
  done
  box nsvpn unit remove asker >/dev/null
done
box systemctl stop nsvpn@home nsvpn-netns@home
ok "up" box nsvpn up home --timeout 60

# ---- 32 -------------------------------------------------------------------------------------------------------------

judge_start own "${VPN_FLOW4}1195" "$ISP_DNS"
for server in 8.8.8.8 203.0.113.53 9.9.9.9; do
  for way in +notcp +tcp; do
    n=own-${server//./-}${way/+/-}.web.example.net
    alice dig +short +tries=1 +time=2 $way @$server $n >$WORK/own.out 2>&1
    is "32: $server $way: not asked outside" 0 "$(outside_has $n)"
  done
  is "32: $server over TLS: no connection" refused "$(alice bash -c "timeout 3 bash -c '</dev/tcp/$server/853' 2>/dev/null && echo connected || echo refused")"
done
ok "32: nothing but the engine's packets outside" judge_stop own

# ---- 37 -------------------------------------------------------------------------------------------------------------

box systemd-run --quiet --unit=echo4007 echod --udp-echo 127.0.0.1:4007 --tcp-echo 127.0.0.1:4007
wait_for 10 box bash -c 'echo x >/dev/tcp/127.0.0.1/4007'
for kind in udp tcp; do
  out=$(box_session alice bash -c "nsvpn exec -t home -- sh -c 'echo RAN >&2' <>/dev/$kind/127.0.0.1/4007" 2>&1)
  like "37: $kind socket as standard input: refused, with a sentence" '^nsvpn: .*(socket|network)' "$out"
  is "37: $kind socket as standard input: nothing was started" "" "$(grep RAN <<<"$out")"
  opened="for i in 3 9 77 250; do eval \"exec \$i<>/dev/$kind/127.0.0.1/4007\"; done"
  is "37: control: four $kind sockets as descriptors 3 to 250" 4 "$(box_session alice bash -c "$opened; ls -l /proc/\$\$/fd | grep -c socket:")"
  is "37: in the tunnel there are none" 0 "$(box_session alice bash -c "$opened; nsvpn exec -t home -- sh -c 'ls -l /proc/\$\$/fd | grep -c socket:'")"
done

# ---- 38 -------------------------------------------------------------------------------------------------------------

for o in "" --isolate; do
  with() {
    # shellcheck disable=SC2086
    box_session alice nsvpn exec -t home $o -- "$@"
  }
  is "38: ${o:-plain}: no way into another namespace" "" "$(with intruder enter /proc/1/ns/net /proc/1/ns/mnt /proc/1/ns/user /run/netns/home | grep passed)"
  like "38: ${o:-plain}: (it was tried)" 'plain /proc/1/ns/net enter E' "$(with intruder enter /proc/1/ns/net)"
  for c in 'ip link add x type veth' 'ip link set tun0 down' 'ip route add default dev lo' 'nft flush ruleset' 'nft delete table inet nsvpn'; do
    is "38: ${o:-plain}: $c" no "$(with sh -c "PATH=/usr/sbin:/sbin:\$PATH; $c 2>/dev/null && echo yes || echo no")"
    is "38: ${o:-plain}: $c, as root of a user namespace" no "$(with sh -c "PATH=/usr/sbin:/sbin:\$PATH; unshare -Ur $c 2>/dev/null && echo yes || echo no")"
  done
done
is "38: control: root can" yes "$(box nsenter --net=/run/netns/home sh -c 'ip link add x type veth peer y && ip link del x && echo yes')"
ok "38: the lock is there" box nsenter --net=/run/netns/home nft list table inet nsvpn

# ---- 42 -------------------------------------------------------------------------------------------------------------

# Root imports a file of alice's by its name, and alice changes meanwhile what the name means.
ROUNDS=$([ -n "${NSVPN_LONG:-}" ] && echo 1000 || echo 60)
install -o 1000 -g 1000 -m 600 $WORK/b.ovpn $BOX/home/alice/good.ovpn
box sh -c 'chmod 755 /home/alice; echo "root:topsecret-NSVPNSHADOW:1::::::" >/root/shadow; chmod 600 /root/shadow'
box_as alice sh -c 'cd /home/alice; mkfifo pipe; cp good.ovpn bad.ovpn; echo "ca /root/shadow" >>bad.ovpn
  while [ ! -e enough ]; do
    for to in /root/shadow good.ovpn pipe /dev/zero bad.ovpn /root; do ln -sfn $to next && mv -T next x.ovpn; done
  done' &
swapper=$!
wait_for 10 box test -L /home/alice/x.ovpn
box sh -c "for i in \$(seq $ROUNDS); do timeout 20 nsvpn import /home/alice/x.ovpn --name swapped </dev/null 2>&1; case \$? in 0) echo TAKEN ;; 124) echo HUNG ;; esac; nsvpn remove swapped >/dev/null 2>&1; done" >$WORK/swap.out 2>&1
box touch /home/alice/enough
wait $swapper
diag "$ROUNDS imports: $(grep -c '^nsvpn: ' $WORK/swap.out) refused, $(grep -c TAKEN $WORK/swap.out) taken"
ok "42: (some were refused)" grep -q '^nsvpn: ' $WORK/swap.out
is "42: no content of a file of root's in what is said, stored or logged" "" \
  "$(grep -l NSVPNSHADOW $WORK/swap.out; box grep -rl NSVPNSHADOW /etc/nsvpn /run/nsvpn /var/lib/nsvpn; box_log | grep NSVPNSHADOW)"
is "42: none hung" 0 "$(grep -c HUNG $WORK/swap.out)"
box rm -f /home/alice/pipe

# ---- 46 -------------------------------------------------------------------------------------------------------------

e=$(box pgrep -x nsvpn-engine)
is "46: the engine has no capability, no new privileges, and a filter" "CapInh=0 CapPrm=0 CapEff=0 CapBnd=0 CapAmb=0 NoNewPrivs=1 Seccomp=2" \
  "$(box sed -nE 's/^(Cap...|NoNewPrivs|Seccomp):\t0*([0-9a-f]+)$/\1=\2/p' /proc/"$e"/status | xargs)"
is "46: it is user and group nsvpn-engine, for good" "$(box sh -c 'u=$(id -u nsvpn-engine) g=$(id -g nsvpn-engine); echo $u $u $u $u $g $g $g $g')" \
  "$(box awk '/^[UG]id:/ { print $2, $3, $4, $5 }' /proc/"$e"/status | xargs)"
is "46: its own user cannot read its memory or trace it" "no no" \
  "$(box setpriv --reuid nsvpn-engine --regid nsvpn-engine --clear-groups sh -c "for f in mem environ; do head -c 1 /proc/$e/\$f >/dev/null 2>&1 && echo yes || echo no; done" | xargs)"
is "46: nothing that is installed has a setuid, setgid or capability bit" "" \
  "$(box sh -c 'find /usr/local /usr/lib/systemd /etc/nsvpn -type f \( -perm -4000 -o -perm -2000 \) ! -name intruder-suid; getcap -r /usr/local' 2>/dev/null)"
ok "down" box nsvpn down home --kill
box_down
tap_done
