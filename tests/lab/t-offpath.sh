#!/bin/bash
# Somebody on the same local network, or at the router, cannot find out what is in the tunnel by sending packets to its
# addresses: nothing comes in that did not come out of the tun device, and nothing answers (CVE-2019-14899). Over both uplinks.
. "$(dirname "$(readlink -f "$0")")/lab.sh"
lab_enter "$@"
lab_pki && lab_up && lab_server b || { diag "lab"; exit 1; }

# Attackers with a route of their own to what is in the tunnel, through the machine.
routes() { # NAMESPACE DEVICE ADDRESS...
  local ns=$1 dev=$2 a
  shift 2
  for a in "$@"; do
    case $a in
      *:*) in_ns "$ns" ip -6 route replace "$a" via 2001:db8:77::2 dev "$dev" ;;
      *) in_ns "$ns" ip route replace "$a" via 192.168.77.2 dev "$dev" ;;
    esac
  done
}
# Counts whatever comes back from there, resets and ICMP errors of others about it included.
count() { # NAMESPACE ADDRESS4 ADDRESS6
  in_ns "$1" nft -f - <<EOF
table inet heard
delete table inet heard
table inet heard {
  chain in {
    type filter hook prerouting priority -500;
    ip saddr { $2, 192.168.77.2 } ip daddr != 198.51.100.10 ip protocol { tcp, udp, icmp } counter
    ip6 saddr { $3, 2001:db8:77::2 } meta l4proto { tcp, udp } counter
    ip6 saddr $3 counter
  }
}
EOF
}
heard() { in_ns "$1" nft list table inet heard | sed -n 's/.*packets \([0-9]*\).*/\1/p' | awk '{ n += $1 } END { print n + 0 }'; }
has_heard() { [ "$(heard "$1")" -gt 0 ]; }
answers() { # NAMESPACE ADDRESS...: the open TCP and UDP ports
  local ns=$1 a
  shift
  for a in "$@"; do
    in_ns "$ns" "$LABBIN"/scan --timeout 1000 "$a" 8079 8082
    in_ns "$ns" "$LABBIN"/scan --udp --timeout 500 "$a" 8079 8082
  done
}

for uplink in veth socket; do
  lab_import b home $uplink
  ok "$uplink: up" nsvpn up home --timeout 30
  mapfile -t own < <(nsvpn status home --json | jq -r '.tunnels[0].addresses[]' | sed 's,/.*,,')
  diag "$uplink: in the tunnel: ${own[*]}"
  is "$uplink: the tunnel has addresses of both families" 2 ${#own[@]}
  spawn host "$NSVPN" exec -t home -- "$LABBIN"/echod --http '0.0.0.0:8080' --http '[::]:8081' >$WORK/listener.out 2>&1
  listener=$!
  ok "$uplink: a program inside listens" wait_for 10 grep -q ready $WORK/listener.out
  # What the attack is about: whoever is at the other end of the tunnel can reach it, so it would answer.
  is "$uplink: (the listener answers through the tunnel)" 8080 "$(in_ns vpn "$LABBIN"/scan --timeout 2000 "${own[0]}" 8079 8080)"
  routes lan eth0 "${own[@]}"
  routes router br0 "${own[@]}"
  for ns in lan router; do count $ns "${own[@]}"; done
  host bash -c 'echo >/dev/udp/192.168.77.50/9'
  ok "$uplink: (the counter sees what comes from the machine)" wait_for 5 has_heard lan
  for ns in lan router; do count $ns "${own[@]}"; done
  is "$uplink: nobody answers the local network" "" "$(answers lan "${own[@]}" | tr -d '\n ')"
  is "$uplink: nor the router" "" "$(answers router "${own[@]}" | tr -d '\n ')"
  for ns in lan router; do is "$uplink: not a packet came back to $ns" 0 "$(heard $ns)"; done
  for ns in lan router; do
    for a in "${own[@]}"; do in_ns $ns ip route del "$a" 2>/dev/null || in_ns $ns ip -6 route del "$a" 2>/dev/null; done
  done
  ok "$uplink: down" nsvpn down home --kill
  wait $listener 2>/dev/null
  ok "$uplink: nothing is left" no_leftovers
done
tap_done
