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
echo "1..1"
exit $rc
