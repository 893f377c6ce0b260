#!/bin/bash
# The package on a machine that runs: installed, and a user's call is answered; upgraded under a tunnel with a download and a service
# in it, of which not a byte is lost; removed while a program and a service are in a tunnel, which never get out; purged, and
# nothing is left.
. "$(dirname "$(readlink -f "$0")")/lab.sh"
. "$(dirname "$(readlink -f "$0")")/box.sh"
. "$(dirname "$(readlink -f "$0")")/deb.sh"
suite=${NSVPN_BOX_SUITE:-bookworm}
box_need "$suite"
deb_need "$suite"
new=$DEB
# The one to upgrade from, where it can be: as people have it who come from the release before.
[ "$suite" = "$DEB_HERE" ] || [ "$DEB_HERE" != bookworm ] || deb_need "$DEB_HERE"
old=$DEB
lab_enter "$@"
lab_pki && lab_up && lab_server b || { diag "lab"; exit 1; }
BOX_INSTALL=none box_up || { diag "box"; exit 1; }
box install -m 755 /dev/stdin /usr/local/bin/tcpkeep <"$LABBIN"/tcpkeep
cp "$new" $BOX/root/new.deb
dpkg-deb -R "$old" $WORK/old && sed -i 's/^Version: .*/Version: 0.0.9-1/' $WORK/old/DEBIAN/control &&
  dpkg-deb --root-owner-group -b $WORK/old $BOX/root/old.deb >/dev/null || { diag "old package"; exit 1; }

all_files() {
  box find / -xdev \( -path /proc -o -path /sys -o -path /dev -o -path /run -o -path /tmp -o -path /root -o -path /var/cache -o -path /var/log \
    -o -path /var/lib/dpkg -o -path /var/lib/apt -o -path /var/lib/systemd -o -path /var/tmp -o -name '*-' \) -prune -o -print
  box find /run -xdev -path '*nsvpn*' -o -path '/run/netns*' -o -path '*/systemd/*nsvpn*'
  box cut -d: -f1 /etc/passwd /etc/group /etc/shadow /etc/gshadow | sort
}
kernel_objects() { box sh -c 'ip netns; ip -br link | cut -d" " -f1 | sed "s/@.*//"; ip rule; ip -6 rule; nft list ruleset; sysctl -a 2>/dev/null | grep -E "forwarding|accept_ra |rp_filter"; cat /proc/self/mounts | grep -E "netns|nsvpn"'; }
daemon() { box systemctl show -p MainPID --value nsvpnd; }
engine() { box pgrep -x nsvpn-engine | tr '\n' ' '; }
tunnel_state() { box nsvpn status home --json 2>/dev/null | jq -r '.tunnels[0].state'; }
handshakes() { grep -c "Peer Connection Initiated" $WORK/server-b.log; }
carol() { box_as carol env -C /home/carol "$@"; }
inside_address() { carol nsvpn exec -- ip -4 -o addr show tun0 | grep -oE '10\.8\.0\.[0-9]+' | head -n 1; }
version() { box dpkg-query -W -f '${db:Status-Abbrev}${Version}' nsvpn; }

# A service that asks all the time.
box sh -c "printf '[Service]\nExecStart=/bin/sh -c \"while :; do curl -s -m 1 http://192.0.2.80/ >/dev/null; done\"\n[Install]\nWantedBy=multi-user.target\n' \
  >/etc/systemd/system/media.service; systemctl daemon-reload"
media() { box systemctl show -p MainPID --value media.service; }
netns_of() { box readlink "/proc/$1/ns/net"; }
box rmdir /run/netns
kernel_objects >$WORK/kernel-before
all_files >$WORK/before

# ---- installed ----
ok "dpkg -i" box dpkg -i /root/old.deb
is "version" "ii 0.0.9-1" "$(version)"
is "nothing runs yet" "" "$(box pgrep -l nsvpn)"
like "a user's status is answered by the service" 'there is no tunnel for you' "$(box_as bob nsvpn status 2>&1)"
ok "by the service" test "$(daemon)" != 0
ok "root imports" box_import b home
like "a user sees it" '^home +down' "$(box_as bob nsvpn list)"
box usermod -aG nsvpn carol
ok "a member of nsvpn brings it up: bus and polkit know the new files" carol nsvpn up home --timeout 30
is "connected" connected "$(tunnel_state)"
is "a user's program is inside" 10.8.0.2 "$(inside_address)"

# ---- upgraded ----
in_ns inet "$LABBIN"/tcpkeep server 192.0.2.80:7777 >$WORK/keep-server.out 2>&1 &
keep=$!
in_ns inet "$LABBIN"/tcpkeep server 192.0.2.80:7778 >$WORK/keep-server2.out 2>&1 &
ok "a service for the tunnel" box nsvpn unit add media.service -t home
ok "it starts" box systemctl start media.service
m=$(media)
ok "not in the machine's namespace" test "$(netns_of "$m")" != "$(netns_of 1)"
ok "nsvpn@home enabled" box systemctl enable -q nsvpn@home.service
first=$(engine) hs=$(handshakes) d=$(daemon)
carol nsvpn exec -t home -- tcpkeep client 192.0.2.80:7777 --seconds 12 --bulk --patience 15 >$WORK/keep.out 2>&1 &
client=$!
in_ns host "$LABBIN"/tcpkeep client 192.0.2.80:7778 --seconds 12 --rate 50 --patience 15 >$WORK/keep2.out 2>&1 &
outside=$!
sleep 2
ok "upgrade under a running download" box dpkg -i /root/new.deb
is "version" "ii $(dpkg-deb -f "$new" Version)" "$(version)"
ok "another nsvpnd" test "$(daemon)" != "$d"
is "of the new file" /usr/libexec/nsvpn/nsvpnd "$(box readlink "/proc/$(daemon)/exe")"
is "status right afterwards" connected "$(tunnel_state)"
is "the same engine" "$first" "$(engine)"
ok "the same version again" box dpkg -i /root/new.deb
is "connected" connected "$(tunnel_state)"
wait $client
is "the transfer through both: no byte lost, doubled or damaged" 0 $?
wait $outside
is "nor of one outside" 0 $?
is "no second handshake at the server" "$hs" "$(handshakes)"
is "another exec" 10.8.0.2 "$(inside_address)"

is "the service is the same process" "$m" "$(media)"

# ---- removed, with a program inside that sends all the time ----
carol nsvpn exec -t home -- sh -c 'while :; do curl -s -m 1 http://192.0.2.80/ >/dev/null; done' >$WORK/inside.out 2>&1 &
program_is_inside() { [ "$(box nsvpn status home --json | jq '.tunnels[0].processes')" -ge 1 ]; }
ok "a program is inside" wait_for 5 program_is_inside
judge_start removal "${VPN_FLOW4}1195" "$ISP_DNS"
ok "remove" box dpkg -r nsvpn
sed 's/^/# /' $WORK/ok.out
judge_stop removal >$WORK/verdict 2>&1
is "nothing but the engine's packets left meanwhile" 0 $? || diag "$(cat $WORK/verdict)"
is "no process of it" "" "$(box pgrep -l nsvpn)"
is "the service has stopped" 0 "$(media)"
box systemctl start media.service 2>/dev/null
sleep 0.5
is "and does not start outside" 0 "$(media)"
is "the program has ended" "" "$(box pgrep -u carol -f 'while :')"
kernel_objects >$WORK/kernel-after
is "no namespace, link, rule, table, mount or setting" "" "$(diff $WORK/kernel-before $WORK/kernel-after)"
is "the configuration is still there" tunnel.ovpn "$(box ls /etc/nsvpn/tunnels/home | grep ovpn)"
ok "installed again" box dpkg -i /root/new.deb
ok "it is as it was" carol nsvpn up home --timeout 30
ok "the service, too" box systemctl start media.service

# ---- purged while up ----
judge_start purge "${VPN_FLOW4}1195" "$ISP_DNS"
ok "purge" box dpkg -P nsvpn
like "it says what no service is any more" 'media.service lived in a tunnel' "$(cat $WORK/ok.out)"
judge_stop purge >$WORK/verdict 2>&1
is "nothing but the engine's packets left meanwhile" 0 $? || diag "$(cat $WORK/verdict)"
all_files >$WORK/after
is "nothing is left: files, users, groups" "" "$(diff $WORK/before $WORK/after)"
kernel_objects >$WORK/kernel-after
is "nothing is left in the kernel" "" "$(diff $WORK/kernel-before $WORK/kernel-after)"
is "no unit is left" "" "$(box systemctl list-units --all --no-legend '*nsvpn*' | grep -vE 'scope|slice|not-found')"
is "no process" "" "$(box pgrep -l nsvpn)"
kill $keep
box_down
tap_done
