# What the benchmarks share: medians, CPU time of a process, one measurement. Sourced behind lab.sh; $secs is the duration.

median() { sort -g | awk '{ v[NR] = $1 } END { print NR ? (NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2) : 0 }'; }
ticks=$(getconf CLK_TCK)
cpu() { awk -v t="$ticks" '{ sub(/^.*\) /, ""); print ($12 + $13) / t }' "/proc/$1/stat"; }

# measure NAMESPACE-COMMAND PID up|down: "Gbit/s CPU-s/GB"
measure() {
  local pid=$1 dir=$2 c0 c1 json flag=()
  shift 2
  [ "$dir" = down ] && flag=(-R)
  c0=$(cpu "$pid")
  json=$("$@" iperf3 -c 10.8.0.1 -t "$secs" -J -C cubic "${flag[@]}" 2>/dev/null) || json=$("$@" iperf3 -c 10.8.0.1 -t "$secs" -J "${flag[@]}")
  c1=$(cpu "$pid")
  jq -r --arg c0 "$c0" --arg c1 "$c1" '.end.sum_received | "\(.bits_per_second / 1e9) \((($c1 | tonumber) - ($c0 | tonumber)) / (.bytes / 1e9))"' <<<"$json"
}
