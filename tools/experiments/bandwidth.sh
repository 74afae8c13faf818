#!/usr/bin/env bash
# The break-even curve: the same steps of each method on hosts whose links are limited to a range of
# rates (tools/cluster/run), as a table and a picture of time per step, time to an accuracy and bytes.
# Usage: tools/experiments/bandwidth.sh DIR [key=value ...]
#   DIR      CIFAR-10's binary files (data_batch_1.bin ... test_batch.bin)
#   key=...  settings laid over the config
# Environment: AB_METHODS (default "ddp ab ab-nogroups powersgd local-sgd"),
#   AB_RATES ("100mbit 200mbit 500mbit 1gbit"), AB_STEPS (50), AB_HOSTS (2), AB_RANKS (2 on each), AB_CONFIG
#   (models/configs/cifar10/vgg16_quarter.json), AB_OUT (runs/bandwidth), AB_BIN (build/release/bin),
#   AB_TARGET and AB_LONG (none): top-1 in percent, and steps of one long run per method, on threads as
#   ranks and with the settings of AB_LONG_SETTINGS, whose evaluations tell after how many steps the
#   target is reached. What the link carries does not change a run's bits, so time to accuracy =
#   those steps x time per step at the rate.
# Seconds per step: from the first logged step to the last, phase borders included, without start and
# last evaluation, to 0.1 s. Methods take turns at each rate; the first method is what others are
# compared with. Finished runs in AB_OUT are not repeated. Prints markdown with machine and commit
# (docs/experiments.md holds it) and writes AB_OUT/bandwidth.csv and, where there is matplotlib
# (tools/install_dependencies.sh --plots), bandwidth.png (bandwidth_plot.py draws it anew). Needs what
# tools/cluster/run does.
set -euo pipefail
cd "$(dirname "$0")/../.."
case ${1:-} in -h | --help) sed -n '2,/^set -/{/^set -/!s/^# \{0,1\}//p}' "$0"; exit 0 ;; esac
if [ $# -lt 1 ] || [ ! -d "$1" ]; then
  sed -n '4,6s/^# //p' "$0" >&2
  exit 2
fi
data=$1
shift
config=${AB_CONFIG:-models/configs/cifar10/vgg16_quarter.json}
methods=${AB_METHODS:-ddp ab ab-nogroups powersgd local-sgd}
rates=${AB_RATES:-100mbit 200mbit 500mbit 1gbit}
. tools/experiments/common.sh
steps=${AB_STEPS:-50} hosts=${AB_HOSTS:-2} ranks=${AB_RANKS:-2} out=${AB_OUT:-runs/bandwidth}
export OMP_WAIT_POLICY=passive  # more ranks than cores

settings=(--config "$config" --data "$data" --set data.local_batch=4 --set "ab.group_size=$ranks"
  --set "local_sgd.group_size=$ranks")
for setting in "$@"; do settings+=(--set "$setting"); done
long=()
for setting in ${AB_LONG_SETTINGS:-}; do long+=(--set "$setting"); done
schedule() {  # steps: 20 % warm-up, then cycles of AB_STEPS' length, 64 % in groups, 16 % rebound
  echo "--steps $1 --set ab.warmup_steps=$(($1 / 5)) --set ab.ab_steps=$((steps * 16 / 25))" \
    "--set ab.rebound_steps=$((steps * 4 / 25))"
}
mkdir -p "$out"
declare -A needed  # steps to the target, by method
for method in ${AB_TARGET:+$methods}; do
  once "$out/$method-long" "$abtrain" train "${settings[@]}" --method "$method" \
    $(schedule "$AB_LONG") "${long[@]}" --local-ranks $((hosts * ranks))
  needed[$method]=$(sed -n 's/.*"step":\([0-9]*\),"eval":.*"top1":\([0-9.e-]*\).*/\1 \2/p' \
    "$out/$method-long/metrics.jsonl" | awk -v t="$AB_TARGET" '100 * $2 >= t { print $1; exit }')
done

echo method,rate,seconds_per_step,bytes_per_host_and_step,steps_to_target >"$out/bandwidth.csv"
for rate in $rates; do
  for method in $methods; do
    name=$out/$method-$rate
    once "$name" tools/cluster/run --hosts "$hosts" --ranks-per-host "$ranks" --rate "$rate" \
      --csv "$name.csv" --samples "$name.samples" -- abtrain train "${settings[@]}" \
      --method "$method" $(schedule "$steps") --set train.eval_every=0
    seconds=$(awk '$2 > 0 && !first { first = $1; from = $2 }
      $2 > to { last = $1; to = $2 }
      END { printf "%.4f", (last - first) / (to - from) }' "$name.samples")
    bytes=$(awk -F, -v n="$steps" 'NR > 1 { sum += $3; ++hosts } END { printf "%d", sum / hosts / n }' \
      "$name.csv")
    echo "$method,$rate,$seconds,$bytes,${needed[$method]:-}" >>"$out/bandwidth.csv"
  done
done

echo "$(basename "$config"), $steps steps, $hosts hosts x $ranks ranks${*:+, $*}; $("$abtrain" --version);"
[ -z "${AB_TARGET:-}" ] || echo "long runs: $AB_LONG steps${AB_LONG_SETTINGS:+, $AB_LONG_SETTINGS};"
echo "$(awk -F: '/model name/ { sub(/^ /, "", $2); print $2; exit }' /proc/cpuinfo), $(nproc) cores"
echo
awk -F, -v target="${AB_TARGET:-}" 'NR == 1 {
    aim = target == "" ? "" : sprintf(" time to %s %% top-1 |", target)
    print "| rate per host | method | s/step | of the first | MB sent per host and step |" aim
    print "|---|---|---|---|---|" (aim == "" ? "" : "---|"); next }
  $2 != rate { rate = $2; base = $3 }
  { printf "| %s | %s | %.3f | %.1f %% | %.2f |", $2, $1, $3, 100 * $3 / base, $4 / 1e6
    if (target != "") printf $5 == "" ? " not reached |" : " %.0f s |", $5 * $3
    print "" }' "$out/bandwidth.csv"

python=python3
$python -c 'import matplotlib' 2>/dev/null || python=/usr/bin/python3  # where Debian puts it
if $python -c 'import matplotlib' 2>/dev/null; then
  $python tools/experiments/bandwidth_plot.py "$out"
else
  echo "bandwidth: no picture: no matplotlib here; tools/install_dependencies.sh --plots installs it" >&2
fi
