#!/usr/bin/env bash
# Wire against ledger: trains ddp and ab on 4 hosts x 2 ranks (tools/cluster/run) and compares what the
# hosts' interfaces sent with the inter-node bytes of the ledger. Nothing is subtracted from the wire
# bytes: the start of MPI, packet headers and acknowledgements are in them. Data is what they hold
# without 66 bytes of headers per packet: the ledger's bytes, MPI's start and its own headers.
# Prints markdown tables with machine and commit; docs/experiments.md holds what it printed. Fails when
# a host sent less data than was counted or more than 1 % above it, more than 8 % above it on the wire,
# or when the group phases (every host a group) sent more than 0.1 % of ddp's bytes per step.
# Usage: tools/cluster/wire.sh [key=value ...]   settings laid over the configuration
# Environment: AB_CONFIG (default models/configs/mnist/resnet_quickstart.json), AB_STEPS (100),
#   AB_HOSTS (4), AB_RANKS (2 on each), AB_RATE (200mbit), AB_OUT (runs/wire), AB_BIN
#   (build/release/bin)
set -euo pipefail
cd "$(dirname "$0")/../.."
case ${1:-} in -h | --help) sed -n '2,/^set -/{/^set -/!s/^# \{0,1\}//p}' "$0"; exit 0 ;; esac
config=${AB_CONFIG:-models/configs/mnist/resnet_quickstart.json}
steps=${AB_STEPS:-100} hosts=${AB_HOSTS:-4} ranks=${AB_RANKS:-2} rate=${AB_RATE:-200mbit}
out=${AB_OUT:-runs/wire}
# Two cycles: 20 % warm-up, then twice 30 % in groups and 10 % rebound.
settings=(--set ab.group_size=node --set "ab.warmup_steps=$((steps / 5))"
  --set "ab.ab_steps=$((steps * 3 / 10))" --set "ab.rebound_steps=$((steps / 10))"
  --set train.eval_every=1000000 --set data.local_batch=8)
for setting in "$@"; do settings+=(--set "$setting"); done

mkdir -p "$out"
for method in ddp ab; do
  rm -rf "${out:?}/$method"
  echo "training $method -> $out/$method (log: $out/$method.log)" >&2
  tools/cluster/run --hosts "$hosts" --ranks-per-host "$ranks" --rate "$rate" \
    --csv "$out/$method.csv" --samples "$out/$method.samples" -- abtrain train --config "$config" \
    --method "$method" --steps "$steps" --out "$out/$method" "${settings[@]}" \
    >"$out/$method.log" 2>&1 || { code=$?; tail -n 5 "$out/$method.log" >&2; exit $code; }
done

echo "$(basename "$config"), $steps steps, $hosts hosts x $ranks ranks at $rate${*:+, $*};"
echo "$("${AB_BIN:-build/release/bin}/abtrain" --version);" \
  "$(awk -F: '/model name/ { sub(/^ /, "", $2); print $2; exit }' /proc/cpuinfo), $(nproc) cores"
echo
status=0
for method in ddp ab; do
  tail -n +2 "$out/$method.csv" | sed "s/^/$method,/"
done | awk -F, 'BEGIN {
    print "| method | host | ledger, bytes between nodes | wire, bytes sent | wire / ledger | data / ledger |"
    print "|---|---|---|---|---|---|" }
  { printf "| %s | %s | %d | %d | %.4f | %.4f |\n", $1, $2, $3, $4, $4 / $3, $5 / $3
    if ($5 < $3 || $5 > 1.01 * $3 || $4 > 1.08 * $3) bad = 1 }
  END { exit bad }' || { echo "wire: data outside of 1.00 to 1.01, or wire above 1.08" >&2; status=1; }
echo
# Of each stay in groups: the samples from its 2nd step to its 10th before the last. rank 0 tells the
# step; another group may be a few steps ahead and merging, which would show as bytes.
awk -v steps="$steps" -v hosts="$hosts" '
  FILENAME ~ /csv$/ { split($0, part, ","); if (part[3] > 0) ddp += part[3] / steps; next }
  { step = $2; cycle = $3 == "ab" ? int((step - steps / 5 - 1) / (steps * 2 / 5)) : -1
    within = step - steps / 5 - cycle * steps * 2 / 5
    if (cycle < 0 || within < 2 || within > steps * 3 / 10 - 10) next
    sum = 0
    for (i = 4; i < 4 + hosts; ++i) sum += $i
    if (!(cycle in first)) { first[cycle] = sum; from[cycle] = step }
    last[cycle] = sum; to[cycle] = step }
  END {
    for (c in first) { bytes += last[c] - first[c]; count += to[c] - from[c] }
    if (count == 0) { print "no sample fell into a group phase" >"/dev/stderr"; exit 1 }
    print "| group phases, all hosts | |"
    print "|---|---|"
    printf "| steps between the samples | %d |\n", count
    printf "| wire, bytes per step | %.0f |\n", bytes / count
    printf "| wire of ddp, bytes per step | %.0f |\n", ddp
    printf "| share | %.4f %% |\n", 100 * bytes / count / ddp
    exit bytes / count > 0.001 * ddp }' "$out/ddp.csv" "$out/ab.samples" ||
  { echo "wire: the group phases were not silent" >&2; status=1; }
exit $status
