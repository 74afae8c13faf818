#!/usr/bin/env bash
# How much of the gradients' way over the network is hidden behind the backward pass: ddp on hosts of
# one rank each (tools/cluster/run), once with free links and once with links so slow that a step's
# bytes take half as long as its backward pass, which is taken as two thirds of the free step (a
# backward pass has twice the operations of a forward pass).
#   hidden = 1 - comm_wait_s / (bytes of a host and step / rate)
# Packets are of 64 KiB, as a kernel hands them to a network card that cuts them up itself: one by one
# at 1500 bytes, they would take the cores that compute more time than the links do.
# Usage: tools/experiments/overlap.sh [key=value ...]     settings laid over the config
# Environment: AB_MODEL (mini-vit), AB_BATCH (32 images a rank), AB_HOSTS (4), AB_STEPS (12),
#   AB_BIN (build/release/bin), AB_OUT (a temporary folder)
# Prints one markdown row with machine and commit; needs what tools/cluster/run needs.
set -euo pipefail
cd "$(dirname "$0")/../.."
case ${1:-} in -h | --help) sed -n '2,/^set -/{/^set -/!s/^# \{0,1\}//p}' "$0"; exit 0 ;; esac
abtrain=${AB_BIN:-build/release/bin}/abtrain
model=${AB_MODEL:-mini-vit} batch=${AB_BATCH:-32} hosts=${AB_HOSTS:-4} steps=${AB_STEPS:-12}
out=${AB_OUT:-$(mktemp -d)}
export OMP_NUM_THREADS=1 OMP_WAIT_POLICY=passive  # more ranks than cores
mkdir -p "$out"
cat >"$out/config.json" <<JSON
{"model": {"name": "$model", "image": 32}, "data": {"format": "synthetic", "local_batch": $batch},
 "train": {"steps": $steps, "log_every": 1, "eval_every": 0, "init": "default"}}
JSON
settings=()
for setting in "$@"; do settings+=(--set "$setting"); done

run() {  # name cluster-options...
  local name=$1
  shift
  rm -rf "${out:?}/$name"
  tools/cluster/run --hosts "$hosts" --ranks-per-host 1 --mtu 65535 --csv "$out/$name.csv" "$@" -- \
    abtrain train --config "$out/config.json" --method ddp "${settings[@]}" --out "$out/$name" \
    >"$out/$name.log" 2>&1 || { tail -n 5 "$out/$name.log" >&2; exit 1; }
}
median() {  # name key: over the steps after the first two
  sed -n "s/.*\"step\":\([0-9]*\),.*\"$2\":\([0-9.e-]*\).*/\1 \2/p" "$out/$1/metrics.jsonl" |
    awk '$1 > 2 { print $2 }' | sort -g | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'
}

run free
bytes=$(awk -F, -v steps="$steps" 'NR > 1 && $2 > most { most = $2 } END { printf "%.0f", most / steps }' \
  "$out/free.csv")
step=$(median free step_s)
wait=$(median free comm_wait_s)
rate=$(awk -v b="$bytes" -v s="$step" -v w="$wait" 'BEGIN { printf "%.0f", 8 * b / ((s - w) / 3) / 1e6 }')
run limited --rate "${rate}mbit"
echo "$("$abtrain" --version), $(awk -F: '/model name/ { sub(/^ /, "", $2); print $2; exit }' \
  /proc/cpuinfo), $(nproc --all) cores"
echo
echo "| model | hosts x batch | sent by a host and step | free step (wait) | link | step (wait) | on the way | hidden | aim 70 % |"
echo "|---|---|---|---|---|---|---|---|---|"
awk -v m="$model" -v h="$hosts x $batch" -v b="$bytes" -v s="$step" -v w="$wait" -v r="$rate" \
  -v s1="$(median limited step_s)" -v w1="$(median limited comm_wait_s)" 'BEGIN {
    way = 8 * b / r / 1e6; hidden = 1 - w1 / way
    verdict = (hidden >= 0.7) ? "reached" : "missed"
    printf "| %s | %s | %.1f MB | %.3f s (%.3f s) | %d Mbit/s | %.3f s (%.3f s) | %.3f s | %.0f %% | %s |\n",
      m, h, b / 1e6, s, w, r, s1, w1, way, 100 * hidden, verdict }'
