#!/bin/bash
# `nsvpn doctor`: each thing that it should see is made, seen, named with its remedy, and taken away again; looking changes
# nothing, starts nothing and repairs nothing.
. "$(dirname "$(readlink -f "$0")")/lab.sh"
lab_enter "$@"
lab_pki && lab_up && lab_server b || { diag "lab"; exit 1; }

# doctor_says NAME EXIT JQ: what `doctor --json` says, and with which exit code
doctor_says() {
  local out rc
  out=$(nsvpn doctor --json 2>$WORK/doctor.err)
  rc=$?
  is "$1: exit code" "$2" $rc
  ok "$1: says so" jq -e "$3" <<<"$out"
  [ -s $WORK/doctor.err ] && diag "$(cat $WORK/doctor.err)"
  jq -e "$3" <<<"$out" >/dev/null || jq -c '.findings[] | select(.level != "ok")' <<<"$out" | sed 's/^/# /'
}
about() { echo "[.findings[] | select(.topic == \"$1\" and .object == \"$2\" and .level == \"$3\")] | length == 1"; }

before=$(host_dump)
doctor_says "a good machine" 0 '.schema == 1 and .worst != "problem" and (.findings | length) > 15 and (.unseen | length) == 0'
for object in tun veth "nftables inet" "nftables connection tracking" "nftables address translation" "nftables arp" "policy routing"; do
  doctor_says "a good machine: $object" 0 "$(about kernel "$object" ok)"
done
doctor_says "a good machine: firewall" 0 "$(about firewall nftables ok)"
doctor_says "a good machine: leftovers" 0 '[.findings[] | select(.topic == "leftovers" and .level == "ok")] | length == 1'
doctor_says "every finding is whole" 0 'all(.findings[]; (.level | test("^(ok|note|warning|problem)$")) and (.topic | length) > 0 and (.object | length) > 0 and (.text | length) > 0 and has("remedy"))'
like "for people: a summary" '^[0-9]+ problems, [0-9]+ warnings, [0-9]+ notes; [0-9]+ things are as they should be \(-v' "$(nsvpn doctor)"
like "for people: -v lists those" '^ok +kernel: veth works' "$(nsvpn doctor -v)"
is "for people: -q and nothing wrong" "" "$(nsvpn doctor -q | grep -v '^warning' | grep -v -- '->')"
ok "no helper was started" sh -c '! pgrep -x nsvpnd && ! ls /run/nsvpn/nsvpnd.sock 2>/dev/null'
echo "$before" >$WORK/before.txt
host_dump >$WORK/after.txt
ok "looking changed nothing" diff $WORK/before.txt $WORK/after.txt
ok "an argument is a mistake" sh -c "$NSVPN doctor home; [ \$? = 2 ]"

# ---- firewalls ----
host nft 'add table ip filter; add chain ip filter DOCKER-USER; add chain ip filter FORWARD { type filter hook forward priority 0; policy drop; }; add rule ip filter FORWARD jump DOCKER-USER'
doctor_says "Docker, no tunnel configured" 0 "$(about firewall 'ip filter' warning)"
lab_import b home veth
doctor_says "Docker and a tunnel" 1 "$(about firewall 'ip filter' problem)"
doctor_says "and the exception" 1 '.findings[] | select(.topic == "firewall") | .remedy | test("Uplink=socket.*iptables -I DOCKER-USER -i nv-home -j ACCEPT && iptables -I DOCKER-USER -o nv-home -j ACCEPT")'
like "for people" '^problem  firewall: the policy drop of chain FORWARD in table ip filter drops the packets' "$(nsvpn doctor)"
host nft 'add rule ip filter DOCKER-USER iifname "nv-home" accept; add rule ip filter DOCKER-USER oifname "nv-home" accept'
doctor_says "with the exception" 0 "$(about firewall nftables ok)"
host nft delete table ip filter
host nft 'add table ip6 filter; add chain ip6 filter FORWARD { type filter hook forward priority 0; policy drop; }'
doctor_says "IPv6 only" 0 "$(about firewall 'ip6 filter' warning)"
host nft delete table ip6 filter
host nft 'add table inet f; add set inet f s { type ipv4_addr; }; add chain inet f c { type filter hook forward priority 0; }; add rule inet f c ip saddr @s drop'
doctor_says "a set that nobody can see into" 0 "$(about firewall 'inet f' note)"
host nft delete table inet f

# ---- who may see what ----
out=$(host setpriv --reuid 65534 --regid 65534 --clear-groups "$NSVPN" doctor --json)
rc=$?
is "as nobody: exit code" 0 $rc
ok "as nobody: says what it could not see" jq -e '(.unseen | length) == 1 and (.unseen[0] | test("only root"))' <<<"$out"
ok "as nobody: and what it could" jq -e '[.findings[] | select(.topic == "names")] | length > 0' <<<"$out"

# ---- containers that may little ----
bare() { nsenter --net=/run/netns/host -- setpriv --bounding-set="-$1" --inh-caps="-$1" "$NSVPN" "${@:2}"; }
bare net_admin doctor --json >$WORK/bare.json
ok "without CAP_NET_ADMIN: doctor says that, and nothing that is not so" jq -e '[.findings[] | select(.topic == "kernel" and .level == "problem") | .object] == ["capabilities"]' $WORK/bare.json
like "without CAP_SYS_ADMIN: doctor says that, too" '^problem  kernel: no network namespace can be made here' "$(bare sys_admin doctor)"
for c in net_admin sys_admin; do
  out=$(bare $c up home 2>&1)
  is "without $c: up fails" 1 $?
  like "without $c: with a sentence" '^nsvpn: .*(CAP_NET_ADMIN|network namespace)' "$out"
  ok "without $c: and leaves nothing" no_leftovers
done

# ---- the tunnels' files, and room for ours ----
cp -p $NSVPN_ETC/tunnels/home/settings.conf $WORK/settings.conf
echo 'Uplnk=veth' >>$NSVPN_ETC/tunnels/home/settings.conf
doctor_says "a mistake in settings.conf" 1 "$(about tunnels home problem)"
like "in the words of up" 'problem  tunnels: tunnel home cannot be used: .*settings.conf:3:1: unknown key .Uplnk.* did you mean .Uplink.' "$(nsvpn doctor)"
cp -p $WORK/settings.conf $NSVPN_ETC/tunnels/home/settings.conf
mount -t tmpfs -o size=64k,mode=700 full $NSVPN_STATE || exit 1
head -c 32k /dev/zero >$NSVPN_STATE/fill
doctor_says "a full disk" 1 "$(about service $NSVPN_STATE problem)"
umount $NSVPN_STATE
mount -t tmpfs -o ro,size=4k full $NSVPN_STATE || exit 1
doctor_says "a disk that is read-only" 1 '.findings[] | select(.topic == "service" and .level == "problem") | .text | test("is read-only")'
umount $NSVPN_STATE
gw=$(host ip -6 route show default)
host ip route del default
host ip -6 route del default
doctor_says "no way out" 0 "$(about network "default route" warning)"
host ip route add default via 192.168.77.1
host ip -6 route add $gw
doctor_says "a way out" 0 "$(about network "default route" ok)"

# ---- the helper runs, and does not ----
ok "up" nsvpn up home --timeout 20
doctor_says "a tunnel that is up" 0 '[.findings[] | select(.topic == "leftovers" and .level == "ok")] | length == 1'
doctor_says "over the bus" 0 '[.findings[] | select(.text == "the helper answers")] | length == 1'
is "it is still up" connected "$(state)"
host nft 'add table inet f; add chain inet f c { type filter hook forward priority 0; policy drop; }'
doctor_says "a firewall that came later" 1 "$(about firewall 'inet f' problem)"
host nft delete table inet f
kill -KILL "$(helper_pid)" "$(engine_pid)"
doctor_says "a helper that was killed" 0 "$(about leftovers home warning)"
doctor_says "and the remedy" 0 '.findings[] | select(.topic == "leftovers") | .remedy == "nsvpn up home, or nsvpn down home"'
ok "which is not its own to take" host nft list table inet nsvpn-home
ok "down" nsvpn down home
ok "nothing is left" no_leftovers

# ---- leftovers of others ----
host ip link add nv-other type dummy 2>/dev/null || host ip link add nv-other type veth peer name nv-otherp
doctor_says "a link of somebody" 0 "$(about leftovers nv-other note)"
host ip link del nv-other
host nft 'add table inet nsvpn-ghost'
doctor_says "a table of somebody" 0 "$(about leftovers nsvpn-ghost note)"
host nft delete table inet nsvpn-ghost
: >/run/netns/stale
doctor_says "a name without a namespace" 0 "$(about leftovers /run/netns/stale note)"
rm /run/netns/stale

# ---- the machine's own ----
printf 'hosts: files mymachines resolve [!UNAVAIL=return] dns\n' >$WORK/nsswitch
ok "(another nsswitch.conf)" mount --bind $WORK/nsswitch /etc/nsswitch.conf
doctor_says "names by other programs" 0 '.findings[] | select(.object == "/etc/nsswitch.conf") | .level == "note" and (.text | test("resolve \\(systemd-resolved\\)"))'
umount /etc/nsswitch.conf
ok "(no tun)" mount --bind /dev/null /dev/net/tun
doctor_says "no tunnel device" 1 "$(about kernel tun problem)"
umount /dev/net/tun
mkdir $WORK/mixed
cp "$NSVPN" $WORK/mixed/nsvpn
printf '#!/bin/sh\necho nsvpnd 9.9.9\n' >$WORK/mixed/nsvpnd
chmod 755 $WORK/mixed/nsvpnd
out=$(host $WORK/mixed/nsvpn doctor --json)
ok "parts of two versions" jq -e '.findings[] | select(.object == "nsvpnd" and .level == "warning") | .text | test("version 9.9.9")' <<<"$out"
ok "what the strange helper did not say is said" jq -e '(.unseen | length) >= 0' <<<"$out"
host_dump >$WORK/after.txt
ok "the machine is as it was" diff $WORK/before.txt $WORK/after.txt
tap_done
