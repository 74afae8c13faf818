#!/usr/bin/env bash
# From a clean clone to the paper's comparison in minutes: installs what is missing, builds, trains the
# quickstart on the handwritten digits in data/samples with four ranks (threads of one process), once
# with plain data parallelism (ddp) and once with AB-training (ab), and prints what each of them sent.
# Runs are left in runs/quickstart/<method>, older ones are replaced; report.html beside them shows both.
# Usage: tools/quickstart.sh [config.json] [more arguments for abtrain train]
#   AB_JOBS  compile jobs (default: 2)
set -euo pipefail
cd "$(dirname "$0")/.."
config=${1:-models/configs/mnist/resnet_quickstart.json}
shift || true
ranks=4
methods="ddp ab"
abtrain=build/release/bin/abtrain

echo "[1/4] Packages"
tools/install_dependencies.sh
echo "[2/4] Build (the first time takes a few minutes)"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
# A tree that tools/test.sh made keeps its tests.
fresh=()
[ -e build/release/CMakeCache.txt ] || fresh=(-DAB_TESTS=OFF)
if ! { cmake --preset release "${fresh[@]}" && cmake --build build/release --target abtrain \
  -j "${AB_JOBS:-2}"; } >"$log" 2>&1; then
  cat "$log" >&2
  echo "quickstart: the build failed (its output stands above)" >&2
  exit 1
fi

step=3
for method in $methods; do
  echo "[$step/4] Train $method: $config on $ranks ranks -> runs/quickstart/$method"
  rm -rf "runs/quickstart/$method"
  "$abtrain" train --config "$config" --method "$method" --local-ranks $ranks \
    --data data/samples/mnist --out "runs/quickstart/$method" "$@"
  step=$((step + 1))
done

# One number of a summary.json; awk, since a bare machine has neither jq nor python.
number() {  # file key
  awk -F: -v RS='[,{}]' -v key="$2" '
    { gsub(/[ \t\n"]/, "", $1) } $1 == key { gsub(/[ \t\n]/, "", $2); print $2; exit }' "$1"
}
echo
printf '%-8s %8s %16s %18s %12s %9s\n' method top-1 "sent per rank" "traffic reduction" compression seconds
for method in $methods; do
  file=runs/quickstart/$method/summary.json
  awk -v method="$method" -v ranks=$ranks -v top1="$(number "$file" top1_last)" \
    -v sent="$(number "$file" total_sent_bytes)" -v less="$(number "$file" traffic_reduction)" \
    -v ratio="$(number "$file" compression)" -v seconds="$(number "$file" seconds)" 'BEGIN {
      less = less == "null" || less == "" ? "-" : sprintf("%.1f %%", 100 * less)
      ratio = ratio == "null" || ratio == "" ? "-" : sprintf("%.2f : 1", ratio)
      printf "%-8s %6.1f %% %13.1f MB %18s %12s %9.0f\n", method, 100 * top1, sent / ranks / 1e6,
        less, ratio, seconds }'
done
"$abtrain" report $(printf 'runs/quickstart/%s ' $methods) -o runs/quickstart/report.html
