#!/bin/bash
# kill -9 of helper, engine, or both at ten different moments of `up`, and at every named step of the namespace builder:
# each time `nsvpn up` works afterwards, or `nsvpn down` alone cleans up, and nothing is left.
. "$(dirname "$(readlink -f "$0")")/lab.sh"
lab_enter "$@"
lab_pki && lab_up && lab_server b || { diag "lab"; exit 1; }

for uplink in veth socket; do
  lab_import b home $uplink || exit 1
  clean=$(host_dump)
  # How long does `up` take here? The ten moments are spread over that.
  t0=$(date +%s%N)
  ok "$uplink: up" nsvpn up home --timeout 20
  span=$((($(date +%s%N) - t0) / 1000000))
  nsvpn down home >/dev/null 2>&1
  ok "$uplink: nothing is left after an undisturbed up and down" no_leftovers
  diag "$uplink: up takes $span ms"

  for victim in helper engine both; do
    bad=0 why=""
    for i in $(seq 0 9); do
      nsvpn up home --timeout 20 >$WORK/up.out 2>&1 &
      up=$!
      sleep "$(awk "BEGIN { print $span * $i / 9000 }")"
      case $victim in
        helper) pkill -KILL -x nsvpnd ;;
        engine) pkill -KILL -x nsvpn-engine ;;
        both) pkill -KILL -x 'nsvpnd|nsvpn-engine' ;;
      esac
      wait $up
      if [ $((i % 2)) = 0 ]; then
        nsvpn up home --timeout 20 >$WORK/up2.out 2>&1 || { bad=$((bad + 1)) why="$why; moment $i: up: $(tail -n 1 $WORK/up2.out)"; }
        [ "$(inside curl -4 -s -m 5 http://192.0.2.80/)" = 198.51.100.10 ] || { bad=$((bad + 1)) why="$why; moment $i: no traffic"; }
      fi
      nsvpn down home >$WORK/down.out 2>&1 || { bad=$((bad + 1)) why="$why; moment $i: down: $(tail -n 1 $WORK/down.out)"; }
      no_leftovers >$WORK/left.out || { bad=$((bad + 1)) why="$why; moment $i: left: $(tr '\n' ' ' <$WORK/left.out)"; }
    done
    is "$uplink: kill -9 of $victim at ten moments of up: up works, down leaves nothing" "0" "$bad$why"
  done
  host_dump >$WORK/after.txt
  echo "$clean" >$WORK/before.txt
  ok "$uplink: the machine is byte-identical after all of that" diff $WORK/before.txt $WORK/after.txt
done

# The same with failpoints: the helper dies before each step, in the order of the plan.
steps=$("$BUILD/nsvpnd" --list-failpoints 2>/dev/null)
export NSVPN_RUN=/run/nsvpn # failpoints are heard only where the run folder was named
for uplink in veth socket; do
  lab_import b home $uplink || exit 1
  clean=$(host_dump)
  bad=0 n=0 why=""
  for s in $steps; do
    # Before each step with one uplink, behind each step with the other: half of the time, and nothing unseen, since
    # "behind" one step is "before" the next but for what the journal knows.
    case $uplink$s in veth*+ | socket*[!+]) [ -n "${NSVPN_ALL_FAILPOINTS:-}" ] || continue ;; esac
    export NSVPN_FAILPOINT=$s:kill
    nsvpn up home --timeout 3 >/dev/null 2>&1
    case $s in down.*) nsvpn down home >/dev/null 2>&1 ;; esac
    unset NSVPN_FAILPOINT
    pkill -KILL -x nsvpnd
    n=$((n + 1))
    if [ $((n % 2)) = 0 ]; then
      nsvpn up home --timeout 20 >$WORK/up2.out 2>&1 || { bad=$((bad + 1)) why="$why; $s: up: $(tail -n 1 $WORK/up2.out)"; }
    fi
    nsvpn down home >$WORK/down.out 2>&1 || { bad=$((bad + 1)) why="$why; $s: down: $(tail -n 1 $WORK/down.out)"; }
    no_leftovers >$WORK/left.out || { bad=$((bad + 1)) why="$why; $s: left: $(tr '\n' ' ' <$WORK/left.out)"; }
  done
  ok "$uplink: there are failpoints ($n)" test $n -ge 10
  is "$uplink: the helper killed at each of its steps: up works, down leaves nothing" "0" "$bad$why"
  host_dump >$WORK/after.txt
  echo "$clean" >$WORK/before.txt
  ok "$uplink: the machine is byte-identical after that too" diff $WORK/before.txt $WORK/after.txt
done
tap_done
