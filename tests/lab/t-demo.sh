#!/bin/bash
# `nsvpn demo` runs to its end, says what it promises, and leaves nothing behind on the real machine.
set -u
n=0 bad=0
result() {
  n=$((n + 1))
  if [ "$1" = 0 ]; then echo "ok $n - $2"; else bad=1; sed 's/^/#   /' <<<"$out"; echo "not ok $n - $2"; fi
}
[ "$(id -u)" = 0 ] || { echo "1..0 # SKIP the lab needs root"; exit 0; }
dump() { ip -o link | sed 's/ qlen.*//'; ip -4 route; ip -6 route | sed 's/ expires.*//'; ip rule; nft list ruleset; ls /run/netns /run/nsvpn 2>/dev/null; pgrep -l 'nsvpn|openvpn|echod'; }
before=$(dump 2>&1)
t0=$SECONDS
out=$("${NSVPN_BUILD:-build}/nsvpn" demo 2>&1)
result $? "the demo succeeds (in $((SECONDS - t0)) s)"
for what in 'outside: .*203\.0\.113\.1' 'inside: .*198\.51\.100\.10' 'kill -9' 'error at once' 'nothing leaked' 'nothing is left'; do
  grep -qE "$what" <<<"$out"
  result $? "it shows: $what"
done
# The running program sees the tunnel again after the error.
sed -n '/error at once/,$p' <<<"$out" | grep -q 'program inside.*198\.51\.100\.10'
result $? "the tunnel comes back under the same running program"
[ "$before" = "$(dump 2>&1)" ]
result $? "the machine is as it was"
echo "1..$n"
exit $bad
