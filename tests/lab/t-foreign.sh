#!/bin/bash
# Living with others (invariants 22 to 24), with the real programs in a real Debian: iptables as Docker leaves it, ufw,
# firewalld and its reload, NetworkManager, systemd-networkd. The tunnel works, or `up` says within five seconds who is in the
# way and how to make an exception, and that exception works. Probes run in the namespace all the time: no token and no
# untranslated packet on the uplink, whatever they do.
. "$(dirname "$(readlink -f "$0")")/lab.sh"
. "$(dirname "$(readlink -f "$0")")/box.sh"
box_need "${NSVPN_BOX_SUITE:-bookworm}" ufw,iptables,firewalld,network-manager
lab_enter "$@"
# None of them before its turn; NetworkManager keeps its hands off the lab's own uplink.
prepare() {
  local u
  for u in firewalld NetworkManager NetworkManager-wait-online NetworkManager-dispatcher ModemManager wpa_supplicant ufw systemd-networkd \
    systemd-networkd-wait-online; do
    ln -sf /dev/null $BOX/etc/systemd/system/$u.service
  done
  ln -sf /dev/null $BOX/etc/systemd/system/systemd-networkd.socket
  mkdir -p $BOX/etc/NetworkManager/conf.d
  printf '[main]\ndns=none\nno-auto-default=*\n[device-lab]\nmatch-device=interface-name:eth0\nmanaged=0\n' >$BOX/etc/NetworkManager/conf.d/99-lab.conf
  install -m 755 "$LABBIN"/probe $BOX/usr/local/bin/probe
}
BOX_PREPARE=prepare
lab_pki && lab_up && lab_server b && box_up && box_import b home veth || { diag "lab"; exit 1; }

ms() { echo $(($(date +%s%N) / 1000000)); }
state() { box nsvpn status home --json 2>/dev/null | jq -r '.tunnels[0].state'; }
says() { box nsvpn status home --json 2>/dev/null | jq -r '.tunnels[0].last_error' | grep -qE "$1"; }
works() { box nsvpn exec -t home -- curl -4 -s -m 3 http://192.0.2.80/ >/dev/null; }
why() { box nsvpn logs home 2>&1 | tail -n 25 | sed 's/^/#   /'; }
locked() { host nft list set inet nsvpn-home engine4 2>/dev/null | grep -q 198.51.100.10 && host ip rule | grep -q 'iif nv-home.*prohibit'; }
use() { box systemctl unmask --quiet "$1" 2>/dev/null; box rm -f /etc/systemd/system/"$1".service; box systemctl daemon-reload; }
# Probes that live in the namespace, whatever becomes of the tunnel.
probes_start() {
  judge_start "$1" "${VPN_FLOW4}1195" "$ISP_DNS"
  box systemd-run --quiet --collect --unit=probes -p NetworkNamespacePath=/run/netns/home -p User=nobody /usr/local/bin/probe \
    --token "NSVPNPROBE-$1" --kinds udp4,udp6,tcp4,conn-udp4,icmp4,bindtodevice,bindsrc,pktinfo,server-udp,mcast,dns \
    --target4 192.0.2.80 --target6 2001:db8:80::80 --server 198.51.100.10:1195 --dns4 203.0.113.53 --rate 300 --duration 600
}
probes_stop() {
  box systemctl stop probes 2>/dev/null # `down --kill` was quicker
  ok "$1: nothing but the engine's packets on the uplink" judge_stop "$1" 0.3
}
# NAME REGEX [0]: `up` fails in time and says who it is; $text keeps what it said. 0: doctor only warns, as it does not know
# the addresses of a server's name.
up_says() {
  local t0 t rc
  t0=$(ms)
  text=$(box nsvpn up home --timeout 30 2>&1)
  rc=$?
  t=$(($(ms) - t0))
  is "$1: up fails" 1 $rc
  like "$1: and says who it is" "$2" "$text"
  ok "$1: in less than five seconds ($t ms)" test $t -lt 5000
  ok "$1: doctor says the same" sh -c "[ $(box nsvpn doctor --json >$WORK/doctor.json; echo $?) = ${3:-1} ] && jq -e '.findings[] | select(.topic == \"firewall\" and (.level == \"problem\" or (${3:-1} == 0 and .level == \"warning\")))' $WORK/doctor.json"
  sed -n 's/.*make an exception: //p' <<<"$text" >$WORK/exception
}
exception_works() {
  diag "$(cat $WORK/exception)"
  ok "$1: the exception can be made as it stands there" box sh -c "$(cat $WORK/exception)"
  ok "$1: and then the tunnel comes up" box nsvpn up home --timeout 20
  ok "$1: and works" works
}

ok "up" box nsvpn up home --timeout 20
ok "works" works
# The control: a packet that is dropped nowhere is seen.
ok "control: the judge sees a packet of the machine's" seen NSVPNPROBE-control 5 box probe --token NSVPNPROBE-control --kinds udp4 --target4 192.0.2.80 --rate 50 --duration 1

# ---- doctor, by the service in its sandbox ----
box nsvpn doctor --json >$WORK/doctor.json
ok "doctor: the service sees what the kernel can do" jq -e '[.findings[] | select(.topic == "kernel" and (.text | test("works$")))] | length >= 7' $WORK/doctor.json
ok "doctor: and misses nothing" jq -e '[.findings[] | select(.topic == "kernel" and (.level == "warning" or .level == "problem"))] | length == 0' $WORK/doctor.json
ok "doctor: all of it was seen" jq -e '.unseen == []' $WORK/doctor.json
ok "doctor: service, polkit and engine's user are there" jq -e '[.findings[] | select(.topic == "service" and .level == "ok") | .object] | contains(["nsvpnd.service", "polkit", "nsvpn-engine"])' $WORK/doctor.json
ok "doctor: systemd-resolved and nscd are named" jq -e '[.findings[] | select(.topic == "names" and .level == "note") | .object] | contains(["systemd-resolved", "nscd"])' $WORK/doctor.json
box_as alice nsvpn doctor --json >$WORK/doctor.json
ok "doctor: a user is told about the kernel, too" jq -e '[.findings[] | select(.topic == "kernel" and .object == "veth")] | length == 1' $WORK/doctor.json
ok "doctor: not about leftovers, and that is said" jq -e '([.findings[] | select(.topic == "leftovers")] | length == 0) and (.unseen | length == 1)' $WORK/doctor.json

# ---- Docker ----
docker_start() {
  box sh -ec 'for c in DOCKER-USER DOCKER DOCKER-ISOLATION-STAGE-1 DOCKER-ISOLATION-STAGE-2; do iptables -N $c; done
    iptables -P FORWARD DROP
    iptables -A DOCKER-USER -j RETURN
    iptables -A DOCKER-ISOLATION-STAGE-1 -i docker0 ! -o docker0 -j DOCKER-ISOLATION-STAGE-2
    iptables -A DOCKER-ISOLATION-STAGE-1 -j RETURN
    iptables -A FORWARD -j DOCKER-USER
    iptables -A FORWARD -j DOCKER-ISOLATION-STAGE-1
    iptables -A FORWARD -o docker0 -j DOCKER
    iptables -A FORWARD -i docker0 ! -o docker0 -j ACCEPT
    iptables -t nat -A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE'
}
probes_start docker
ok "Docker: starts under the tunnel" docker_start
ok "Docker: the lock is there" locked
ok "Docker: status names it when the connection is lost" wait_for 40 says 'policy drop of chain FORWARD in table ip filter' || why
ok "Docker: down" box sh -c 'nsvpn down home --kill || true'
probes_stop docker
up_says "Docker" 'drops the packets to 198\.51\.100\.10:1195: the policy drop of chain FORWARD in table ip filter; set Uplink=socket .*DOCKER-USER -i nv-home'
box_as alice nsvpn doctor --json >$WORK/doctor.json
ok "Docker: a user's doctor names no tunnel" jq -e '[.findings[] | select(.topic == "firewall") | .remedy] | length == 1 and (.[0] | test("administrator")) and (.[0] | test("home") | not)' $WORK/doctor.json
exception_works "Docker"
probes_start dockertwo
ok "Docker: a flush of its tables under the tunnel" box sh -c 'iptables -F; iptables -P FORWARD ACCEPT; iptables -X; iptables -t nat -F'
ok "Docker: works" wait_for 10 works
probes_stop dockertwo
box nft delete table ip filter
box nft delete table ip nat

# ---- the older tables ----
ok "down" box nsvpn down home
if box iptables-legacy -P FORWARD DROP 2>/dev/null; then
  text=$(box nsvpn up home --timeout 30 2>&1)
  like "iptables-legacy: up says who it is" 'probably the policy DROP of chain FORWARD of iptables-legacy; .*iptables-legacy -I FORWARD -i nv-home' "$text"
  sed -n 's/.*make an exception: //p' <<<"$text" >$WORK/exception
  exception_works "iptables-legacy"
  ok "iptables-legacy: down" box nsvpn down home
  box sh -c 'iptables-legacy -P FORWARD ACCEPT; iptables-legacy -F'
else
  skip "iptables-legacy" "this kernel does not have those tables"
fi
ok "up" box nsvpn up home --timeout 20

# ---- ufw ----
probes_start ufw
ok "ufw: enabled under the tunnel" box ufw --force enable
ok "ufw: the lock is there" locked
ok "ufw: works: it lets through what was there before" works
box pkill -KILL -x nsvpn-engine
ok "ufw: a new connection is not: status names it" wait_for 15 says 'policy drop of chain FORWARD in table ip filter.*ufw route allow in on nv-home' || why
ok "ufw: down" box sh -c 'nsvpn down home --kill || true'
probes_stop ufw
up_says "ufw" 'the policy drop of chain FORWARD in table ip filter; .*ufw route allow in on nv-home && ufw route allow out on nv-home'
exception_works "ufw"

# A default of "deny outgoing", and the uplink whose packets are the machine's own.
ok "ufw: down" box nsvpn down home
cp -p $BOX/etc/nsvpn/tunnels/home/settings.conf $WORK/settings.conf
sed -i 's/Uplink=veth/Uplink=socket/' $BOX/etc/nsvpn/tunnels/home/settings.conf
ok "ufw: denies what goes out" box sh -c 'ufw default deny outgoing && ufw allow out proto udp to 203.0.113.53 port 53'
up_says "ufw, Uplink=socket" 'drops the packets to 198\.51\.100\.10:1195: the policy drop of chain OUTPUT in table ip filter; make an exception: ufw allow out proto udp to 198\.51\.100\.10 port 1195' 0
exception_works "ufw, Uplink=socket"
ok "ufw, Uplink=socket: down" box nsvpn down home
cp -p $WORK/settings.conf $BOX/etc/nsvpn/tunnels/home/settings.conf
ok "ufw: back to allow" box ufw default allow outgoing
ok "ufw: up" box nsvpn up home --timeout 20
probes_start ufwtwo
ok "ufw: reloaded under the tunnel" box ufw reload
ok "ufw: the lock is there within a second" wait_for 1 locked
ok "ufw: works" wait_for 10 works
ok "ufw: disabled" box ufw --force disable
ok "ufw: works without" wait_for 10 works
probes_stop ufwtwo
box sh -c 'iptables -F; iptables -X; ip6tables -F; ip6tables -X; iptables -P FORWARD ACCEPT; ip6tables -P FORWARD ACCEPT' 2>/dev/null
for t in 'ip filter' 'ip6 filter'; do box nft delete table $t 2>/dev/null; done

# ---- firewalld ----
use firewalld
probes_start firewalld
ok "firewalld: starts under the tunnel" box systemctl start firewalld
ok "firewalld: the lock is there within a second" wait_for 1 locked
ok "firewalld: and its rules" wait_for 60 sh -c "nsenter -t $BOX_PID -a firewall-cmd --state && nsenter --net=/run/netns/host nft list chain inet firewalld filter_FORWARD"
ok "firewalld: works: it lets through what was there before" works
box pkill -KILL -x nsvpn-engine
ok "firewalld: a new connection is not: status names it" wait_for 15 says 'table inet firewalld' || why
ok "firewalld: down" box sh -c 'nsvpn down home --kill || true'
probes_stop firewalld
up_says "firewalld" 'of chain filter_F[A-Z]+_[a-zA-Z]+ in table inet firewalld; set Uplink=socket .*firewall-cmd --permanent --zone=trusted --add-interface=nv-home && firewall-cmd --reload'
exception_works "firewalld"
probes_start firewalldtwo
for i in 1 2 3; do
  ok "firewalld: reload $i" box firewall-cmd --reload
  ok "firewalld: reload $i: the lock is there within a second" wait_for 1 locked
  ok "firewalld: reload $i: works" wait_for 10 works
done
ok "firewalld: restarted" box systemctl restart firewalld
ok "firewalld: restarted: works" wait_for 10 works
# Everything is emptied, as a script of an administrator does.
host nft flush ruleset
ok "a flush of everything: the lock is back within a second" wait_for 1 locked
ok "a flush of everything: works" wait_for 10 works
probes_stop firewalldtwo
ok "firewalld: stopped" box systemctl stop firewalld
ok "firewalld: stopped: works" wait_for 10 works

# ---- systemd-networkd ----
links() { host ip -o addr show dev nv-home | awk '{ print $3, $4 }' | sort; }
managed() { box networkctl list nv-home --no-legend 2>/dev/null | awk '{ print $NF }'; }
nm_state() { box nmcli -t -f DEVICE,STATE device 2>/dev/null | sed -n 's/^nv-home://p'; }
# Somebody's file for all links of the kind.
printf '[Match]\nName=nv-*\n[Network]\nAddress=10.77.0.1/24\nLinkLocalAddressing=ipv6\nIPv6AcceptRA=yes\n' >$BOX/etc/systemd/network/50-all.network
before=$(links)
use systemd-networkd
box rm -f /etc/systemd/system/systemd-networkd.socket
box systemctl daemon-reload
probes_start networkd
ok "networkd: starts" box systemctl start systemd-networkd
ok "networkd: knows the link" wait_for 10 sh -c "[ -n \"$(managed)\" ]"
ok "networkd: leaves it alone" wait_for 10 sh -c "nsenter -t $BOX_PID -a networkctl list nv-home --no-legend | grep -q unmanaged"
is "networkd: the link has its own addresses only" "$before" "$(links)"
ok "networkd: doctor sees the file" sh -c "nsenter -t $BOX_PID -a /usr/local/bin/nsvpn doctor --json | jq -e '.findings[] | select(.object == \"systemd-networkd\") | .level == \"ok\"'"
ok "networkd: a new link, too" box sh -c 'nsvpn down home --kill; nsvpn up home --timeout 20'
before=$(links)
box networkctl reload
ok "networkd: works" works
is "networkd: the new link has its own addresses only" "" "$(links | grep 10.77.0.1)"
probes_stop networkd
mv $BOX/usr/local/lib/systemd/network/05-nsvpn.network $WORK/
box networkctl reload
ok "networkd: control: without our file it takes the link" wait_for 20 sh -c "nsenter --net=/run/netns/host ip addr show dev nv-home | grep -q 10.77.0.1"
ok "networkd: control: and doctor says so" sh -c "nsenter -t $BOX_PID -a /usr/local/bin/nsvpn doctor --json | jq -e '.findings[] | select(.object == \"systemd-networkd\") | .level == \"warning\"'"
mv $WORK/05-nsvpn.network $BOX/usr/local/lib/systemd/network/
rm $BOX/etc/systemd/network/50-all.network
box systemctl stop systemd-networkd.socket systemd-networkd 2>/dev/null
host ip addr del 10.77.0.1/24 dev nv-home 2>/dev/null
ok "networkd: works afterwards" works

# ---- NetworkManager ----
use NetworkManager
probes_start nm
ok "NetworkManager: starts" box systemctl start NetworkManager
ok "NetworkManager: leaves the link alone" wait_for 20 sh -c "nsenter -t $BOX_PID -a nmcli -t -f DEVICE,STATE device | grep -qx nv-home:unmanaged"
ok "NetworkManager: doctor sees the file" sh -c "nsenter -t $BOX_PID -a /usr/local/bin/nsvpn doctor --json | jq -e '.findings[] | select(.object == \"NetworkManager\") | .level == \"ok\"'"
ok "NetworkManager: restarts" box systemctl restart NetworkManager
ok "NetworkManager: works" wait_for 10 works
probes_stop nm
mv $BOX/etc/NetworkManager/conf.d/50-nsvpn.conf $WORK/
box systemctl restart NetworkManager
ok "NetworkManager: control: without our file the link is one of its devices" wait_for 20 sh -c "
  s=\$(nsenter -t $BOX_PID -a nmcli -t -f DEVICE,STATE device | sed -n 's/^nv-home://p'); [ -n \"\$s\" ] && [ \"\$s\" != unmanaged ]"
mv $WORK/50-nsvpn.conf $BOX/etc/NetworkManager/conf.d/
box systemctl stop NetworkManager
ok "NetworkManager: works afterwards" works

ok "down" box nsvpn down home
ok "nothing of it is left" sh -c '! nsenter --net=/run/netns/host nft list tables | grep -q nsvpn && ! nsenter --net=/run/netns/host ip link show nv-home 2>/dev/null'
box_down
tap_done
