#!/bin/bash
# `nsvpn demo`: what nsvpn does, shown in about ten seconds, in a private lab that leaves nothing behind: a VPN server,
# an "internet" that tells your address, a tunnel, a program inside it, and the kill switch.
. "$(dirname "$(readlink -f "$0")")/lab.sh"

if [ "$(id -u)" != 0 ]; then
  echo "nsvpn demo builds its lab from private network namespaces and needs root: sudo nsvpn demo" >&2
  exit 6
fi
for t in ip nft openvpn openssl curl; do
  command -v "$t" >/dev/null || { echo "nsvpn demo needs the program '$t' for its lab (run 'make deps' or install it)" >&2; exit 1; }
done
lab_enter "$@"

bold='' green='' red='' off=''
if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then bold=$'\e[1m' green=$'\e[32m' red=$'\e[31m' off=$'\e[0m'; fi
step() { printf '\n%s%s%s\n' "$bold" "$*" "$off"; }
show() { printf '  %s\n' "$*"; }
good() { printf '  %s%s%s\n' "$green" "$*" "$off"; }
bad() { printf '  %sDEMO FAILED: %s%s\n' "$red" "$*" "$off"; tail -n 5 /run/nsvpn/log/*.log 2>/dev/null | sed 's/^/    /'; exit 1; }

step "A lab of private namespaces: this machine, its router, the internet, a VPN server"
lab_up || bad "the lab could not be built"
lab_pki || bad "the lab's certificates could not be made"
lab_server b || bad "the lab's openvpn server did not start"
show "the VPN server is a stock $(openvpn --version | head -n 1 | cut -d' ' -f1,2), the tunnel is nsvpn's own engine"

step "\$ nsvpn import home.ovpn && nsvpn up"
lab_import b home || bad "import"
nsvpn up home --timeout 20 2>&1 | sed 's/^/  /'
[ "${PIPESTATUS[0]}" = 0 ] || bad "the tunnel did not come up"

address() { curl -s -m 3 http://web.example.net/; }
step "Which address does the internet see?"
out4=$(host curl -4 -s -m 3 http://web.example.net/) out6=$(host curl -6 -s -m 3 http://web.example.net/)
in4=$(inside curl -4 -s -m 3 http://web.example.net/) in6=$(inside curl -6 -s -m 3 http://web.example.net/)
show "outside:  curl http://web.example.net                   $out4   $out6"
show "inside:   nsvpn exec curl http://web.example.net        $in4   $in6"
[ -n "$in4" ] && [ "$in4" != "$out4" ] && [ -n "$in6" ] && [ "$in6" != "$out6" ] || bad "the addresses should differ"

step "A program inside, asking once a second; then the engine is killed with SIGKILL"
judge_start demo "${VPN_FLOW4}1195" "$ISP_DNS"
spawn host "$NSVPN" exec -t home -- sh -c '
  n=0
  while [ $n -lt 9 ]; do
    n=$((n + 1))
    t0=$(date +%s%N)
    a=$(curl -4 -s -m 2 http://192.0.2.80/ 2>&1) && r="the internet sees $a" || r="error at once"
    printf "  [program inside, %s ms] %s\n" $((($(date +%s%N) - t0) / 1000000)) "$r"
    sleep 0.5
  done'
program=$!
sleep 1.3
# Keep the server away while we look, so that the gap is long enough to see.
in_ns vpn nft add table ip gap
in_ns vpn nft 'add chain ip gap in { type filter hook input priority 0; policy drop; }'
show "\$ kill -9 $(engine_pid)        (nsvpn-engine)"
kill -9 "$(engine_pid)"
sleep 1.6
show "state now: $(state)"
in_ns vpn nft delete table ip gap
wait $program
judge_stop demo >$WORK/verdict 2>&1 # not in $(...): only this shell can wait for the judge
rc=$?
verdict=$(cat $WORK/verdict)
show "state now: $(state)"
if [ $rc = 0 ]; then
  good "on the uplink: $(jq -r '.frames' <<<"$verdict" 2>/dev/null || echo "?") frames, every one the engine's own to the VPN server: nothing leaked"
else
  bad "the judge saw packets that must not be there: $verdict"
fi

step "\$ nsvpn down"
nsvpn down home 2>&1 | sed 's/^/  /'
if no_leftovers >/dev/null; then good "nothing is left: no namespace, no link, no firewall rule, no process"; else bad "left behind: $(leftovers)"; fi
echo
