#!/bin/bash
# The CPU gates of `make bench` as a test: ratios of one run, so a slow machine does not matter.
set -u
here=$(dirname "$(readlink -f "$0")")
[ "$(id -u)" = 0 ] || { echo "1..0 # SKIP the lab needs root"; exit 0; }
command -v iperf3 >/dev/null || { echo "1..0 # SKIP iperf3 is not installed"; exit 0; }
out=$("$here/../bench/run" "${NSVPN_BUILD:-build}" 3 3 2>&1)
rc=$?
sed 's/^/# /' <<<"$out"
[ $rc = 0 ] && echo "ok 1 - client CPU per gigabyte: at most 1/2 of openvpn's up, 2/3 down" ||
  echo "not ok 1 - client CPU per gigabyte: at most 1/2 of openvpn's up, 2/3 down"
both=$rc
out=$("$here/../bench/rootless" "${NSVPN_BUILD:-build}" 3 2 2>&1)
rc=$?
sed 's/^/# /' <<<"$out"
[ $rc = 0 ] && echo "ok 2 - a rootless tunnel is at most 10 % behind root's with uplink=socket" ||
  echo "not ok 2 - a rootless tunnel is at most 10 % behind root's with uplink=socket"
[ $rc = 0 ] || both=1
echo "1..2"
exit $both
